from __future__ import annotations

import json

import pytest

from builders.okedit.sources import survey as survey_module
from builders.okedit.sources.fields import FieldError, text, texts, whole
from builders.okedit.sources.survey import Survey


def filled(rows: int, seed: int = 0) -> Survey:
    survey = Survey(seed)
    for row in range(rows):
        survey.add(row, "What animal is it?", f"animal {row}", f"{row}.jpg")
    return survey


def test_it_gathers_answers_by_type_and_rows_with_a_picture() -> None:
    survey = Survey(0)
    survey.add(0, "How many cats?", "3", "0.jpg")
    survey.add(1, "How many cats?", "three", None)
    survey.add(2, "Is it red?", "yes", "2.jpg")
    assert survey.pools == {"number": ["3"], "yes/no": ["yes"]}
    assert [(c["row"], c["answer_type"]) for c in survey.candidates] == [
        (0, "number"),
        (2, "yes/no"),
    ]
    assert json.loads(json.dumps(survey.to_json())) == survey.to_json()


@pytest.mark.parametrize("wild", ["bell\x07", "half \ud800", "two\nlines"])
def test_a_row_that_will_be_rejected_lends_nothing_to_others(wild: str) -> None:
    survey = Survey(0)
    survey.add(0, wild, "3", "0.jpg")
    survey.add(1, "How many?", wild, "1.jpg")
    assert survey.to_json() == {"pools": {}, "candidates": []}


def test_the_sample_stays_small_and_reaches_every_part_of_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey_module, "RESERVOIR", 50)
    survey = filled(1_000)
    rows = sorted(candidate["row"] for candidate in survey.candidates)
    assert len(set(rows)) == 50
    assert sum(row >= 500 for row in rows) in range(13, 38)  # within 3.4 deviations of 25


def test_the_seed_alone_decides_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "RESERVOIR", 10)
    assert filled(100).candidates == filled(100).candidates
    assert filled(100).candidates != filled(100, seed=1).candidates


def test_texts_of_foreign_rows() -> None:
    assert text({"a": " x "}, "a") == "x"
    assert texts({"a": "x"}, "a") == ("x",)
    assert texts({"a": [" x", "", "x", "y"]}, "a") == ("x", "y")
    assert whole({"a": 3}, "a") == 3


@pytest.mark.parametrize(
    ("read", "row", "reason"),
    [
        (text, {}, "is missing"),
        (text, {"a": 3}, "is a int, not a text"),
        (text, {"a": None}, "is a NoneType, not a text"),
        (text, {"a": " \n"}, "is empty"),
        (texts, {}, "is missing"),
        (texts, {"a": ["x", 3]}, "is not a list of texts"),
        (texts, {"a": {"x": 1}}, "is not a list of texts"),
        (whole, {}, "is missing"),
        (whole, {"a": True}, "is a bool, not a whole number"),
        (whole, {"a": "3"}, "is a str, not a whole number"),
        (whole, {"a": 3.0}, "is a float, not a whole number"),
    ],
)
def test_a_field_that_cannot_be_used_says_why(read, row: dict[str, object], reason: str) -> None:
    with pytest.raises(FieldError, match=reason) as raised:
        read(row, "a")
    assert (raised.value.name, raised.value.reason) == ("a", reason)
