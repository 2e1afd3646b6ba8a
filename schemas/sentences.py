"""Where the sentences of a text begin and end: one set of rules for every part."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language

MAX_BRACKET = 300
"""Characters up to which a sentence is held open by a bracket: some are never closed."""

_TAIL = 40
"""Characters before a break that can tell that it is none."""

_LINE = re.compile(r"[^\r\n\v\f\x85\u2028\u2029]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING = "\"'“‘„‚«([{¿¡（「『【《"
_CLOSING = ")]}»”）」』】》"
"""What only closes; a straight quote may open the next sentence."""

_WIDE = "。！？"
_STOP = re.compile(rf"[{_WIDE}][{re.escape(_CLOSING)}]*|(?<=\d{{3}})\.(?=\s)")
"""Ends of sentences that tokenizers miss: in scripts without spaces, and behind a year where
numbers with a full stop are ordinals."""

_ABBREVIATION = re.compile(
    r"(?:^|\s)[(\"'“‘]{0,3}"
    r"(?:[^\W\d_](?:\.[^\W\d_])*|Mr|Mrs|Ms|Dr|Prof|Rev|Gen|Col|Lt|Sgt|Hon|St|Mt|Ft|vs|cf|ca)\.$"
)
"""Initials and what stands before a name: they end no sentence."""

_BEFORE_NUMBER = re.compile(r"(?:^|[\s(])(?:nos?|vol|pp?|fig|ch|approx|ca?|fl|est)\.$", re.I)
"""Abbreviations that are read as such only before a number: "no" is a word, too."""


def sentence_spans(
    text: str, language: str = "en", whole: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Start and end of each sentence of a text, in order, without the spaces around it.

    Lines are taken by themselves. Within a line spaCy's sentencizer decides, beside full stops of
    scripts without spaces. No sentence ends before a small letter, a closing bracket or mere marks,
    within an open bracket, after initials and titles such as "Dr.", or between "no." and a number.

    Args:
        text: The text; half surrogate pairs in it count as letters.
        language: A BCP 47 tag; one that spaCy does not know is split by common rules.
        whole: Parts of a line that no break may cut, in order and apart.
    """
    pipeline = blank_pipeline(language)
    readable = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)  # spaCy fails at them
    ends = [end for _, end in whole]
    found: list[tuple[int, int]] = []
    for line in _LINE.finditer(readable):
        spans: list[tuple[int, int]] = []
        for start, end in _pieces(line[0], pipeline):
            at, to = line.start() + start, line.start() + end
            # The first part that ends behind a break is the only one that can hold it.
            place = bisect_left(ends, at + 1)
            cut = place < len(whole) and whole[place][0] < at
            marks = not any(map(str.isalnum, readable[at:to]))
            if spans and (cut or marks or _goes_on(readable, spans[-1], at)):
                spans[-1] = (spans[-1][0], to)
            else:
                spans.append((at, to))
        found += spans
    return found


def sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a text as they stand there; see `sentence_spans`."""
    return [text[start:end] for start, end in sentence_spans(text, language)]


@lru_cache(maxsize=32)
def blank_pipeline(language: str) -> Language:
    """A pipeline of spaCy's that needs no trained model: a tokenizer, and a sentencizer behind it.

    Args:
        language: A BCP 47 tag; where spaCy has no rules for it, common ones apply.
    """
    import spacy

    try:
        pipeline = spacy.blank(language.split("-")[0].lower())
    except (ImportError, OSError, ValueError):  # unknown, or its segmenter is not installed
        pipeline = spacy.blank("xx")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 10**9  # the limit is meant for parsers, whose memory grows with the text
    return pipeline


def _pieces(line: str, pipeline: Language) -> Iterator[tuple[int, int]]:
    """What stands between all places of a line where a sentence may end."""
    if not line.strip():
        return
    starts = {sentence.start_char for sentence in pipeline(line).sents}
    starts.update(stop.end() for stop in _STOP.finditer(line))
    cuts = sorted({_before_marks(line, start) for start in starts} | {len(line)})
    for start, end in pairwise(cuts):
        piece = line[start:end]
        if stripped := piece.strip():
            start += piece.index(stripped[0])
            yield start, start + len(stripped)


def _before_marks(line: str, start: int) -> int:
    """Where a sentence begins with the quotes and brackets before it, which close none."""
    place = start
    while place and line[place - 1] in _OPENING:
        place -= 1
    ahead = line[place - 1 : place]
    return place if not ahead or ahead.isspace() or ahead in _WIDE + _CLOSING else start


def _goes_on(text: str, last: tuple[int, int], at: int) -> bool:
    """Whether what begins at `at` belongs to the sentence before it."""
    if text[at : at + 4].lstrip(_OPENING)[:1].islower() or text[at] in _CLOSING:
        return True
    start, end = last
    if end - start < MAX_BRACKET:
        opened = sum(text.count(bracket, start, end) for bracket in "(（")
        if opened > sum(text.count(bracket, start, end) for bracket in ")）"):
            return True
    tail = text[max(start, end - _TAIL) : end]
    if _ABBREVIATION.search(tail):
        return True
    return text[at].isdigit() and _BEFORE_NUMBER.search(tail) is not None
