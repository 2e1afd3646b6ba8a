"""The tables of a report, the same for its page, for Markdown and for LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medit_eval.contenders import Contender
from medit_eval.curves import AXES as SERIES
from medit_eval.curves import RETENTION, Point, curves, series_of
from medit_eval.gaps import EARLIER
from medit_eval.metrics import way_of
from medit_eval.numbers import interval, number
from medit_eval.pages.cells import (
    Cell,
    Table,
    estimate,
    phase_name,
    phases_of,
    row_of,
    runs_of,
)
from medit_eval.pages.more_tables import (
    collapse_table,
    costs_table,
    degradation_table,
    diagnostics_table,
    documents_table,
    unscorable_table,
)
from medit_eval.protocols import is_plain
from medit_eval.report import Report
from medit_eval.summary import ALL, HARMONIC, MEASURES, Row

WAYS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("generation", MEASURES["generated"]),
    ("teacher-forced", MEASURES["teacher_forced"]),
    ("probability", ("probability", "probability")),
    ("judge", ("judged", "judged")),
)
"""How answers are looked at: the metric for probes to reach, and the one for probes not to."""

_TITLES = {
    "generation": "free generation",
    "teacher-forced": "teacher-forced",
    "probability": "probability",
    "judge": "judging model",
}

_MEANS = {"generated": "generation", "teacher_forced": "teacher-forced"}
"""Harmonic means over axes, and how what they are over looks at answers."""

AXES = ("reliability", "generality", "locality", "portability")
"""The axes of a summary."""


def tables(found: Sequence[Contender], points: Sequence[Point]) -> list[Table]:
    """All tables that the runs have lines for, in the order in which they are shown."""
    made = [_summary(way, metrics, found, points) for way, metrics in WAYS]
    made += [
        _memory(found),
        _curves(points),
        degradation_table(found),
        collapse_table(found),
        costs_table(found),
    ]
    made += [documents_table(found), diagnostics_table(found), unscorable_table(found)]
    return [table for table in made if table.rows]


def numbers(found: Sequence[Contender]) -> Table:
    """Every line of the summaries' leading phases."""
    columns = (
        *("editor", "phase", "axis", "kind", "metric", "scored by", "protocol", "n"),
        *("unscorable", "mean", "95 %", "note"),
    )
    rows = []
    for name, report in runs_of(found):
        phases = phases_of(report)
        for row in report.rows:
            if row.phase in phases:
                metric = row.metric if row.subset == ALL else f"{row.metric}, {row.subset}"
                way = _MEANS.get(row.metric) if row.axis == HARMONIC else None
                way = way or way_of(row.metric)
                cells = (
                    name, phase_name(row.phase), row.axis, row.kind, metric, way, row.protocol,
                    f"{row.n:,}", f"{row.unscorable:,}", number(row.mean),
                    interval(row.ci_low, row.ci_high), row.note,
                )  # fmt: skip
                rows.append(tuple(map(Cell, cells)))
    return Table(
        "numbers",
        "All numbers",
        "Every axis, kind, metric and subset; other phases are in summary.json.",
        columns,
        tuple(rows),
        frozenset(range(7, 11)),
    )


def _summary(
    way: str, metrics: tuple[str, str], found: Sequence[Contender], points: Sequence[Point]
) -> Table:
    measures = {pair: name for name, pair in MEASURES.items()}
    measure = measures.get(metrics)
    manifests = [report.manifest for _, report in runs_of(found)]
    sequences = any(m is not None and m.arguments.get("checkpoints") for m in manifests)
    columns = ["reliability", *([RETENTION] if sequences else []), *AXES[1:]]
    lines = []
    for contender in found:
        if len(contender.runs) > 1 and points:
            if measure == "generated":
                lines.append(_over_orders(contender, points, columns))
            continue
        for order, report in contender.runs.items():
            for phase in phases_of(report):
                cells = [_of_axis(report, phase, name, metrics) for name in columns]
                mean = row_of(report, phase, HARMONIC, measure) if measure else None
                lines.append(
                    [
                        Cell(contender.named(order)),
                        Cell(phase_name(phase), (_protocol(report),)),
                        *cells,
                        *([_of_row(mean)] if measure else []),
                    ]
                )
    lines = [line for line in lines if any(cell.text not in ("", "–") for cell in line[2:])]
    reach, keep = metrics
    last = "; last, their harmonic mean" if measure else ""
    orders = (
        " Several orders of edits: each record's mean over kinds, then over records and orders; "
        "reliability is of the edits since the checkpoint before."
        if any(len(one.runs) > 1 for one in found)
        else ""
    )
    return Table(
        f"summary-{way}",
        f"Summary: {_TITLES[way]}",
        f"Mean by {_metrics(reach, keep)}{last}. Below each: 95 % interval over records, questions "
        f"scored (n), questions that could not be scored.{orders}",
        ("editor", "asked", *columns, *(["harmonic mean"] if measure else [])),
        tuple(map(tuple, lines)),
        frozenset(range(2, 3 + len(columns))),
    )


def _metrics(reach: str, keep: str) -> str:
    return reach if reach == keep else f"{reach} (locality: {keep})"


def _over_orders(
    contender: Contender, points: Sequence[Point], columns: Sequence[str]
) -> list[Cell]:
    own = [p for p in points if p.editor == contender.label and p.series in SERIES]
    last = max((point.edits for point in own), default=0)
    by_series = {point.series: point for point in own if point.edits == last}
    cells = []
    for name in columns:
        point = by_series.get(name)
        cells.append(
            Cell("–")
            if point is None
            else estimate(point.mean, point.ci_low, point.ci_high, point.n, point.unscorable)
        )
    asked = Cell(f"after {last:,} edits", ("sequential", f"{len(contender.runs)} orders"))
    return [Cell(contender.label), asked, *cells, Cell("–")]


def _of_axis(report: Report, phase: str, name: str, metrics: tuple[str, str]) -> Cell:
    reach, keep = metrics
    if name == RETENTION:
        return _of_row(row_of(report, phase, "reliability", reach, EARLIER))
    return _of_row(row_of(report, phase, name, keep if name == "locality" else reach))


def _of_row(row: Row | None) -> Cell:
    if row is None:
        return Cell("–")
    made = estimate(row.mean, row.ci_low, row.ci_high, row.n, row.unscorable)
    stuck = row.mean != row.mean and row.note
    return Cell(made.text, (row.note, *made.notes)) if stuck else made


def _memory(found: Sequence[Contender]) -> Table:
    rows = []
    for name, report in runs_of(found):
        for phase in dict.fromkeys(row.phase for row in report.rows):
            if is_plain(phase):
                continue
            cells = [_of_axis(report, phase, axis, MEASURES["generated"]) for axis in AXES]
            rows.append((Cell(name), Cell(phase), *cells))
    return Table(
        "memory",
        "With more edits in memory",
        "Scored by generation. memory-N routes as it is, -on and -off with routing forced.",
        ("editor", "phase", *AXES),
        tuple(rows),
        frozenset(range(2, 6)),
    )


def _curves(points: Sequence[Point]) -> Table:
    series = series_of(points)
    cells = {(p.editor, p.edits, p.series): p for p in points}
    rows = []
    for editor in dict.fromkeys(p.editor for p in points):
        for edits in sorted({p.edits for p in points if p.editor == editor}):
            line = [Cell(editor), Cell(f"{edits:,}" if edits else "unedited")]
            for name in series:
                p = cells.get((editor, edits, name))
                line.append(
                    Cell("") if p is None
                    else estimate(p.mean, p.ci_low, p.ci_high, p.n, p.unscorable)
                )  # fmt: skip
            rows.append(tuple(line))
    return Table(
        "curves",
        "Scores over the number of edits",
        "Axes are scored by generation, benchmarks by their own metric; of texts it is the "
        "negative log-likelihood per word. Intervals are over orders of edits, and records or "
        "items.",
        ("editor", "edits", *series),
        tuple(rows),
        frozenset(range(1, 2 + len(series))),
    )


def points_of(found: Sequence[Contender]) -> list[Point]:
    """The curves of all contenders under their labels."""
    return [
        replace(point, editor=contender.label)
        for contender in found
        for point in curves(contender.reports, seed=_seed(contender))
    ]


def _seed(contender: Contender) -> int:
    manifest = contender.reports[0].manifest
    return int(manifest.arguments["seed"]) if manifest is not None else 0


def _protocol(report: Report) -> str:
    arguments = report.manifest.arguments if report.manifest is not None else {}
    return str(arguments.get("protocol", ""))
