"""From a run's report to the number that stands in a column of a paper."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from medit_eval.curves import curves
from medit_eval.documents.report import EDITED, DocumentRow
from medit_eval.documents.scores import COMPAT
from medit_eval.protocols import edits_of, is_plain
from medit_eval.report import Report
from medit_eval.reproduction.entry import Column, Line, Table

UNEDITED = "unedited"
"""The part of a run that is the model before any edit."""


@dataclass(frozen=True)
class Number:
    """A number of ours, or why there is none.

    Attributes:
        value: The number in the paper's unit; None where there is none.
        low: Lower end of its 95 % interval; None where it has none.
        high: Upper end.
        n: Values that it is over.
        reason: Why there is no number.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Cell:
    """A published number beside ours.

    Attributes:
        table: The table.
        row: Its row.
        column: Its column.
        published: The number in the paper; None where it was not found.
        ours: Ours, in the same unit.
    """

    table: Table
    row: Line
    column: Column
    published: float | None
    ours: Number

    @property
    def key(self) -> tuple[str, str, str]:
        """The names of table, row and column."""
        return self.table.name, self.row.name, self.column.name

    @property
    def difference(self) -> float | None:
        """Ours less the published number; None where one is missing."""
        if self.published is None or self.ours.value is None:
            return None
        return self.ours.value - self.published

    @property
    def within(self) -> bool | None:
        """Whether the difference is within tolerance; None where there is none."""
        found = self.difference
        return None if found is None else abs(found) <= self.column.tolerance


def number_of(report: Report, column: Column, row: Line) -> Number:
    """The number of a run for one cell."""
    if column.ours is None:
        return Number(reason=column.without)
    place, _, what = column.ours.partition(" ")
    if place == "summary":
        return _of_summary(report, what, row.at, column.scale)
    if place == "documents":
        return _of_documents(report, what, row.at, column.scale)
    return _of_benchmarks(report, what, row.at, column.scale)


def _of_summary(report: Report, what: str, phase: str, scale: float) -> Number:
    axis, kind, metric = what.split("/")
    rows = [
        row
        for row in report.rows
        if (row.axis, row.kind, row.metric, row.subset) == (axis, kind, metric, "all")
        and (row.phase == phase if phase else is_plain(row.phase))
    ]
    if not rows:
        asked = f" in the phase {phase}" if phase else ""
        return Number(reason=f"the run has no {metric} of {axis}, {kind}{asked}")
    row = rows[-1]
    reason = row.note
    if row.mean != row.mean and not reason:
        counts = Counter(s.reason for s in report.scores if s.metric == metric and s.reason)
        reason = counts.most_common(1)[0][0] if counts else "nothing could be scored"
    return _number(row.mean, row.ci_low, row.ci_high, row.n, scale, reason)


def _of_documents(report: Report, metric: str, at: str, scale: float) -> Number:
    track, _, output = at.partition(" ")
    rows: list[DocumentRow] = [
        row
        for row in report.about_documents
        if (row.track, row.output, row.family, row.metric)
        == (track or "parametric", output or EDITED, COMPAT, metric)
    ]
    if not rows:
        return Number(reason=f"no document was rewritten with {track or 'parametric'} facts")
    row = rows[-1]
    reason = f"{row.undefined} values are undefined, and {row.unasked} could not be asked"
    return _number(row.mean, row.ci_low, row.ci_high, row.n, scale, reason)


def _of_benchmarks(report: Report, task: str, at: str, scale: float) -> Number:
    edits = 0 if at == UNEDITED else edits_of(at)
    points = [point for point in curves([report]) if point.series == task]
    if not points:
        return Number(reason=f"the run has no benchmark {task}")
    found = [point for point in points if edits in (None, point.edits)]
    if not found:
        made = max(point.edits for point in points)
        return Number(reason=f"the run ends after {made} edits")
    point = max(found, key=lambda point: point.edits)
    reason = f"{point.unscorable} items could not be scored"
    return _number(point.mean, point.ci_low, point.ci_high, point.n, scale, reason)


def _number(mean: float, low: float, high: float, n: int, scale: float, reason: str) -> Number:
    if math.isnan(mean):
        return Number(n=n, reason=reason or "nothing could be scored")
    return Number(mean * scale, _end(low, scale), _end(high, scale), n)


def _end(value: float, scale: float) -> float | None:
    return None if math.isnan(value) else value * scale
