"""Runs benchmarks on a model, edited or not, and keeps what the unedited one answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editors.base import EditedModel
from editors.lm import LM
from medit_eval.benchmarks.answers import ANSWERS, TIMINGS, Answer, TaskInfo, Timing
from medit_eval.benchmarks.items import digest
from medit_eval.benchmarks.tasks import Benchmark, load, require_harness
from medit_eval.models import identity
from medit_eval.parts import Parts
from schemas.errors import InputError

if TYPE_CHECKING:
    from medit_eval.benchmarks.harness import Harness

Results = tuple[list[Answer], list[TaskInfo], list[Timing]]

_PART = "all"


def default_cache() -> Path:
    """`benchmarks` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "benchmarks"


def run(
    model: LM | EditedModel,
    tasks: Sequence[str | Benchmark],
    *,
    phase: str,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> Results:
    """What a model makes of benchmarks, item by item.

    Args:
        model: The model. An edited one is asked as it is at the moment.
        tasks: Names (see `tasks.load`), or benchmarks that are loaded, which saves time where many
            models are asked the same.
        phase: What the answers are filed under: `unedited`, `after`, `edits-10`.
        data: Folder with files of well-known benchmarks, for names.
        limit: Items per task at most, for names.
        seed: Decides which items and demonstrations, for names.
        cache: Folder that keeps the answers of an `LM`, or None to keep none. Those of an edited
            model are never kept.
        tick: Told how many items are done.

    Returns:
        Answers, tasks, and what they cost.

    Raises:
        InputError: If a task is unknown, cannot be had, or shows pictures to a model without eyes.
    """
    require_harness()
    lm = model.lm if isinstance(model, EditedModel) else model
    benchmarks = _loaded(tasks, data, limit, seed, lm.sees)
    for benchmark in benchmarks:
        if benchmark.pictured and not lm.sees:
            raise InputError(f"{benchmark.info.task} shows pictures, and {lm.name} reads none")
    kept = cache if isinstance(model, LM) and not _hooked(lm) else None
    whose = identity(lm) if kept is not None else ""
    answers: list[Answer] = []
    timings: list[Timing] = []
    for benchmark in benchmarks:
        folder = None if kept is None else kept / _key(whose, lm, benchmark, phase)
        found = None if folder is None else _kept(folder, benchmark)
        if found is None:
            found = _asked(model, benchmark, phase)
            if folder is not None:
                Parts(folder / "timing", TIMINGS).write(_PART, [found[1]])
                Parts(folder, ANSWERS).write(_PART, found[0])
        answers += found[0]
        timings.append(found[1])
        tick(len(found[0]))
    return answers, [benchmark.info for benchmark in benchmarks], timings


def _loaded(
    tasks: Sequence[str | Benchmark], data: Path | None, limit: int | None, seed: int, sees: bool
) -> list[Benchmark]:
    names = [task for task in tasks if isinstance(task, str)]
    loaded = load(names, data=data, limit=limit, seed=seed, sees=sees) if names else []
    every = [*loaded, *(task for task in tasks if isinstance(task, Benchmark))]
    return list({benchmark.info.task: benchmark for benchmark in every}.values())


def _asked(
    model: LM | EditedModel, benchmark: Benchmark, phase: str
) -> tuple[list[Answer], Timing]:
    from medit_eval.benchmarks.harness import Harness

    leaves = {item.leaf.name: item.leaf for item in benchmark.items}
    harness: Harness = Harness(model, leaves)
    requests = [request for item in benchmark.items for request in item.requests]
    start = time.perf_counter()
    readings = harness.read(requests)
    seconds = time.perf_counter() - start
    routed = harness.activated(readings)
    answers, place = [], 0
    for item in benchmark.items:
        end = place + len(item.requests)
        fired = [one for one in routed[place:end] if one is not None]
        activated = any(fired) if fired else None
        answers.append(item.answer(benchmark.info.task, phase, readings[place:end], activated))
        place = end
    tokens = sum(reading.tokens for reading in readings)
    return answers, Timing(phase, benchmark.info.task, seconds, tokens, len(requests))


# What the unedited model answered ---------------------------------------------------------------


def _key(whose: str, lm: LM, benchmark: Benchmark, phase: str) -> str:
    """A name for a model's answers: weights, device, rows of a batch, items as they are put."""
    return digest([whose, str(lm.device), lm.batch_size, benchmark.info.digest, phase])


def _kept(folder: Path, benchmark: Benchmark) -> tuple[list[Answer], Timing] | None:
    """Answers and their cost from an earlier run, or None where they are not there or damaged."""
    try:
        answers = list(Parts(folder, ANSWERS).rows())
        timings = list(Parts(folder / "timing", TIMINGS).rows())
    except InputError:
        return None
    asked = [(item.name, item.digest) for item in benchmark.items]
    if not timings or [(answer.item, answer.question) for answer in answers] != asked:
        return None
    return answers, timings[0]


def _hooked(lm: LM) -> bool:
    """Whether something hangs on the model's modules that its weights do not tell of."""
    return any(module._forward_hooks for module in lm.model.modules())
