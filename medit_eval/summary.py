"""The table of a run: means by axis, kind and metric, with intervals and what is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from medit_eval.gaps import Gaps
from medit_eval.metrics import DEFAULT, Metric, per_record
from medit_eval.metrics.papers import HARMONICS, PICTURE_KINDS, Part
from medit_eval.predictions import Prediction, Score
from medit_eval.statistics import Bootstrap, Estimate, harmonic, macro
from schemas.records import AXES, PROBE_KINDS

ALL = "all"
HARMONIC = "harmonic_mean"

BAR = 0.5
"""Share of questions that the unedited model must get right for an axis to be measurable."""

MEASURES: Mapping[str, tuple[str, str]] = {
    "generated": ("generated", "unchanged_generated"),
    "teacher_forced": ("teacher_forced", "unchanged_topk"),
}
"""Harmonic means by name: the metric for probes to reach, and the one for probes not to reach."""


def metric_of(axis: str, measure: str = "generated") -> str:
    """The metric that stands for an axis in a harmonic mean."""
    reach, keep = MEASURES[measure]
    return keep if axis == "locality" else reach


_AXES_OF_MEAN = ("reliability", "generality", "locality", "portability")
_NEEDS_KNOWLEDGE = "portability"
_SPLIT = frozenset({"unchanged_generated", "unchanged_top1", "unchanged_topk", "leak"})
_BY_GAP = frozenset(reach for reach, _ in MEASURES.values())
_OF_BEFORE = frozenset({"pre_edit_right", "pre_edit_target", "fluency_pre_edit"})


@dataclass(frozen=True)
class Row:
    """One line of the summary.

    Attributes:
        axis: What the probes measure, or `harmonic_mean`.
        kind: How they were made; `all` is the mean over the axis's kinds, each counting the same.
        metric: The metric.
        protocol: The protocol of the run.
        phase: When the questions were asked.
        subset: `all`; on locality also `model_right` and `model_wrong`, the questions that the
            unedited model got right and those that it did not, and each grade of the probes, which
            says how far from the edit they are; in a sequence with checkpoints, also how long ago
            the edit was made, see `medit_eval.gaps`.
        n: Questions scored.
        unscorable: Questions that could not be scored.
        mean: The mean score; NaN where nothing could be scored or the axis is not measurable.
        ci_low: Lower end of the 95 % interval, by bootstrap over records.
        ci_high: Upper end.
        note: What else there is to know.
    """

    axis: str
    kind: str
    metric: str
    protocol: str
    phase: str
    subset: str
    n: int
    unscorable: int
    mean: float
    ci_low: float
    ci_high: float
    note: str = ""


@dataclass
class _Group:
    owners: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    unscorable: int = 0


Cell = tuple[str, str, str, str]
"""Axis, kind, metric, subset."""


def summarise(
    predictions: Sequence[Prediction],
    scores: Iterable[Score],
    *,
    protocol: str,
    seed: int,
    bar: float = BAR,
    gaps: Gaps | None = None,
) -> list[Row]:
    """The rows of a run's summary, phase by phase.

    Args:
        predictions: What was asked.
        scores: The metrics' judgements of it.
        protocol: The protocol's name.
        seed: Seed of the bootstrap.
        bar: Share of portability questions that the unedited model must get right, with the
            answers that hold before the edit, for a kind to be measurable.
        gaps: In which order records were edited, for a sequence with checkpoints.
    """
    numbers = {name: i for i, name in enumerate(dict.fromkeys(p.record for p in predictions))}
    bootstrap = Bootstrap(len(numbers), seed)
    by_key = {prediction.key: prediction for prediction in predictions}
    right = _right_before(predictions)
    phases: dict[str, dict[Cell, _Group]] = {
        phase: {} for phase in dict.fromkeys(p.phase for p in predictions)
    }
    for score in scores:
        prediction = by_key[score.record, score.probe, score.index, score.phase]
        groups = phases[score.phase]
        for subset in _subsets(prediction, score.metric, right, gaps or Gaps()):
            cell = (prediction.axis, prediction.kind, score.metric, subset)
            group = groups.setdefault(cell, _Group())
            if score.value is None:
                group.unscorable += 1
            else:
                group.owners.append(numbers[prediction.record])
                group.values.append(score.value)
    return [
        row
        for phase, groups in phases.items()
        for row in _Phase(groups, bootstrap, protocol, phase, bar).rows()
    ]


def _right_before(predictions: Sequence[Prediction]) -> dict[tuple[str, str, int, str], bool]:
    """Whether the unedited model was right, for the predictions where that can be said."""
    metric = next(metric for metric in DEFAULT if metric.name == "pre_edit_right")
    return {
        p.key: value == 1.0
        for p in predictions
        if p.axis == "locality" and (value := _value(metric, p)) is not None
    }


def _value(metric: Metric, prediction: Prediction) -> float | None:
    return metric.score(prediction).value


def _subsets(
    prediction: Prediction,
    metric: str,
    right: Mapping[tuple[str, str, int, str], bool],
    gaps: Gaps,
) -> list[str]:
    if metric in _BY_GAP:
        return [ALL, *gaps.subsets(prediction)]
    if metric not in _SPLIT:
        return [ALL]
    known = right.get(prediction.key)
    of_model = [] if known is None else ["model_right" if known else "model_wrong"]
    return [ALL, *of_model, *([prediction.grade] if prediction.grade else [])]


@dataclass
class _Phase:
    """One phase's groups on their way to rows."""

    groups: Mapping[Cell, _Group]
    bootstrap: Bootstrap
    protocol: str
    phase: str
    bar: float

    def __post_init__(self) -> None:
        self._estimates: dict[Cell, Estimate] = {}
        self._weak = self._unmeasurable()

    def rows(self) -> list[Row]:
        rows = [self._row(cell, group) for cell, group in self.groups.items()]
        rows += self._axis_rows()
        rows.sort(key=_place)
        return rows + self._harmonic_rows(rows)

    def _row(self, cell: Cell, group: _Group) -> Row:
        paper = per_record(cell[2])
        shares = _shares(group.owners) if paper else None
        estimate = self.bootstrap.estimate(group.owners, group.values, shares)
        # Papers average what the unedited model cannot answer as well.
        note = "" if paper or cell[2] in _OF_BEFORE else self._weak.get(cell[:2], "")
        if note.startswith("not measurable"):
            return self._line(cell, len(group.values), group.unscorable, None, note)
        if group.values:
            self._estimates[cell] = estimate
        return self._line(cell, len(group.values), group.unscorable, estimate, note)

    def _unmeasurable(self) -> dict[tuple[str, str], str]:
        """Notes on kinds that presuppose what the unedited model may not be able to do."""
        notes = {}
        for axis, kind, metric, subset in self.groups:
            if axis != _NEEDS_KNOWLEDGE or metric != "pre_edit_right" or subset != ALL:
                continue
            values = self.groups[axis, kind, metric, subset].values
            if not values:
                notes[axis, kind] = "whether the unedited model could answer is not known"
            elif (share := sum(values) / len(values)) < self.bar:
                notes[axis, kind] = (
                    f"not measurable: the unedited model answers {share:.2f} of these questions"
                )
        return notes

    def _axis_rows(self) -> list[Row]:
        """The mean over an axis's kinds, where it has several or all of one."""
        kinds: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
        for cell in self.groups:
            axis, _, metric, subset = cell
            kinds[axis, metric, subset].append(cell)
        rows = []
        for (axis, metric, subset), cells in kinds.items():
            measured = [cell for cell in cells if cell in self._estimates]
            estimate = macro([self._estimates[cell] for cell in measured])
            n = sum(len(self.groups[cell].values) for cell in measured)
            unscorable = sum(self.groups[cell].unscorable for cell in cells)
            missing = [cell[1] for cell in cells if cell not in self._estimates]
            note = f"without {', '.join(missing)}" if missing and measured else ""
            if not measured:
                weak = [self._weak.get(cell[:2], "") for cell in cells]
                stuck = any(text.startswith("not measurable") for text in weak)
                note = "not measurable" if stuck else ""
            cell = (axis, ALL, metric, subset)
            if measured:
                self._estimates[cell] = estimate
            rows.append(self._line(cell, n, unscorable, estimate, note))
        return rows

    def _harmonic_rows(self, rows: Sequence[Row]) -> list[Row]:
        counts = {(r.axis, r.kind, r.metric, r.subset): r.n for r in rows}
        made = []
        for measure, (reach, keep) in MEASURES.items():
            axes: dict[str, Cell | None] = {}
            for axis in _AXES_OF_MEAN:
                cell = (axis, ALL, metric_of(axis, measure), ALL)
                axes[axis] = cell if cell in self._estimates else None
            made += self._mean_row(measure, ALL, axes, counts)
            made += self._generality_locality(measure, reach, keep, counts)
        for name, parts in HARMONICS.items():
            made += self._paper_row(name, parts)
        return made

    def _paper_row(self, name: str, parts: Sequence[Part]) -> list[Row]:
        """A paper's harmonic mean, where all that it is over was measured."""
        estimates, n = [], 0
        for part in parts:
            cells = [
                cell
                for cell in self.groups
                if cell[2:] == (part.metric, ALL)
                and cell in self._estimates
                and (part.kinds is None or cell[1] in part.kinds)
            ]
            if not cells:
                return []
            estimates.append(macro([self._estimates[cell] for cell in cells]))
            n += sum(len(self.groups[cell].values) for cell in cells)
        note = f"over {', '.join(part.label for part in parts)}"
        return [self._line((HARMONIC, ALL, name, ALL), n, 0, harmonic(estimates), note)]

    def _generality_locality(
        self, measure: str, reach: str, keep: str, counts: Mapping[Cell, int]
    ) -> list[Row]:
        """BalancEdit's mean: generality over texts, generality over pictures, locality."""
        sides: dict[str, list[Estimate]] = {"text generality": [], "image generality": []}
        for (axis, kind, metric, subset), estimate in self._estimates.items():
            if axis == "generality" and kind != ALL and metric == reach and subset == ALL:
                side = "image generality" if kind in PICTURE_KINDS else "text generality"
                sides[side].append(estimate)
        cells: dict[str, Cell | None] = {}
        for side, estimates in sides.items():
            cell = (side, ALL, reach, ALL)
            cells[side] = cell if estimates else None
            if estimates:
                self._estimates[cell] = macro(estimates)
        local = ("locality", ALL, keep, ALL)
        cells["locality"] = local if local in self._estimates else None
        if not any(cells[side] for side in sides):
            return []
        return self._mean_row(measure, "generality_locality", cells, counts)

    def _mean_row(
        self, measure: str, kind: str, cells: Mapping[str, Cell | None], counts: Mapping[Cell, int]
    ) -> list[Row]:
        there = [cell for cell in cells.values() if cell is not None]
        if len(there) < 2:
            return []  # the mean of one number is that number
        missing = [name for name, cell in cells.items() if cell is None]
        note = f"over {', '.join(name for name, cell in cells.items() if cell is not None)}"
        note += f"; without {', '.join(missing)}" if missing else ""
        estimate = harmonic([self._estimates[cell] for cell in there])
        n = sum(counts.get(cell, 0) for cell in there)
        return [self._line((HARMONIC, kind, measure, ALL), n, 0, estimate, note)]

    def _line(
        self, cell: Cell, n: int, unscorable: int, estimate: Estimate | None, note: str
    ) -> Row:
        axis, kind, metric, subset = cell
        nan = float("nan")
        low, high = estimate.interval if estimate is not None else (nan, nan)
        mean = estimate.mean if estimate is not None else nan
        return Row(
            axis, kind, metric, self.protocol, self.phase, subset, n, unscorable,
            mean, low, high, note,
        )  # fmt: skip


def _shares(owners: Sequence[int]) -> list[float]:
    """What each value counts where records count the same: 1 over the values of its record."""
    counts = Counter(owners)
    return [1 / counts[owner] for owner in owners]


def _place(row: Row) -> tuple[int, int, str, str]:
    """Where a row stands: by axis, kind and metric as they are listed, subsets last."""
    kinds = [ALL, *PROBE_KINDS]
    kind = kinds.index(row.kind) if row.kind in kinds else len(kinds)
    return AXES.index(row.axis), kind, row.kind, row.subset
