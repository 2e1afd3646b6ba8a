from __future__ import annotations

import pytest

from builders.images.aspects import aspects_of
from builders.images.protocol import Aspect

COLOUR: tuple[str, ...] = (
    "What color is the umbrella?",
    "What colour are the man's shoes?",
    "Is this a multicolored kite?",
    "Is the car red?",
    "Which bus is bluish?",
    "What is the greenish thing on the plate?",
    "Is the cat gray or black?",
    "Is this photo black and white?",
    "Are the bananas ripe?",
    "What breed is this dog?",
    "What kind of bird is this?",
    "Is the room dark?",
    "Was this taken at night?",
    "Is it a sunny day?",
    "Is the sky cloudy?",
    "Has a filter been applied to this photo?",
    "Which nation's flag hangs here?",
    "What is on the man's head? a red cap",
)
SIDE: tuple[str, ...] = (
    "Which hand holds the racket?",
    "Is the dog to the left of the cat?",
    "Is the batter right-handed?",
    "Which way is the train going?",
    "What direction is the bird facing?",
    "Which side of the road do they drive on?",
    "What is next to the bed?",
    "What is in the bottom corner?",
    "Who is in the middle?",
    "Where is the bookshelf?",
    "What time does the clock show?",
    "On which wrist does she wear the watch?",
    "Which arm is raised?",
    "Which player is the tallest?",
    "Is the second giraffe eating?",
    "Is the tower leaning?",
    "Is the picture crooked?",
    "What is reflected in the window?",
    "What is on the wall? a clock",
)
TEXT: tuple[str, ...] = (
    "What does the sign say?",
    "What is written on the cake?",
    "What brand is the laptop?",
    "What make of motorcycle is this?",
    "What is the name of the restaurant?",
    "What letter is on the cap?",
    "What word is on the bus?",
    "What number is on the jersey?",
    "What time is it?",
    "What airline is this?",
    "What team does he play for?",
    "What kind of phone is this?",
    "Which type of truck is it?",
    "What is the bus's destination?",
    "Is this street in New York City?",
    "What year is on the coin?",
    "Who is the sponsor of this game?",
    "Is the picture in focus?",
    "What\N{RIGHT SINGLE QUOTATION MARK}s the speed limit?",
    "What is on the door? 257",
    "What does the display show? 7:45",
)
COUNT: tuple[str, ...] = (
    "How many people are there?",
    "How much fruit is in the bowl?",
    "What number of clouds are in the sky?",
    "Are there any birds?",
    "Is there a dog in the picture?",
    "Can you see a boat?",
    "Is the man alone?",
    "Are both doors open?",
    "Is anyone at the table?",
    "What else is on the plate?",
    "Do all zebras look up?",
    "Is the road busy?",
    "Is the parking lot full?",
    "What is on the table? two cups",
    "What is on the table? 3 cups",
)
NOTHING: tuple[str, ...] = (
    "What is the man doing?",
    "What sport is this?",
    "What animal is shown?",
    "What is the woman wearing?",
    "Is the boy happy?",
    "What room is this?",
    "What is the floor made of? tile",
    "What is the giraffe eating? grass",
)


def cases() -> list[tuple[Aspect, str]]:
    table: dict[Aspect, tuple[str, ...]] = {
        "colour": COLOUR,
        "side": SIDE,
        "text": TEXT,
        "count": COUNT,
    }
    return [(aspect, question) for aspect, questions in table.items() for question in questions]


@pytest.mark.parametrize(("aspect", "question"), cases())
def test_what_a_question_asks_about_is_protected(aspect: Aspect, question: str) -> None:
    assert aspect in aspects_of(question)
    assert aspect in aspects_of(question.upper())


@pytest.mark.parametrize("question", NOTHING)
def test_a_question_about_none_of_it_leaves_every_change_open(question: str) -> None:
    assert aspects_of(question) == frozenset()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What color is the umbrella?", {"colour"}),
        ("How many people are on the boat?", {"count"}),
        ("Is the dog to the left of the cat?", {"side"}),
        ("What is written on the cake?", {"text"}),
        ("How many red signs are on the left?", {"colour", "side", "text", "count"}),
    ],
)
def test_rules_do_not_run_into_each_other(question: str, expected: set[Aspect]) -> None:
    assert aspects_of(question) == expected


@pytest.mark.parametrize(
    "question", ["Why is the boy credited?", "Is she wearing a scarf?", "What is a pinkie swear?"]
)
def test_a_word_inside_another_word_does_not_count(question: str) -> None:
    assert "colour" not in aspects_of(question)
