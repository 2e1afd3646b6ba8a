"""The metrics of CounterFact, zsRE, BalancEdit and SCR from their formulas, slowly.

Scores of answers are mean negative log-probabilities, as the CounterFact evaluation stores them. A
record is what it stores of a case: for every group of prompts a list of pairs of scores (new, old).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

Pairs = Sequence[tuple[float, float]]
"""For each prompt the score of the new and of the old answer; less is more probable."""


def success(records: Sequence[Pairs], *, keeps_old: bool = False) -> float:
    means = []
    for pairs in records:
        hits = [old < new if keeps_old else new < old for new, old in pairs]
        means.append(np.mean(hits))
    return float(np.mean(means))


def magnitude(records: Sequence[Pairs], *, keeps_old: bool = False) -> float:
    means = []
    for pairs in records:
        gaps = [math.exp(-new) - math.exp(-old) for new, old in pairs]
        means.append(np.mean([-gap if keeps_old else gap for gap in gaps]))
    return float(np.mean(means))


def harmonic(numbers: Sequence[float]) -> float:
    return len(numbers) / sum(1 / number for number in numbers)


def entropy(words: Sequence[str]) -> float:
    """Mean over n = 2, 3 of a weight times the entropy of the groups of n words, in bits."""
    parts = []
    for n, weight in ((2, 2 / 3), (3, 4 / 3)):
        groups = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        shares = np.array([groups.count(group) for group in set(groups)]) / len(groups)
        parts.append(weight * -np.sum(shares * np.log2(shares)))
    return float(np.mean(parts))


def likeness(texts: Sequence[str], references: Sequence[str], corpus: Sequence[str]) -> float:
    """Cosine of all texts as one and all references as one, weighed over a corpus."""
    vectorizer = TfidfVectorizer().fit(corpus)
    found: Any = vectorizer.transform([" ".join(texts), " ".join(references)])
    first, second = found.toarray()
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def token_accuracy(records: Sequence[Sequence[Sequence[tuple[int, int]]]]) -> float:
    """Pairs of the right and the first token by record and prompt; all tokens of a record alike."""
    hits = [[right == first for pairs in prompts for right, first in pairs] for prompts in records]
    return float(np.mean([np.mean(of_record) for of_record in hits]))


def ordered_top(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> float:
    flat = [np.array(one).reshape(-1) for one in (before, after)]
    return float((flat[0] == flat[1]).sum() / len(flat[0]))


def contain(records: Sequence[Sequence[tuple[str, Sequence[str]]]]) -> float:
    """Answers and accepted ones by record and question."""
    means = []
    for questions in records:
        found = [max(float(a.lower() in said.lower()) for a in accepted)
                 for said, accepted in questions]  # fmt: skip
        means.append(np.mean(found))
    return float(np.mean(means))
