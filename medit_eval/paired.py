"""Two models' scores of the same items, compared pair by pair.

Both models answer the same items, so most of what makes a score vary, how hard the items are,
cancels in the difference of each pair (Miller 2024, "Adding Error Bars to Evals", section on paired
differences). Formulas and sources of everything here are in `docs/statistics.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medit_eval.significance import (
    NOTHING,
    Groups,
    by_cluster,
    cluster_error,
    mcnemar,
    wild_bootstrap,
)
from medit_eval.statistics import LEVEL, Floats

POWER = 0.8
"""Probability with which the smallest detectable difference is detected."""

_ONE_WAY = 6
"""Fewest flips, all the same way, that the exact McNemar test finds at 5 %: 2 / 2^6 = 0.031."""

Test = Literal["mcnemar", "bootstrap", "two-level", "none"]


@dataclass(frozen=True)
class Mean:
    """A mean whose interval knows of clusters.

    Attributes:
        value: The (weighted) mean; NaN where there is nothing to average.
        error: Its cluster-robust standard error; NaN for fewer than two units.
        low: Lower end of the 95 % interval; NaN where nothing can be said.
        high: Upper end.
        units: What was drawn independently: clusters, or items.
    """

    value: float
    error: float
    low: float
    high: float
    units: int


@dataclass(frozen=True)
class Comparison:
    """How scores after an edit differ from those before it, on the same items.

    Attributes:
        n: Pairs in which both have a score.
        units: What was drawn independently: clusters, or items.
        unscorable: Pairs left out, because one of the two has no finite score.
        before: Mean before; this and all below are NaN where nothing can be said.
        after: Mean after.
        difference: After minus before.
        low: Lower end of the difference's 95 % interval.
        high: Upper end.
        detectable: Smallest difference that a two-sided test at 5 % finds with a power of 80 %.
        fell: Pairs whose score fell; of 0/1 scores, the flips from right to wrong.
        rose: Pairs whose score rose.
        mcnemar: Two-sided p of the exact McNemar test, which takes items as independent; NaN for
            scores other than 0 and 1.
        p: Two-sided p of the test that suits the data.
        test: Which that is: `mcnemar` for independent 0/1 scores, `bootstrap` for others.
    """

    n: int
    units: int
    unscorable: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    detectable: float
    fell: int
    rose: int
    mcnemar: float
    p: float
    test: Test


def compare(
    before: Sequence[float | None],
    after: Sequence[float | None],
    *,
    clusters: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    seed: int = 0,
) -> Comparison:
    """The paired comparison of two score vectors.

    Args:
        before: Scores before the edit; None or NaN where there is none.
        after: Scores of the same items after it.
        clusters: What related items share; items without one (`""`) stand alone. If all share one
            cluster, it is the population, and items are drawn from it.
        weights: What each pair counts, such as a text's words; pairs that count nothing are left
            out like those without a score.
        bounds: The least and the greatest possible score, or None where it has no bounds.
        seed: Seed of the bootstrap.
    """
    first, second = _floats(before), _floats(after)
    share = np.ones(len(first)) if weights is None else np.asarray(weights, np.float64)
    kept = np.isfinite(first) & np.isfinite(second) & (share > 0)
    first, second, share = first[kept], second[kept], share[kept]
    gaps = second - first
    groups = _groups(None if clusters is None else np.asarray(clusters, object)[kept], len(gaps))
    span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    mean = _mean(gaps, groups, share, span)
    binary = bounds is not None and bool(np.isin([first, second], [0.0, 1.0]).all())
    fell, rose = int((gaps < 0).sum()), int((gaps > 0).sum())
    exact = mcnemar(fell, rose) if binary and len(gaps) else float("nan")
    alone = mean.units == len(gaps) and weights is None
    if binary and alone and len(gaps):
        p, test = exact, "mcnemar"
    else:
        p = wild_bootstrap(gaps, groups, share, seed)
        test = "none" if np.isnan(p) else "bootstrap"
    return Comparison(
        n=len(gaps),
        units=mean.units,
        unscorable=int((~kept).sum()),
        before=_average(first, share),
        after=_average(second, share),
        difference=mean.value,
        low=mean.low,
        high=mean.high,
        detectable=_detectable(mean, flips=binary and (alone or mean.error == 0)),
        fell=fell,
        rose=rose,
        mcnemar=exact,
        p=p,
        test=test,
    )


def mean_of(
    values: Sequence[float | None],
    *,
    clusters: Sequence[str] | None = None,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Mean:
    """The mean of one score vector, as `compare` takes the mean of differences."""
    found = _floats(values)
    kept = np.isfinite(found)
    names = None if clusters is None else np.asarray(clusters, object)[kept]
    n = int(kept.sum())
    return _mean(found[kept], _groups(names, n), np.ones(n), bounds)


def _mean(
    values: Floats,
    groups: Groups,
    weights: Floats,
    bounds: tuple[float, float] | None,
) -> Mean:
    from scipy.stats import t

    nan = float("nan")
    mean = _average(values, weights)
    sizes = by_cluster(groups, weights)
    units = len(sizes)
    if units < 2:
        return Mean(mean, nan, nan, nan, units)
    residuals = by_cluster(groups, weights * (values - mean))
    error = float(cluster_error(residuals, sizes))
    if error < NOTHING * max(1.0, abs(mean)):
        low, high = _constant(mean, units, bounds)
        return Mean(mean, 0.0, low, high, units)
    half = float(t.ppf((1 + LEVEL) / 2, units - 1)) * error
    low, high = bounds or (-np.inf, np.inf)
    return Mean(mean, error, float(max(mean - half, low)), float(min(mean + half, high)), units)


def _constant(mean: float, units: int, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """The interval of a mean that no unit departs from.

    If the true mean were x away, a share of at least x / reach of all units would differ, and none
    of so many would have been drawn with a probability of at most (1 - x / reach)^units.
    """
    if bounds is None:
        return float("nan"), float("nan")
    low, high = bounds
    rare = 1 - ((1 - LEVEL) / 2) ** (1 / units)
    reach = max(high - mean, mean - low)
    return max(mean - reach * rare, low), min(mean + reach * rare, high)


def _detectable(mean: Mean, *, flips: bool) -> float:
    """The smallest detectable difference; of flips, never less than enough of them to be found."""
    from scipy.stats import beta, t

    if mean.units < 2:
        return float("nan")
    freedom = mean.units - 1
    found = float(t.ppf((1 + LEVEL) / 2, freedom) + t.ppf(POWER, freedom)) * mean.error
    if not flips:
        return found if found > 0 else float("nan")
    if mean.units < _ONE_WAY:
        return float("nan")
    return max(found, float(beta.ppf(POWER, _ONE_WAY, mean.units - _ONE_WAY + 1)))


def _average(values: Floats, weights: Floats) -> float:
    return float(weights @ values / weights.sum()) if len(values) else float("nan")


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _groups(clusters: NDArray[np.object_] | None, n: int) -> Groups:
    """For each item the number of its cluster, by the clusters' names."""
    if clusters is None or len(set(clusters)) < 2:
        return np.arange(n)
    names = [(str(name), 0 if name else number) for number, name in enumerate(clusters)]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names], np.int64)
