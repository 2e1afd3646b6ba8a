"""What the command line shows: reports, studies and comparisons as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.curves import Point, curves, series_of
from medit_eval.metrics import HEADLINE, per_record
from medit_eval.numbers import interval, number
from medit_eval.standings import BENCHMARK
from schemas.errors import InputError, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from medit_eval.comparing import Compared, Difference
    from medit_eval.report import Report
    from medit_eval.standings import Standing
    from medit_eval.studies import Study

_PIPE = 180
"""Characters of a line where nobody can resize it: a row stays on one line."""


def show(report: Report, everything: bool) -> None:
    """A run's tables, why questions could not be asked, and its notes."""
    console = _console()
    console.print(report.table(everything=everything))
    if report.about_documents:
        console.print(report.documents_table(everything=everything))
    if report.benchmarks.degradation:
        console.print(degradation_table(report.benchmarks))
    if everything and report.told:
        console.print(report.diagnostics_table())
    counts = Counter(row.failure for row in report.raw if row.failure is not None)
    for reason, n in counts.most_common(5):
        _line(console, f"unscorable, {n:,}: {reason}")
    for note in report.notes:
        _line(console, f"note: {note}")
    if report.path is not None:
        _line(console, f"The run is in {report.path}.")


def show_study(found: Study, everything: bool) -> None:
    """The curves of a study, or the summaries of its runs where they have none.

    Raises:
        InputError: If a run broke off.
    """
    console = _console()
    points = curves([report for _, report in found.done])
    if points:
        console.print(curves_table(points))
    else:
        for job, report in found.done:
            _line(console, f"{job.editor}:")
            show(report, everything)
    for note in dict.fromkeys(note for _, report in found.done for note in report.notes):
        _line(console, f"note: {note}")
    _line(console, f"The runs are in {found.root}.")
    if found.failed:
        jobs = len(found.done) + len(found.failed)
        reasons = "; ".join(f"{job.editor}, order {job.order}: {why}" for job, why in found.failed)
        raise InputError(f"{len(found.failed)} of {jobs} runs are not complete: {reasons}")


def show_comparison(found: Compared, everything: bool) -> None:
    """Where editors stand, and how each two differ.

    Args:
        found: The comparison.
        everything: Whether all phases and metrics are shown, not the last and the headline alone.
    """
    console = _console()
    phases = list(dict.fromkeys(row.phase for row in found.standings))

    def shown(row: Standing | Difference) -> bool:
        leading = row.metric in HEADLINE or row.way == BENCHMARK or per_record(row.metric)
        return everything or (leading and row.phase == phases[-1])

    table = _table(
        ("phase", "axis or task", "metric", "scored by", "editor", "n", "left out", "mean", "95 %",
         "rank", "95 %"),
        right=range(5, 11),
    )  # fmt: skip
    for row in filter(shown, found.standings):
        ranks = "" if row.rank_low != row.rank_low else f"{row.rank_low:.0f} – {row.rank_high:.0f}"
        cells = (
            row.phase, row.series, row.metric, row.way, row.editor, f"{row.n:,}",
            str(row.left_out or ""), number(row.mean), interval(row.ci_low, row.ci_high),
            "" if row.rank != row.rank else f"{row.rank:.0f}", ranks,
        )  # fmt: skip
        table.add_row(*map(_cell, cells))
    console.print(table)
    table = _table(
        ("phase", "axis or task", "metric", "second − first", "n", "difference", "95 %",
         "p (Holm)", "what may be said"),
        right=range(4, 8),
    )  # fmt: skip
    for row in filter(shown, found.differences):
        cells = (
            row.phase, row.series, row.metric, f"{row.second} − {row.first}", f"{row.n:,}",
            "–" if row.difference != row.difference else f"{row.difference:+.3f}",
            interval(row.ci_low, row.ci_high),
            "" if row.p_holm != row.p_holm else f"{row.p_holm:.3f}", row.verdict,
        )  # fmt: skip
        table.add_row(*map(_cell, cells))
    console.print(table)
    for note in found.notes:
        _line(console, f"note: {note}")


def degradation_table(results: BenchmarkResults) -> Table:
    """What edits cost on benchmarks: one line per phase and task."""
    columns = (
        *("phase", "benchmark", "n", "excluded", "unscorable", "unedited", "edited"),
        *("difference", "95 %", "worse", "better", "p (Holm)", "what may be said"),
    )
    table = _table(columns, right=range(2, 12))
    for row in results.degradation:
        points = row.unit == "points"
        fell, rose = (str(n) if n else "" for n in (row.worse, row.better))
        table.add_row(
            *map(
                _cell,
                (
                    row.phase,
                    row.task,
                    f"{row.n:,}",
                    str(row.excluded or ""),
                    str(row.unscorable or ""),
                    number(row.unedited),
                    number(row.edited),
                    f"{row.difference:+.1f} pt" if points else f"{row.difference:.2f} x",
                    interval(row.ci_low, row.ci_high, digits=1 if points else 2),
                    fell,
                    rose,
                    "" if row.p_holm != row.p_holm else f"{row.p_holm:.3f}",
                    row.verdict,
                ),
            )
        )
    return table


def curves_table(points: Sequence[Point]) -> Table:
    """Scores over the number of edits: one line per editor and checkpoint, a column per series."""
    series = series_of(points)
    orders = max(point.orders for point in points)
    table = _table(("editor", "edits", *series), right=range(1, 2 + len(series)))
    table.caption = f"means over {orders} orders of edits, with 95 % intervals"
    cells = {(p.editor, p.edits, p.series): p for p in points}
    lines = sorted({(p.editor, p.edits) for p in points}, key=lambda line: line[1])
    for editor in dict.fromkeys(p.editor for p in points):
        for edits in (count for name, count in lines if name == editor):
            found = [cells.get((editor, edits, name)) for name in series]
            table.add_row(
                _cell(editor),
                f"{edits:,}",
                *("" if point is None else _cell(_mean(point)) for point in found),
            )
    return table


def _console() -> Console:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _PIPE
    return console


def _line(console: Console, text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _table(columns: Sequence[str], right: range) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD)
    for place in right:
        table.columns[place].justify = "right"
    return table


def _mean(point: Point) -> str:
    between = interval(point.ci_low, point.ci_high, digits=2)
    return f"{number(point.mean)} ({between})" if between else number(point.mean)


def _cell(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
