"""The recipe of OKEDIT-style records: its steps as one readable list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builders.definition import Row
from builders.images.protocol import ImageGenerator
from builders.okedit.draft import Draft, assemble
from builders.okedit.steps import (
    Counterfactual,
    EditTypeVote,
    Facts,
    FurtherQuestions,
    Locality,
    Negatives,
    ObjectPhrase,
    Pictures,
    Positives,
    Rephrase,
    ThirdAnswer,
    distinct_answers,
    question_keeps_answer,
)
from builders.okedit.world import World
from builders.steps import Filter, Problem, Step
from builders.text.protocol import TextGenerator
from schemas.records import EditRecord


@dataclass(frozen=True)
class OkeditRecipe:
    """How a row becomes a record.

    Attributes:
        world: What the source knows.
        text: Writes what the source does not give.
        images: Draws what the source does not show, or None to leave all pictures out (when only
            the text requests are of interest).
        rephrasings: Rephrasings per record for the probes.
        editor_rephrasings: Rephrasings per record for the editor.
        pictures: Pictures per record, by kind.
    """

    world: World
    text: TextGenerator
    images: ImageGenerator | None
    rephrasings: int
    editor_rephrasings: int
    pictures: Pictures

    @property
    def steps(self) -> Sequence[Step[Draft]]:
        """The steps, in order: text first, since it rejects more and costs less than pictures."""
        text_steps: list[Step[Draft]] = [
            Rephrase(self.text, self.rephrasings, self.editor_rephrasings),
            ObjectPhrase(self.text),
            Counterfactual(self.text),
            EditTypeVote(self.text),
            ThirdAnswer(self.text),
            Filter("distinct answers", distinct_answers),
            Filter("question", question_keeps_answer),
            FurtherQuestions(self.text),
            Facts(self.text),
        ]
        if self.images is None:
            return text_steps
        return [
            *text_steps,
            Positives(self.world, self.images, self.pictures),
            Negatives(self.world, self.images, self.pictures),
            Locality(self.world),
        ]

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record."""
        return self.world.draft(row)

    def record(self, draft: Draft) -> EditRecord:
        """The finished record."""
        return assemble(draft)

    def close(self) -> None:
        """Close both generators."""
        self.text.close()
        if self.images is not None:
            self.images.close()
