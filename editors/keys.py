"""Distances between the keys of a codebook, and the nearest of many of them.

Symbols: B keys asked about, n others, width d.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Measure = Literal["euclidean", "cosine"]
"""How far two keys are from each other."""

_CANDIDATES = 1024
"""Entries that are compared exactly after the matrix product; with more, all are."""


def distances(keys: Tensor, others: Tensor, measure: Measure) -> Tensor:
    """Distances between keys, shapes (..., B, d) and (..., n, d) to (..., B, n)."""
    if measure == "cosine":
        return 1 - unit(keys) @ unit(others).mT
    # The fast way through a matrix product is inexact where keys are near each other.
    return torch.cdist(keys, others, compute_mode="donot_use_mm_for_euclid_dist")


def unit(keys: Tensor) -> Tensor:
    """Keys of length 1."""
    return torch.nn.functional.normalize(keys, dim=-1)


def prepared(keys: Tensor, measure: Measure) -> Tensor:
    """Unit keys, shape (n, d), or squared lengths, shape (n,)."""
    return unit(keys) if measure == "cosine" else keys.square().sum(-1)


def nearest_of(keys: Tensor, others: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance and index of the nearest of n others for each of B keys, shapes (B,).

    |k - o|^2 = |k|^2 + |o|^2 - 2 k o takes one matrix product, but loses the digits of small
    distances. Its error is at most (d + 4) u (|k| + |o|)^2 with u the unit of rounding (Higham,
    Accuracy and Stability of Numerical Algorithms, section 3.1), so those whose lower bound is not
    above the least upper bound hold the nearest, and their differences are taken as they are.

    Args:
        keys: Shape (B, d), float32.
        others: Shape (n, d), float32.
        squares: Their squared lengths, shape (n,).
    """
    own = keys.square().sum(-1, keepdim=True)
    about = torch.addmm(squares, keys, others.mT, alpha=-2) + own
    unit_of_rounding = torch.finfo(torch.float32).eps / 2
    reach = (own.sqrt() + squares.max().sqrt()).square()
    error = (keys.shape[1] + 4) * unit_of_rounding * reach
    near = about <= about.amin(1, keepdim=True) + 2 * error
    counts = near.sum(1)
    distance, index = keys.new_empty(len(keys)), counts.new_empty(len(keys))
    few = (counts > 0) & (counts <= _CANDIDATES)
    if not bool(few.all()):
        # Nothing was ruled out, or the keys are not finite.
        rest = ~few
        distance[rest], index[rest] = distances(keys[rest], others, "euclidean").min(dim=1)
    for row in few.nonzero()[:, 0].tolist():
        places = near[row].nonzero()[:, 0]
        apart = distances(keys[row : row + 1], others[places], "euclidean")[0]
        best = apart.argmin()
        distance[row], index[row] = apart[best], places[best]
    return distance, index


def pairwise(keys: Tensor, others: Tensor, measure: Measure) -> Tensor:
    """The distance of each key from its counterpart, shapes (n, d) and (n, d) to (n,)."""
    return distances(keys[:, None], others[:, None], measure)[:, 0, 0]
