"""Steps of a recipe: each takes drafts and gives every one of them back, changed or rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is left out, and why.

    Attributes:
        row: Its row in the source, counted from 0.
        id: Its record id, or None if it never got one.
        step: The step that rejected it.
        rule: Short name of the reason, for counting.
        column: The field that is at fault.
        reason: What is wrong, as a clause.
    """

    row: int
    id: str | None
    step: str
    rule: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one draft cannot go on; the pipeline adds row, id and step to it."""

    rule: str
    column: str
    reason: str


class Step(Protocol[D]):
    """A named change to many drafts at once, so that slow generators can work in parallel."""

    @property
    def name(self) -> str:
        """The name that rejects and progress show."""
        ...

    def __call__(self, drafts: Sequence[D]) -> list[D | Problem]:
        """One result per draft, in order."""
        ...


@dataclass(frozen=True)
class Each(Generic[D]):
    """A step that treats drafts one by one."""

    name: str
    change: Callable[[D], D | Problem]

    def __call__(self, drafts: Sequence[D]) -> list[D | Problem]:
        """Change every draft on its own."""
        return [self.change(draft) for draft in drafts]


@dataclass(frozen=True)
class Filter(Generic[D]):
    """A step that lets drafts pass or says why not."""

    name: str
    problem: Callable[[D], Problem | None]

    def __call__(self, drafts: Sequence[D]) -> list[D | Problem]:
        """Keep every draft that has no problem."""
        return [self.problem(draft) or draft for draft in drafts]
