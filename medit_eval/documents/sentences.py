"""Sentences of a text, and which of them are new with respect to another text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from medit_eval.documents.rouge import similarity, words
from schemas.sentences import sentence_spans

ALIKE = 0.5
"""ROUGE-L F1 from which a new sentence counts as a changed form of an old one."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A sentence that a text has and another has not.

    Attributes:
        text: The sentence.
        replaces: The sentence of the other text that it is most like, or None where it is like
            none of them.
    """

    text: str
    replaces: str | None


def squash(text: str) -> str:
    """The text in Unicode form C with single spaces; case and punctuation stay."""
    return " ".join(_composed(text).split())


def holds(text: str, part: str) -> bool:
    """Whether a text holds a part verbatim, not cut from longer words.

    Args:
        text: The text, squashed.
        part: The part, squashed. An empty part is in no text.
    """
    start = text.find(part) if part else -1
    while start >= 0:
        end = start + len(part)
        opens = not (start and part[0].isalnum() and text[start - 1].isalnum())
        closes = not (end < len(text) and part[-1].isalnum() and text[end].isalnum())
        if opens and closes:
            return True
        start = text.find(part, start + 1)
    return False


@lru_cache(maxsize=4096)
def sentences(text: str, language: str = "en") -> tuple[str, ...]:
    """The sentences of a text, squashed; see `schemas.sentences`."""
    whole = _composed(text)  # where a letter is two characters, tokenizers miss the full stop
    return tuple(squash(whole[start:end]) for start, end in sentence_spans(whole, language))


def additions(before: str, text: str, language: str = "en") -> tuple[Addition, ...]:
    """The sentences of a text that do not stand in another one, in order.

    A sentence that only moved, and one that breaks off, is none. Matching is therefore by what
    stands anywhere in the other text and not by order, which an alignment with `difflib` needs.

    Args:
        before: The other text.
        text: The text.
        language: The language of both.
    """
    whole = squash(before)
    old = [(sentence, words(sentence)) for sentence in sentences(before, language)]
    return tuple(
        Addition(sentence, _nearest(sentence, old))
        for sentence in sentences(text, language)
        if not holds(whole, sentence)
    )


def _nearest(sentence: str, old: Sequence[tuple[str, Sequence[str]]]) -> str | None:
    spoken = words(sentence)
    best, nearest = ALIKE, None
    for candidate, its_words in old:
        alike = similarity(spoken, its_words)
        if alike >= best and (nearest is None or alike > best):
            best, nearest = alike, candidate
    return nearest


def _composed(text: str) -> str:
    """The text in Unicode form C, with a question mark for half a surrogate pair."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
