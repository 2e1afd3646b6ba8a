"""Progress on the terminal: what is going on, how fast, and how long it will take."""

from __future__ import annotations

import contextlib
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
        """A phase with its own bar."""
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


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Rows per second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "-/s", style="progress.data.speed")
