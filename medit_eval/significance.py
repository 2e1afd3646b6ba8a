"""Tests of paired scores, and the standard error of a mean that knows of clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medit_eval.statistics import Floats

Groups = NDArray[np.int64]
"""For each item the number of its cluster."""

DRAWS = 9999
"""Bootstrap samples of a test: a p-value of 0.05 then has a standard error of 0.002."""

_WEBB = tuple(sign * square**0.5 for square in (0.5, 1.0, 1.5) for sign in (-1, 1))
"""Webb's six points: mean 0, variance 1, and enough of them for a handful of clusters."""

NOTHING = 1e-12
"""A standard error below this share of the mean is rounding."""

_CELLS = 4_000_000
"""Numbers that one batch of bootstrap samples may hold."""


def mcnemar(fell: int, rose: int) -> float:
    """The two-sided p of the exact McNemar test: are flips as likely one way as the other?"""
    from scipy.stats import binomtest

    return float(binomtest(fell, fell + rose, 0.5).pvalue) if fell + rose else 1.0


def wild_bootstrap(
    gaps: Floats, groups: Groups, weights: Floats, seed: int, draws: int = DRAWS
) -> float:
    """The two-sided p of a mean of zero, by the wild cluster bootstrap-t with the null imposed.

    Each sample multiplies all differences of a cluster by one random weight of mean 0 and variance
    1 (Cameron, Gelbach and Miller 2008; weights of Webb 2023, made for few clusters).

    Args:
        gaps: Shape (n,): differences.
        groups: Shape (n,): the number of each difference's cluster.
        weights: Shape (n,): what each counts.
        seed: Seed of the draws.
        draws: Number of samples.

    Returns:
        The share of samples, the real one among them, whose |t| is at least as large; NaN for fewer
        than two clusters.
    """
    sums = by_cluster(groups, weights * gaps)
    sizes = by_cluster(groups, weights)
    if len(sums) < 2:
        return float("nan")
    real = _t_values(sums[None], sizes)[0]
    generator = np.random.default_rng(seed)
    extreme = 1
    batch = max(1, _CELLS // len(sums))
    for start in range(0, draws, batch):
        shape = (min(batch, draws - start), len(sums))
        signs = np.array(_WEBB)[generator.integers(len(_WEBB), size=shape)]
        # A sample that repeats the real one must count, whatever its last digits are.
        extreme += int((_t_values(signs * sums, sizes) >= real * (1 - 1e-9)).sum())
    return extreme / (draws + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values; those that are NaN stay so and do not count."""
    from statsmodels.stats.multitest import multipletests

    given = np.array(values, np.float64)
    known = ~np.isnan(given)
    if known.any():
        given[known] = multipletests(given[known], method="holm")[1]
    return [float(value) for value in given]


def by_cluster(groups: Groups, values: Floats) -> Floats:
    """The sums of values by cluster."""
    return np.bincount(groups, values).astype(np.float64)


def _t_values(sums: Floats, sizes: Floats) -> Floats:
    """|t| of the mean in each sample, from its clusters' sums, shape (samples, clusters)."""
    means = sums.sum(axis=1) / sizes.sum()
    errors = cluster_error(sums - means[:, None] * sizes, sizes)
    errors = np.where(errors < NOTHING * np.abs(means), 0.0, errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(means == 0, 0.0, np.abs(means) / errors)


def cluster_error(residuals: Floats, sizes: Floats) -> Floats:
    """The cluster-robust standard error of a mean, from the sums of residuals by cluster."""
    count = len(sizes)
    return np.sqrt(count / (count - 1) * (residuals**2).sum(axis=-1)) / sizes.sum()
