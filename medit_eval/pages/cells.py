"""Tables and their cells, and how runs, phases and numbers are told in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medit_eval.contenders import Contender
from medit_eval.numbers import interval, number
from medit_eval.protocols import edits_of, is_plain
from medit_eval.report import Report
from medit_eval.summary import ALL, Row


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: The text or number.
        notes: What is said of it in small print: its interval, on how much it rests.
    """

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Of its files.
        title: What it shows.
        caption: How to read it.
        columns: Headings.
        rows: Lines; the first cell names the line.
        numbers: Columns that hold numbers.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int]


def phases_of(report: Report) -> list[str]:
    """The phases that a report leads with: the last checkpoint, or all of a run without any."""
    phases = [p for p in dict.fromkeys(row.phase for row in report.rows) if is_plain(p)]
    counted = [phase for phase in phases if edits_of(phase) is not None]
    if not counted:
        return phases
    return [max(counted, key=lambda phase: edits_of(phase) or 0)]


def phase_name(phase: str) -> str:
    """A phase in words."""
    edits = edits_of(phase)
    if edits is not None:
        return f"after {edits:,} edit{'s' if edits != 1 else ''}"
    return {"after": "after the edit"}.get(phase, phase.replace("_", " "))


def row_of(report: Report, phase: str, axis: str, metric: str, subset: str = ALL) -> Row | None:
    """The line of a report's summary about a whole axis."""
    wanted = (phase, axis, ALL, metric, subset)
    rows = (r for r in report.rows if (r.phase, r.axis, r.kind, r.metric, r.subset) == wanted)
    return next(rows, None)


def estimate(mean: float, low: float, high: float, n: int, unscorable: int) -> Cell:
    """A mean with its interval, and on how much it rests, in small print."""
    parts = (interval(low, high), f"n {n:,}, {unscorable:,} unscorable")
    return Cell(number(mean), tuple(part for part in parts if part))


def shown(text: str) -> tuple[str, ...]:
    """A text as small print; none where there is no text."""
    return (text,) if text else ()


def share(value: float) -> str:
    """A share in per cent; a dash for none."""
    # Rounded first, and 0 added: there is no share of -0 %.
    return "–" if value != value else f"{round(value, 3) + 0:.0%}"


def runs_of(found: Sequence[Contender]) -> Iterator[tuple[str, Report]]:
    """All runs, each under its name."""
    for contender in found:
        for order, report in contender.runs.items():
            yield contender.named(order), report
