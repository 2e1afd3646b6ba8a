"""Names without a link are found where they stand, and never within a link or a longer name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.names import Candidates, SpacyRecogniser, is_name
from schemas.errors import InputError
from tests.builders.docmedit.mediawiki.support import ruler
from tests.builders.docmedit.mediawiki.test_marked import check


@pytest.mark.parametrize(
    ("title", "expected"),
    [("New York", True), ("capital", False), ("Mercury (planet)", False), ("A", False),
     ("École", True), ("1990s", False), ("Rome (city) Hall", False), ("Ab\nCd", False)],
)  # fmt: skip
def test_what_can_be_looked_for(title: str, expected: bool) -> None:
    assert is_name(title) is expected


def named(text: str | Marked, *titles: str, linked: tuple[str, ...] = ()) -> list[str]:
    marked = Marked(text) if isinstance(text, str) else text
    found = Candidates.of(marked, "en").named({title: title for title in titles}, linked)
    check(found)
    return [mention.text for mention in found.mentions]


def test_the_longer_name_wins_and_links_stay() -> None:
    marked = Marked.joined(
        [("In New York City, ", None), ("York", "York"), (" is not New York.", None)]
    )
    pages = {"New York": "NY", "New York City": "NYC", "York": "Other"}
    found = Candidates.of(marked, "en").named(pages, ())
    assert [(m.text, m.entity) for m in found.mentions] == [
        ("New York City", "NYC"), ("York", "York"), ("New York", "NY"),
    ]  # fmt: skip
    check(found)


@pytest.mark.parametrize(
    ("text", "title", "expected"),
    [
        ("In 2005 Angela Merkel won.", "Angela Merkel", True),
        ("Angela Merkel's party won.", "Angela Merkel", True),
        ("He is at the University of Oxford.", "University of Oxford", True),
        ("The Bank of America is one.", "The Bank of America", True),
        ("However, it is old.", "However", False),
        ("The city is old.", "The", False),
        ("In May it closed.", "May", False),
        ("In May it closed.", "In May", False),
        ("They fed a flock of Turkey birds.", "Turkey", False),
        ("The Who played.", "The Who", False),
        ("Association football is a game.", "Association football", False),
        ("At Ronald Reagan Airport it landed.", "Ronald Reagan", False),
        ("New York-based firms grew.", "New York", False),
        ("Of Non-New York firms.", "New York", False),
        ("It met New\nYork there.", "New\nYork", False),
    ],
)
def test_what_counts_by_its_form_alone(text: str, title: str, expected: bool) -> None:
    assert named(text, title) == ([title] if expected else [])
    if "\n" not in title and "-" not in text:  # what is linked nearby counts in any form
        assert named(text, title, linked=(title,)) == [title]


def test_an_unclear_name_covers_those_within_it() -> None:
    marked = Marked("The Atlantic Ocean is an Ocean.")
    pages = {"Atlantic Ocean": "Atlantic Ocean", "Ocean": "Ocean"}
    candidates = Candidates.of(marked, "en")
    found = candidates.named(pages, pages, lambda name: name == "Ocean")
    assert [(m.start, m.entity) for m in found.mentions] == [(25, "Ocean")]


def test_candidates_are_few_and_short() -> None:
    words = " ".join(f"word{n} Name{n}" for n in range(300))
    names = Candidates.of(Marked(words), "en").names
    assert len(names) <= 300 * 8
    assert max(len(name.split()) for name in names) == 8


def test_a_trained_pipeline_finds_what_form_does_not(tmp_path: Path) -> None:
    recogniser = SpacyRecogniser(ruler(tmp_path / "ruler"))
    marked = Marked("In May the Netherlands met Oslo, and Oslo won.")
    pages = {name: name for name in ("May", "Netherlands", "Oslo")}
    assert Candidates.of(marked, "en").named(pages, ()).mentions == ()
    found = Candidates.of(marked, "en", recogniser).named(pages, ())
    check(found)
    assert [m.entity for m in found.mentions] == ["Netherlands", "Oslo", "Oslo"]
    assert recogniser.describe() == {"name": "en_ruler", "version": "1.2.3"}
    recogniser.check("en-GB")
    with pytest.raises(InputError, match="is for texts in 'en', not 'de'"):
        recogniser.check("de")


def test_pipelines_that_cannot_be_used(tmp_path: Path) -> None:
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(InputError, match="neither `ner` nor `entity_ruler`"):
        SpacyRecogniser(str(tmp_path / "blank"))("text")
    with pytest.raises(InputError, match="has no pipeline 'no_such_pipeline'"):
        SpacyRecogniser("no_such_pipeline")("text")
    broken = Path(ruler(tmp_path / "broken")) / "config.cfg"
    broken.write_text(broken.read_text().replace('"entity_ruler"', '"no_such_factory"'))
    with pytest.raises(InputError, match="cannot load"):
        SpacyRecogniser(str(broken.parent))("text")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Rome", "New Rome", " ", ". ", "and ", "Old", "\n", "-", "("]),
            st.sampled_from([None, "X"]),
        ),
        max_size=14,
    )
)
@settings(max_examples=150, deadline=None)
def test_mentions_stay_exact_and_apart(pieces: list[tuple[str, str | None]]) -> None:
    marked = Marked.joined(pieces).cleaned()
    pages = {"Rome": "Rome", "New Rome": "New Rome", "Old": "Old"}
    found = Candidates.of(marked, "en").named(pages, ("Rome", "Old"))
    check(found)
    assert set(marked.mentions) <= set(found.mentions)
