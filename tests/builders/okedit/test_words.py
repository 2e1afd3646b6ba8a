from __future__ import annotations

import pytest

from builders.okedit.words import (
    answer_type,
    fits,
    normalise,
    number_of,
    same,
    states,
    unquoted,
)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Red", "red"),
        ("red.", " red"),
        ("the camera", "camera"),
        ("A kite", "kite"),
        ("two", "2"),
        ("fire  hydrant", "fire hydrant"),
        ("ｃａｆé", "CAFÉ"),
        ('"Paris"', "Paris"),
    ],
)
def test_texts_that_say_the_same(a: str, b: str) -> None:
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("red", "reddish"),
        ("two", "3"),
        ("+1", "1"),
        ("C++", "C"),
        ("♥", "★"),
        ("?", "!"),
        ("a", "the"),
        ("猫", "犬"),
        ("قط", "قطة"),
        ("दिल्ली", "दिल्ल"),
    ],
)
def test_texts_that_say_different_things(a: str, b: str) -> None:
    assert not same(a, b)


def test_normalised_text_is_stable_and_never_emptied() -> None:
    for text in ("  Hi,  there! ", "?!", "…", "ÄÖ", "مرحبا؟", "x"):
        once = normalise(text)
        assert once
        assert normalise(once) == once
    assert normalise("   ") == ""


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("seven", 7), ("Twenty.", 20), ("zero", 0), ("1,000", None), ("²", 2), ("", None),
     ("twenty one", None), ("1234567890", None), ("none", None)],
)  # fmt: skip
def test_whole_numbers(text: str, number: int | None) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("Is the bus red?", "yes", "yes/no"),
        ("How many people are here?", "4", "number"),
        ("How many people are here?", "no", "number"),
        ("What color is the bus?", "red", "colour"),
        ("Which colour is it?", "12", "colour"),
        ("What brand is his outfit?", "no", "brand"),
        ("Is the bus red or blue?", "red", "choice"),
        ("What kind of animal is this?", "dog", "animal"),
        ("What type animal is this?", "dog", "animal"),
        ("What animal is this?", "dog", "animal"),
        ("In what year was it made?", "1950", "year"),
        ("What number is on the bus?", "252", "label"),
        ("What is the man holding?", "kite", "holding"),
        ("Where is it?", "home", "where"),
        ("Name the bird.", "owl", "name"),
        ("这是什么？", "猫", "这是什么"),
        ("???", "!", "other"),
    ],
)
def test_types_of_answers(question: str, answer: str, kind: str) -> None:
    assert answer_type(question, answer) == kind


def test_an_answers_form_must_fit_its_type() -> None:
    assert fits("seven", "number")
    assert not fits("no", "number")
    assert fits("black and white", "colour")
    assert not fits("no", "colour")
    assert fits("no", "yes/no")
    assert not fits("dog", "yes/no")
    assert not fits("yes", "animal")


def test_whole_words_are_found() -> None:
    assert states("Is this a cat, or not?", "Cat")
    assert not states("Is this a caterpillar?", "cat")
    assert states("What is C++ good for?", "c++")


@pytest.mark.parametrize(
    ("text", "bare"),
    [('"What is it?"', "What is it?"), ("'two'", "two"), (" x ", "x"), ("'a' or 'b'", "'a' or 'b'"),
     ('"', '"'), ('""', '""'), ("dogs'", "dogs'")],
)  # fmt: skip
def test_quotation_marks_around_all_of_a_text_go(text: str, bare: str) -> None:
    assert unquoted(text) == bare
