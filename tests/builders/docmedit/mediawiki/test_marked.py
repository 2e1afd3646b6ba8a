"""Cleaning a text leaves every mention where it was."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.docmedit.mediawiki.marked import Marked, stacked

PIECES = st.lists(
    st.tuples(
        st.text(
            alphabet="ab.;,:() \n\t\x00\x85\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}", max_size=12
        ),
        st.sampled_from([None, None, "A", "B"]),
    ),
    max_size=12,
)


def check(marked: Marked) -> None:
    end = 0
    for mention in marked.mentions:
        assert end <= mention.start < mention.end <= len(marked.text)
        assert marked.text[mention.start : mention.end] == mention.text
        end = mention.end


@given(PIECES)
@settings(max_examples=400, deadline=None)
def test_offsets_stay_right(pieces: list[tuple[str, str | None]]) -> None:
    cleaned = Marked.joined(pieces).cleaned()
    check(cleaned)
    assert all(m.text == m.text.strip() for m in cleaned.mentions)
    assert cleaned.text == cleaned.text.strip()
    assert not re.search(r"[\x00-\x08\x85]|  |\(\)|\n ", cleaned.text)


@given(PIECES, st.sampled_from([r"b+", r"\s", r"a.", r"\(.*?\)", r"ab|ba"]), st.sampled_from("xy-"))
@settings(max_examples=300, deadline=None)
def test_any_replacement_keeps_offsets(
    pieces: list[tuple[str, str | None]], pattern: str, new: str
) -> None:
    marked = Marked.joined(pieces)
    replaced = marked.replaced(re.compile(pattern), new)
    assert replaced.text == re.sub(pattern, new, marked.text)
    check(replaced)


@given(PIECES, PIECES)
@settings(deadline=None)
def test_stacking_and_cutting_out_keep_offsets(
    first: list[tuple[str, str | None]], second: list[tuple[str, str | None]]
) -> None:
    parts = [Marked.joined(first).cleaned(), Marked.joined(second).cleaned()]
    whole = stacked(parts)
    check(whole)
    start = len(parts[0].text) + 1
    assert whole.part(start, len(whole.text)) == parts[1]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Anna (; born 1954) is", "Anna (born 1954) is"),
        ("Anna (, ; 1954) is", "Anna (1954) is"),
        ("Anna () is", "Anna is"),
        ("Anna ( , ) is", "Anna is"),
        ("Anna (1954; ) is", "Anna (1954) is"),
        ("Anna ( 1954 ) is", "Anna (1954) is"),
        ("Anna (a; ; b) is", "Anna (a; b) is"),
        ("Anna (()) is", "Anna is"),
        ("Anna ((; (()))) is", "Anna is"),
        ("the .NET framework , here .", "the .NET framework, here."),
        (", there are two.", "there are two."),
        ("one  \t two \n\n three", "one two\nthree"),
        ("a\N{SOFT HYPHEN}b\N{NO-BREAK SPACE}c", "ab c"),
    ],
)
def test_what_templates_leave_is_cleaned(raw: str, clean: str) -> None:
    assert Marked(raw).cleaned().text == clean


def test_a_link_and_its_ending_are_one_mention() -> None:
    marked = Marked.joined([("two ", None), ("car", "Car"), ("s", "Car"), (" here", None)])
    assert [(m.text, m.entity) for m in marked.mentions] == [("cars", "Car")]
