"""Whole builds through the Batch API: split, upload, wait, and join the answers to the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from builders.text.batch_run import BatchLimits, BatchReport, BatchRun
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.pending import PendingRequests
from builders.text.protocol import TextTask
from builders.text.settings import EndpointSettings
from schemas.errors import InputError


def batch_rounds(
    collect: Callable[[], object],
    requests: PendingRequests,
    tasks: Sequence[TextTask[Any]],
    settings: EndpointSettings,
    *,
    cache: AnswerCache,
    work_dir: Path,
    budget: RequestBudget | None = None,
    limits: BatchLimits | None = None,
) -> BatchReport:
    """Collects and asks in turns until a pass leaves nothing to ask.

    A build whose steps depend on each other needs as many rounds as steps: each round asks what
    can be rendered from real answers. The last pass of `collect` is the finished build. After an
    interruption the same call goes on with the batches that are under way.

    Args:
        collect: Runs the build with a `CollectingGenerator` over `requests`.
        requests: The requests, in a file that outlives the run.
        tasks: Every task that may occur, for validation.
        settings: Endpoint and how to ask it.
        cache: Where answers go.
        work_dir: Folder for input and output files.
        budget: Limit on requests; each row of a batch counts as one.
        limits: Size and pace of batches.

    Raises:
        BudgetExhausted: The next round would exceed the budget; nothing of it was sent.
        EndpointError: The endpoint or a whole batch failed.
        InputError: A task occurs that is not in `tasks`.
    """
    report = BatchReport()
    while True:
        if not requests.parts():
            requests.clear()
            collect()
            if not len(requests):
                return report
        report += run_batch(
            requests,
            tasks,
            settings,
            cache=cache,
            work_dir=work_dir,
            budget=budget,
            limits=limits,
        )


def run_batch(
    requests: PendingRequests,
    tasks: Sequence[TextTask[Any]],
    settings: EndpointSettings,
    *,
    cache: AnswerCache,
    work_dir: Path,
    budget: RequestBudget | None = None,
    limits: BatchLimits | None = None,
) -> BatchReport:
    """Asks everything that can be asked now and puts valid answers into the cache.

    Ids are written down before anything is waited for: a run that was killed goes on waiting for
    the batches it made, and pays for none twice.

    Raises:
        BudgetExhausted: The requests exceed the budget; nothing was sent.
        EndpointError: The endpoint or a whole batch failed.
        InputError: A task occurs that is not in `tasks`.
    """
    settings.require_key()
    by_name = {task.name: task for task in tasks}
    run = BatchRun(requests, by_name, settings, cache, work_dir, limits or BatchLimits())
    missing = sorted({t.task for t in requests.summary().tasks if t.requests} - set(by_name))
    if missing:
        raise InputError(f"no text task is named {missing[0]!r}", file=requests.path)
    work_dir.mkdir(parents=True, exist_ok=True)
    if not requests.parts():
        parts = list(run.split())
        if budget is not None:
            budget.take(sum(len(keys) for _, keys in parts))
        requests.set_parts(parts)
    return asyncio.run(run.all())
