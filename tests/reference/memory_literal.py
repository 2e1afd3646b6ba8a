"""Searching a memory entry by entry, and by full sorts: slow, literal versions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from editors.facts import Candidate, Fact
from editors.prompts import Query
from editors.retrieval import Scores, words
from editors.sight import Sight


class LiteralBM25:
    """Okapi BM25 with k1 = 1.5 and b = 0.75, made anew for every memory, sentence by sentence."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.counted = [Counter(words(sentence)) for sentence in sentences]
        self.lengths = [count.total() for count in self.counted]
        self.mean = sum(self.lengths) / max(1, len(sentences)) or 1.0
        self.holding = Counter(word for count in self.counted for word in count)

    def rarity(self, word: str) -> float:
        holding = self.holding[word]
        return math.log1p((len(self.counted) - holding + 0.5) / (holding + 0.5))

    def scores(self, questions: Sequence[str]) -> Scores:
        result = np.zeros((len(questions), len(self.counted)))
        for row, question in zip(result, questions, strict=True):
            asked = [(word, self.rarity(word)) for word in words(question)]
            reachable = 0.0
            for _, rarity in asked:
                reachable += rarity * 2.5
            for place, (count, length) in enumerate(zip(self.counted, self.lengths, strict=True)):
                for word, rarity in asked:
                    if times := count[word]:
                        shorter = 1.5 * (1 - 0.75 + 0.75 * length / self.mean)
                        row[place] += rarity * (times * 2.5 / (times + shorter))
            row /= reachable or 1.0
        return result


def nearest(
    facts: Sequence[Fact], scores: Scores, queries: Sequence[Query], sight: Sight, k: int
) -> list[tuple[list[Candidate], Candidate]]:
    """The k nearest facts and the best one of each query, by sorting all of them.

    Args:
        facts: The memory.
        scores: How near the facts' texts are, shape (queries, facts).
        queries: The questions.
        sight: Looks at pictures.
        k: How many.
    """
    found = []
    for query, near in zip(queries, scores, strict=True):
        row, same, related = near.copy(), np.ones(len(facts), bool), near > 0
        if query.image is not None:
            key = sight.keys([query.image])[0]
            for place, fact in enumerate(facts):
                if fact.picture is not None:
                    cosine = key @ fact.picture.key
                    same[place] = bool(cosine >= fact.picture.threshold)
                    row[place] += float(cosine)
                    related[place] = True
        places = range(len(facts))
        order = sorted(places, key=lambda i: (not same[i], -row[i], i))
        best = min(places, key=lambda i: (not same[i], -row[i], -i))
        made = [Candidate(facts[i], float(row[i]), bool(same[i])) for i in (*order, best)]
        found.append(
            ([c for i, c in zip(order, made, strict=False) if related[i]][:k], made[-1]),
        )
    return found


def nearest_keys(keys: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and index of the nearest of others, one key and one entry after the other."""
    distances, indices = [], []
    for key in keys:
        apart = torch.stack([(key - other).square().sum().sqrt() for other in others])
        distances.append(apart.min())
        indices.append(apart.argmin())
    return torch.stack(distances), torch.stack(indices)
