"""Answers of an edited model beside the unedited model's answers to the same questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medit_eval.benchmarks.answers import UNEDITED, Answer
from schemas.errors import InputError

Held = Mapping[str, Mapping[str, Mapping[str, Answer]]]
"""Answers by phase, task and item."""


def by_phase(answers: Sequence[Answer]) -> Held:
    """Answers by phase, task and item, phases in the order of their first answers.

    Raises:
        InputError: If an item was answered twice in a phase.
    """
    held: dict[str, dict[str, dict[str, Answer]]] = defaultdict(lambda: defaultdict(dict))
    for answer in answers:
        items = held[answer.phase][answer.task]
        if answer.item in items:
            raise InputError(
                f"the item {answer.item!r} of {answer.task!r} is answered twice in the phase "
                f"{answer.phase!r}"
            )
        items[answer.item] = answer
    return held


def paired(held: Held, phase: str, task: str) -> tuple[list[Answer], list[Answer]]:
    """A task's answers before and in a phase, item by item in the items' order.

    Raises:
        InputError: If the two do not answer the same questions.
    """
    before = held.get(UNEDITED, {}).get(task, {})
    after = held.get(phase, {}).get(task, {})
    if not after:
        return [], []
    where = f"of {task!r} in the phase {phase!r}"
    for item in sorted(before.keys() ^ after.keys()):
        who = "unedited" if item in after else "edited"
        raise InputError(f"the {who} model has no answer to the item {item!r} {where}")
    items = sorted(after)
    for item in items:
        first, second = before[item], after[item]
        for field in ("question", "kind", "metric"):
            if getattr(first, field) != getattr(second, field):
                raise InputError(
                    f"the {field} of the item {item!r} {where} is not that of the unedited model"
                )
    return [before[item] for item in items], [after[item] for item in items]
