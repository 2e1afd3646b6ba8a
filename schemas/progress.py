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

Tick = Callable[[int], None]
"""Told how many more are done."""


class Progress(Protocol):
    """Shows the phases of a long run."""

    def phase(self, name: str, total: int | None) -> contextlib.AbstractContextManager[Tick]:
        """A phase of `total` things, or of unknown length; gives the function that counts them."""
        ...


class Quiet:
    """Shows nothing."""

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Tick]:
        """A phase that nobody sees."""
        yield lambda done: None


class Bars:
    """Bars with rate and remaining time on a terminal, one line per phase elsewhere."""

    def __init__(self, console: Console, unit: str = "rows") -> None:
        self._console = console
        self._unit = unit

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Tick]:
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
            yield lambda done: bars.advance(task, done)

    @contextlib.contextmanager
    def _line(self, name: str) -> Iterator[Tick]:
        began, counted = time.monotonic(), 0

        def tick(done: int) -> None:
            nonlocal counted
            counted += done

        yield tick
        count = f"{counted:,} {self._unit} in " if counted else ""
        seconds = time.monotonic() - began
        self._console.print(f"{name}: {count}{seconds:.1f} s", highlight=False, soft_wrap=True)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """How many per second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "-/s", style="progress.data.speed")
