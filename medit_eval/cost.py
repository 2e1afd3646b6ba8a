"""What an editor adds to a question: how often its memory answers, and the time and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medit_eval.aligned import by_phase, paired
from medit_eval.benchmarks.answers import UNEDITED, Answer, Timing
from schemas.arrow import Schema


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one task costs in one phase, beside the unedited model.

    Numbers are NaN where they are not known.

    Attributes:
        phase: When it was asked.
        task: The task.
        n: Items.
        activated: Share of items that the editor's memory answered, of those where that is known;
            NaN for editors without a memory.
        tokens: Mean tokens of a prompt as the edited model read it.
        tokens_unedited: The same of the unedited model.
        tokens_ratio: Tokens of all prompts, edited to unedited.
        seconds: Wall-clock time of a request.
        seconds_unedited: The same of the unedited model.
        seconds_ratio: Their ratio: the added latency, if both ran alone on the same machine.
    """

    phase: str
    task: str
    n: int
    activated: float
    tokens: float
    tokens_unedited: float
    tokens_ratio: float
    seconds: float
    seconds_unedited: float
    seconds_ratio: float


COST: Schema[CostRow] = Schema("cost", 1, CostRow)


def cost(answers: Sequence[Answer], timings: Sequence[Timing]) -> list[CostRow]:
    """The cost of all tasks in all phases after an edit.

    Raises:
        InputError: If a phase does not answer the same questions as the unedited model.
    """
    held = by_phase(answers)
    timed = _seconds(timings)
    return [
        _row(phase, task, *paired(held, phase, task), timed)
        for phase, tasks in held.items()
        if phase != UNEDITED
        for task in tasks
    ]


def _row(
    phase: str,
    task: str,
    before: Sequence[Answer],
    after: Sequence[Answer],
    timed: dict[tuple[str, str], float],
) -> CostRow:
    known = [answer.activated for answer in after if answer.activated is not None]
    tokens = sum(answer.tokens for answer in after)
    usual = sum(answer.tokens for answer in before)
    nan = float("nan")
    seconds = timed.get((phase, task), nan)
    seconds_before = timed.get((UNEDITED, task), nan)
    return CostRow(
        phase=phase,
        task=task,
        n=len(after),
        activated=_ratio(sum(known), len(known)),
        tokens=_ratio(tokens, len(after)),
        tokens_unedited=_ratio(usual, len(before)),
        tokens_ratio=_ratio(tokens, usual),
        seconds=seconds,
        seconds_unedited=seconds_before,
        seconds_ratio=_ratio(seconds, seconds_before),
    )


def _seconds(timings: Sequence[Timing]) -> dict[tuple[str, str], float]:
    """Seconds of a request by phase and task; a task that went on after a break has several."""
    totals: dict[tuple[str, str], tuple[float, int]] = {}
    for timing in timings:
        seconds, requests = totals.get((timing.phase, timing.task), (0.0, 0))
        key = timing.phase, timing.task
        totals[key] = seconds + timing.seconds, requests + timing.requests
    return {key: _ratio(*total) for key, total in totals.items()}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
