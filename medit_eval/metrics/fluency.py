"""Fluency as in the CounterFact evaluation: how varied the word groups of a long text are."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

from medit_eval.metrics.core import Unscorable, post, pre
from medit_eval.predictions import Prediction

_WORDS = re.compile(r"\w+|[^\w\s]")


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


def _entropy(counts: Counter[tuple[str, ...]]) -> float:
    total = counts.total()
    return sum(-n / total * math.log2(n / total) for n in counts.values())


def _continued(continuation: str | None) -> str:
    if continuation is None:
        raise Unscorable("no continuation was asked for")
    return continuation
