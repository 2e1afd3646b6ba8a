"""Means over several orders of edits, with intervals that know of orders and of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medit_eval.statistics import DRAWS, LEVEL, Bootstrap, Estimate, Floats

UNBOUND = (-float("inf"), float("inf"))
"""Bounds of what has none."""


@dataclass(frozen=True)
class OverOrders:
    """A mean over several orders of edits, and how much it varies from order to order.

    Attributes:
        mean: The mean of the orders' means, each counting the same; NaN without values.
        low: Lower end of its 95 % interval.
        high: Upper end.
        orders: Orders that have a value.
        unscorable: Values left out, because they are None or NaN.
        least: The smallest of the orders' means.
        greatest: The greatest of them.
        sd: Their standard deviation; NaN for fewer than two orders.
        p: Two-sided p of the mean being 0, by t with the interval's error and degrees of freedom;
            NaN for fewer than two orders.
        note: What the interval does not hold, or nothing.
        draws: The mean in every sample, from which the interval is made.
    """

    mean: float
    low: float
    high: float
    orders: int
    unscorable: int
    least: float
    greatest: float
    sd: float
    p: float
    note: str
    draws: Floats = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def two_level(
    values: Mapping[str, tuple[Sequence[str], Sequence[float | None]]],
    *,
    seed: int,
    weights: Mapping[str, Sequence[float]] | None = None,
    bounds: tuple[float, float] = UNBOUND,
    draws: int = DRAWS,
) -> OverOrders:
    """The mean over orders of edits, with an interval that knows of orders and of items.

    Every sample draws orders with replacement, and items (or records) for them. Orders that were
    asked the same items, as of a benchmark, share one draw of items: what is hard stays hard in
    every order (the pigeonhole bootstrap, Owen 2007). Orders with items of their own, as with
    different edits, have each its own draw.

    Args:
        values: By order, the owner of each value, that is its item, cluster or record, and the
            values themselves.
        seed: Seed of the draws.
        weights: By order, what each value counts within it; the same by default.
        bounds: The least and the greatest possible mean, at which an interval ends.
        draws: Number of samples.
    """
    unscorable = 0
    kept: dict[str, tuple[list[str], list[float], list[float]]] = {}
    for order in sorted(values):
        owners, scores = values[order]
        share = [1.0] * len(owners) if weights is None else weights[order]
        rows = list(zip(owners, scores, share, strict=True))
        known = sorted((o, v, w) for o, v, w in rows if v is not None and not np.isnan(v))
        unscorable += len(rows) - len(known)
        if known:
            kept[order] = [o for o, _, _ in known], [v for _, v, _ in known], [w for *_, w in known]
    if not kept:
        nan = float("nan")
        return OverOrders(nan, nan, nan, 0, unscorable, nan, nan, nan, nan, "no order has a value")
    owned = [set(owners) for owners, _, _ in kept.values()]
    everything = set().union(*owned)
    shared = sum(map(len, owned)) > len(everything)
    generator = np.random.default_rng(seed)
    parts = []
    common = Bootstrap(len(everything) if shared else 0, seed, draws)
    for own, (owners, found, share) in zip(owned, kept.values(), strict=True):
        numbers = {name: i for i, name in enumerate(sorted(everything if shared else own))}
        draw = common if shared else Bootstrap(len(own), int(generator.integers(2**63)), draws)
        parts.append(draw.estimate([numbers[owner] for owner in owners], found, share))
    means = np.array([part.mean for part in parts])
    table = np.array([part.draws for part in parts])  # (orders, draws)
    chosen = generator.integers(len(parts), size=table.shape)
    columns = np.tile(np.arange(draws), (len(parts), 1))
    if not shared:  # an order drawn twice must not bring the same items twice
        columns = generator.permuted(columns, axis=1)
    drawn = table[chosen, columns].mean(axis=0)
    counted = max(len(everything), len(parts))
    low, high, p = _widened(Estimate(float(means.mean()), drawn, counted), means, table)
    return OverOrders(
        mean=float(means.mean()),
        low=max(low, bounds[0]) if low == low else low,
        high=min(high, bounds[1]) if high == high else high,
        orders=len(parts),
        unscorable=unscorable,
        least=float(means.min()),
        greatest=float(means.max()),
        sd=float(means.std(ddof=1)) if len(parts) > 1 else float("nan"),
        p=p,
        note="" if len(parts) > 1 else "one order: how much orders vary is not known",
        draws=drawn,
    )


def _widened(drawn: Estimate, means: Floats, table: Floats) -> tuple[float, float, float]:
    """The percentile interval, widened for how little few orders tell of their variance, and p.

    "Expanded percentiles" (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): from
    normal to t quantiles, and from variances over n to those over n - 1. The degrees of freedom are
    Satterthwaite's, of the variance between orders and the variance from items.
    """
    from scipy.stats import norm, t

    low, high = drawn.interval
    spread = float(np.nanvar(drawn.draws))
    if len(means) < 2:
        return low, high, float("nan")
    if not spread > 0:  # all are the same in all orders: nothing to weigh a difference by
        return low, high, 0.0 if drawn.mean else 1.0
    orders = float(means.var(ddof=1)) / len(means)
    items = float(np.nanvar(table.mean(axis=0)))
    freedom = (orders + items) ** 2 / (
        orders**2 / (len(means) - 1) + items**2 / max(drawn.clusters - 1, 1)
    )
    tail = (1 + LEVEL) / 2
    wider = max(1.0, float(t.ppf(tail, freedom) / norm.ppf(tail)))
    error = max(spread, orders + items) ** 0.5
    wider *= error / spread**0.5
    ends = drawn.mean - wider * (drawn.mean - low), drawn.mean + wider * (high - drawn.mean)
    return *ends, float(2 * t.sf(abs(drawn.mean) / error, freedom))
