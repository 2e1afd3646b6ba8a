"""Two snapshots become document edits with facts, evidence and what must not change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from builders.docmedit.draft import Draft
from builders.docmedit.mediawiki.names import SpacyRecogniser
from builders.docmedit.mediawiki.source import MAX_ROWS, DumpSource
from schemas.documents import Triple
from tests.builders.docmedit.mediawiki.support import PageXml, Revision, ingested, ruler, source

INTRO = (
    "'''Rome''' is a city in [[Italy]]. The mayor is [[Anna Bell]]. "
    "It lies on the [[Tiber|river Tiber]]."
)
NEW_INTRO = (
    "{{Infobox city\n| mayor = [[Carl Dunn]]\n| river = Tiber\n}}\n"
    "'''Rome''' is a city in [[Italy]]. The mayor is [[Carl Dunn]]. "
    "It lies on the [[Tiber|river Tiber]]. The old port holds the [[Sea Museum (Rome)|Sea Museum]]."
)
DUNN = "'''Carl Dunn''' is a lawyer who lives in [[Italy]].\n== Career ==\nHe studied law."
NEW_DUNN = (
    DUNN + " He worked there.\n\nIn 2021 he was elected mayor of [[Rome]] by a wide margin. He won."
)
STABLE = "'''{0}''' is a place in the north of [[Land of {0}]]. It was founded by [[King {0}]]."


def stable(number: int, title: str) -> PageXml:
    return PageXml(number, title, STABLE.format(title))


OTHERS = [stable(10, "Italy"), stable(11, "Oslo"), stable(12, "Bern"), stable(13, "Tiber")]
BEFORE = [PageXml(1, "Rome", INTRO), PageXml(2, "Carl Dunn", DUNN), *OTHERS]
AFTER = [PageXml(1, "Rome", NEW_INTRO), PageXml(2, "Carl Dunn", NEW_DUNN), *OTHERS]


def rome(tmp_path: Path, **options: object) -> Draft:
    return ingested(source(tmp_path, BEFORE, AFTER, **options), tmp_path / "spool").drafts["Rome"]


def check(draft: Draft) -> None:
    """What holds for every draft."""
    document = draft.document
    for version in (document.before, document.after):
        end = 0
        for mention in version.mentions:
            assert end <= mention.start < mention.end
            assert version.text[mention.start : mention.end] == mention.text
            end = mention.end
    assert document.facts
    assert len(draft.asked) == len(document.facts)
    assert len({fact.id for fact in document.facts}) == len(document.facts)
    for fact, asked in zip(document.facts, draft.asked, strict=True):
        assert fact.object in document.after.text
        assert fact.object not in document.before.text
        assert fact.passage is not None
        assert fact.start is not None
        assert fact.passage[fact.start :].startswith(fact.text)
        assert (fact.evidence == "other_page") == (fact.page != document.title)
        if fact.statement_old is not None:
            assert fact.statement_old in document.before.text
            assert fact.statement_old not in document.after.text
        if fact.object_old is not None:
            assert fact.object_old in document.before.text
            assert fact.object_old not in document.after.text
        assert asked.prompt == asked.prompt.strip()
        assert asked.subject
        assert asked.subject in asked.prompt
        for text in (asked.prompt, *asked.questions, *asked.rephrasings):
            assert fact.object not in text
    assert len({asked.prompt for asked in draft.asked}) == len(draft.asked)
    for kept in draft.kept:
        assert kept.answer not in kept.prompt
        assert kept.answer not in [fact.object for fact in document.facts]


def test_an_updated_article(tmp_path: Path) -> None:
    draft = rome(tmp_path)
    check(draft)
    document = draft.document
    assert document.title == "Rome"
    assert document.page_id == "1"
    assert document.language == "en"
    assert (document.snapshot_before, document.snapshot_after) == ("2020-06-20", "2021-12-20")
    assert document.after.timestamp == "2021-12-01T00:00:00Z"
    assert document.after.revision == "10"
    mayor, museum = document.facts
    assert mayor.object == "Carl Dunn"
    assert mayor.object_old == "Anna Bell"
    assert mayor.statement_old == "The mayor is Anna Bell."
    assert mayor.evidence == "other_page"
    assert (mayor.page, mayor.section) == ("Carl Dunn", "Career")
    assert mayor.text == "In 2021 he was elected mayor of Rome by a wide margin."
    assert mayor.passage == "In 2021 he was elected mayor of Rome by a wide margin. He won."
    assert mayor.triple is not None
    assert (mayor.triple.relation, mayor.triple.object) == ("mayor", "Carl Dunn")
    assert museum.evidence == "same_document"
    assert (museum.page, museum.section) == ("Rome", "INTRODUCTION")
    assert museum.object == "Sea Museum"
    assert museum.object_old is museum.statement_old is None
    assert [triple.relation for triple in document.after.triples] == ["mayor", "river"]
    assert document.before.triples == ()
    assert document.retrieved == (mayor.text,)


def test_how_a_fact_is_asked(tmp_path: Path) -> None:
    mayor, museum = rome(tmp_path).asked
    assert (mayor.prompt, mayor.subject) == ("The mayor of Rome is", "Rome")
    assert mayor.questions == ("Rome: The mayor is",)
    assert len(mayor.rephrasings) == 4
    assert mayor.rephrasings[0] == "According to the article on Rome: the mayor of Rome is"
    assert (museum.prompt, museum.subject) == ("Rome: The old port holds the", "Rome")
    assert museum.rephrasings[0] == "According to the article on Rome: The old port holds the"


def grown(tmp_path: Path, more: str, box: str = "") -> Draft:
    """The article with more in its introduction."""
    after = [PageXml(1, "Rome", f"{box}{INTRO} {more}"), *BEFORE[1:]]
    draft = ingested(source(tmp_path, BEFORE, after), tmp_path / "s").drafts["Rome"]
    check(draft)
    return draft


def test_facts_that_cannot_be_told_apart_by_their_prompts(tmp_path: Path) -> None:
    more = "It has an [[old wall]]. It has an [[old bridge]]. Near [[Ostia]] it ends."
    draft = grown(tmp_path, more)
    assert [fact.object for fact in draft.document.facts] == ["old wall"]
    after = [PageXml(1, "Rome", f"{INTRO} Near [[Ostia]] it ends."), *BEFORE[1:]]
    got = ingested(source(tmp_path, BEFORE, after), tmp_path / "s")
    assert "put as a question" in got.rules["no_evidence"]


def test_sentences_that_begin_with_the_answer_become_questions(tmp_path: Path) -> None:
    more = (
        "[[Ostia]] is the port of the city. The [[Sea Gate]] became its oldest gate. [[Veii]] is a "
        "town. [[Cato Dunn]], a lawyer, is the judge."
    )
    draft = grown(tmp_path, more)
    objects = [fact.object for fact in draft.document.facts]
    assert list(zip([asked.prompt for asked in draft.asked], objects, strict=True)) == [
        ("Rome: who or what is the port of the city?", "Ostia"),
        ("Rome: who or what became its oldest gate?", "Sea Gate"),
    ]
    assert len(draft.asked[0].rephrasings) == 3


def test_a_box_with_several_values_gives_no_prompt(tmp_path: Path) -> None:
    box = "{{Infobox city\n| mayor = [[Carl Dunn]]<br>[[Dora Dunn]]\n| judge = [[Ed Low]] (1)\n}}"
    draft = grown(tmp_path, "A second mayor is [[Carl Dunn]]. Its judge is called [[Ed Low]].", box)
    second, judge = draft.document.facts
    assert second.triple is not None
    assert draft.asked[0].prompt == "Rome: A second mayor is"
    # A value that holds more than the name says something else.
    assert judge.triple is None


def test_a_fact_names_its_object(tmp_path: Path) -> None:
    third = PageXml(3, "Mayors", "In 2021 [[Carl Dunn|a lawyer]] took over the city of [[Rome]].")
    after = [AFTER[0], BEFORE[1], *OTHERS, third]
    got = ingested(source(tmp_path, BEFORE, after), tmp_path / "s")
    assert {fact.evidence for fact in got.drafts["Rome"].document.facts} == {"same_document"}
    got = ingested(source(tmp_path, BEFORE, after, evidence="other_page"), tmp_path / "s")
    assert got.drafts == {}


TABLE = """== Mayors ==
{| class="wikitable"
|+ All of them
! Year !! City
! style="x" | Mayor
|-
| 1999 || [[Oslo]] || style="a" | [[Anna Bell]]
"""


def test_a_row_of_a_table_is_evidence(tmp_path: Path) -> None:
    old = PageXml(3, "Mayors", f"A list of mayors.\n{TABLE}|}}")
    row = "|- valign=top\n| 2021 || [[Rome]]\n| [[Carl Dunn]]<ref>x</ref> of\nthe city\n"
    new = PageXml(3, "Mayors", f"A list of mayors.\n{TABLE}{row}|}}")
    before, after = [*BEFORE, old], [AFTER[0], BEFORE[1], *OTHERS, new]
    draft = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"]
    check(draft)
    fact = draft.document.facts[0]
    assert (fact.evidence, fact.page, fact.section) == ("other_page", "Mayors", "Mayors")
    assert fact.text == fact.passage == "Year: 2021; City: Rome; Mayor: Carl Dunn of the city"
    # A row that only moved to another table, or linked before, is none.
    moved = PageXml(3, "Mayors", f"A list.\n{{|\n{row}|}}\n== Mayors ==\n{TABLE[13:]}|}}")
    linked = PageXml(3, "Mayors", new.text.replace("2021", "2020") if new.text else "")
    for other in (moved, linked):
        before = [*BEFORE, other]
        draft = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"]
        assert draft.document.facts[0].evidence == "same_document"


@pytest.mark.parametrize(
    ("row", "triple"),
    [
        ("| 2021 || [[Rome]] || [[Carl Dunn]]", Triple("Rome", "Mayor", "Carl Dunn")),
        ("| 2021 || [[Oslo]], not [[Rome]] || [[Carl Dunn]]", None),
        ("| 2021 || [[Rome]] || [[Carl Dunn]] again", None),
    ],
)
def test_a_row_elsewhere_states_a_triple_of_the_fact(
    tmp_path: Path, row: str, triple: Triple | None
) -> None:
    old = PageXml(3, "Mayors", f"A list of mayors.\n{TABLE}|}}")
    new = PageXml(3, "Mayors", f"A list of mayors.\n{TABLE}|-\n{row}\n|}}")
    rome = PageXml(1, "Rome", NEW_INTRO.partition("}}\n")[2])
    before, after = [*BEFORE, old], [rome, BEFORE[1], *OTHERS, new]
    draft = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"]
    check(draft)
    fact = draft.document.facts[0]
    assert (fact.object, fact.page, fact.triple) == ("Carl Dunn", "Mayors", triple)
    # How often the page says so of others is not known: it gives no question.
    assert draft.asked[0].prompt == "Rome: The mayor is"


def test_tables_of_the_introduction_give_triples(tmp_path: Path) -> None:
    table = "\n{|\n! Gate !! Builder\n|-\n| Sea Gate || BY\n|}\n"
    before = [PageXml(1, "Rome", INTRO + table.replace("BY", "[[Anna Bell]]")), *BEFORE[1:]]
    text = f"{INTRO} Its gate is by [[Carl Dunn]].{table.replace('BY', '[[Carl Dunn]]')}"
    after = [PageXml(1, "Rome", text), *BEFORE[1:]]
    draft = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"]
    check(draft)
    document = draft.document
    assert document.before.triples == (Triple("Sea Gate", "Builder", "Anna Bell"),)
    assert document.after.triples == (Triple("Sea Gate", "Builder", "Carl Dunn"),)
    assert document.facts[0].triple == document.after.triples[0]
    assert draft.asked[0].prompt == "The Builder of Sea Gate is"


def test_a_list_in_the_introduction_gives_no_triples_without_end(tmp_path: Path) -> None:
    rows = "".join(f"|-\n| Gate {n} || Builder {n}\n" for n in range(MAX_ROWS + 50))
    text = f"{INTRO} It has an [[old wall]].\n{{|\n! Gate !! Builder\n{rows}|}}"
    after = [PageXml(1, "Rome", text), *BEFORE[1:]]
    draft = ingested(source(tmp_path, BEFORE, after), tmp_path / "s").drafts["Rome"]
    assert len(draft.document.after.triples) == MAX_ROWS


def test_what_must_not_change(tmp_path: Path) -> None:
    draft = rome(tmp_path)
    by_kind = {
        kind: [k for k in draft.kept if k.kind == kind] for kind in {k.kind for k in draft.kept}
    }
    own = [(k.prompt, k.answer) for k in by_kind["unchanged_sentence"]]
    assert own == [("Rome is a city in", "Italy"), ("Rome: It lies on the", "river Tiber")]
    assert {k.title for k in by_kind["related_document"]} <= {"Italy", "Tiber"}
    assert {k.title for k in by_kind["random_document"]} <= {"Oslo", "Bern", "Carl Dunn"}
    assert len(by_kind["related_document"]) == len(by_kind["random_document"]) == 2
    related, random = draft.elsewhere
    assert (related.kind, random.kind) == ("related_document", "random_document")
    assert related.text.startswith(f"{related.title} is a place")


def test_evidence_of_other_pages_alone(tmp_path: Path) -> None:
    draft = rome(tmp_path, evidence="other_page")
    check(draft)
    assert [fact.object for fact in draft.document.facts] == ["Carl Dunn"]
    silent = [PageXml(1, "Rome", NEW_INTRO), *BEFORE[1:]]
    got = ingested(source(tmp_path, BEFORE, silent, evidence="other_page"), tmp_path / "s")
    assert got.drafts == {}
    assert [reject.rule for reject in got.rejects] == ["no_evidence"]


def test_a_third_page_and_a_new_page_are_evidence(tmp_path: Path) -> None:
    third = PageXml(3, "Mayors", "In 2021 [[Carl Dunn]] took over the city of [[Rome]].")
    after = [AFTER[0], BEFORE[1], *OTHERS, third]
    draft = ingested(source(tmp_path, BEFORE, after), tmp_path / "s").drafts["Rome"]
    assert (draft.document.facts[0].page, draft.document.facts[0].section) == (
        "Mayors",
        "INTRODUCTION",
    )


def test_a_sentence_that_linked_before_or_only_moved_is_no_evidence(tmp_path: Path) -> None:
    old = DUNN + "\n\nHe is often seen in the streets of [[Rome]] at night."
    reworded = old.replace("often", "seldom")
    renamed = old.replace("== Career ==", "== Life ==")
    for text in (reworded, renamed):
        before = [BEFORE[0], PageXml(2, "Carl Dunn", old), *OTHERS]
        after = [AFTER[0], PageXml(2, "Carl Dunn", text), *OTHERS]
        draft = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"]
        assert draft.document.facts[0].evidence == "same_document"


def test_style_only_changes_are_rejects_and_elsewhere(tmp_path: Path) -> None:
    reworded = INTRO.replace("a city in", "a big city in")
    named_before = reworded.replace("city", "[[city]]")
    for text in (reworded, named_before):
        after = [PageXml(1, "Rome", text), *AFTER[1:]]
        got = ingested(source(tmp_path, BEFORE, after), tmp_path / "s")
        assert "Rome" not in got.drafts
        assert "style_only" in got.rules
    calm = [PageXml(4, "Calm", "Calm is a town in [[Land]]. It is quiet.")]
    louder = [PageXml(4, "Calm", "Calm is a town in [[Land]]. It is very quiet.")]
    got = ingested(source(tmp_path, [BEFORE[0], *calm], [AFTER[0], *louder]), tmp_path / "s")
    (other,) = got.drafts["Rome"].elsewhere
    assert (other.title, other.text) == ("Calm", "Calm is a town in Land. It is very quiet.")
    assert {k.prompt for k in got.drafts["Rome"].kept if k.title == "Calm"} == {"Calm is a town in"}


def test_a_link_to_the_new_title_of_a_page_is_no_new_entity(tmp_path: Path) -> None:
    bell = PageXml(20, "Anna Bell", "Anna Bell is a [[judge]].")
    moved = dataclasses.replace(bell, title="Anna Bell-Dunn")
    text = INTRO.replace("[[Anna Bell]]", "[[Anna Bell-Dunn|Bell-Dunn]]")
    after = [PageXml(1, "Rome", text), *BEFORE[1:], moved]
    got = ingested(source(tmp_path, [*BEFORE, bell], after), tmp_path / "s")
    assert [reject.rule for reject in got.rejects] == ["style_only", "moved"]
    assert "'Anna Bell'" in got.rules["moved"]


def test_redirects_are_resolved_per_snapshot(tmp_path: Path) -> None:
    old = [
        PageXml(30, "A. Bell", "#REDIRECT [[Bell, Anna]]", redirect="Bell, Anna"),
        PageXml(31, "Bell, Anna", "#redirect [[Anna Bell]]"),
    ]
    text = INTRO.replace("[[Anna Bell]]", "[[A. Bell|Mayor Bell]]")
    got = ingested(
        source(tmp_path, [*BEFORE, *old], [PageXml(1, "Rome", text), *BEFORE[1:], *old]),
        tmp_path / "s",
    )
    assert got.rules["style_only"]
    assert got.counts["redirects_after"] == 2
    new = [dataclasses.replace(old[0], redirect="Berta Bell"), old[1]]
    after = [PageXml(1, "Rome", text), *BEFORE[1:], *new]
    draft = ingested(source(tmp_path, [*BEFORE, *old], after), tmp_path / "s").drafts["Rome"]
    assert [m.entity for m in draft.document.after.mentions] == ["Italy", "Berta Bell", "Tiber"]


def test_names_without_a_link_are_entities_by_title_and_redirect(tmp_path: Path) -> None:
    alias = PageXml(32, "Queen Ann", "#REDIRECT [[Anna Bell]]", redirect="Anna Bell")
    old = INTRO.replace("[[Anna Bell]]", "Queen Ann") + " Later came Anna Bell again."
    new = INTRO.replace("[[Anna Bell]]", "[[Anna Bell|Bell the First]]") + " It is near [[Ostia]]."
    before = [PageXml(1, "Rome", old), *OTHERS, alias]
    after = [PageXml(1, "Rome", new), *OTHERS, alias]
    document = ingested(source(tmp_path, before, after), tmp_path / "s").drafts["Rome"].document
    named = [(m.text, m.entity) for m in document.before.mentions]
    assert named == [
        ("Italy", "Italy"), ("Queen Ann", "Anna Bell"), ("river Tiber", "Tiber"),
        ("Anna Bell", "Anna Bell"),
    ]  # fmt: skip
    assert [fact.object for fact in document.facts] == ["Ostia"]


KNOWN = [
    stable(80, "Lea Moor"),
    PageXml(81, "L. M. Moor", "#REDIRECT [[Lea Moor]]", redirect="Lea Moor"),
    PageXml(82, "Jo Ash", "Jo Ash may be:\n* [[Jo Ash (judge)]]\n{{disambiguation}}"),
    PageXml(83, "Joan Ash", "#REDIRECT [[Jo Ash]]", redirect="Jo Ash"),
    PageXml(84, "Eternal City", "#REDIRECT [[Rome]]", redirect="Rome"),
]


@pytest.mark.parametrize(
    ("more", "objects"),
    [
        ("The bridge was built by Lea Moor in 2021.", ["Lea Moor"]),
        ("The bridge was built by L. M. Moor in 2021.", ["L. M. Moor"]),
        ("A walk to Bern was held, with Oslo as guest.", []),
        ("The bridge was built by Jo Ash and Joan Ash.", []),
        ("The bridge was built in the Eternal City.", []),
        ("The bridge was built by Mia Dell, whom no page is about.", []),
    ],
)
def test_names_without_a_link_are_looked_up_among_all_pages(
    tmp_path: Path, more: str, objects: list[str]
) -> None:
    pages = [*BEFORE[1:], *KNOWN]
    before, after = PageXml(1, "Rome", INTRO), PageXml(1, "Rome", f"{INTRO} {more}")
    got = ingested(source(tmp_path, [before, *pages], [after, *pages]), tmp_path / "s")
    facts = [f.object for draft in got.drafts.values() for f in draft.document.facts]
    assert facts == objects
    assert ("style_only" in got.rules) == (not objects)
    # What stood there before, linked or not, is not added.
    linked = PageXml(1, "Rome", f"{INTRO} {more} [[Lea Moor|Moor]] knows.")
    for old in (linked, PageXml(1, "Rome", f"{INTRO} {more}")):
        new = PageXml(1, "Rome", f"{INTRO} {more} It is so.")
        got = ingested(source(tmp_path, [old, *pages], [new, *pages]), tmp_path / "s")
        assert got.drafts == {}


def test_a_name_that_leads_elsewhere_now_is_unclear(tmp_path: Path) -> None:
    more = "The bridge was built by L. M. Moor in 2021."
    after = [PageXml(1, "Rome", f"{INTRO} {more}"), *BEFORE[1:], *KNOWN]
    other = dataclasses.replace(KNOWN[1], text="#REDIRECT [[Oslo]]", redirect="Oslo")
    before = [*BEFORE, KNOWN[0], other, *KNOWN[2:]]
    assert ingested(source(tmp_path, before, after), tmp_path / "s").drafts == {}
    # A page of one of the two dates is enough; and a page that was moved is the same one.
    moved = dataclasses.replace(KNOWN[0], title="Lea Moor-Low")
    alias = dataclasses.replace(KNOWN[1], text=None, redirect="Lea Moor-Low")
    for pages in ([*BEFORE], [*BEFORE, moved, alias]):
        got = ingested(source(tmp_path, pages, after), tmp_path / "s")
        assert [f.object for f in got.drafts["Rome"].document.facts] == ["L. M. Moor"]
        assert got.drafts["Rome"].document.after.mentions[-1].entity == "Lea Moor"


def test_a_trained_pipeline_finds_more_names(tmp_path: Path) -> None:
    more = "In May it was twinned with Oslo, as Nobody knows."
    after = [PageXml(1, "Rome", f"{INTRO} {more}"), *BEFORE[1:]]
    assert ingested(source(tmp_path, BEFORE, after), tmp_path / "s").drafts == {}
    recogniser = SpacyRecogniser(ruler(tmp_path / "ruler"))
    made = source(tmp_path, BEFORE, after, recogniser=recogniser)
    draft = ingested(made, tmp_path / "s").drafts["Rome"]
    assert [fact.object for fact in draft.document.facts] == ["Oslo"]


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    names = ["Loop A", "Loop B", "Loop C"]
    loop = [
        PageXml(40 + n, name, f"#REDIRECT [[{names[(n + 1) % 3]}]]", redirect=names[(n + 1) % 3])
        for n, name in enumerate(names)
    ]
    itself = PageXml(50, "Self", "#REDIRECT [[Self]]", redirect="Self")
    into = PageXml(51, "Into", "#REDIRECT [[Loop A]]", redirect="Loop A")
    text = INTRO + " It has a [[Loop A|loop]] and a [[Self|self]] and an [[Into|into]]."
    pages = [*loop, itself, into]
    got = ingested(
        source(tmp_path, BEFORE, [PageXml(1, "Rome", text), *BEFORE[1:], *pages]), tmp_path / "s"
    )
    assert [reject.rule for reject in got.rejects] == ["redirect_loop"] * 5
    entities = [m.entity for m in got.drafts["Rome"].document.after.mentions]
    assert entities[-3:] == ["Loop A", "Self", "Into"]


def test_pages_that_came_went_or_turned_into_redirects(tmp_path: Path) -> None:
    gone, turned = stable(60, "Gone"), stable(61, "Turned")
    redirect = PageXml(61, "Turned", "#REDIRECT [[Oslo]]", redirect="Oslo")
    got = ingested(
        source(tmp_path, [*BEFORE, gone, turned], [*AFTER, stable(62, "Fresh"), redirect]),
        tmp_path / "s",
    )
    reasons = [(r.rule, r.reason) for r in got.rejects]
    assert [rule for rule, _ in reasons] == ["created", "deleted", "deleted"]
    assert "redirect to 'Oslo'" in reasons[2][1]
    assert got.counts["deleted"] == 2
    assert len({r.row for r in got.rejects}) == 3
    assert list(got.drafts) == ["Rome"]


def test_a_title_with_another_page_id_is_no_new_page(tmp_path: Path) -> None:
    before = [*BEFORE, stable(70, "Again"), stable(71, "Old Name")]
    renamed = PageXml(71, "New Name", stable(71, "Old Name").text)
    blank = PageXml(75, "Blank", "")
    after = [
        *AFTER,
        stable(72, "Again"),
        renamed,
        stable(73, "Old Name"),
        stable(74, "Fresh"),
        blank,
    ]
    got = ingested(source(tmp_path, before, after), tmp_path / "s")
    assert sorted((r.rule, r.reason) for r in got.rejects) == [
        ("created", "'Fresh' was no article at the first date"),
        ("moved", "was 'Old Name' before"),
        ("no_text", "has no text"),
        ("page_id_changed", "'Again' is page 72, but page 70 has the title at the first date"),
        ("page_id_changed", "'Old Name' is page 73, but page 71 has the title at the first date"),
    ]
    assert (got.counts["page_id_changed"], got.counts["created"]) == (2, 1)
    assert "deleted" not in got.counts


def test_disambiguation_pages_are_rejects(tmp_path: Path) -> None:
    text = "Rome may be:\n* [[A]]\n{{disambiguation}}"
    after = [PageXml(1, "Rome", text), *AFTER[1:]]
    got = ingested(source(tmp_path, BEFORE, after), tmp_path / "s")
    assert "disambiguation" in got.rules


def test_a_title_that_two_pages_have_is_taken_once(tmp_path: Path) -> None:
    twin = PageXml(99, "Rome", INTRO), PageXml(99, "Rome", NEW_INTRO + " More [[things]].")
    got = ingested(source(tmp_path, [*BEFORE, twin[0]], [*AFTER, twin[1]]), tmp_path / "s")
    assert [row.row for row in got.rows] == [0]
    assert "duplicate" in got.rules


def test_long_introductions_are_rejects(tmp_path: Path) -> None:
    text = "\n\n".join([INTRO, *["word " * 500 + "[[Ostia]]."] * 6])
    got = ingested(source(tmp_path, BEFORE, [PageXml(1, "Rome", text), *AFTER[1:]]), tmp_path / "s")
    assert "introduction of" in got.rules["unreadable"]


def test_limit_seed_and_repetition(tmp_path: Path) -> None:
    towns = [PageXml(100 + n, f"Town {n}", f"Town {n} is a town in [[Land]].") for n in range(9)]
    grown = [
        dataclasses.replace(p, text=f"{p.text} It has a [[bridge {p.id}|bridge]].") for p in towns
    ]
    before, after = [*BEFORE, *towns], [*AFTER, *grown]
    whole = ingested(source(tmp_path, before, after), tmp_path / "s").rows
    again = ingested(source(tmp_path, before, after), tmp_path / "t").rows
    assert len(whole) == 10
    assert whole == again
    assert ingested(source(tmp_path, before, after, limit=3), tmp_path / "s").rows == whole[:3]
    other = ingested(source(tmp_path, before, after, seed=1), tmp_path / "s").rows
    assert [row.id for row in other] == [row.id for row in whole]
    assert other != whole


def test_the_spool_is_left_empty_and_an_old_one_replaced(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "snapshots.sqlite").write_text("of a run that died")
    rows = ingested(source(tmp_path, BEFORE, AFTER), spool).rows
    assert len(rows) == 1
    assert list(spool.iterdir()) == []
    # A reader that stops in the middle leaves nothing either.
    items = source(tmp_path, BEFORE, AFTER).ingest(spool)
    next(iter(items))
    items.close()  # type: ignore[attr-defined]
    assert list(spool.iterdir()) == []


def test_description(tmp_path: Path) -> None:
    made = source(tmp_path, BEFORE, AFTER)
    described = made.describe()
    assert described["snapshots"] == ["2020-06-20", "2021-12-20"]
    assert list(described["files"]) == ["before/wiki-20200620.xml", "after/wiki-20211220.xml"]
    assert isinstance(made, DumpSource)
    assert any("names without a link that are a title" in note for note in described["notes"])
    assert "recogniser" not in described
    told = source(tmp_path, BEFORE, AFTER, recogniser=SpacyRecogniser(ruler(tmp_path / "ruler")))
    assert told.describe()["recogniser"] == {"name": "en_ruler", "version": "1.2.3"}
    assert told.describe()["notes"] != described["notes"]


def test_digests_are_those_of_the_files_as_they_are(tmp_path: Path) -> None:
    first = source(tmp_path, BEFORE, AFTER).describe()["files"]
    again = source(tmp_path, BEFORE, AFTER[:-1]).describe()["files"]
    assert first["before/wiki-20200620.xml"] == again["before/wiki-20200620.xml"]
    assert first["after/wiki-20211220.xml"] != again["after/wiki-20211220.xml"]


@pytest.mark.parametrize("stamp", ["2021-05-01T00:00:00Z", "2020-01-01T00:00:00Z"])
def test_revisions_of_any_order_are_joined(tmp_path: Path, stamp: str) -> None:
    revisions = (Revision(INTRO, "2019-01-01T00:00:00Z", 1), Revision(NEW_INTRO, stamp, 2))
    after = [PageXml(1, "Rome", revisions=revisions), *AFTER[1:]]
    assert "Rome" in ingested(source(tmp_path, BEFORE, after), tmp_path / "s").drafts
