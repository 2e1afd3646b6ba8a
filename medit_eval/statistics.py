"""Means with bootstrap intervals, drawn over records, and harmonic means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
"""Bootstrap samples."""

LEVEL = 0.95
"""Share of the bootstrap means that an interval holds."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean, and the same mean in every bootstrap sample.

    Attributes:
        mean: The mean; NaN where there is nothing to average.
        draws: Shape (draws,): NaN in a sample that holds nothing to average.
        clusters: Records that it rests on.
    """

    mean: float
    draws: Floats
    clusters: int

    @property
    def interval(self) -> tuple[float, float]:
        """The percentile interval; NaN for fewer than two records, which do not vary."""
        kept = self.draws[~np.isnan(self.draws)]
        if self.clusters < 2 or not len(kept):
            return float("nan"), float("nan")
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(kept, [tail, 1 - tail])
        return float(low), float(high)


class Bootstrap:
    """Samples of records, with replacement, that all estimates of a report share.

    Questions about one record are not independent, so records are drawn, with all that belongs to
    them. Shared samples make the difference of two rows of one table as sure as it can be.
    """

    def __init__(self, records: int, seed: int, draws: int = DRAWS) -> None:
        """Draw the samples.

        Args:
            records: Number of records, R.
            seed: Seed of the draws.
            draws: Number of samples, D.
        """
        self._weights = np.zeros((draws, 0))
        if records:  # shape (D, R): how often each record is in each sample
            share = np.full(records, 1 / records)
            self._weights = np.random.default_rng(seed).multinomial(records, share, size=draws)

    def estimate(
        self,
        owners: Sequence[int],
        values: Sequence[float],
        weights: Sequence[float] | None = None,
    ) -> Estimate:
        """The mean of values.

        Args:
            owners: For each value, the number of its record.
            values: The values, none of them NaN.
            weights: What each value counts, above 0; the same by default.
        """
        records = self._weights.shape[1]
        rows = np.asarray(owners, dtype=np.int64)
        share = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
        counts = np.bincount(rows, weights=share, minlength=records)
        sums = np.bincount(rows, weights=share * np.asarray(values, np.float64), minlength=records)
        total = float(counts.sum())
        held = np.flatnonzero(counts)
        drawn = self._weights[:, held].astype(np.float64)
        with np.errstate(invalid="ignore"):
            draws = (drawn @ sums[held]) / (drawn @ counts[held])
        mean = float(sums.sum() / total) if total else float("nan")
        return Estimate(mean, draws, len(held))


def macro(parts: Sequence[Estimate]) -> Estimate:
    """The plain mean of means: each part counts the same, whatever its size."""
    if not parts:
        return Estimate(float("nan"), np.empty(0), 0)
    return Estimate(
        float(np.mean([part.mean for part in parts])),
        np.mean([part.draws for part in parts], axis=0),
        max(part.clusters for part in parts),
    )


def harmonic(parts: Sequence[Estimate]) -> Estimate:
    """The harmonic mean of means; zero where one of them is zero."""
    if not parts:
        return Estimate(float("nan"), np.empty(0), 0)
    return Estimate(
        float(_harmonic(np.array([[part.mean] for part in parts]))[0]),
        _harmonic(np.array([part.draws for part in parts])),
        max(part.clusters for part in parts),
    )


def _harmonic(values: Floats) -> Floats:
    """Harmonic means over the first of two axes."""
    with np.errstate(divide="ignore"):
        means = len(values) / np.sum(1 / values, axis=0)
    return np.where(np.any(values == 0, axis=0), 0.0, means)
