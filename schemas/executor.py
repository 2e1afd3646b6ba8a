"""Executors: where tasks run that do not depend on each other, such as shards and runs."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from typing import Any, Protocol

from schemas.errors import InputError

Tick = Callable[[int], None]
"""Called with how much has just been dealt with."""

Work = Callable[[Any, Tick], Any]
"""What is done to one task."""

OpenWork = Callable[[], contextlib.AbstractContextManager[Work]]
"""Opens, once in every worker, what all its tasks share; closed at its end. Must be picklable."""


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
            with open_work() as work:
                for task in tasks:
                    yield work(task, tick)
            return
        yield from self._run_pool(open_work, tasks, tick)

    def _run_pool(self, open_work: OpenWork, tasks: Sequence[Any], tick: Tick) -> Iterator[Any]:
        # Spawned, not forked: the parent holds threads (progress bar, HTTP client, Arrow's pool).
        context = multiprocessing.get_context("spawn")
        # A pipe, not a queue: a queue's lock would stay locked if its holder were killed, whereas
        # messages as short as these are written whole without one.
        heard, ticks = context.Pipe(duplex=False)
        listener = threading.Thread(target=_listen, args=(heard, tick), daemon=True)
        listener.start()
        workers = min(self.workers, len(tasks))
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(workers, context, _start, (open_work, ticks))
        running: set[Future[Any]] = set()
        try:
            for task in tasks:
                running.add(pool.submit(_run, task))
                if len(running) <= workers:
                    continue  # one spare task keeps workers from waiting for the parent
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            # The pool sees the death of the worker it started last only after one more task.
            pool.submit(int)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool:
            raise InputError(
                "a worker process died (killed, or out of memory); what is finished is kept, "
                "run the same command again to go on"
            ) from None
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # files appear whole or not at all, so nothing is damaged
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            ticks.send(None)
            listener.join()
            ticks.close()
            heard.close()


Call = Callable[..., Any]
"""Calls its first argument with the others, somewhere."""


@contextlib.contextmanager
def apart(prepare: Callable[[], object]) -> Iterator[Call]:
    """Calls in a process of their own, which runs `prepare` beside the caller's work until then.

    Raises:
        InputError: If the process died.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _tie_to_parent)
    try:
        pool.submit(prepare)
        yield lambda call, *arguments: pool.submit(call, *arguments).result()
    except BrokenProcessPool:
        raise InputError(
            "a process died (killed, or out of memory); what is finished is kept, "
            "run the same command again to go on"
        ) from None
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Worker:
    """What a worker process keeps between tasks."""

    open_work: OpenWork | None = None
    tick: Tick | None = None
    work: Work | None = field(default=None)


_worker = _Worker()


def _start(open_work: OpenWork, ticks: Connection) -> None:
    _tie_to_parent()
    _worker.open_work, _worker.tick = open_work, ticks.send


def _tie_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _run(task: Any) -> Any:
    assert _worker.open_work is not None
    assert _worker.tick is not None
    try:
        if _worker.work is None:  # not in the initializer, whose errors the pool would swallow
            stack = contextlib.ExitStack()
            _worker.work = stack.enter_context(_worker.open_work())
            Finalize(None, stack.close, exitpriority=0)
        return _worker.work(task, _worker.tick)
    except Exception as error:
        if _travels(error):
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _travels(error: Exception) -> bool:
    """Whether the parent can rebuild an error; one that it cannot would pass for a dead worker."""
    try:
        ForkingPickler.dumps(error)
        copy.copy(error)  # calls its class the way that loading would
    except Exception:
        return False
    return True


def _end_with_parent() -> None:
    """Ends this process when its parent is gone, even if that was killed outright."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _listen(heard: Connection, tick: Tick) -> None:
    while (rows := heard.recv()) is not None:
        tick(rows)
