"""What a metric is: a small function from a prediction to a number, with a name and a meaning."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medit_eval.predictions import Output, Prediction, Score
from schemas.errors import InputError
from schemas.records import APART, Expectation

Way = Literal["generation", "teacher-forced", "probability", "judge", "routing"]
"""How an answer is looked at: written freely, token by token with the right ones in view, by how
likely it is, by a judging model, or not at all, but where the editor sent the question."""

Need = Literal["likelihood", "continuation"]
"""What a metric reads beyond the short generation that is always asked for."""

Over = Literal["questions", "records"]
"""What a kind's mean is over: all questions alike, or first those of each record, then records."""

GENERATION = "generation"
"""Prompts that are asked for their long continuation alone; no answer to them is right or wrong."""


class Unscorable(Exception):  # noqa: N818 - the expected outcome for some questions
    """A question that a metric cannot judge, with the reason as its message."""


@dataclass(frozen=True)
class Metric:
    """One way to judge an edited model's output.

    Attributes:
        name: What it is called in every table.
        judge: The score of one prediction. Raises `Unscorable` where there is none.
        expectation: The probes that it judges: those the edit should reach (`target`), those it
            must not (`unchanged`), or both (None).
        kinds: The probe kinds that it judges, or None for all but those that stand apart
            (`schemas.records.APART`).
        needs: What must have been asked for it.
        routed: Whether it judges editors with a memory only.
        way: How it looks at an answer; numbers of different ways are not comparable.
        over: What a kind's mean is over.
    """

    name: str
    judge: Callable[[Prediction], float]
    expectation: Expectation | None = None
    kinds: frozenset[str] | None = None
    needs: frozenset[Need] = frozenset()
    routed: bool = False
    way: Way = "generation"
    over: Over = "questions"

    @property
    def apart(self) -> frozenset[str]:
        """The kinds it judges that nobody asks about unless a metric names them."""
        return APART & (self.kinds or frozenset())

    @property
    def meaning(self) -> str:
        """What it says, in one sentence: the first line of its function's docstring."""
        return (self.judge.__doc__ or "").strip().split("\n")[0]

    def applies(self, prediction: Prediction) -> bool:
        """Whether it judges this prediction at all."""
        if prediction.axis == "document":  # whole documents have metrics of their own
            return False
        if self.routed and prediction.routing is None:
            return False
        if prediction.kind in APART if self.kinds is None else prediction.kind not in self.kinds:
            return False
        return self.expectation in (None, prediction.expectation)

    def score(self, prediction: Prediction) -> Score:
        """The score of a prediction that it judges, with a reason in place of one it has not."""
        value, reason = None, prediction.failure
        if reason is None:
            try:
                value = self.judge(prediction)
                if not math.isfinite(value):
                    value, reason = None, "the score is not a finite number"
            except Unscorable as unscorable:
                reason = str(unscorable)
        return Score(*prediction.key, self.name, value, reason)


def post(prediction: Prediction) -> Output:
    """The edited model's output."""
    if prediction.post is None:
        raise Unscorable("the edited model was not asked")
    return prediction.post


def pre(prediction: Prediction) -> Output:
    """The unedited model's output."""
    if prediction.pre is None:
        raise Unscorable("the unedited model was not asked")
    return prediction.pre


def select(
    wanted: Iterable[str | Metric] | None,
    known: Sequence[Metric],
    default: Sequence[Metric],
    groups: Mapping[str, Sequence[Metric]] = MappingProxyType({}),
) -> tuple[Metric, ...]:
    """The metrics of these names, each once, in the given order.

    Args:
        wanted: Metrics, their names, and names of groups.
        known: The metrics that have a name.
        default: What is taken where nothing is wanted.
        groups: Metrics that one name stands for.

    Raises:
        InputError: If a name is unknown, or two metrics share one.
    """
    if wanted is None:
        return tuple(default)
    by_name = {metric.name: (metric,) for metric in known} | dict(groups)
    chosen: dict[str, Metric] = {}
    for entry in wanted:
        found = by_name.get(entry) if isinstance(entry, str) else (entry,)
        if found is None:
            near = difflib.get_close_matches(str(entry), by_name, n=2)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(by_name)}"
            )
            raise InputError(f"there is no metric {entry!r}; {hint}")
        for metric in found:
            if chosen.setdefault(metric.name, metric) is not metric:
                raise InputError(f"two metrics are called {metric.name!r}")
    if not chosen:
        raise InputError("no metric is chosen")
    return tuple(chosen.values())
