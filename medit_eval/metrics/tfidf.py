"""How alike two texts are by their words, rare ones counting more.

The same numbers as scikit-learn's `TfidfVectorizer` with its defaults, and the cosine of the two
vectors: words are runs of at least two word characters in lower case; a word that is in d of n
documents weighs its count times ln((1 + n) / (1 + d)) + 1; words of no document are left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medit_eval.metrics.core import Unscorable

_WORDS = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class Tfidf:
    """The weights of words.

    Attributes:
        idf: The inverse document frequency of every word of the documents.
    """

    idf: Mapping[str, float]

    @classmethod
    def of(cls, documents: Iterable[str]) -> Tfidf:
        """The weights of the words of documents."""
        count, found = 0, Counter[str]()
        for document in documents:
            count += 1
            found.update(set(_words(document)))
        return cls({word: math.log((1 + count) / (1 + d)) + 1 for word, d in found.items()})

    def similarity(self, first: str, second: str) -> float:
        """The cosine of two texts, from 0 to 1.

        Raises:
            Unscorable: If a text has no word of the documents.
        """
        vectors = [self._vector(first), self._vector(second)]
        if not all(vectors):
            raise Unscorable("a text has no word of the reference texts")
        here, there = vectors
        product = math.fsum(here[word] * there[word] for word in here.keys() & there.keys())
        return product / _norm(here) / _norm(there)

    def _vector(self, text: str) -> dict[str, float]:
        counts = Counter(word for word in _words(text) if word in self.idf)
        return {word: count * self.idf[word] for word, count in counts.items()}


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _norm(vector: Mapping[str, float]) -> float:
    return math.sqrt(math.fsum(weight**2 for weight in vector.values()))
