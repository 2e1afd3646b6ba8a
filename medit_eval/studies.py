"""A study: several editors, each on several orders of edits, every run in a folder of its own.

DIR/EDITOR           the run of an editor, where there is one order
DIR/EDITOR/order-K   its runs, where there are several

A study that broke off goes on where it stopped, run by run; see `medit_eval.runs`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medit_eval.report import Report
from medit_eval.runs import manifest_path
from schemas.errors import InputError
from schemas.executor import LocalExecutor, Tick
from schemas.progress import Progress, Quiet

ORDERS = 3
"""Orders of edits where nobody says how many; figures that are meant to last want five or more."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        editor: The editor's name.
        order: Which sample of the records it edits, in which order.
        out: Its run folder.
    """

    editor: str
    order: int
    out: Path


@dataclass(frozen=True)
class Study:
    """What came of a study.

    Attributes:
        root: Its folder.
        done: The runs that are complete, each with its report.
        failed: The runs that broke off, each with the reason.
    """

    root: Path
    done: tuple[tuple[Job, Report], ...]
    failed: tuple[tuple[Job, str], ...] = ()


def study(
    editors: Sequence[str],
    model: str,
    records: str,
    out: str | Path,
    *,
    orders: int = ORDERS,
    workers: int = 1,
    options: Mapping[str, Any] | None = None,
    editor_options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Study:
    """Score several editors, each on several orders of edits.

    Args:
        editors: Their names.
        model: As for `score`, but by name.
        records: As for `score`, but by name.
        out: The study's folder; one that broke off goes on there.
        orders: Samples of the records, each in an order of its own; more than one needs
            `checkpoints` among the options.
        workers: Runs at a time, each in a process of its own, among which the processor's cores are
            shared out. With one, everything runs in this process.
        options: Further arguments of `score`, the same for all runs.
        editor_options: Hyperparameters by editor.
        progress: Shows how far it is.

    Raises:
        InputError: If the study cannot be: no or unknown editors, or orders without checkpoints. A
            run that breaks off raises nothing; it is among `Study.failed`, and the others go on.
    """
    progress, root, given = progress or Quiet(), Path(out), dict(options or {})
    jobs = _jobs(editors, orders, root)
    if orders > 1 and not given.get("checkpoints"):
        raise InputError("several orders of edits belong to a sequence with checkpoints")
    if manifest_path(root).is_file():
        raise InputError("holds a single run; name another folder for a study", file=root)
    hyperparameters = dict(editor_options or {})
    unused = hyperparameters.keys() - set(editors)
    if unused:
        raise InputError(f"options are given for {', '.join(sorted(unused))}, not in this study")
    calls = [
        (job, {**given, "editor_options": hyperparameters.get(job.editor) or None})
        # All editors on one order first: what breaks off later can be compared so far.
        for job in sorted(jobs, key=lambda job: job.order)
    ]
    workers = min(workers, len(calls))
    # One worker shows every run's own progress; several would write over each other.
    each, whole = (progress, Quiet()) if workers == 1 else (Quiet(), progress)
    opened = functools.partial(_opened, model, records, workers, each)
    with whole.phase("runs", len(calls)) as tick:
        by_job = dict(LocalExecutor(workers).run(opened, calls, tick))
    done = [(job, found) for job in jobs if isinstance(found := by_job[job], Report)]
    failed = [(job, found) for job in jobs if isinstance(found := by_job[job], str)]
    return Study(root, tuple(done), tuple(failed))


def run_folders(path: Path) -> list[Path]:
    """The run folders at a path: itself, or those of the study that it holds, in order.

    Raises:
        InputError: If there is none.
    """
    if manifest_path(path).is_file():
        return [path]
    found = sorted(
        manifest.parent
        for pattern in ("*", "*/order-*")
        for manifest in path.glob(f"{pattern}/{manifest_path(Path()).name}")
    )
    if not found:
        raise InputError("holds no run and no study", file=path)
    return found


def _jobs(editors: Sequence[str], orders: int, root: Path) -> list[Job]:
    from editors.registry import find

    if not editors:
        raise InputError("a study needs an editor")
    if orders < 1:
        raise InputError(f"a study has at least one order, not {orders}")
    jobs = []
    for editor in dict.fromkeys(editors):
        find(editor)  # what is unknown shows before anything is run
        if Path(editor).name != editor:
            raise InputError(f"the editor's name {editor!r} cannot be that of a folder")
        jobs += [
            Job(editor, order, root / editor / f"order-{order}" if orders > 1 else root / editor)
            for order in range(orders)
        ]
    return jobs


Call = tuple[Job, dict[str, Any]]
Outcome = tuple[Job, Report | str]


@contextlib.contextmanager
def _opened(
    model: str, records: str, workers: int, progress: Progress
) -> Iterator[Callable[[Call, Tick], Outcome]]:
    """What one worker does with runs."""
    if workers > 1:
        _share_cores(workers)
        _hide_bars()

    def work(call: Call, tick: Tick) -> Outcome:
        job, arguments = call
        try:
            return job, _scored(job, model, records, arguments, progress)
        except InputError as error:  # what a user can mend; anything else is a bug, and ends all
            return job, str(error)
        finally:
            tick(1)

    yield work


def _scored(
    job: Job, model: str, records: str, arguments: Mapping[str, Any], progress: Progress
) -> Report:
    from medit_eval.scoring import score

    checkpointed = {"order": job.order} if arguments.get("checkpoints") else {}
    return score(
        job.editor, model, records, out=job.out, progress=progress, **checkpointed, **arguments
    )


def _share_cores(workers: int) -> None:
    import os

    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


def _hide_bars() -> None:
    """Keep several processes from writing bars over each other."""
    from transformers.utils import logging

    logging.disable_progress_bar()
