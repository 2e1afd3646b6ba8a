"""Fluency as in the CounterFact evaluation: how varied the word groups of a long text are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from medit_eval.metrics.core import Unscorable, post, pre
from medit_eval.predictions import Prediction

_WORDS = re.compile(r"\w+|[^\w\s]")
_GROUP = 3
_WORDS_NEEDED, _LETTERS_NEEDED = 8, 16


def fluency(prediction: Prediction) -> float:
    """Entropy in bits of the word groups in a 100-token continuation by the edited model.

    Zero is one word over and over. The mean of 2/3 of the entropy of bigrams and 4/3 of that of
    trigrams (Meng et al. 2022, "Locating and Editing Factual Associations in GPT").
    """
    return ngram_entropy(_continued(post(prediction).continuation))


def fluency_pre_edit(prediction: Prediction) -> float:
    """Entropy in bits of the word groups in a 100-token continuation by the unedited model."""
    return ngram_entropy(_continued(pre(prediction).continuation))


def ngram_entropy(text: str) -> float:
    """The weighted entropy of a text's bigrams and trigrams, in bits.

    Raises:
        Unscorable: If it has fewer than three words.
    """
    words = _WORDS.findall(text)
    if len(words) < 3:
        raise Unscorable("the continuation has fewer than three words")
    bigrams = _entropy(Counter(pairwise(words)))
    trigrams = _entropy(Counter(zip(words, words[1:], words[2:], strict=False)))
    return (2 / 3 * bigrams + 4 / 3 * trigrams) / 2


def repetition(text: str) -> float:
    """Share of a text's groups of three words that it has said before.

    Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", seq-rep-n with n = 3.
    Texts of few words but some length are read letter by letter: "aaaaaaa", or scripts without
    spaces. Zero for short ones.
    """
    units: Sequence[str] = _WORDS.findall(text)
    if len(units) < _WORDS_NEEDED:
        units = "".join(text.split())
        if len(units) < _LETTERS_NEEDED:
            return 0.0
    groups = [tuple(units[i : i + _GROUP]) for i in range(len(units) - _GROUP + 1)]
    return 1 - len(set(groups)) / len(groups)


def _entropy(counts: Counter[tuple[str, ...]]) -> float:
    total = counts.total()
    return sum(-n / total * math.log2(n / total) for n in counts.values())


def _continued(continuation: str | None) -> str:
    if continuation is None:
        raise Unscorable("no continuation was asked for")
    return continuation
