"""Carries out a plan: edits, asks, restores, and hands on every prediction as it comes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from editors.base import EditedModel, Editor
from editors.lm import LM
from editors.prompts import Query
from editors.routing import Forced, Routed
from medit_eval.asking import Settings, ask
from medit_eval.metrics.matching import normalise
from medit_eval.predictions import Baseline, Diagnostic, Prediction, Routing
from medit_eval.protocols import Episode, Step
from medit_eval.questions import Question, Slot, slots
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.progress import Tick
from schemas.records import EditRecord, EditRequest

_CHUNK = 512
"""Questions that are asked before their predictions are handed on."""

Place = tuple[str, bytes | None]
"""Prompt and picture: two questions with equal ones cannot have two answers."""


@dataclass
class Runner:
    """Asks an edited model what a plan says.

    Attributes:
        lm: The model.
        editor: The editor.
        settings: How the model is asked.
        before: The unedited model's answers by question.
        continued: Whether edited questions are continued at length.
        seed: What random choices of editors derive from.
        done: Keys of the predictions that are there already.
        keep: Takes predictions as they come.
        note: Takes what the editor tells of itself after each edit.
        tick: Told how many questions are done.
    """

    lm: LM
    editor: Editor
    settings: Settings
    before: Mapping[str, Baseline]
    continued: bool
    seed: int
    done: Collection[tuple[str, str, int, str]]
    keep: Callable[[Sequence[Prediction]], None]
    note: Callable[[Sequence[Diagnostic]], None]
    tick: Tick
    notes: list[str] = field(default_factory=list)

    def run(self, episodes: Sequence[Episode]) -> None:
        """Carry out episodes; those whose predictions are all there are passed over.

        An edit that cannot be made (`InputError`) makes its records' questions unscorable. Any
        other error of an editor ends the run; what is done by then has been kept.
        """
        with _own_randomness(), self.editor.apply(self.lm) as edited:
            for episode in episodes:
                if all(not self._todo(step) for step in episode):
                    self.tick(sum(self._size(step) for step in episode))
                    continue
                edited.restore()
                _Episode(self, edited).run(episode)

    def slots(self, records: Sequence[EditRecord]) -> Iterator[Slot]:
        """The questions of records."""
        for record in records:
            yield from slots(record, continued=self.continued)

    def _todo(self, step: Step) -> bool:
        return any(slot.key(step.phase) not in self.done for slot in self.slots(step.ask))

    def _size(self, step: Step) -> int:
        return sum(1 for _ in self.slots(step.ask))


@dataclass
class _Episode:
    """Edits that add up until the next restore."""

    runner: Runner
    edited: EditedModel
    edits: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    targets: dict[Place, tuple[str, str]] = field(default_factory=dict)
    changed: dict[Place, str] = field(default_factory=dict)

    def run(self, steps: Episode) -> None:
        for step in steps:
            if step.edit:
                self._edit(step.edit)
                self._note(step)
            with _forced(self.edited, step.force):
                self._ask(step)

    def _edit(self, records: Sequence[EditRecord]) -> None:
        """Put records into the model with one call; leave out those that cannot be edited."""
        self._warn_of_contradictions(records)
        left = list(records)
        while left:
            requests = [request for record in left for request in record.requests]
            _seed(self.runner.seed, requests[0].id)
            try:
                self.edited.edit(requests)
                break
            except InputError as error:
                faults = _faults(self.runner.lm, requests, error)
                bad = {r.id for r in left if any(q.id in faults for q in r.requests)}
                for record in left:
                    if record.id in bad or not bad:
                        reasons = [faults[q.id] for q in record.requests if q.id in faults]
                        self.failed[record.id] = f"the edit failed: {(*reasons, error)[0]}"
                left = [record for record in left if bad and record.id not in bad]
        self.edits += len(left)
        for record in left:
            for probe in record.probes:
                if probe.expectation == "target":
                    for prompt, image in probe.queries():
                        self.changed.setdefault(_place(prompt, image), record.id)

    def _note(self, step: Step) -> None:
        record, told = step.edit[-1].id, self.edited.diagnostics()
        self.runner.note(
            [Diagnostic(step.phase, record, self.edits, *fact) for fact in told.items()]
        )

    def _ask(self, step: Step) -> None:
        todo = iter(self.runner.slots(step.ask))
        while chunk := list(islice(todo, _CHUNK)):
            new = [slot for slot in chunk if slot.key(step.phase) not in self.runner.done]
            if new:
                self.runner.keep(self._predictions(step.phase, new, forced=step.force is not None))
            self.runner.tick(len(chunk))

    def _predictions(self, phase: str, chunk: Sequence[Slot], *, forced: bool) -> list[Prediction]:
        before = [self.runner.before[slot.question.digest] for slot in chunk]
        failures = [
            self._failure(slot) or old.failure for slot, old in zip(chunk, before, strict=True)
        ]
        askable = [i for i, failure in enumerate(failures) if failure is None]
        questions = [self._scored_as_before(chunk[i], before[i]) for i in askable]
        answers = dict(zip(askable, ask(self.edited, questions, self.runner.settings), strict=True))
        # Under force an editor does not follow its own routes, so they are of no interest.
        queries = [question.query for question in questions if not forced]
        routes = dict(zip(askable, _routes(self.edited, queries), strict=False))
        predictions = []
        for i, slot in enumerate(chunk):
            after = answers.get(i)
            predictions.append(
                slot.prediction(
                    phase,
                    before[i],
                    post=after.output if after else None,
                    routing=routes.get(i),
                    failure=failures[i] or (after.failure if after else None),
                )
            )
        return predictions

    def _failure(self, slot: Slot) -> str | None:
        """Why a question cannot be judged, whatever the model says."""
        if slot.record.id in self.failed:
            return self.failed[slot.record.id]
        query = slot.question.query
        other = self.changed.get(_place(query.prompt, query.image))
        if slot.probe.expectation == "unchanged" and other not in (None, slot.record.id):
            return f"the edit of record {other} is meant to change this answer"
        return None

    def _scored_as_before(self, slot: Slot, before: Baseline) -> Question:
        """The question with the answer scored that was scored before the edit."""
        question = slot.question
        if question.answer is not None or before.output is None:
            return question
        return replace(question, answer=before.output.generation)

    def _warn_of_contradictions(self, records: Sequence[EditRecord]) -> None:
        clashes = []
        for request in (request for record in records for request in record.requests):
            place = _place(request.prompt, request.image)
            wanted = normalise(request.target_new)
            other, target = self.targets.setdefault(place, (request.id, wanted))
            if target != wanted:
                clashes.append(f"{other} and {request.id}")
                self.targets[place] = (request.id, wanted)
        if clashes:
            more = f", and {len(clashes) - 5} more pairs" if len(clashes) > 5 else ""
            note = (
                "edits that ask the same question and want different answers are in the model "
                f"together: {', '.join(clashes[:5])}{more}"
            )
            if note not in self.runner.notes:
                self.runner.notes.append(note)
                warnings.warn(note, stacklevel=2)


def _place(prompt: str, image: EncodedImage | None) -> Place:
    return normalise(prompt), None if image is None else image.bytes


def _faults(lm: LM, requests: Sequence[EditRequest], error: InputError) -> dict[str, str]:
    """The requests that cannot be edited, each with its reason, or none where no one knows.

    An editor that names the request is believed. Otherwise a request is at fault if its answer is
    empty or its subject is not in its prompt.
    """
    faults: dict[str, str] = {}
    if any(request.id == error.row for request in requests):
        return {str(error.row): str(error)}
    for request in requests:
        if not request.target_new.strip():
            faults[request.id] = "the new answer is empty"
        else:
            try:
                lm.encoder.lookup(Query(request.prompt, request.image), request.subject)
            except InputError as fault:
                faults[request.id] = str(fault)
    return faults


def _routes(edited: EditedModel, queries: Sequence[Query]) -> list[Routing | None]:
    """Where an editor with a memory would send queries; None of each where it has none."""
    if not isinstance(edited, Routed) or not queries:
        return [None] * len(queries)
    return [
        Routing(route.request_id, route.nearest, route.score, route.threshold)
        for route in edited.routing(queries)
    ]


@contextmanager
def _forced(edited: EditedModel, mode: Forced | None) -> Iterator[None]:
    if mode is None:
        yield
        return
    if not isinstance(edited, Routed):
        raise InputError("the editor does not route, so its routing cannot be forced")
    edited.force(mode)
    try:
        yield
    finally:
        edited.force(None)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Let editors draw from torch's generators without changing them for anybody else."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def _seed(seed: int, request: str) -> None:
    """Make what an editor draws depend on the seed and the edit alone, not on what came before."""
    import torch

    digest = hashlib.blake2b(f"{seed}\n{request}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "big") >> 1)
