"""What a command takes, its child processes included."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Taken:
    """What a command took.

    Attributes:
        seconds: From start to end.
        cpu: Seconds of one core, over all processes.
        peak: Resident memory in bytes, the sum over all processes; what they share counts in each.
    """

    seconds: float
    cpu: float
    peak: int


def take(command: Sequence[str]) -> Taken:
    """Run a command to its end; one that fails ends this process with its errors."""
    start, before = time.perf_counter(), _cpu()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = Peak(process.pid)
    _, errors = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(errors.decode())
    return Taken(seconds, _cpu() - before, peak.stop())


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Peak:
    """Watches the resident memory of a process and its children until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The peak in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self._peak = max(self._peak, sum(p.memory_info().rss for p in family))
            except psutil.Error:
                continue  # a process ended between listing and asking
