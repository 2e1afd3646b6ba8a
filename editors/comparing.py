"""All facts of a memory beside one query: how near, whose pictures are alike, and which come first.

N facts, P of them with a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from editors.retrieval import Integers, Scores
from editors.rows import appended
from editors.sight import Picture

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """The pictures among the facts, P of them.

    Attributes:
        places: The facts that have one, shape (P,).
        keys: Their keys, shape (P, hidden).
        thresholds: Their thresholds, shape (P,).
    """

    places: Integers
    keys: Tensor
    thresholds: Tensor

    @classmethod
    def of(cls, pictures: Sequence[Picture | None], start: int = 0) -> Pictures:
        """Those of facts, or None where one has none, that begin at some place of the memory."""
        found = [(i, picture) for i, picture in enumerate(pictures, start) if picture is not None]
        return cls(
            np.array([i for i, _ in found], np.int64),
            torch.stack([p.key for _, p in found]) if found else torch.zeros(0, 0),
            torch.tensor([p.threshold for _, p in found]),
        )

    def changed(
        self, kept: Integers | None, start: int, more: Sequence[Picture | None]
    ) -> Pictures:
        """Those of some of the facts, and of more that begin at some place."""
        old, new = self, Pictures.of(more, start)
        if kept is not None:
            stays = np.isin(self.places, kept)
            chosen = torch.from_numpy(stays)
            now = np.searchsorted(kept, self.places[stays])
            old = Pictures(now, self.keys[chosen], self.thresholds[chosen])
        if not len(old.places) or not len(new.places):
            return new if len(new.places) else old
        return Pictures(
            np.concatenate([old.places, new.places]),
            appended(old.keys, new.keys),
            appended(old.thresholds, new.thresholds),
        )

    def cosines(self, asked: Sequence[Tensor]) -> Iterator[Tensor]:
        """How alike they are to other pictures, shape (P,) each, by one product."""
        return iter(torch.stack(list(asked)) @ self.keys.mT) if asked else iter(())


@dataclass(frozen=True)
class Compared:
    """How all facts compare with one query, N facts.

    Attributes:
        scores: How near they are, shape (N,).
        alike: Where pictures are alike or not compared, shape (N,); None where all are.
        related: Which have anything to do with the query, shape (N,).
    """

    scores: Scores
    alike: Flags | None
    related: Flags

    @classmethod
    def of(cls, row: Scores, pictured: tuple[Pictures, Tensor] | None) -> Compared:
        """A comparison by text, and by pictures where the query has one."""
        related = row > 0
        if pictured is None:
            return cls(row, None, related)
        pictures, cosine = pictured
        whole = len(pictures.places) == len(row)
        where = slice(None) if whole else pictures.places
        alike = np.ones_like(related)
        alike[where] = (cosine >= pictures.thresholds).numpy()
        row[where] += cosine.double().numpy()
        related[where] = True
        return cls(row, alike, related)

    def nearest(self, k: int) -> list[int]:
        """The k nearest facts that have to do with the query: those alike first, then by score.

        Of equal ones the earlier comes first.
        """
        groups = [self.related]
        if self.alike is not None:
            groups = [self.related & self.alike, self.related & ~self.alike]
        found: list[int] = []
        for group in groups:
            places = np.flatnonzero(group)
            found += places[highest(self.scores[places], k - len(found))].tolist()
        return found

    def best(self) -> int:
        """The nearest fact, and the latest of equal ones."""
        places = np.arange(len(self.scores))
        if self.alike is not None and self.alike.any():
            places = np.flatnonzero(self.alike)
        scores = self.scores[places]
        return int(places[np.flatnonzero(scores == scores.max())[-1]])


def highest(scores: Scores, k: int) -> Integers:
    """Places of the k highest scores, highest first, of equal ones the earlier first."""
    if k < len(scores):
        if k <= 0:
            return np.zeros(0, np.int64)
        least = float(torch.from_numpy(scores).topk(k).values[-1])
        among = np.flatnonzero(scores >= least)
    else:
        among = np.arange(len(scores))
    return among[np.argsort(-scores[among], kind="stable")[:k]]
