from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from schemas.errors import InputError
from schemas.executor import LocalExecutor, Tick, Work
from tests.builders.toy import BrokenError, UnportableError


@contextlib.contextmanager
def open_squares(folder: Path | None) -> Iterator[Work]:
    """Squares numbers; strings are things to do."""
    note(folder, f"open {os.getpid()}")
    yield functools.partial(square, folder)
    note(folder, f"close {os.getpid()}")


def note(folder: Path | None, line: str) -> None:
    if folder is not None:
        with (folder / "notes").open("a") as file:
            file.write(f"{line}\n")


def square(folder: Path | None, task: Any, tick: Tick) -> int:
    note(folder, f"task {task}")
    match task:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "break":
            raise BrokenError("as itself")
        case "break badly":
            raise UnportableError("as itself", code=3)
        case "break locally":

            class LocalError(Exception):
                pass

            raise LocalError("as itself")
        case "refuse":
            raise InputError("is refused", file="rows.json", row=3, field="question")
        case "tick":
            for _ in range(20_000):  # more than a pipe holds
                tick(1)
            return 0
        case "sleep":
            time.sleep(60)
    tick(task)
    return task**2


@contextlib.contextmanager
def open_nothing() -> Iterator[Work]:
    raise BrokenError("cannot open")
    yield


def squares(tasks: list[Any], workers: int, folder: Path | None = None) -> tuple[list[int], int]:
    ticks: list[int] = []
    run = LocalExecutor(workers).run(functools.partial(open_squares, folder), tasks, ticks.append)
    return sorted(run), sum(ticks)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers: int, tmp_path: Path):
    assert squares(list(range(20)), workers, tmp_path) == ([n * n for n in range(20)], 190)
    notes = (tmp_path / "notes").read_text().splitlines()
    opened = {line.split()[1] for line in notes if line.startswith("open")}
    closed = {line.split()[1] for line in notes if line.startswith("close")}
    assert opened == closed
    assert len(notes) - 20 == 2 * len(opened)
    assert (str(os.getpid()) in opened) == (workers == 1)


def test_no_tasks_need_no_workers():
    assert list(LocalExecutor(2).run(open_nothing, [], lambda rows: None)) == []


def test_one_task_needs_no_second_process(tmp_path: Path):
    assert squares([3], 8, tmp_path) == ([9], 3)
    assert f"open {os.getpid()}" in (tmp_path / "notes").read_text()


def test_many_ticks_do_not_block():
    assert squares(["tick", "tick", "tick"], 2) == ([0, 0, 0], 60_000)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        ("break", BrokenError, r"^as itself$"),
        ("refuse", InputError, r"^rows\.json, row 3, field 'question': is refused$"),
    ],
)
def test_errors_arrive_as_themselves(workers: int, task: str, error: type[Exception], message: str):
    with pytest.raises(error, match=message) as raised:
        squares([1, task, 2], workers)
    assert type(raised.value) is error


@pytest.mark.parametrize("task", ["break badly", "break locally"])
def test_an_error_that_cannot_travel_is_told_by_name(task: str):
    with pytest.raises(RuntimeError, match=r"^(Unportable|Local)Error: as itself") as raised:
        squares([1, task, 2], 2)
    assert "in square" in str(raised.value.__cause__), "the worker's traceback is shown"


def test_an_error_while_opening_arrives_as_itself():
    with pytest.raises(BrokenError, match="cannot open"):
        list(LocalExecutor(2).run(open_nothing, [1, 2], lambda rows: None))


@pytest.mark.parametrize("task", ["die", "exit"])
def test_a_dead_worker_is_told_in_a_sentence(task: str):
    with pytest.raises(InputError, match=r"a worker process died .*; what is finished is kept"):
        squares([1, 2, task, 3, 4], 2)


@pytest.mark.parametrize("task", ["break", "die"])
def test_an_error_ends_workers_that_are_busy(task: str):
    before = set(psutil.Process().children())
    threads, began = threading.active_count(), time.monotonic()
    with pytest.raises((BrokenError, InputError)):
        squares(["sleep", task], 2)
    assert time.monotonic() - began < 20
    left = {
        p for p in set(psutil.Process().children()) - before if "spawn_main" in str(p.cmdline())
    }
    assert not left
    assert threading.active_count() <= threads


def test_a_caller_that_stops_listening_ends_the_workers():
    run = LocalExecutor(2).run(functools.partial(open_squares, None), [1, 2, 3, "sleep"], _ignore)
    assert next(run) in (1, 4, 9)
    workers = [p for p in psutil.Process().children() if "spawn_main" in str(p.cmdline())]
    assert workers
    run.close()  # type: ignore[attr-defined]
    assert not [p for p in workers if p.is_running()]


def test_other_processes_of_the_caller_are_left_alone():
    import multiprocessing

    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        with pytest.raises(BrokenError):
            squares([1, "break", 2], 2)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_files_are_closed():
    squares([1, 2], 2)  # what stays open for the process's lifetime is open now
    before = psutil.Process().num_fds()
    squares([1, 2], 2)
    assert psutil.Process().num_fds() <= before


def _ignore(rows: int) -> None:
    pass
