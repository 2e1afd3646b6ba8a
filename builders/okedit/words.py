"""Small text tools: comparing answers, and telling kinds of questions and answers apart."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SPACE = re.compile(r"\s+")
_ARTICLE = re.compile(r"^(?:a|an|the) (?=\w)")
_FRINGE = ("P", "Z", "C")
"""Unicode categories that do not count at the ends of a text: punctuation, spaces, controls."""

COLOURS = (
    "red", "blue", "green", "yellow", "orange", "purple", "brown", "black", "white", "gray",
    "grey", "pink", "beige", "silver", "gold", "tan", "turquoise", "maroon",
)  # fmt: skip
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip

TWO_ANSWERS = ("yes/no", "choice")
"""Types of answers of which there are two in all, so that a third one does not exist."""

_VERB = r"(?:is|are|was|were|do|does|did|can|could|will|would|might|may|should|has|have|had)\b"
_WHICH = r"^(?:(?:in|on|at|to|from|of|for|by|with|about|during|under) )?(?:what|which) "
_KINDS = r"(?:kinds?|types?|sorts?|breeds?|brands?|styles?|makes?|species|variety)(?: of)? "
_COUNT = re.compile(r"^how many\b")
_COLOUR = re.compile(_WHICH + r"colou?rs?\b|^what(?:'s| is| are) the colou?rs? of\b")
_NOUN_HEADS = (
    re.compile(_WHICH + _KINDS + rf"(?!{_VERB})(\w+)"),
    re.compile(_WHICH + rf"(?!{_VERB})(\w+)"),
)
_OPEN_HEADS = (
    re.compile(r"^(how \w+)"),
    re.compile(r"^(?:what|who|where)(?:'s| is| are| was| were) .*?\b(\w{2,}ing(?: \w+)?)$"),
    re.compile(r"^(\w+)"),
)
_ASKS_OPENLY = re.compile(
    r"^(?:\w+ )?(?:what|which|who|whom|whose|where|when|why|how)(?:'s|'re)?\b"
)


def normalise(text: str) -> str:
    """Text for comparison: compatible forms, case, spaces and outer punctuation folded.

    Text that is nothing but punctuation keeps it.
    """
    folded = _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    start, end = 0, len(folded)
    while start < end and unicodedata.category(folded[start])[0] in _FRINGE:
        start += 1
    while end > start and unicodedata.category(folded[end - 1])[0] in _FRINGE:
        end -= 1
    return folded[start:end] or folded


def same(a: str, b: str) -> bool:
    """Whether two texts say the same.

    Case, spaces, outer punctuation, a leading article (`the camera`) and the way in which a number
    is written (`two`, `2`) make no difference, as in the scoring of visual question answering.
    """
    return _core(a) == _core(b)


@lru_cache(maxsize=8192)
def _core(text: str) -> str:
    number = number_of(text)
    return _ARTICLE.sub("", normalise(text)) if number is None else str(number)


def number_of(answer: str) -> int | None:
    """The whole number that an answer states, in digits or words up to twenty, or None."""
    text = normalise(answer)
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    return NUMBERS.index(text) if text in NUMBERS else None


def answer_type(question: str, answer: str) -> str:
    """The kind of answer: `yes/no`, `number`, `colour`, `choice`, or the question's head word.

    Answers of one type can stand in for each other, so counterfactuals are drawn within a type.
    What the question asks for goes first: a model's "no" to "How many?" does not make it a
    question of yes or no.
    """
    asked, text = normalise(question), normalise(answer)
    if _COUNT.match(asked):
        return "number"
    if _COLOUR.match(asked):
        return "colour"
    if " or " in asked and states(question, answer):
        return "choice"
    if text in ("yes", "no") and not _ASKS_OPENLY.match(asked):
        return "yes/no"
    for head in _NOUN_HEADS:
        if match := head.match(asked):
            # "What number is on the bus?" has another kind of answer than "How many buses?"
            return "label" if match.group(1) == "number" else match.group(1)
    if number_of(text) is not None:
        return "number"
    if text in COLOURS:
        return "colour"
    return next((m.group(1) for head in _OPEN_HEADS if (m := head.match(asked))), "other")


def fits(answer: str, kind: str) -> bool:
    """Whether an answer can be one of this type, by its form."""
    text = normalise(answer)
    if kind == "number":
        return number_of(text) is not None
    if kind == "colour":
        return any(word in COLOURS for word in re.findall(r"\w+", text))
    return (text in ("yes", "no")) == (kind == "yes/no")


def unquoted(text: str) -> str:
    """A text without outer spaces and without one pair of quotation marks around all of it."""
    text = text.strip()
    wrapped = len(text) > 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if wrapped and text[0] not in text[1:-1] else text


def states(text: str, words: str) -> bool:
    """Whether a text holds some words as whole words."""
    wanted = re.escape(normalise(words))
    return re.search(rf"(?<!\w){wanted}(?!\w)", normalise(text)) is not None
