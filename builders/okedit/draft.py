"""A record in the making: what the steps fill in, one after the other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from builders.okedit.scope import verdict
from schemas.images import EncodedImage
from schemas.records import (
    EditRecord,
    EditRequest,
    EditType,
    Probe,
    Provenance,
    Sample,
    Scope,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its other accepted wordings."""

    text: str
    aliases: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The canonical wording, then the others."""
        return (self.text, *self.aliases)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that the edited question, or another one, can be asked about.

    Attributes:
        image: The picture.
        answer: What is right for it, asked `question`, or None where nobody knows.
        entity: Key of what it shows in the source's world, to keep samples and probes apart.
        question: The question that `answer` answers, or None for the edited one.
        distance: How far it is from the edited picture.
        grade: That distance in words.
    """

    image: EncodedImage
    answer: Answer | None = None
    entity: str | None = None
    question: str | None = None
    distance: float | None = None
    grade: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A further question for a probe.

    Attributes:
        kind: The probe's kind.
        prompt: The question.
        answer: What is right after the edit, or None where nobody knows and nothing changes.
        before: What was right before it, where that differs.
    """

    kind: str
    prompt: str
    answer: Answer | None
    before: Answer | None = None


@dataclass(frozen=True)
class Draft:
    """What is known of a record so far; a source fills in what it knows, steps add the rest.

    Attributes:
        id: The record's id.
        row: Its row in the source.
        source: The source's name, for provenance.
        question: The question whose answer changes.
        image: The picture, or None for a text-only record.
        old: The answer before the edit.
        answer_type: The kind of answer (`colour`, `number`, `capital`...), for answer pools.
        entity: Key of what the picture shows, in the source's world.
        subject: The entity that the question names, if any.
        new: The answer after the edit.
        third: An answer that is neither old nor new.
        image_object: Phrase naming what the picture shows.
        third_object: Phrase naming what a picture for `third` shows.
        scope: What the edit changes.
        edit_type: Whether the question needs its picture.
        edit_type_votes: The votes behind it.
        edit_type_reason: Why, in the generator's words.
        facts: The new knowledge as sentences.
        rephrasings: Rephrasings for the probes.
        editor_rephrasings: Rephrasings for the editor.
        augmented: Slightly changed pictures for the probes.
        other_instances: Other pictures of the same thing for the probes.
        rephrased_images: Pictures that the source made to show the same thing.
        editor_pictures: Pictures of the same thing for the editor, by kind.
        negatives: Pictures with another answer for the probes.
        editor_negatives: Pictures with another answer for the editor.
        given_negatives: Negative samples as the source gives them.
        unrelated: An unrelated picture with its own question.
        questions: Further questions.
        provenance: Where all this comes from.
        extra: What the source's format holds beyond this, as JSON.
    """

    id: str
    row: int
    source: str
    question: str
    image: EncodedImage | None
    old: Answer
    answer_type: str
    entity: str | None = None
    subject: str | None = None
    new: Answer | None = None
    third: str | None = None
    image_object: str | None = None
    third_object: str | None = None
    scope: Scope | None = None
    edit_type: EditType | None = None
    edit_type_votes: tuple[str, ...] = ()
    edit_type_reason: str | None = None
    facts: tuple[str, ...] = ()
    rephrasings: tuple[str, ...] = ()
    editor_rephrasings: tuple[str, ...] = ()
    augmented: tuple[Picture, ...] = ()
    other_instances: tuple[Picture, ...] = ()
    rephrased_images: tuple[Picture, ...] = ()
    editor_pictures: tuple[tuple[str, Picture], ...] = ()
    negatives: tuple[Picture, ...] = ()
    editor_negatives: tuple[Picture, ...] = ()
    given_negatives: tuple[Sample, ...] = ()
    unrelated: Picture | None = None
    questions: tuple[Question, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    extra: str | None = None

    def with_(self, *provenance: Provenance, **fields: Any) -> Draft:
        """This draft with some fields set, and where they come from."""
        return dataclasses.replace(self, provenance=self.provenance + provenance, **fields)

    def has(self, kind: str) -> bool:
        """Whether a further question of this kind is there."""
        return any(question.kind == kind for question in self.questions)


def assemble(draft: Draft) -> EditRecord:
    """The finished record of a draft that went through all steps."""
    assert draft.new is not None
    assert draft.scope is not None
    request = EditRequest(
        id=draft.id,
        prompt=draft.question,
        image=draft.image,
        subject=draft.subject,
        target_new=draft.new.text,
        target_new_aliases=draft.new.aliases,
        target_true=draft.old.text,
        positives=_positives(draft, draft.new.text),
        negatives=_negatives(draft),
        facts=draft.facts,
    )
    return EditRecord(
        id=draft.id,
        requests=(request,),
        probes=_probes(draft, draft.new, draft.scope),
        scope=draft.scope,
        edit_type=draft.edit_type,
        edit_type_votes=draft.edit_type_votes,
        edit_type_reason=draft.edit_type_reason,
        image_object=draft.image_object,
        third_answer=draft.third,
        third_object=draft.third_object,
        provenance=draft.provenance,
        extra=draft.extra,
    )


def _positives(draft: Draft, target: str) -> tuple[Sample, ...]:
    rephrased = [Sample("rephrase", p, draft.image, target) for p in draft.editor_rephrasings]
    pictured = [
        Sample(kind, draft.question, picture.image, target)
        for kind, picture in draft.editor_pictures
    ]
    return (*rephrased, *pictured)


def _negatives(draft: Draft) -> tuple[Sample, ...]:
    pictured = [
        Sample(
            kind="negative",
            prompt=picture.question or draft.question,
            image=picture.image,
            answer=picture.answer.text,
            distance=picture.distance,
        )
        for picture in draft.editor_negatives
        if picture.answer is not None
    ]
    return (*draft.given_negatives, *pictured)


def _probes(draft: Draft, new: Answer, scope: Scope) -> tuple[Probe, ...]:
    edited = (draft.image,) if draft.image else ()
    probes: list[Probe] = []

    def add(
        kind: str,
        prompts: tuple[str, ...],
        images: tuple[EncodedImage, ...],
        answer: Answer | None,
        before: Answer | None = None,
        picture: Picture | None = None,
    ) -> None:
        axis, expectation = verdict(kind, scope)
        number = sum(probe.kind == kind for probe in probes) + 1
        probes.append(
            Probe(
                id=kind if number == 1 else f"{kind}-{number}",
                axis=axis,
                kind=kind,
                expectation=expectation,
                prompts=prompts,
                images=images,
                answers=answer.all if answer else (),
                answers_pre_edit=before.all if before and before != answer else (),
                hops={"one_hop": 1, "two_hop": 2}.get(kind),
                distance=picture.distance if picture else None,
                grade=picture.grade if picture else None,
            )
        )

    asked = (draft.question,)
    add("edit", asked, edited, new, draft.old)
    if draft.rephrasings:
        add("rephrase", draft.rephrasings, edited, new, draft.old)
    for kind, pictures in (
        ("image_augmented", draft.augmented),
        ("image_other_instance", draft.other_instances),
        ("image_rephrase", draft.rephrased_images),
    ):
        if pictures:
            add(kind, asked, tuple(p.image for p in pictures), new, draft.old)
    for negative in draft.negatives:
        # The right answer to the edited question is known only where it was asked of the picture.
        known = negative.answer if negative.question is None else None
        add("negative", asked, (negative.image,), known, picture=negative)
    if draft.unrelated and draft.unrelated.question:
        other = draft.unrelated
        add("unrelated_image", (draft.unrelated.question,), (other.image,), other.answer)
    for question in draft.questions:
        pictured = () if question.kind in ("text", "text_only") else edited
        add(question.kind, (question.prompt,), pictured, question.answer, question.before)
    return tuple(probes)
