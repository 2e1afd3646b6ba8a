"""Whether a generated text gives an answer: words are compared, not letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Letters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""

_PUNCTUATION = ".,;:!?\"'`´‘’“”()[]{}<>*_–—…。、！？"


def normalise(text: str) -> str:
    """The text in one Unicode form and case, its spaces single, without punctuation around it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(_PUNCTUATION + " ")


def says(text: str, answers: Iterable[str]) -> bool:
    """Whether a text holds one of the answers as whole words.

    "Paris" is in "It is Paris." but not in "a comparison", and "2" is neither in "12" nor in
    "2.5". Case, Unicode form and spacing do not matter. Where a script puts no spaces between
    words, any place counts. An answer of nothing but punctuation is never said.
    """
    spoken = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return any(_pattern(answer).search(spoken) for answer in answers if normalise(answer))


def equals(text: str, answers: Iterable[str]) -> bool:
    """Whether a text is one of the answers, up to case, spacing and punctuation around it."""
    spoken = normalise(text)
    return any(spoken == normalise(answer) for answer in answers if normalise(answer))


@lru_cache(maxsize=65536)
def _pattern(answer: str) -> re.Pattern[str]:
    words = normalise(answer)
    start = end = ""
    if not _SPACELESS.match(words[0]):
        start = r"(?<!\w)" + (r"(?<!\d[.,])" if words[0].isdigit() else "")
    if not _SPACELESS.match(words[-1]):
        end = r"(?!\w)" + (r"(?![.,]\d)" if words[-1].isdigit() else "")
    return re.compile(start + re.escape(words) + end)
