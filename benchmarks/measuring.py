"""What the benchmarks of editing and scoring share: times, memory, arithmetic, and the table.

Two ways of doing the same are run alternately in one process, so that a machine that slows down
slows both. Times are medians. Beside them stands the time that the floating-point operations alone
would take at the rate at which the machine multiplies matrices.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.processes import Peak

MIB = 2**20

COLUMNS = (
    *("method", "edits", "literal", "medit", "ratio"),
    *("arithmetic alone", "share of it", "peak memory"),
)
"""The columns of `table`; `literal` is the way of the papers' codes."""


@dataclass(frozen=True)
class Measured:
    """What one way of doing something took.

    Attributes:
        seconds: The median of its runs.
        runs: All of them, in order.
        peak: The most memory it added to what was there, in bytes.
    """

    seconds: float
    runs: tuple[float, ...]
    peak: int


@dataclass(frozen=True)
class Line:
    """One line of a benchmark's table.

    Attributes:
        method: What was done, and on what.
        edits: How many edits, records or texts.
        literal: What the literal way took; None where it was not run.
        ours: What this package took.
        flops: Floating-point operations of this package's way, or None.
        rate: Operations per second of matrix products here.
    """

    method: str
    edits: int
    literal: Measured | None
    ours: Measured
    flops: float | None = None
    rate: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the literal way takes as long; NaN where it was not run."""
        return self.literal.seconds / self.ours.seconds if self.literal else float("nan")

    @property
    def floor(self) -> float:
        """Seconds that the operations alone would take; NaN where they were not counted."""
        return self.flops / self.rate if self.flops and self.rate else float("nan")

    def cells(self) -> list[str]:
        """The line as texts, in the order of `COLUMNS`."""
        known = self.flops is not None and self.rate is not None
        return [
            self.method,
            f"{self.edits:,}",
            seconds(self.literal.seconds) if self.literal else "not run",
            seconds(self.ours.seconds),
            f"{self.ratio:.1f}x" if self.literal else "–",
            seconds(self.floor) if known else "–",
            f"{self.floor / self.ours.seconds:.0%}" if known else "–",
            f"{self.ours.peak / MIB:,.0f} MiB",
        ]


def alternate(
    ways: Mapping[str, Callable[[], Any]], repeats: int, *, warm: bool = True
) -> dict[str, Measured]:
    """Run each way once per round, in turn, and measure every run.

    Args:
        ways: What to run, by name.
        repeats: Rounds.
        warm: Whether each is run once before, unmeasured.
    """
    if warm:
        for run in ways.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    peaks = dict.fromkeys(ways, 0)
    for _ in range(repeats):
        for name, run in ways.items():
            taken, peak = _once(run)
            times[name].append(taken)
            peaks[name] = max(peaks[name], peak)
    return {
        name: Measured(statistics.median(found), tuple(found), peaks[name])
        for name, found in times.items()
    }


def _once(run: Callable[[], Any]) -> tuple[float, int]:
    """Seconds and added bytes: those of the accelerator where there is one."""
    if torch.cuda.is_available():
        # What the allocator holds, for batches whose size is found by memory begin its peak anew.
        torch.cuda.empty_cache()
        torch.cuda.synchronize()
        before = torch.cuda.memory_reserved()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start, max(0, torch.cuda.memory_reserved() - before)
    import psutil

    before = psutil.Process().memory_info().rss
    peak = Peak(os.getpid())
    start = time.perf_counter()
    try:
        run()
        taken = time.perf_counter() - start
    finally:
        most = peak.stop()
    return taken, max(0, most - before)


def flops_of(run: Callable[[], Any]) -> float:
    """Floating-point operations of the matrix products and attentions in a run."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def matrix_rate(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of the fastest of a few large matrix products."""
    best = 0.0
    for size in (1024, 2048) if str(device) == "cpu" else (4096, 8192):
        a = torch.randn(size, size, device=device).to(dtype)
        b = torch.randn(size, size, device=device).to(dtype)
        for _ in range(5):
            taken, _ = _once(lambda a=a, b=b: torch.mm(a, b))
            best = max(best, 2 * size**3 / taken)
    return best


def seconds(value: float) -> str:
    """Seconds with three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            found = value * factor
            return f"{found:,.0f} {unit}" if found >= 100 else f"{found:.3g} {unit}"
    return f"{value:.3g} s"


def table(lines: Sequence[Line]) -> str:
    """Lines as a Markdown table."""
    return markdown(COLUMNS, [line.cells() for line in lines])


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(device: torch.device | str = "cpu") -> str:
    """The machine, versions, date and commit, in one line."""
    import transformers

    if str(device).startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{torch.get_num_threads()} threads on {_processor()}"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"{name}; Python {platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}; {date.today().isoformat()}, commit {commit or 'unknown'}."
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
