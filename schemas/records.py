"""What an edit record is: the types that every builder writes and every editor and scorer reads.

The Arrow schema is derived from these classes (`schemas.arrow`), so a field exists in exactly one
place. A field annotated `X | None` may be null; all others may not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from schemas.images import EncodedImage

Axis = Literal["reliability", "generality", "locality", "portability", "document"]
"""What a probe measures."""

Expectation = Literal["target", "unchanged"]
"""`target`: the edit should reach this probe. `unchanged`: the unedited model's answer stands."""

Scope = Literal["recognition", "knowledge"]
"""What an edit changes: what the picture shows, or what is true of what it shows."""

EditType = Literal["text", "image_text"]
"""Whether a question can be answered from its text alone, or needs the picture as well."""

AXES: tuple[str, ...] = get_args(Axis)
EXPECTATIONS: tuple[str, ...] = get_args(Expectation)
SCOPES: tuple[str, ...] = get_args(Scope)
EDIT_TYPES: tuple[str, ...] = get_args(EditType)


@dataclass(frozen=True, slots=True)
class Sample:
    """An example that an editor may learn from; it shares nothing with the probes.

    Attributes:
        kind: How it was made: `rephrase`, `image_augmented`, `image_other_instance`, `negative`...
        prompt: The question.
        image: The picture, or None for a text-only example.
        answer: The right answer after the edit: `target_new` for a positive sample, the sample's
            own answer for a negative one.
        distance: How far a negative picture is from the edited one, in the source's own unit.
    """

    kind: str
    prompt: str
    image: EncodedImage | None
    answer: str
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One fact to change, and everything that an editor may see of it.

    Attributes:
        id: Unique in its data set.
        prompt: The question whose answer changes.
        image: The picture it is asked about, or None.
        subject: The entity in `prompt` whose representation locate-then-edit methods write to, or
            None where the prompt names none, as in most visual questions.
        target_new: The answer after the edit.
        target_new_aliases: Other accepted wordings of `target_new`.
        target_true: The answer before the edit, as the source gives it, or None.
        positives: Samples the edit should reach.
        negatives: Samples the edit must not reach.
        facts: The new knowledge as declarative sentences, for editors that keep a memory.
    """

    id: str
    prompt: str
    image: EncodedImage | None
    subject: str | None
    target_new: str
    target_true: str | None
    target_new_aliases: tuple[str, ...] = ()
    positives: tuple[Sample, ...] = ()
    negatives: tuple[Sample, ...] = ()
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """A question for evaluation, with its rephrasings and pictures; editors never see it.

    A probe is asked once for every pair of a prompt and an image, or once per prompt where it has
    no image (`queries`).

    Attributes:
        id: Unique in its record.
        axis: What it measures.
        kind: How it was made: see `PROBE_KINDS` for those that the builders write.
        expectation: Whether the edit should reach it.
        prompts: The question and its rephrasings, at least one.
        images: The pictures, possibly none.
        answers: Accepted answers after the edit, the canonical one first. May be empty where
            `unchanged` is expected and the source gives no answer.
        answers_pre_edit: Accepted answers before the edit, where they differ and are known.
        hops: Facts that must be chained with the edited one, for portability.
        distance: How far a negative picture is from the edited one, in the source's own unit.
        grade: That distance in words, for example `confusable`.
    """

    id: str
    axis: Axis
    kind: str
    expectation: Expectation
    prompts: tuple[str, ...]
    images: tuple[EncodedImage, ...]
    answers: tuple[str, ...]
    answers_pre_edit: tuple[str, ...] = ()
    hops: int | None = None
    distance: float | None = None
    grade: str | None = None

    def queries(self) -> Iterator[tuple[str, EncodedImage | None]]:
        """Every (prompt, image) pair to ask, prompts in the outer loop."""
        for prompt in self.prompts:
            if not self.images:
                yield prompt, None
            for image in self.images:
                yield prompt, image


PROBE_KINDS: dict[str, str] = {
    "edit": "the edited question itself, about the edited picture if there is one",
    "question": "another question that the edited fact answers",
    "rephrase": "the edited question in other words, about the same picture",
    "image_augmented": "the edited question about the same picture, slightly changed",
    "image_other_instance": "the edited question about another picture of the same thing",
    "image_rephrase": "the edited question about a picture made to show the same thing",
    "text_only": "a question about the shown entity by name, without a picture",
    "same_image": "another question about the edited picture",
    "negative": "the edited question about a picture with another answer",
    "unrelated_image": "another question about an unrelated picture",
    "text": "an unrelated question without a picture",
    "neighborhood": "the edited question about another subject that has the old answer",
    "one_hop": "a question that chains the edited fact with one more",
    "two_hop": "a question that chains the edited fact with two more",
    "hop": "a question that chains the edited fact with others",
    "subject_aliasing": "the edited question with another name of its subject",
    "logical_generalization": "a question whose answer follows from the edited fact",
    "relation_specificity": "another relation of the edited subject",
    "forgetfulness": "another answer to a question that has several",
    "generation": "a prompt about the edited subject, to be continued at length",
    "unchanged_sentence": "a statement of the edited article that did not change",
    "related_document": "a statement of an article that is linked with the edited one",
    "random_document": "a statement of any other article",
    "rewrite": "the edited article, to be brought up to date",
    "rewrite_related": "an article that is linked with the edited one, to be left as it is",
    "rewrite_random": "any other article, to be left as it is",
}
"""Probe kinds that the builders and format readers write, in the order of reports."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where one field of a record comes from.

    Attributes:
        field: The field's path, for example `requests.target_new` or `probes.rephrase`.
        source: The data set or file it was read from, or the one it was derived from.
        generator: What made it: `source` for copied values, else the generator's name.
        model: The model behind the generator, if any.
        prompt_digest: Digest of the prompt that the model was given.
        seed: The seed it was made with.
        fallback: Whether the first generator failed and another one answered.
    """

    field: str
    source: str
    generator: str
    model: str | None = None
    prompt_digest: str | None = None
    seed: int | None = None
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class EditRecord:
    """One edit: what editors get (`requests`), how it is judged (`probes`), how it was made.

    Attributes:
        id: Content hash or source id, unique in its data set.
        requests: The facts to change together, at least one.
        probes: The questions that judge the edit.
        scope: What the edit changes, or None where the source does not say.
        edit_type: Whether the question needs its picture, by majority of `edit_type_votes`.
        edit_type_votes: The single votes.
        edit_type_reason: Why, in the words of the generator.
        image_object: Phrase naming what the picture shows.
        third_answer: An answer that is neither the old nor the new one.
        third_object: Phrase naming what a picture for `third_answer` shows.
        provenance: Where the fields come from.
        extra: JSON object with the fields of a foreign format that have no place above, so that
            export gives back what was imported; None if there are none.
    """

    id: str
    requests: tuple[EditRequest, ...]
    probes: tuple[Probe, ...]
    scope: Scope | None = None
    edit_type: EditType | None = None
    edit_type_votes: tuple[str, ...] = ()
    edit_type_reason: str | None = None
    image_object: str | None = None
    third_answer: str | None = None
    third_object: str | None = None
    provenance: tuple[Provenance, ...] = ()
    extra: str | None = None

    @property
    def extra_fields(self) -> dict[str, Any]:
        """The decoded `extra`, empty where there is none."""
        return json.loads(self.extra) if self.extra else {}

    def of_kind(self, kind: str) -> tuple[Probe, ...]:
        """The probes of one kind, in order."""
        return tuple(probe for probe in self.probes if probe.kind == kind)
