"""Progress on the terminal: what is going on, how fast, and how long it will take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text


class Progress(Protocol):
    """Shows the phases of a long run."""

    def phase(
        self, name: str, total: int | None
    ) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """A phase of `total` rows, or of unknown length; gives the function that counts rows."""
        ...


class Quiet:
    """Shows nothing."""

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A phase that nobody sees."""
        yield lambda rows: None


class Bars:
    """Bars with rate and remaining time on a terminal, one line per phase elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A phase with its own bar, or with a line when it is done."""
        if not self._console.is_terminal:
            with self._line(name) as tick:
                yield tick
            return
        with RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        ) as bars:
            task = bars.add_task(name, total=total)
            yield lambda rows: bars.advance(task, rows)

    @contextlib.contextmanager
    def _line(self, name: str) -> Iterator[Callable[[int], None]]:
        began, counted = time.monotonic(), 0

        def tick(rows: int) -> None:
            nonlocal counted
            counted += rows

        yield tick
        rows = f"{counted:,} rows in " if counted else ""
        self._console.print(
            f"{name}: {rows}{time.monotonic() - began:.1f} s", highlight=False, soft_wrap=True
        )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Rows per second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "-/s", style="progress.data.speed")
