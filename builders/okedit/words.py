"""Small text tools: comparing answers, and telling kinds of questions and answers apart."""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"\s+")
_EDGES = re.compile(r"^\W+|\W+$")

COLOURS = (
    "red", "blue", "green", "yellow", "orange", "purple", "brown", "black", "white", "gray",
    "grey", "pink", "beige", "silver", "gold", "tan", "turquoise", "maroon",
)  # fmt: skip
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip

_HEADS = (
    re.compile(r"^(?:what|which) (?:kind|type|sort|breed|brand|style|make|species) of (\w+)"),
    re.compile(r"^(?:what|which) (?!is\b|are\b|was\b|were\b|do\b|does\b|did\b|can\b)(\w+)"),
    re.compile(r"^(how \w+)"),
    re.compile(r"^(\w+)"),
)


def normalise(text: str) -> str:
    """Text for comparison: compatible forms, case, spaces and outer punctuation folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", _EDGES.sub("", folded)).strip()


def same(a: str, b: str) -> bool:
    """Whether two answers are the same but for case, spaces and punctuation."""
    return normalise(a) == normalise(b)


def number_of(answer: str) -> int | None:
    """The whole number that an answer states, in digits or words up to twenty, or None."""
    text = normalise(answer)
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    return NUMBERS.index(text) if text in NUMBERS else None


def answer_type(question: str, answer: str) -> str:
    """The kind of answer: `yes/no`, `number`, `colour`, or the question's head word.

    Answers of one type can stand in for each other, so counterfactuals are drawn within a type.
    """
    text = normalise(answer)
    if text in ("yes", "no"):
        return "yes/no"
    if number_of(text) is not None:
        return "number"
    if text in COLOURS:
        return "colour"
    lowered = normalise(question)
    for head in _HEADS:
        if match := head.match(lowered):
            return match.group(1)
    return "other"
