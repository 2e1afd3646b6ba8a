"""Wikitext becomes plain text with its links marked, however odd it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.docmedit.mediawiki import tables, wikitext
from builders.docmedit.mediawiki.marked import Marked, stacked
from builders.docmedit.mediawiki.wikitext import WikitextError
from tests.builders.docmedit.mediawiki.support import TITLES
from tests.builders.docmedit.mediawiki.test_marked import check


def read(raw: str, own: str = "") -> Marked:
    paragraphs = wikitext.prose(wikitext.without_comments(raw))
    read = (wikitext.plain(paragraph, TITLES, own) for paragraph in paragraphs)
    return stacked(marked for marked in read if marked.text)


def links(marked: Marked) -> list[tuple[str, str]]:
    return [(m.text, m.entity) for m in marked.mentions]


def test_links_become_mentions() -> None:
    marked = read(
        "'''Ada''' met [[Charles Babbage|Babbage]] and ''[[poet]]s'' in "
        "[[london#West|the ''west'']], see [[:Category:X|list]], [[wikt:ada|ada]], "
        "[[#Life|below]] and [[Talk:Ada]]."
    )
    assert marked.text == (
        "Ada met Babbage and poets in the west, see list, ada, below and Talk:Ada."
    )
    assert links(marked) == [
        ("Babbage", "Charles Babbage"),
        ("poets", "Poet"),
        ("the west", "London"),
    ]
    check(marked)


def test_letters_after_a_link_belong_to_it_only_where_they_touch() -> None:
    assert links(read("[[car]]s, [[car]] s, [[car]]''s'', [[car]]S")) == [
        ("cars", "Car"), ("car", "Car"), ("car", "Car"), ("car", "Car"),
    ]  # fmt: skip


def test_a_link_to_the_page_itself_is_none() -> None:
    assert read("[[Berlin]] lies in [[Germany]].", "Berlin").mentions[0].entity == "Germany"


def test_what_is_no_prose_is_dropped() -> None:
    raw = (
        "{{Infobox x\n| a = {{b|[[c]]}}\n}}\n[[File:A.jpg|thumb|A [[boat]]]]\n"
        "{| class=x\n|-\n| [[cell]]\n{|\n| inner\n|}\n|}\n"
        "Anna<ref name=a>{{cite|x}} [[q]]</ref> (; born <!-- when\nexactly --> 1954)<ref name=b />"
        " is ''here''.<math>x^2</math>__NOTOC__\n<gallery>\nFile:A.jpg|[[g]]\n</gallery>\n"
        "[[Category:People]]\n[[de:Anna]]\n----\n"
    )
    marked = read(raw)
    assert marked.text == "Anna (born 1954) is here."
    assert marked.mentions == ()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("{{lang|de|Berlin}} x", "Berlin x"),
        ("{{nowrap|5 [[km]]}} x", "5 km x"),
        ("{{convert|5|km|mi}} x", "5 km x"),
        ("{{convert|10|to|20|km|mi}} x", "10 to 20 km x"),
        ("{{cvt|10|-|20|km}} {{cvt|1|and|2|m}}", "10–20 km 1 and 2 m"),
        ("{{convert|2|x|3|x|4|cm|in}} x", "2 × 3 × 4 cm x"),
        ("{{convert|6|ft|2|in|m}} {{convert|5|km|0}}", "6 ft 2 in 5 km"),
        ("{{convert|5}} x {{convert|5|to|6}} y", "x y"),
        ("{{small|1=foo}} {{lang|2=Rom|1=de}} {{lang|2=Rom}}x", "foo Rom x"),
        ("{{As of|2018|²}} x {{as of|2018|13|1}}", "As of ² 2018 x As of 1 2018"),
        ("1{{ndash}}2", "1–2"),
        ("{{As of|2018|9|post=,}} 4", "As of September 2018, 4"),
        ("x {{as of|2021|March|lc=y}}", "x As of March 2021".replace("As", "as")),
        ("{{as of|alt=by then|2018}} x", "by then x"),
        ("a&nbsp;b &ndash; c &#xD800; d", "a b – c d"),
        ("[http://a.b c d] [http://a.b]", "c d"),
        ("* one\n* two", "one\ntwo"),
        ("<nowiki>[[no]]</nowiki> a<br/>b <small>c</small>", "[[no]] a b c"),
        ("{{unclosed|a b", "{{unclosed|a b"),
        ("", ""),
    ],
)
def test_plain(raw: str, text: str) -> None:
    assert read(raw).text == text


def test_the_introduction_ends_at_the_first_heading_of_the_raw_text() -> None:
    raw = (
        "Intro {{open <!-- == no == -->\n<!--\n== no ==\n-->more\n== First == \n{{a}}\n===Sub===\nx"
    )
    assert wikitext.introduction(raw) == "Intro {{open \nmore"
    assert [s.heading for s in wikitext.sections(raw)] == ["INTRODUCTION", "First", "Sub"]


def test_headings_are_plain() -> None:
    raw = "a\n== ''The'' [[Life|life]] <small>x</small> ==\nb\n== = ==\nc\n===\nd"
    assert [s.heading for s in wikitext.sections(raw)][:2] == ["INTRODUCTION", "The life x"]


@pytest.mark.parametrize(
    ("title", "raw", "expected"),
    [
        ("Food (disambiguation)", "x", True),
        ("Food", "a\n{{Disambiguation|geo}}", True),
        ("Food", "{{human name disambiguation}}", True),
        ("Food", "__DISAMBIG__", True),
        ("Essen", "{{Begriffsklärung}}", True),
        ("Food", "a [[x]]{{disambiguation needed|date=1}}", False),
        ("Food", "plain", False),
    ],
)
def test_disambiguation(title: str, raw: str, expected: bool) -> None:
    assert wikitext.is_disambiguation(title, raw) is expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("{{a|" * 2_500_000, "nested"),
        ("{{a|" * 101 + "}}" * 101, "nested"),
        ("x" * 20_001, "paragraph"),
        ("<ref " * 2_000, "tags"),
        ("[[a|" * 2_000, "open links"),
    ],
)
def test_what_is_beyond_reading_is_said_at_once(raw: str, reason: str) -> None:
    start = time.perf_counter()
    with pytest.raises(WikitextError, match=reason):
        wikitext.prose(raw)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "piece",
    [
        "|-\n",
        "{|\n|a||b\n|}\n",
        "{|\n!a\n!b\n|-\n|c\n|d\n|}\n",
        "|rowspan=999 colspan=99|[[a]]\n|-\n",
        "}}{{",
        "{{a}}",
        "<ref></ref>",
        "<!--",
        "{|\n",
        "|}\n",
        "\n==",
        "= ",
        "<ref/>",
        "''",
    ],
)
def test_time_grows_with_the_text_alone(piece: str) -> None:
    raw = piece * (200_000 // len(piece))
    if piece.startswith("|r"):
        raw = f"{{|\n!a!!b\n|-\n{raw}"
    start = time.perf_counter()
    wikitext.is_disambiguation("x", raw)
    for section in wikitext.sections(raw):
        try:
            tables.triples(tables.rows(section.raw), TITLES)
            wikitext.prose(section.raw)
        except WikitextError:
            continue
    assert time.perf_counter() - start < 5


MARKUP = st.lists(
    st.sampled_from(
        "[[ ]] | {{ }} {| |} '' ''' <ref> </ref> <ref/> <!-- --> == a Bc lang de : File:x # &nbsp; "
        "( ) ; <b> </b> [http://x ] <br> * \n _".replace("_", " ").split(" ")
    ),
    max_size=40,
).map("".join)


@given(MARKUP)
@settings(max_examples=400, deadline=None)
def test_any_markup_gives_exact_mentions(raw: str) -> None:
    for section in wikitext.sections(raw):
        check(read(section.raw))
