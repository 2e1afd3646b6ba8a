"""Executors: where shards are built. One machine is the default; others plug in here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.errors import InputError

Tick = Callable[[int], None]
"""Called with the number of rows that have just been dealt with."""

Work = Callable[[Any, Tick], Any]
"""What is done to one task."""

OpenWork = Callable[[], Work]
"""Opens, once in every worker, what all its tasks share. Must be picklable."""


class Executor(Protocol):
    """Runs independent tasks; the order in which results arrive does not matter."""

    def run(self, open_work: OpenWork, tasks: Sequence[Any], tick: Tick) -> Iterator[Any]:
        """Results as they come.

        Raises:
            InputError: As raised by a task, or if a worker died. What is finished stays finished.
        """
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Processes on this machine; a single worker runs in the calling process.

    Attributes:
        workers: How many processes.
    """

    workers: int = 1

    def run(self, open_work: OpenWork, tasks: Sequence[Any], tick: Tick) -> Iterator[Any]:
        """Results as they come."""
        if not tasks:
            return
        if min(self.workers, len(tasks)) <= 1:
            work = open_work()
            for task in tasks:
                yield work(task, tick)
            return
        yield from self._run_pool(open_work, tasks, tick)

    def _run_pool(self, open_work: OpenWork, tasks: Sequence[Any], tick: Tick) -> Iterator[Any]:
        # Spawned, not forked: the parent holds threads (progress bar, HTTP client, Arrow's pool).
        context = multiprocessing.get_context("spawn")
        ticks = context.SimpleQueue()
        listener = threading.Thread(target=_listen, args=(ticks, tick), daemon=True)
        listener.start()
        workers = min(self.workers, len(tasks))
        pool = ProcessPoolExecutor(workers, context, _start, (open_work, ticks, os.getpid()))
        running: set[Future[Any]] = set()
        try:
            for task in tasks:
                running.add(pool.submit(_run, task))
                if len(running) <= workers:
                    continue  # one spare task keeps workers from waiting for the parent
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool:
            raise InputError(
                "a worker process died (killed, or out of memory); finished shards are kept, "
                "run the same command again to go on"
            ) from None
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()  # shards appear whole or not at all, so nothing is damaged
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            ticks.put(None)
            listener.join()


@dataclass
class _Worker:
    """What a worker process keeps between tasks."""

    open_work: OpenWork | None = None
    tick: Tick | None = None
    work: Work | None = field(default=None)


_worker = _Worker()


def _start(open_work: OpenWork, ticks: Any, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends the workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker.open_work, _worker.tick = open_work, ticks.put


def _run(task: Any) -> Any:
    assert _worker.open_work is not None
    assert _worker.tick is not None
    if _worker.work is None:  # here, not in the initializer, whose errors the pool would swallow
        _worker.work = _worker.open_work()
    return _worker.work(task, _worker.tick)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent is gone, even if that was killed outright."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _listen(ticks: Any, tick: Tick) -> None:
    while (rows := ticks.get()) is not None:
        tick(rows)
