"""Sentences of a text, and which of them are new with respect to another text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from medit_eval.documents.rouge import similarity, words

if TYPE_CHECKING:
    from spacy.language import Language

ALIKE = 0.5
"""ROUGE-L F1 from which a new sentence counts as a changed form of an old one."""

_UNFINISHED = re.compile(r"(?:^|[\s(])(?:nos?|vol|pp?|fig|ch|approx|ca?|b|d|r|fl|est)\.$", re.I)
"""Ends of a piece at an abbreviation before a number."""

_BREAK = re.compile(r"[\r\n\v\f\u2028\u2029]+|(?<=[。！？])")
"""Ends of a line, and of a sentence in scripts without spaces, which is no end of a token."""


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
    whole = text.encode("utf-8", "replace").decode()  # spaCy fails at half a surrogate pair
    return " ".join(unicodedata.normalize("NFC", whole).split())


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
    """The sentences of a text, squashed.

    Lines are taken by themselves. Within a line spaCy's sentencizer decides, except that a piece
    that begins in lower case, or with a number after "no." and the like, belongs to the one before.

    Args:
        text: The text.
        language: A BCP 47 tag; one that spaCy does not know is split by common rules.
    """
    pipeline = _pipeline(language.split("-")[0].lower())
    found: list[str] = []
    for line in _BREAK.split(text):
        pieces: list[str] = []
        for span in pipeline(squash(line)).sents:
            piece = span.text.strip()
            if pieces and _goes_on(pieces[-1], piece):
                pieces[-1] = f"{pieces[-1]} {piece}"
            elif piece:
                pieces.append(piece)
        found += pieces
    return tuple(found)


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


def _goes_on(piece: str, following: str) -> bool:
    if not following or following[0].islower():
        return True
    return following[0].isdigit() and _UNFINISHED.search(piece) is not None


@cache
def _pipeline(language: str) -> Language:
    import spacy

    try:
        pipeline = spacy.blank(language)
    except (ImportError, OSError, ValueError):  # unknown, or its segmenter is not installed
        pipeline = spacy.blank("xx")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 10**9  # the limit is meant for parsers, whose memory grows with the text
    return pipeline
