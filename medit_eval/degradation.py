"""What edits cost on general benchmarks: the edited model against the unedited one, by task."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medit_eval.aligned import by_phase, paired
from medit_eval.benchmarks.answers import UNEDITED, Answer, Kind, TaskInfo
from medit_eval.paired import Comparison, Test, compare, mean_of
from medit_eval.significance import holm
from schemas.arrow import Schema
from schemas.errors import InputError

ALPHA = 0.05
"""Largest corrected p-value that counts as a change."""

Unit = Literal["points", "ratio"]
"""How a difference is given: in hundredths of the score, or as a ratio of perplexities."""

Excluded = Mapping[str, Mapping[str, Collection[str]]]
"""By phase and task, the items whose answer an edit has changed."""

_NONE: Excluded = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DegradationRow:
    """One task in one phase, compared with the unedited model on the same items.

    Scores are fractions; of a perplexity task they are perplexities. Numbers are NaN where nothing
    can be said.

    Attributes:
        phase: When the edited model was asked.
        task: The task.
        kind: How its items are scored.
        metric: The harness's name of the score.
        unit: Of `difference`, its interval and `detectable`: `points` (hundredths of the score), or
            `ratio`, edited by unedited perplexity.
        n: Items that both models have a score for.
        units: What the interval rests on as drawn independently: clusters, or items.
        unscorable: Items left out, because one of the two has no score.
        excluded: Items left out, because an edit changed their answer.
        unedited: Score of the unedited model on these items.
        edited: Score of the edited model on them.
        difference: Edited minus unedited, or their ratio.
        ci_low: Lower end of its paired 95 % interval.
        ci_high: Upper end.
        detectable: Smallest difference that would be found with a power of 80 %.
        worse: Items that came out worse; of 0/1 scores, the flips from right to wrong.
        better: Items that came out better.
        mcnemar: p of the exact McNemar test, which takes items as independent; only of 0/1 scores.
        p: p of the test that suits the data.
        p_holm: The same, corrected for the number of tasks in the phase.
        test: Which test that is.
        chance: The expected score of guessing.
        majority: The score of giving the commonest answer always.
        skill_lost: Share of the unedited model's score above chance that is gone; NaN unless that
            score is significantly above chance.
        verdict: What may be said, in words.
    """

    phase: str
    task: str
    kind: Kind
    metric: str
    unit: Unit
    n: int
    units: int
    unscorable: int
    excluded: int
    unedited: float
    edited: float
    difference: float
    ci_low: float
    ci_high: float
    detectable: float
    worse: int
    better: int
    mcnemar: float
    p: float
    p_holm: float
    test: Test
    chance: float | None
    majority: float | None
    skill_lost: float
    verdict: str


DEGRADATION: Schema[DegradationRow] = Schema("degradation", 1, DegradationRow)


def degradation(
    answers: Sequence[Answer],
    tasks: Sequence[TaskInfo],
    *,
    excluded: Excluded = _NONE,
    seed: int = 0,
) -> list[DegradationRow]:
    """The rows of all tasks in all phases after an edit.

    Args:
        answers: Of the unedited model and of all phases.
        tasks: What is known of the tasks; they stand in this order.
        excluded: By phase and task, the items whose answer an edit has changed.
        seed: Seed of the bootstrap.

    Raises:
        InputError: If a task's items, or the questions asked, are not the same before and after.
    """
    held = by_phase(answers)
    for task in sorted({answer.task for answer in answers} - {info.task for info in tasks}):
        raise InputError(f"answers of the task {task!r}, of which nothing else is known")
    rows = []
    for phase in held:
        if phase == UNEDITED:
            continue
        made = []
        for info in tasks:
            before, after = paired(held, phase, info.task)
            if after:
                out = excluded.get(phase, {}).get(info.task, ())
                made.append(_row(phase, info, before, after, set(out), seed))
        corrected = holm([row.p for row in made])
        tested = sum(not np.isnan(p) for p in corrected)
        for row, p in zip(made, corrected, strict=True):
            done = replace(row, p_holm=p)
            rows.append(replace(done, verdict=_verdict(done, tested)))
    return rows


def _row(
    phase: str,
    info: TaskInfo,
    before: Sequence[Answer],
    after: Sequence[Answer],
    out: Collection[str],
    seed: int,
) -> DegradationRow:
    first = [answer for answer in before if answer.item not in out]
    second = [answer for answer in after if answer.item not in out]
    ratio = info.kind == "perplexity"
    found = compare(
        [answer.value for answer in first],
        [answer.value for answer in second],
        clusters=[answer.cluster for answer in first],
        weights=[answer.weight for answer in first] if ratio else None,
        bounds=_bounds(info, [*first, *second]),
        seed=_seed(seed, phase, info.task),
    )
    scale = _exp if ratio else _points
    score = _exp if ratio else float
    return DegradationRow(
        phase=phase,
        task=info.task,
        kind=info.kind,
        metric=info.metric,
        unit="ratio" if ratio else "points",
        n=found.n,
        units=found.units,
        unscorable=found.unscorable,
        excluded=len(before) - len(first),
        unedited=score(found.before),
        edited=score(found.after),
        difference=scale(found.difference),
        ci_low=scale(found.low),
        ci_high=scale(found.high),
        detectable=scale(found.detectable),
        worse=found.rose if ratio else found.fell,
        better=found.fell if ratio else found.rose,
        mcnemar=found.mcnemar,
        p=found.p,
        p_holm=float("nan"),
        test=found.test,
        chance=info.chance,
        majority=info.majority,
        skill_lost=_skill_lost(info, found, first, second),
        verdict="",
    )


def _bounds(info: TaskInfo, answers: Sequence[Answer]) -> tuple[float, float] | None:
    """The bounds of the score: most are fractions, but a task may bring a metric of its own."""
    values = [answer.value for answer in answers if answer.value is not None]
    fractions = info.kind != "perplexity" and not any(value < 0 or value > 1 for value in values)
    return (0.0, 1.0) if fractions else None


def _skill_lost(
    info: TaskInfo, found: Comparison, before: Sequence[Answer], after: Sequence[Answer]
) -> float:
    if info.chance is None or info.kind == "perplexity":
        return float("nan")
    known = [
        one for one, other in zip(before, after, strict=True) if _scored(one) and _scored(other)
    ]
    base = mean_of(
        [one.value for one in known],
        clusters=[one.cluster for one in known],
        bounds=_bounds(info, known),
    )
    if not base.low > info.chance:
        return float("nan")
    return -found.difference / (found.before - info.chance)


def _scored(answer: Answer) -> bool:
    return answer.value is not None and bool(np.isfinite(answer.value))


def _verdict(row: DegradationRow, tasks: int) -> str:
    left = f"; {row.unscorable} items without a score left out" if row.unscorable else ""
    if np.isnan(row.p_holm):
        return f"not measurable: {row.n} items have a score before and after{left}"
    if row.p_holm <= ALPHA:
        return f"{_change(row)}{left}"
    why = f" once corrected for {tasks} tasks" if row.p <= ALPHA else ""
    if np.isnan(row.detectable):
        same = np.isnan(row.mcnemar) and row.units > 1 and not row.worse + row.better
        reach = "no item's score changed" if same else "too few items to detect any"
    elif row.unit == "ratio":
        reach = f"smallest detectable: a factor of {row.detectable:.3g}"
    else:
        reach = f"smallest detectable ±{row.detectable:.1f} points"
    return f"no detectable change{why} ({reach}){left}"


def _change(row: DegradationRow) -> str:
    if row.unit == "ratio":
        way = "worse" if row.difference > 1 else "better"
        return f"{way}: {row.difference:.3g} times the unedited model's perplexity"
    way = "worse" if row.difference < 0 else "better"
    return f"{way} by {abs(row.difference):.1f} points"


def _points(value: float) -> float:
    return 100 * value


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):  # a broken model's perplexity may well be infinite
        return float(np.exp(value))


def _seed(seed: int, phase: str, task: str) -> int:
    digest = hashlib.blake2b(f"{seed}\n{phase}\n{task}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
