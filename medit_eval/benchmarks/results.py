"""Benchmarks of a run: answers before and after edits, on the disk, and what they come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medit_eval.benchmarks.answers import (
    ANSWERS,
    TASKS,
    TIMINGS,
    UNEDITED,
    Answer,
    TaskInfo,
    Timing,
)
from medit_eval.benchmarks.exclusion import changed_by
from medit_eval.collapse import CollapseRow, collapse
from medit_eval.cost import CostRow, cost
from medit_eval.degradation import DegradationRow, degradation
from medit_eval.parts import Parts
from schemas.errors import InputError
from schemas.layout import read_json, write_json
from schemas.progress import Tick
from schemas.records import EditRequest

if TYPE_CHECKING:
    from editors.base import EditedModel
    from editors.lm import LM
    from medit_eval.benchmarks.tasks import Benchmark

Excluded = Mapping[str, Mapping[str, frozenset[str]]]
"""By phase and task, the items whose answer an edit has changed."""


@dataclass(frozen=True)
class BenchmarkResults:
    """What came of a run's benchmarks.

    Attributes:
        answers: Of the unedited model, then of every phase.
        tasks: What is known of the tasks.
        timings: What they cost.
        excluded: Items whose answer an edit has changed.
        degradation: Each task in each phase beside the unedited model.
        collapse: Signs that a model no longer answers.
        costs: Activation, added tokens and latency.
    """

    answers: tuple[Answer, ...] = ()
    tasks: tuple[TaskInfo, ...] = ()
    timings: tuple[Timing, ...] = ()
    excluded: Excluded = field(default_factory=dict)
    degradation: tuple[DegradationRow, ...] = ()
    collapse: tuple[CollapseRow, ...] = ()
    costs: tuple[CostRow, ...] = ()

    def excludes(self, answer: Answer) -> bool:
        """Whether an edit has changed what an answer is about."""
        return answer.item in self.excluded.get(answer.phase, {}).get(answer.task, ())

    def weighed(self, seed: int) -> BenchmarkResults:
        """The same with what the answers come to.

        Raises:
            InputError: If a phase was not asked what the unedited model was.
        """
        return dataclasses.replace(
            self,
            degradation=tuple(
                degradation(self.answers, self.tasks, excluded=self.excluded, seed=seed)
            ),
            collapse=tuple(collapse(self.answers)),
            costs=tuple(cost(self.answers, self.timings)),
        )


@dataclass
class Course:
    """Benchmarks in the course of a run: each task of each phase is run once, and kept.

    Attributes:
        root: The run's folder of benchmarks, or None to keep nothing on the disk.
        benchmarks: The tasks with their items.
        requests: By phase, the edits that are in the model then.
        tick: Told how many items are done.
    """

    root: Path | None
    benchmarks: Sequence[Benchmark]
    requests: Mapping[str, Sequence[EditRequest]]
    tick: Tick = lambda done: None
    _answers: list[Answer] = field(default_factory=list)
    _timings: list[Timing] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.root is not None:
            found = read_results(self.root)
            self._answers, self._timings = list(found.answers), list(found.timings)

    @property
    def digests(self) -> dict[str, str]:
        """What decides the answers: a digest of each task's items and how they are put."""
        return {benchmark.info.task: benchmark.info.digest for benchmark in self.benchmarks}

    @property
    def size(self) -> int:
        """Items of all tasks."""
        return sum(len(benchmark.items) for benchmark in self.benchmarks)

    def before(self, lm: LM, cache: Path) -> None:
        """Run the unedited model, or take what it answered earlier.

        Raises:
            InputError: If a task shows pictures to a model without eyes.
        """
        self._run(lm, UNEDITED, cache)
        if self.root is not None:
            tasks = [benchmark.info for benchmark in self.benchmarks]
            Parts(self.root / "tasks", TASKS).write("all", tasks)
            excluded = {
                phase: {task: sorted(items) for task, items in by_task.items()}
                for phase, by_task in self._excluded.items()
            }
            write_json(self.root / "excluded.json", excluded)

    def lacks(self, phase: str) -> bool:
        """Whether a task of a phase is still to be run."""
        return bool(self._missing(phase))

    def after(self, edited: EditedModel, phase: str) -> None:
        """Run what a phase lacks."""
        self._run(edited, phase, None)

    def results(self) -> BenchmarkResults:
        """All that was answered by now."""
        return BenchmarkResults(
            answers=tuple(self._answers),
            tasks=tuple(benchmark.info for benchmark in self.benchmarks),
            timings=tuple(self._timings),
            excluded=self._excluded,
        )

    @cached_property
    def _excluded(self) -> dict[str, dict[str, frozenset[str]]]:
        """Items whose answer the edits of a phase change; known once the unedited model was run."""
        unedited = [answer for answer in self._answers if answer.phase == UNEDITED]
        found: dict[str, dict[str, frozenset[str]]] = {}
        changed: set[tuple[str, str]] = set()
        seen = 0
        for phase, requests in self.requests.items():
            changed |= changed_by(unedited, requests[seen:])  # edits add up from phase to phase
            seen = len(requests)
            tasks = {task for task, _ in changed}
            found[phase] = {
                task: frozenset(item for owner, item in changed if owner == task) for task in tasks
            }
        return found

    def _missing(self, phase: str) -> list[Benchmark]:
        there = {answer.task for answer in self._answers if answer.phase == phase}
        return [benchmark for benchmark in self.benchmarks if benchmark.info.task not in there]

    def _run(self, model: LM | EditedModel, phase: str, cache: Path | None) -> None:
        from medit_eval.benchmarks.run import run

        missing = {benchmark.info.task for benchmark in self._missing(phase)}
        for benchmark in self.benchmarks:
            if benchmark.info.task in missing:
                answers, _, timings = run(model, [benchmark], phase=phase, cache=cache)
                self._keep(answers, timings)
            self.tick(len(benchmark.items))

    def _keep(self, answers: Sequence[Answer], timings: Sequence[Timing]) -> None:
        self._answers += answers
        self._timings += timings
        if self.root is not None:
            # A task's answers come last: where they are, all else is.
            Parts(self.root / "timings", TIMINGS).append(timings)
            Parts(self.root / "answers", ANSWERS).append(answers)


def read_results(root: Path) -> BenchmarkResults:
    """What was answered by now in a run's folder of benchmarks; nothing where there is none.

    Raises:
        InputError: If a file is damaged, or holds something else.
    """
    if not root.is_dir():
        return BenchmarkResults()
    answers = {answer.key: answer for answer in Parts(root / "answers", ANSWERS).rows()}
    timings = {(t.phase, t.task): t for t in Parts(root / "timings", TIMINGS).rows()}
    tasks = tuple(Parts(root / "tasks", TASKS).rows())
    return BenchmarkResults(
        answers=tuple(answers.values()),
        tasks=tasks,
        timings=tuple(timings.values()),
        excluded=_excluded(root / "excluded.json") if tasks else {},
    )


def _excluded(path: Path) -> Excluded:
    found = read_json(path)
    try:
        return {
            str(phase): {str(task): frozenset(map(str, items)) for task, items in tasks.items()}
            for phase, tasks in found.items()
        }
    except (AttributeError, TypeError):
        raise InputError("is not a list of items by phase and task", file=path) from None
