"""ROUGE-L: precision and recall of the longest common subsequence of words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from medit_eval.documents.rates import Rates, rates

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case; every letter where a script has no spaces."""
    return _WORD.findall(text.lower())


def ascii_words(text: str) -> list[str]:
    """The words as the package `rouge-score` finds them: runs of a-z and 0-9, all else a gap."""
    return _ASCII_WORD.findall(text.lower())


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    One bit per word of `first` (Hyyrö 2004), so that a word of `second` costs a few operations on
    one long integer instead of a row of a table.
    """
    places: dict[str, int] = defaultdict(int)
    for index, word in enumerate(first):
        places[word] |= 1 << index
    mask = (1 << len(first)) - 1
    state = mask
    for word in second:
        matched = state & places.get(word, 0)
        state = ((state + matched) | (state - matched)) & mask
    return len(first) - state.bit_count()


def rouge_l(given: Sequence[str], wanted: Sequence[str]) -> Rates:
    """ROUGE-L of words against other words; see `Rates` for what is undefined."""
    common = common_length(given, wanted)
    return rates(common, len(given), common, len(wanted))


def similarity(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F1 as a number that is always defined: zero where one side is empty."""
    total = len(first) + len(second)
    return 2 * common_length(first, second) / total if total else 0.0
