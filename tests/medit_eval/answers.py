"""Answers to made-up benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from medit_eval.benchmarks.answers import UNEDITED, Answer, Kind, TaskInfo

LETTERS = ("A", "B", "C", "D")


def answer(item: int, value: float | None, *, phase: str = UNEDITED, task: str = "t") -> Answer:
    """A choice among four letters, of which A is right."""
    return Answer(
        phase=phase,
        task=task,
        item=f"{item:04}",
        cluster="",
        kind="choice",
        metric="acc",
        question=f"{task} {item}",
        prompt="Which?",
        choices=LETTERS,
        gold="A",
        output="A" if value else "B",
        logprobs=(-0.5, -1.0, -2.0, -3.0),
        value=value,
    )


def answers(
    values: Sequence[float | None], *, phase: str = UNEDITED, task: str = "t"
) -> list[Answer]:
    """One answer for each score."""
    return [answer(item, value, phase=phase, task=task) for item, value in enumerate(values)]


def info(
    task: str = "t",
    kind: Kind = "choice",
    *,
    metric: str = "acc",
    items: int = 100,
    chance: float | None = 0.25,
) -> TaskInfo:
    """What is known of such a task."""
    return TaskInfo(task, kind, metric, "1", 0, items, chance, 0.3, "digest")
