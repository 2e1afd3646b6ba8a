"""Names and numbers by their form, and trained pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from medit_eval.documents.entities import SpacyRecogniser, by_form, surfaces
from schemas.errors import InputError


def names(text: str) -> list[str]:
    return [entity.text for entity in by_form(text) if entity.kind == "name"]


def numbers(text: str) -> list[str]:
    return [entity.text for entity in by_form(text) if entity.kind == "number"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("it stars George Houston and Al St. John.", ["George Houston", "Al St. John"]),
        ("he studied at the Bank of the West.", ["Bank of the West"]),
        (
            "by Ludwig van Beethoven, Charles de Gaulle",
            ["Ludwig van Beethoven", "Charles de Gaulle"],
        ),
        ("with Arch Hall Sr. The film was long.", ["Arch Hall Sr."]),
        ("by J. R. R. Tolkien", ["J. R. R. Tolkien"]),
        ("the U.S. Army and AT&T", ["U.S. Army", "AT&T"]),
        ("France's President Peter O'Brien", ["France", "President Peter O'Brien"]),
        ("in The Hague, The Beatles", ["Hague", "Beatles"]),
        ("he fought COVID-19 in the EU", ["COVID-19", "EU"]),
        ("the Trump–Biden debate", ["Trump", "Biden"]),
        ("from Łódź to Éire", ["Łódź", "Éire"]),
    ],
)
def test_names(text: str, found: list[str]) -> None:
    assert names(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Films were made. However, it rained. Naturally, it stopped.", []),
        ("He left. In the United States it is.", ["United States"]),
        ("Zorblax won.", ["Zorblax"]),
        ("New York grew. Since New Delhi grew, critics agree.", ["New York", "New Delhi"]),
        ("Apples fell. He likes apples.", []),
        ("Destinations fell. He owns Destinations.", ["Destinations", "Destinations"]),
        ("US Navy ships. IT is big.", ["US Navy", "IT"]),
        ('He said: "Rome fell." "Ada won"', ["Rome", "Ada"]),
        ("One line\nHe won\n- Bonn", ["Bonn"]),
        ("Mr. Will Smith. Dr. Who.", ["Mr. Will Smith", "Dr. Who"]),
    ],
)
def test_where_a_sentence_begins(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_numbers_are_a_class_of_their_own() -> None:
    text = "On 8 August 1941 and August 9, 1942, 3.5 of 1,250,000 in the 1990s, the 20th, B52"
    assert numbers(text) == ["8", "1941", "9", "1942", "3.5", "1,250,000", "1990s", "20th"]
    assert names(text) == ["B52"]
    assert names("in May, she met Theresa May") == ["Theresa May"]


def test_texts_without_any() -> None:
    for text in ("", " ", "...", "no names", "北京是中国的首都。"):
        assert by_form(text) == []


def test_what_is_found_stands_in_the_text() -> None:
    text = "Old St. Paul's, the Rock 'n' Roll Hall of Fame (USA) -- \"X\" of the 'Y of' Z.W.'s"
    assert all(name in text for name in names(text))


def test_a_long_text_takes_no_time() -> None:
    assert len(by_form("A. " * 20_000 + "of the " * 20_000 + "(" * 20_000 + "9." * 20_000)) > 0


def test_a_trained_pipeline(tmp_path: Path) -> None:
    import spacy
    from spacy.pipeline import EntityRuler

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "GPE", "pattern": "rome"}, {"label": "DATE", "pattern": "1990"}])
    pipeline.to_disk(tmp_path / "model")
    find = SpacyRecogniser(str(tmp_path / "model"))
    assert [(e.text, e.kind) for e in find("in rome, 1990")] == [
        ("rome", "name"),
        ("1990", "number"),
    ]
    assert surfaces(find)("in rome") == ["rome"]


def test_a_pipeline_that_is_not_there() -> None:
    with pytest.raises(InputError, match="'no_such_pipeline'"):
        SpacyRecogniser("no_such_pipeline")("text")
