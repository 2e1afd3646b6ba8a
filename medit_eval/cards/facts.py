"""What a card is made of: an editor's runs, and their numbers, gathered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from medit_eval.contenders import Contender, is_given
from medit_eval.curves import RETENTION, Point
from medit_eval.gaps import EARLIER
from medit_eval.metrics import HEADLINE
from medit_eval.pages.cells import phases_of, row_of
from medit_eval.pages.tables import AXES, WAYS, points_of
from medit_eval.predictions import Prediction
from medit_eval.protocols import is_plain
from medit_eval.report import Report
from medit_eval.runs import RunManifest
from medit_eval.summary import ALL, HARMONIC, MEASURES, metric_of

GENERATION, TEACHER_FORCED = "generation", "teacher-forced"
"""The ways of looking at answers that limits speak of; see `medit_eval.metrics.core.Way`."""


@dataclass(frozen=True)
class Number:
    """One number of the headline table.

    Attributes:
        phase: When it was asked.
        axis: The axis, `retention`, or `harmonic_mean`.
        way: How answers are looked at.
        metric: The metric.
        mean: The mean.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Questions scored.
        unscorable: Questions that could not be scored.
        note: What else there is to know.
    """

    phase: str
    axis: str
    way: str
    metric: str
    mean: float
    low: float
    high: float
    n: int
    unscorable: int
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a mean."""
        return self.mean == self.mean

    @property
    def width(self) -> float:
        """How wide the interval is."""
        return self.high - self.low


@dataclass(frozen=True)
class Facts:
    """An editor's runs as a card looks at them.

    Attributes:
        contender: The editor with its runs, one per order of edits.
    """

    contender: Contender

    @property
    def reports(self) -> tuple[Report, ...]:
        """The runs, in the order of their orders."""
        return self.contender.reports

    @cached_property
    def manifests(self) -> tuple[RunManifest, ...]:
        """The runs' manifests."""
        return tuple(r.manifest for r in self.reports if r.manifest is not None)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What decides the predictions; runs of several orders differ in the order alone."""
        return self.manifests[0].arguments

    @property
    def given(self) -> bool:
        """Whether the answers are another tool's, of which nothing is known but what they are."""
        return is_given(self.arguments)

    @cached_property
    def points(self) -> list[Point]:
        """The curves over the number of edits, of runs with checkpoints."""
        return points_of([self.contender])

    @property
    def several(self) -> bool:
        """Whether numbers are over several orders of edits."""
        return len(self.reports) > 1 and bool(self.points)

    @cached_property
    def numbers(self) -> list[Number]:
        """The headline: every axis in every way, at the phases that a report leads with."""
        if self.several:
            found = {point.series: point for point in self.last}
            series = (AXES[0], RETENTION, *AXES[1:])
            return [_of_point(found[name]) for name in series if name in found]
        return [
            number
            for report in self.reports[:1]
            for phase in phases_of(report)
            for way, metrics in WAYS
            for number in _numbers(report, phase, way, metrics)
        ]

    @cached_property
    def last(self) -> list[Point]:
        """The points after the last edits."""
        most = max((point.edits for point in self.points), default=0)
        return [point for point in self.points if point.edits == most]

    def number(self, axis: str, way: str = GENERATION) -> Number | None:
        """The last number of an axis in a way that has a mean."""
        found = [n for n in self.numbers if (n.axis, n.way) == (axis, way) and n.known]
        return found[-1] if found else None

    @cached_property
    def phase(self) -> str | None:
        """The last phase that a report leads with; none where nothing was asked."""
        phases = phases_of(self.reports[0])
        return phases[-1] if phases else None

    def share(self, axis: str, metric: str) -> tuple[float, int] | None:
        """The mean of a metric on an axis at the last phase, over orders, and on how many it rests.

        None where nothing was scored.
        """
        if self.phase is None:
            return None
        found = [row_of(report, self.phase, axis, metric) for report in self.reports]
        rows = [row for row in found if row is not None and row.mean == row.mean]
        return (fmean(row.mean for row in rows), sum(row.n for row in rows)) if rows else None

    @cached_property
    def different(self) -> int:
        """Different records that were asked about, over all orders."""
        return len({p.record for p in self.predictions})

    @cached_property
    def counts(self) -> list[int]:
        """Records of each run."""
        return [int(m.arguments.get("record_count", 0)) for m in self.manifests]

    @property
    def records(self) -> int:
        """Records that were edited, over all orders; those of two orders may be the same."""
        return sum(self.counts)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """All questions outside of those with other numbers of edits in memory."""
        return [p for report in self.reports for p in report.raw if is_plain(p.phase)]

    @cached_property
    def questions(self) -> dict[str, dict[str, int]]:
        """Different questions that were asked, by axis and kind, over all orders."""
        found: dict[str, Counter[str]] = {}
        for report in self.reports:
            seen = {
                (p.record, p.probe, p.index): p
                for p in report.raw
                if is_plain(p.phase)
            }  # fmt: skip
            for p in seen.values():
                found.setdefault(p.axis, Counter())[p.kind] += 1
        order = [*(axis for axis in AXES if axis in found), *(a for a in found if a not in AXES)]
        return {axis: dict(found[axis]) for axis in order}

    @cached_property
    def failures(self) -> Counter[str]:
        """Questions that could not be put or judged at all, by reason, over all phases."""
        return Counter(p.failure for p in self.predictions if p.failure is not None)

    @cached_property
    def failed_edits(self) -> int:
        """Records whose edit failed, over all orders."""
        failed = {
            (number, p.record)
            for number, report in enumerate(self.reports)
            for p in report.raw
            if is_plain(p.phase) and p.failure is not None and p.failure.startswith(FAILED)
        }
        return len(failed)

    @cached_property
    def weak(self) -> dict[str, str]:
        """Kinds of probes that say nothing, with the reason."""
        return {
            f"{row.axis}, {row.kind}": row.note
            for report in self.reports
            for row in report.rows
            if row.kind != ALL and row.note.startswith(("not measurable", "whether")) and
            row.phase == self.phase and row.subset == ALL and row.metric in HEADLINE
        }  # fmt: skip


FAILED = "the edit failed"
"""What the reason of a question begins with whose edit could not be made."""


def unique(values: Iterable[str]) -> list[str]:
    """Values, each once, in order."""
    return list(dict.fromkeys(values))


def _numbers(report: Report, phase: str, way: str, metrics: tuple[str, str]) -> Sequence[Number]:
    reach, keep = metrics
    rows = [(axis, row_of(report, phase, axis, keep if axis == "locality" else reach))
            for axis in AXES]  # fmt: skip
    rows.insert(1, (RETENTION, row_of(report, phase, "reliability", reach, EARLIER)))
    measures = {pair: name for name, pair in MEASURES.items()}
    if metrics in measures:
        rows.append((HARMONIC, row_of(report, phase, HARMONIC, measures[metrics])))
    return [
        Number(phase, axis, way, row.metric, row.mean, row.ci_low, row.ci_high, row.n,
               row.unscorable, row.note)
        for axis, row in rows
        if row is not None
    ]  # fmt: skip


def _of_point(point: Point) -> Number:
    metric = metric_of("reliability" if point.series == RETENTION else point.series)
    return Number(
        f"edits-{point.edits}", point.series, GENERATION, metric, point.mean, point.ci_low,
        point.ci_high, point.n, point.unscorable,
    )  # fmt: skip
