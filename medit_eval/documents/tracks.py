"""How a model is asked to bring an article up to date, with and without the facts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from schemas.documents import Document, told

Track = Literal["parametric", "retrieved", "gold"]
"""What stands in front of the model: the article alone; what a search for it found; the facts."""

TRACKS: tuple[Track, ...] = get_args(Track)

RETRIEVED = 5
"""Sentences of a search that are shown, as many as DocMEdit's prompts hold."""

MOST_TOKENS = 2048
"""Tokens of a rewritten article, at most."""

SPARE_TOKENS = 256
"""Tokens that an article may grow by, beside one for every character that is shown."""

_HEAD = "Document: {document}\n"
_FACTS = "Facts: {facts}\n"
_TAIL = "Updated document:"


def prompt(text: str, facts: Sequence[str] = ()) -> str:
    """What is asked for a text: the text, the facts if there are any, and where to begin."""
    told = _FACTS.replace("{facts}", one_line(" ".join(facts))) if facts else ""
    return _HEAD.replace("{document}", one_line(text)) + told + _TAIL


def prompts(document: Document) -> Iterator[tuple[Track, str]]:
    """The prompts of an article by track; a track that has nothing to show is left out."""
    yield "parametric", prompt(document.before.text)
    if found := document.retrieved[:RETRIEVED]:
        yield "retrieved", prompt(document.before.text, found)
    yield "gold", prompt(document.before.text, [told(fact) for fact in document.facts])


def limit(asked: str) -> int:
    """Tokens that an answer may have, in steps of 64.

    A token is at least a character, so nothing is cut off but what goes on without end, and
    articles that become far longer than they were.
    """
    return min(MOST_TOKENS, 64 * math.ceil((len(asked) + SPARE_TOKENS) / 64))


def one_line(text: str) -> str:
    """A text without line breaks: an answer ends with its line."""
    return " ".join(text.split())
