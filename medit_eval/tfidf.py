"""Texts as weighted words, rare words weighing more: TF-IDF.

The same numbers as scikit-learn's `TfidfVectorizer` with its defaults, up to the vectors' length,
which the cosine does without: words are runs of at least two word characters in lower case; a word
that is in d of n documents weighs its count times ln((1 + n) / (1 + d)) + 1; words of no document
weigh nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"\b\w\w+\b")

Vector = Mapping[str, float]
"""Weights by word."""


@dataclass(frozen=True)
class Tfidf:
    """What the words of some documents weigh.

    Attributes:
        idf: The inverse document frequency of every word.
    """

    idf: Vector

    @classmethod
    def of(cls, documents: Iterable[str]) -> Tfidf:
        """What the words of documents weigh."""
        number, spread = 0, Counter[str]()
        for document in documents:
            number += 1
            spread.update(set(_words(document)))
        return cls({word: math.log((1 + number) / (1 + d)) + 1 for word, d in spread.items()})

    def vector(self, text: str) -> Vector:
        """The weighted words of a text."""
        counts = Counter(word for word in _words(text) if word in self.idf)
        return {word: count * self.idf[word] for word, count in counts.items()}


def cosine(first: Vector, second: Vector) -> float:
    """The cosine of two texts, from 0 to 1; 0 where one has no word."""
    lengths = math.hypot(*first.values()) * math.hypot(*second.values())
    return sum(first.get(t, 0.0) * w for t, w in second.items()) / lengths if lengths else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
