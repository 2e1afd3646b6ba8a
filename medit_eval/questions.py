"""From records to single questions: what is asked of the model before and after the edit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from medit_eval.documents import tracks
from medit_eval.documents.tracks import Track
from medit_eval.metrics.core import GENERATION
from medit_eval.metrics.matching import normalise
from medit_eval.predictions import Baseline, Output, Prediction, Routing
from medit_eval.protocols import Step
from schemas.digest import digest128
from schemas.documents import DocumentRecord
from schemas.records import APART, EditRecord, Probe

if TYPE_CHECKING:
    from editors.prompts import Query

_DIRECT = ("reliability", "generality")
"""Axes whose probes have the edit's own answers."""

_CONTINUED = ("edit", GENERATION)
"""Kinds of probes that are continued at length where a metric reads that."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a model, and the answers to score.

    Attributes:
        query: The prompt, and its picture.
        answer: The answer whose tokens are scored, or None to score what the unedited model says;
            empty to score none.
        rival: The answer to compare it with, or None.
        continued: Whether a long continuation is wanted too.
        length: Tokens of the document that is to be written; None for a short answer, which alone
            is scored.
    """

    query: Query
    answer: str | None
    rival: str | None
    continued: bool = False
    length: int | None = None

    @cached_property
    def image_digest(self) -> str | None:
        """SHA-256 of the picture's file."""
        image = self.query.image
        return None if image is None else hashlib.sha256(image.bytes).hexdigest()

    @cached_property
    def digest(self) -> str:
        """32 hex digits that stand for all of it."""
        query = self.query
        parts: list[object] = [query.prompt, query.context, self.image_digest]
        parts += [self.answer, self.rival, self.continued]
        if self.length is not None:
            parts.append(self.length)
        if query.branch is not None:
            parts.append({"branch": query.branch})
        return digest128(json.dumps(parts, ensure_ascii=False))


@dataclass(frozen=True)
class Slot:
    """A question's place in a record: the answer to it becomes one prediction per phase.

    Attributes:
        record: The record.
        probe: The probe in it.
        index: Which of the probe's questions.
        question: The question.
        track: What a model is shown that is to write a document, or None; see `documents.tracks`.
    """

    record: EditRecord
    probe: Probe
    index: int
    question: Question
    track: Track | None = None

    def key(self, phase: str) -> tuple[str, str, int, str]:
        """The key of its prediction in a phase."""
        return self.record.id, self.probe.id, self.index, phase

    def prediction(
        self,
        phase: str,
        before: Baseline,
        post: Output | None = None,
        routing: Routing | None = None,
        failure: str | None = None,
    ) -> Prediction:
        """What is written down of it."""
        probe, question, requests = self.probe, self.question, self.record.requests
        answer = question.answer
        if answer is None and before.output is not None:
            answer = before.output.generation or None
        return Prediction(
            record=self.record.id,
            probe=probe.id,
            index=self.index,
            axis=probe.axis,
            kind=probe.kind if self.track is None else f"{probe.kind}_{self.track}",
            expectation=probe.expectation,
            phase=phase,
            requests=tuple(request.id for request in requests),
            targets=_targets(self.record),
            prompt=question.query.prompt,
            image=question.image_digest,
            question=question.digest,
            answers=accepted(self.record, probe),
            answers_pre_edit=_before(self.record, probe),
            answer=answer or None,
            rival=question.rival,
            hops=probe.hops,
            distance=probe.distance,
            grade=probe.grade,
            pre=before.output,
            post=post,
            routing=routing,
            failure=failure or before.failure,
        )


def alias(record: str, probe: str) -> str:
    """What stands for a probe where it is not to be seen what it asks for, as its id may tell."""
    return digest128(json.dumps([record, probe]))[:16]


def slots(
    record: EditRecord, *, continued: bool = False, apart: frozenset[str] = frozenset()
) -> Iterator[Slot]:
    """Every question of a record.

    Args:
        record: The record.
        continued: Whether the edited question itself, and the beginnings of texts, are also
            continued at length.
        apart: The kinds that stand apart (`schemas.records.APART`) and are asked all the same.
    """
    from editors.prompts import Query

    for probe in record.probes:
        if probe.axis == "document":
            yield from _documents(record, probe)
            continue
        if probe.kind in APART and probe.kind not in apart:
            continue
        # No answer to a prompt that is there to be continued is scored.
        answer, rival = ("", None) if probe.kind == GENERATION else _pair(record, probe)
        long = continued and probe.kind in _CONTINUED
        for index, (prompt, image) in enumerate(probe.queries()):
            yield Slot(record, probe, index, Question(Query(prompt, image), answer, rival, long))


def step_slots(
    step: Step, *, continued: bool, apart: frozenset[str] = frozenset()
) -> Iterator[Slot]:
    """The questions that are asked in a step.

    Args:
        step: The step.
        continued: Whether edited questions and the beginnings of texts are continued at length.
        apart: The kinds that stand apart and are asked all the same.
    """
    for record in step.ask:
        yield from slots(record, continued=continued, apart=apart)
    for record in step.watch:
        for slot in slots(record, continued=continued, apart=apart):
            if slot.probe.expectation == "unchanged":
                yield slot


def _documents(record: EditRecord, probe: Probe) -> Iterator[Slot]:
    """A document to be brought up to date, on every track, or another one, to be left alone."""
    from editors.prompts import Query

    asked: Iterable[tuple[Track, str]] = [("parametric", tracks.prompt(probe.prompts[0]))]
    if isinstance(record, DocumentRecord) and probe.expectation == "target":
        asked = tracks.prompts(record.document)
    for track, text in asked:
        question = Question(Query(text), None, None, length=tracks.limit(text))
        yield Slot(record, probe, tracks.TRACKS.index(track), question, track)


def _pair(record: EditRecord, probe: Probe) -> tuple[str | None, str | None]:
    """The answer to score, and the one it is compared with.

    Where the edit should reach, the new answer against the old one; elsewhere, the right answer
    against the edit's new one. Without a right answer it is the unedited model's own.
    """
    answer = next((a for a in probe.answers if normalise(a)), None)
    if probe.expectation == "target":
        rivals = list(_before(record, probe))
    else:
        rivals = [record.requests[0].target_new] if answer is not None else []
    kept = (r for r in rivals if normalise(r) and normalise(r) != normalise(answer or ""))
    return answer, next(kept, None)


def _before(record: EditRecord, probe: Probe) -> tuple[str, ...]:
    """The answers before the edit: the probe's own, or the edit's where it asks the same."""
    same = probe.expectation == "target" and probe.axis in _DIRECT and len(record.requests) == 1
    if probe.answers_pre_edit or not same or not record.requests[0].target_true:
        return probe.answers_pre_edit
    return (record.requests[0].target_true,)


def accepted(record: EditRecord, probe: Probe) -> tuple[str, ...]:
    """The probe's answers, and the aliases of the new answer where they include that."""
    answers = list(probe.answers)
    if probe.expectation == "target":
        known = {normalise(answer) for answer in answers}
        for request in record.requests:
            if normalise(request.target_new) in known:
                answers += [a for a in request.target_new_aliases if normalise(a) not in known]
    return tuple(dict.fromkeys(answers))


def _targets(record: EditRecord) -> tuple[str, ...]:
    new = (a for r in record.requests for a in (r.target_new, *r.target_new_aliases))
    return tuple(dict.fromkeys(new))
