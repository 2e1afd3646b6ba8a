"""An answer is said when its words are said."""

from __future__ import annotations

import pytest

from medit_eval.metrics.matching import equals, normalise, says


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("It is Paris.", ("Paris",)),
        ("PARIS", ("paris",)),
        ("the  United\nKingdom, of course", ("United Kingdom",)),
        ("in Orléans", ("Orle\u0301ans",)),
        ("U.S. troops", ("U.S.",)),
        ("the answer is 2.", ("2",)),
        ("version 2.5, I think", ("2.5",)),
        ("He plays C++ games", ("C++",)),
        ("Lyon or Paris", ("Marseille", "Paris")),
        ("Paris's streets", ("Paris",)),
        ("首都は東京です", ("東京",)),
        ("\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e2f", ("\u0e01\u0e23\u0e38\u0e07",)),
    ],
)
def test_answers_that_are_said(text: str, answers: tuple[str, ...]) -> None:
    assert says(text, answers)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("a comparison", ("Paris",)),
        ("Parisian", ("Paris",)),
        ("12", ("2",)),
        ("2.5", ("2",)),
        ("1,200", ("200",)),
        ("", ("Paris",)),
        ("Paris", ()),
        ("anything.", (".", "", " ")),
        ("New York", ("New Zealand", "York City")),
        ("axb", ("a.b",)),
    ],
)
def test_answers_that_are_not(text: str, answers: tuple[str, ...]) -> None:
    assert not says(text, answers)


def test_exact_match_forgives_case_space_and_punctuation_around() -> None:
    assert equals(' "The  Hague." ', ("the hague",))
    assert not equals("It is The Hague", ("The Hague",))
    assert not equals("...", ("!",))


def test_a_minus_is_part_of_a_number() -> None:
    assert normalise("-5") == "-5"
    assert not equals("5", ("-5",))
