"""Tables for the terminal that take more than one run or kind of row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.curves import AXES, Point
from schemas.errors import printable

if TYPE_CHECKING:
    from rich.table import Table


def degradation_table(results: BenchmarkResults) -> Table:
    """What edits cost on benchmarks: one line per phase and task."""
    columns = (
        *("phase", "benchmark", "n", "excluded", "unscorable", "unedited", "edited"),
        *("difference", "95 %", "worse", "better", "p (Holm)", "what may be said"),
    )
    table = _table(columns, right=range(2, 12))
    for row in results.degradation:
        unit = " pt" if row.unit == "points" else " x"
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
                    _number(row.unedited),
                    _number(row.edited),
                    f"{row.difference:+.1f}{unit}" if unit == " pt" else f"{row.difference:.2f} x",
                    _interval(row.ci_low, row.ci_high, digits=1 if unit == " pt" else 2),
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
    series = [axis for axis in AXES if any(point.series == axis for point in points)]
    series += [s for s in dict.fromkeys(point.series for point in points) if s not in AXES]
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


def _table(columns: Sequence[str], right: range) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD)
    for place in right:
        table.columns[place].justify = "right"
    return table


def _mean(point: Point) -> str:
    interval = _interval(point.ci_low, point.ci_high, digits=2)
    return f"{_number(point.mean)} ({interval})" if interval else _number(point.mean)


def _interval(low: float, high: float, digits: int) -> str:
    return "" if low != low else f"{low:.{digits}f} – {high:.{digits}f}"


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def _cell(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
