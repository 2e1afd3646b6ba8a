"""Scores over the number of edits: one curve per editor and axis or benchmark.

Runs of one editor that differ in the order of their edits alone make one curve. Its intervals hold
two things that vary, which edits were made in which order, and which questions were asked; see
`medit_eval.orders.two_level`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean

from medit_eval.benchmarks.answers import UNEDITED, Answer
from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.gaps import EARLIER, JUST_MADE, Gaps
from medit_eval.orders import UNBOUND, two_level
from medit_eval.protocols import edits_of
from medit_eval.report import Report
from medit_eval.summary import metric_of

RETENTION = "retention"
"""The series of edits made before the last checkpoint; `reliability` is of those made since."""

AXES = ("reliability", RETENTION, "generality", "locality", "portability")
"""The series of records, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve.

    Attributes:
        editor: The editor.
        series: One of `AXES`, or a benchmark's task.
        metric: The metric.
        edits: Edits in the model; 0 for the unedited one, of benchmarks alone.
        orders: Orders of edits that it rests on.
        n: Questions scored, over all orders.
        unscorable: Questions that could not be scored.
        mean: The mean of the orders' means. In an order it is over records, of each record's mean
            over kinds of probes, or over a benchmark's items; of texts it is the perplexity.
        ci_low: Lower end of the 95 % interval over orders and records or items.
        ci_high: Upper end.
        order_sd: Standard deviation of the orders' means; NaN for one order.
    """

    editor: str
    series: str
    metric: str
    edits: int
    orders: int
    n: int
    unscorable: int
    mean: float
    ci_low: float
    ci_high: float
    order_sd: float


@dataclass(frozen=True)
class _Cell:
    """One point of one order.

    Attributes:
        owners: Records or items.
        values: A value of each.
        weights: What each counts.
        n: Questions scored.
        unscorable: Questions not scored.
        bounded: Whether values lie between 0 and 1; otherwise they are logarithms.
    """

    owners: list[str]
    values: list[float]
    weights: list[float]
    n: int
    unscorable: int
    bounded: bool = True


Cells = Mapping[tuple[str, str, int], _Cell]
"""By series, metric and edits."""


def curves(reports: Sequence[Report], *, measure: str = "generated", seed: int = 0) -> list[Point]:
    """The points of all curves that runs with checkpoints make; none for other runs.

    Args:
        reports: The runs, of any editors and orders.
        measure: Which of `medit_eval.summary.MEASURES` axes are measured by.
        seed: Seed of the bootstrap.
    """
    orders: dict[str, dict[str, Cells]] = defaultdict(dict)
    for report in reports:
        arguments = report.manifest.arguments if report.manifest is not None else {}
        if arguments.get("checkpoints"):
            editor, order = report.editor, str(arguments.get("order", 0))
            orders[editor][order] = _cells(report, measure)
    return [
        point for editor, by_order in orders.items() for point in _points(editor, by_order, seed)
    ]


def series_of(points: Sequence[Point]) -> list[str]:
    """The series of points as they are shown: those of records, then benchmarks."""
    found = dict.fromkeys(point.series for point in points)
    return [*(axis for axis in AXES if axis in found), *(s for s in found if s not in AXES)]


def _points(editor: str, by_order: Mapping[str, Cells], seed: int) -> Iterator[Point]:
    keys = dict.fromkeys(key for cells in by_order.values() for key in cells)
    for series, metric, edits in keys:
        held = {
            order: cells[series, metric, edits]
            for order, cells in by_order.items()
            if (series, metric, edits) in cells
        }
        bounded = all(cell.bounded for cell in held.values())
        found = two_level(
            {order: (cell.owners, cell.values) for order, cell in held.items()},
            seed=seed,
            weights={order: cell.weights for order, cell in held.items()},
            bounds=(0.0, 1.0) if bounded else UNBOUND,
        )
        mean, low, high, sd = found.mean, found.low, found.high, found.sd
        if not bounded:  # perplexities: their logarithms are what was averaged
            mean, low, high = (exp(value) for value in (mean, low, high))
            sd *= mean
        yield Point(
            editor=editor,
            series=series,
            metric=metric,
            edits=edits,
            orders=found.orders,
            n=sum(cell.n for cell in held.values()),
            unscorable=sum(cell.unscorable for cell in held.values()),
            mean=mean,
            ci_low=low,
            ci_high=high,
            order_sd=sd,
        )


def _cells(report: Report, measure: str) -> Cells:
    return {**_of_records(report, measure), **_of_benchmarks(report.benchmarks)}


def _of_records(report: Report, measure: str) -> Cells:
    assert report.manifest is not None
    arguments = report.manifest.arguments
    gaps = Gaps(arguments["sequence"], arguments["checkpoints"])
    by_key = {prediction.key: prediction for prediction in report.raw}
    # Cell -> record -> kind -> values
    found: dict[tuple[str, str, int], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    missing: dict[tuple[str, str, int], int] = defaultdict(int)
    for score in report.scores:
        prediction = by_key[score.key]
        edits, axis = edits_of(prediction.phase), prediction.axis
        if edits is None or axis not in AXES or score.metric != metric_of(axis, measure):
            continue
        series = axis
        if axis == "reliability":
            subsets = gaps.subsets(prediction)
            series = RETENTION if EARLIER in subsets else axis
            assert series == RETENTION or JUST_MADE in subsets
        cell = (series, score.metric, edits)
        if score.value is None:
            missing[cell] += 1
        else:
            found[cell][prediction.record][prediction.kind].append(score.value)
    return {
        cell: _Cell(
            owners=list(records),
            values=[fmean(map(fmean, kinds.values())) for kinds in records.values()],
            weights=[1.0] * len(records),
            n=sum(len(values) for kinds in records.values() for values in kinds.values()),
            unscorable=missing[cell],
        )
        for cell, records in found.items()
    }


def _of_benchmarks(results: BenchmarkResults) -> Cells:
    """Means of tasks; a text counts as many times as it has words."""
    groups: dict[tuple[str, str, int], list[Answer]] = defaultdict(list)
    for answer in results.answers:
        edits = 0 if answer.phase == UNEDITED else edits_of(answer.phase)
        if edits is None or results.excludes(answer):
            continue
        groups[answer.task, answer.metric, edits].append(answer)
    cells = {}
    for cell, group in groups.items():
        scored = [(a.item, a.value, a.weight) for a in group if a.value is not None]
        cells[cell] = _Cell(
            owners=[item for item, _, _ in scored],
            values=[value for _, value, _ in scored],
            weights=[weight for *_, weight in scored],
            n=len(scored),
            unscorable=len(group) - len(scored),
            bounded=group[0].kind != "perplexity",
        )
    return cells
