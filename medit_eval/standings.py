"""Where editors stand on the same questions: means and ranks, with intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medit_eval.benchmarks.answers import UNEDITED
from medit_eval.contenders import Contender
from medit_eval.metrics import per_record, way_of
from medit_eval.orders import UNBOUND, two_level
from medit_eval.protocols import is_plain
from medit_eval.report import Report
from medit_eval.statistics import LEVEL, Bootstrap, Floats, macro
from medit_eval.summary import ALL
from schemas.records import AXES

BENCHMARK = "benchmark"
"""The way of a benchmark's score, which is the task's own."""

NATS = "nats_per_word"
"""What texts are compared by: the logarithm of their perplexity."""

LOWER = frozenset({"leak"})
"""Metrics of which less is better."""

_UNRANKED = frozenset(
    {"pre_edit_right", "pre_edit_target", "fluency_pre_edit", "fluency", "counterfact_fluency"}
)
"""Metrics of the unedited model, and those of which neither more nor less is better."""


@dataclass(frozen=True)
class Standing:
    """One editor's mean and rank among those it is compared with.

    Attributes:
        phase: When it was asked.
        series: The axis, or the benchmark's task.
        metric: The metric.
        way: How it looks at an answer.
        better: Whether a `higher` or a `lower` score is better.
        editor: The editor.
        orders: Orders of edits that it rests on.
        n: Questions that every compared editor has a score for.
        left_out: Questions that one of them has none for.
        mean: The mean; NaN where there is none.
        ci_low: Lower end of its 95 % interval.
        ci_high: Upper end.
        rank: 1 for the best; equal means share a rank. NaN where there is none.
        rank_low: Best rank within the interval.
        rank_high: Worst rank within it.
    """

    phase: str
    series: str
    metric: str
    way: str
    better: str
    editor: str
    orders: int
    n: int
    left_out: int
    mean: float
    ci_low: float
    ci_high: float
    rank: float
    rank_low: float
    rank_high: float


@dataclass(frozen=True)
class Asked:
    """The questions of one order of edits that every editor has a score for.

    Attributes:
        owners: The record, cluster or item of each; what is drawn independently.
        kinds: The kind of each; kinds count the same.
        weights: What each counts in the mean; they sum to 1.
        pool: All owners of the run, in order.
    """

    owners: list[str]
    kinds: list[str]
    weights: list[float]
    pool: list[str]

    @property
    def counts(self) -> Floats:
        """The weights, 1 on average: the plain mean of scores times these is the mean."""
        return np.array(self.weights) * len(self.weights)


@dataclass(frozen=True)
class Cell:
    """The scores of all editors on one axis or task, by one metric, in one phase.

    Attributes:
        phase: When they were asked.
        series: The axis, or the task.
        metric: The metric.
        way: How it looks at an answer.
        better: `higher` or `lower`.
        asked: The questions by order of edits.
        values: Scores by editor and order, in the questions' order.
        left_out: Questions that one of the editors has no score for.
        bounds: The least and the greatest possible score, or None.
    """

    phase: str
    series: str
    metric: str
    way: str
    better: str
    asked: Mapping[int, Asked]
    values: Mapping[str, Mapping[int, list[float]]]
    left_out: int
    bounds: tuple[float, float] | None


Place = tuple[str, str, str]
"""Phase, series, metric."""

Found = dict[tuple[str, ...], tuple[str, str, float, float | None]]
"""By question: its owner, its kind, what it counts within the kind, and its score."""


def cells_of(contenders: Sequence[Contender]) -> Iterator[Cell]:
    """What can be compared: every axis and task that all editors were asked in a phase."""
    for scores_of, benchmark in ((_of_records, False), (_of_benchmarks, True)):
        held = {
            contender.label: {order: scores_of(run) for order, run in contender.runs.items()}
            for contender in contenders
        }
        first = next(iter(held.values()))
        places = dict.fromkeys(place for found in first.values() for place in found)
        phases = list(dict.fromkeys(phase for phase, _, _ in places))
        axes = {axis: number for number, axis in enumerate(AXES)}
        places = sorted(places, key=lambda p: (phases.index(p[0]), axes.get(p[1], 0)))
        for place in places:
            parts = {
                label: {o: found[place] for o, found in by_order.items() if place in found}
                for label, by_order in held.items()
            }
            if all(part.keys() == parts[contenders[0].label].keys() for part in parts.values()):
                yield _cell(place, parts, contenders[0], benchmark)


def standings(cell: Cell, seed: int) -> list[Standing]:
    """The means and ranks of all editors in a cell, best first."""
    from scipy.stats import rankdata

    estimates = {label: _estimate(cell, values, seed) for label, values in cell.values.items()}
    sign = -1 if cell.better == "higher" else 1
    means = np.array([mean for mean, _, _, _ in estimates.values()])
    draws = np.array([drawn for _, _, _, drawn in estimates.values()])
    nan, known = float("nan"), not np.isnan(means).any()
    ranks = rankdata(sign * means, "min") if known else means * nan
    kept = draws[:, ~np.isnan(draws).any(axis=0)] if draws.size else draws
    tail = (1 - LEVEL) / 2
    spread = np.full((2, len(means)), nan)
    if known and kept.size and not np.isnan([low for _, low, _, _ in estimates.values()]).any():
        drawn = rankdata(sign * np.round(kept, 12), "min", axis=0)
        spread = np.quantile(drawn, [tail, 1 - tail], axis=1, method="nearest")
    rows = [
        Standing(
            cell.phase, cell.series, cell.metric, cell.way, cell.better, label,
            orders=len(cell.asked),
            n=sum(len(asked.owners) for asked in cell.asked.values()),
            left_out=cell.left_out,
            mean=mean, ci_low=low, ci_high=high,
            rank=float(ranks[place]),
            rank_low=float(spread[0, place]),
            rank_high=float(spread[1, place]),
        )
        for place, (label, (mean, low, high, _)) in enumerate(estimates.items())
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row.rank != row.rank, row.rank))


def _estimate(
    cell: Cell, values: Mapping[int, list[float]], seed: int
) -> tuple[float, float, float, Floats]:
    """The mean, its interval, and the mean in every sample; the samples are the same for all."""
    if len(cell.asked) > 1:
        held = {str(order): (asked.owners, values[order]) for order, asked in cell.asked.items()}
        counts = {str(order): list(asked.counts) for order, asked in cell.asked.items()}
        over = two_level(held, seed=seed, weights=counts, bounds=cell.bounds or UNBOUND)
        return over.mean, over.low, over.high, over.draws
    ((order, asked),) = cell.asked.items()
    numbers = {owner: number for number, owner in enumerate(asked.pool)}
    bootstrap, parts = Bootstrap(len(numbers), seed), []
    counts = Counter(asked.kinds)
    for kind in dict.fromkeys(asked.kinds):
        rows = [i for i, other in enumerate(asked.kinds) if other == kind]
        # What a question counts beside the others of its kind, 1 on average.
        share = [asked.weights[i] * counts[kind] * len(counts) for i in rows]
        owners = [numbers[asked.owners[i]] for i in rows]
        parts.append(bootstrap.estimate(owners, [values[order][i] for i in rows], share))
    found = macro(parts)
    return found.mean, *found.interval, found.draws


def _cell(
    place: Place, parts: Mapping[str, Mapping[int, Found]], first: Contender, benchmark: bool
) -> Cell:
    asked: dict[int, Asked] = {}
    values: dict[str, dict[int, list[float]]] = {label: {} for label in parts}
    left_out = 0
    for order in next(iter(parts.values())):
        found = [part[order] for part in parts.values()]
        every = dict.fromkeys(key for one in found for key in one)
        common = [
            key for key in every if all(key in one and one[key][3] is not None for one in found)
        ]
        left_out += len(every) - len(common)
        rows = [found[0][key] for key in common]
        if not benchmark and per_record(place[2]):
            held = Counter((owner, kind) for owner, kind, _, _ in rows)
            rows = [(own, kind, 1 / held[own, kind], value) for own, kind, _, value in rows]
        totals: dict[str, float] = defaultdict(float)
        for _, kind, weight, _ in rows:
            totals[kind] += weight
        owners = [owner for owner, _, _, _ in rows]
        records = dict.fromkeys(p.record for p in first.runs[order].raw)
        asked[order] = Asked(
            owners,
            [kind for _, kind, _, _ in rows],
            [weight / totals[kind] / len(totals) for _, kind, weight, _ in rows],
            list(dict.fromkeys(owners) if benchmark else records),
        )
        for label, one in zip(parts, found, strict=True):
            values[label][order] = [one[key][3] or 0.0 for key in common]
    phase, series, metric = place
    numbers = [v for by_order in values.values() for vs in by_order.values() for v in vs]
    perplexity = benchmark and any(
        task.kind == "perplexity" and task.task == series
        for task in first.reports[0].benchmarks.tasks
    )
    fractions = not perplexity and all(0 <= value <= 1 for value in numbers)
    return Cell(
        phase=phase,
        series=series,
        metric=metric,
        way=BENCHMARK if benchmark else way_of(metric),
        better="lower" if perplexity or metric in LOWER else "higher",
        asked=asked,
        values=values,
        left_out=left_out,
        bounds=(0.0, 1.0) if fractions else None,
    )


def _of_records(report: Report) -> dict[Place, Found]:
    predictions = {prediction.key: prediction for prediction in report.raw}
    weak = {
        (row.phase, row.axis, row.kind, row.metric)
        for row in report.rows
        if row.kind != ALL and row.subset == ALL and row.note.startswith("not measurable")
    }
    found: dict[Place, Found] = defaultdict(dict)
    for score in report.scores:
        asked = predictions[score.key]
        if (
            score.metric in _UNRANKED
            or way_of(score.metric) == "routing"
            or not is_plain(score.phase)
            or (score.phase, asked.axis, asked.kind, score.metric) in weak
        ):
            continue
        key = (score.record, score.probe, str(score.index))
        found[score.phase, asked.axis, score.metric][key] = (
            (score.record, asked.kind, 1.0, score.value)
        )  # fmt: skip
    return found


def _of_benchmarks(report: Report) -> dict[Place, Found]:
    results = report.benchmarks
    clusters: dict[str, set[str]] = defaultdict(set)
    for answer in results.answers:
        clusters[answer.task].add(answer.cluster)
    found: dict[Place, Found] = defaultdict(dict)
    for answer in results.answers:
        if answer.phase == UNEDITED or results.excludes(answer):
            continue
        # One cluster for all is the population, and items are drawn from it.
        alone = not answer.cluster or len(clusters[answer.task]) == 1
        owner = f"item {answer.item}" if alone else f"cluster {answer.cluster}"
        finite = answer.value is not None and bool(np.isfinite(answer.value))
        value = answer.value if finite and answer.weight > 0 else None
        metric = NATS if answer.kind == "perplexity" else answer.metric
        found[answer.phase, answer.task, metric][answer.item, answer.question] = (
            (owner, "", answer.weight, value)
        )  # fmt: skip
    return found
