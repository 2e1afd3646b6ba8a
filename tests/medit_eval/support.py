"""Toy editors whose scores are known beforehand, and records and predictions to score."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from editors.base import EditedModel, EditError
from editors.likelihood import Likelihood
from editors.lm import LM
from editors.prompts import Query
from editors.reading import Answering
from editors.routing import Route
from medit_eval.predictions import Output, Prediction
from schemas.errors import InputError
from schemas.records import EditRecord, EditRequest, Probe


def person(number: int, **overrides: Any) -> EditRecord:
    """A record about where somebody was born: asked as edited, in other words, and of others."""
    name, new, old = f"Ann {number}", f"Rome {number}", f"Oslo {number}"
    request = EditRequest(
        id=f"q{number}",
        prompt=f"{name} was born in",
        image=None,
        subject=name,
        target_new=new,
        target_true=old,
        facts=(f"{name} was born in {new}.",),
    )
    request = dataclasses.replace(request, **overrides)
    return EditRecord(
        f"r{number}",
        (request,),
        (
            probe("edit", "reliability", request.prompt, new),
            probe("rephrase", "generality", f"The town of {name} is", new),
            probe("text", "locality", f"Paris {number} is in", "France", expectation="unchanged"),
            probe("one_hop", "portability", f"The land of {name} is", "Italy", before="Norway"),
        ),
    )


def probe(
    kind: str,
    axis: Any,
    prompt: str,
    answer: str,
    *,
    expectation: Any = "target",
    before: str | None = None,
) -> Probe:
    """A probe without pictures that is named by its kind."""
    return Probe(
        kind, axis, kind, expectation, (prompt,), (), (answer,), (before,) if before else ()
    )


def prediction(**overrides: Any) -> Prediction:
    """A probe that the edit reaches: before "Oslo", after "Rome"."""
    made = Prediction(
        record="r",
        probe="p",
        index=0,
        axis="reliability",
        kind="edit",
        expectation="target",
        phase="after",
        requests=("q",),
        targets=("Rome",),
        prompt="Ann was born in",
        image=None,
        question="0" * 32,
        answers=("Rome",),
        answers_pre_edit=("Oslo",),
        answer="Rome",
        rival="Oslo",
        pre=Output("Oslo", (5, 6), (-4.0, -2.0), ((7, 5), (8, 6)), (-1.0,)),
        post=Output("Rome", (5, 6), (-0.5, -0.1), ((5, 7), (8, 6)), (-3.0,)),
    )
    return dataclasses.replace(made, **overrides)


@dataclass(frozen=True)
class Oracle:
    """Answers edited questions with the new answer, word for word, and others as before.

    Attributes:
        everywhere: Whether it gives the newest answer to every question.
        fails_on: A request that it cannot edit.
        crashes_on: A request at which it breaks after having written to the weights.
        names_culprit: Whether its error says which request it was.
    """

    everywhere: bool = False
    fails_on: str | None = None
    crashes_on: str | None = None
    names_culprit: bool = True
    name: str = "oracle"

    def apply(self, lm: LM) -> EditedModel:
        return Remembering(lm, self)


class Remembering(EditedModel):
    """What `Oracle` makes of a model; `calls` counts what it was asked to do."""

    def __init__(self, lm: LM, settings: Oracle) -> None:
        super().__init__(lm)
        self.settings = settings
        self.state: dict[tuple[str, Any], tuple[str, str]] = {}
        self.calls: list[int] = []
        self.forced: str | None = None

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        self.calls.append(len(requests))
        name = next(iter(dict(self.lm.model.named_parameters())))
        for request in requests:
            if request.id == self.settings.crashes_on:
                self.write(name, torch.ones_like(self.lm.model.get_parameter(name)))
                raise ZeroDivisionError("a bug of the editor's")
            if request.id == self.settings.fails_on:
                row = request.id if self.settings.names_culprit else None
                raise EditError("the toy cannot edit this", row=row)
        new = {(r.prompt, r.image): (r.id, r.target_new) for r in requests}
        self.state = {**self.state, **new}

    def diagnostics(self) -> dict[str, float]:
        return {"answers known": float(len(self.state))}

    def _known(self, query: Query) -> str | None:
        if self.settings.everywhere and self.state:
            return list(self.state.values())[-1][1]
        return self.state.get((query.prompt, query.image), (None, None))[1]

    def generate(
        self, queries: Sequence[Query], *, max_new_tokens: int = 32, stop: Sequence[str] = ("\n",)
    ) -> list[str]:
        texts = super().generate(queries, max_new_tokens=max_new_tokens, stop=stop)
        return [self._known(q) or text for q, text in zip(queries, texts, strict=True)]


@dataclass(frozen=True)
class Forgetful(Oracle):
    """An oracle that knows its last edits only, so many of them."""

    last: int = 3

    def apply(self, lm: LM) -> EditedModel:
        return Forgetting(lm, self)


class Forgetting(Remembering):
    def _edit(self, requests: Sequence[EditRequest]) -> None:
        super()._edit(requests)
        assert isinstance(self.settings, Forgetful)
        self.state = dict(list(self.state.items())[-self.settings.last :])


@dataclass(frozen=True)
class Switchboard(Oracle):
    """An oracle that says how it routes, and whose routing can be forced."""

    name: str = "switchboard"

    def apply(self, lm: LM) -> EditedModel:
        return Switched(lm, self)


class Switched(Remembering):
    def _known(self, query: Query) -> str | None:
        if self.forced == "off":
            return None
        if self.forced == "on" and self.state:
            return next(iter(self.state.values()))[1]
        return super()._known(query)

    def routing(self, queries: Sequence[Query]) -> list[Route]:
        found = [self.state.get((q.prompt, q.image), (None, None))[0] for q in queries]
        return [Route(name, name, 0.5 if name else 2.0, 1.0) for name in found]

    def force(self, mode: Any) -> None:
        self.forced = mode


class Scripted(Answering):
    """A model that gives scripted answers, and refuses prompts that hold `bad`."""

    def __init__(self, answers: dict[str, str], bad: str = "#", places: int | None = None) -> None:
        self.answers, self.bad, self.places = answers, bad, places
        self.batches: list[list[str]] = []
        self.lengths: list[int] = []

    def generate(
        self, queries: Sequence[Query], *, max_new_tokens: int = 32, stop: Sequence[str] = ("\n",)
    ) -> list[str]:
        self.batches.append([query.prompt for query in queries])
        self.lengths.append(max_new_tokens)
        for query in queries:
            if self.bad in query.prompt:
                raise InputError(f"cannot read {query.prompt!r}")
        return [self.answers.get(query.prompt, "nothing") for query in queries]

    def score(
        self, queries: Sequence[Query], answers: Sequence[str], *, top: int = 10
    ) -> list[Likelihood]:
        return [Likelihood((len(a),), (-1.0,), ((len(a), 0),)) for a in answers]

    def rooms(self, queries: Sequence[Query]) -> list[int | None]:
        if self.places is None:
            return [None] * len(queries)
        return [self.places - len(query.prompt.split()) for query in queries]
