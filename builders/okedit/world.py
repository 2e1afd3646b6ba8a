"""What a source knows beyond its rows: other pictures, other answers, further questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from builders.definition import Row
from builders.images.protocol import ImageGenerator
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.steps import Problem
from schemas.images import EncodedImage


@dataclass(frozen=True, slots=True)
class NegativePlan:
    """A picture with another answer that is still to be drawn, or already at hand.

    Attributes:
        answer: What is right for it, asked `question`.
        phrase: What it shows, for an image generator.
        entity: Key of what it shows.
        question: The question that `answer` answers, or None for the edited one.
        distance: How far it is from the edited picture.
        grade: That distance in words.
        image: The picture, where the source has it.
    """

    answer: Answer
    phrase: str
    entity: str
    question: str | None = None
    distance: float | None = None
    grade: str | None = None
    image: EncodedImage | None = None


class World(Protocol):
    """One source, opened in a worker. Whatever it does not know, it leaves to the generators."""

    @property
    def offline_images(self) -> ImageGenerator:
        """Makes pictures without a model: re-rendered scenes, or photographs slightly changed."""
        ...

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record, with everything that the source itself gives."""
        ...

    def negatives(self, draft: Draft, wanted: int, seed: int) -> Sequence[NegativePlan]:
        """Up to `wanted` things to show with another answer than old and new, no entity twice.

        The grades are spread: the first ones differ in grade as far as there are grades.
        """
        ...

    def other_instances(self, draft: Draft, wanted: int, seed: int) -> Sequence[Picture] | None:
        """Other pictures in the source with the same answer; None to have them generated."""
        ...

    def unrelated(self, draft: Draft, seed: int) -> Picture | None:
        """A picture of something else with its own question and answer."""
        ...

    def text_question(self, draft: Draft, seed: int) -> Question:
        """A question without a picture that has nothing to do with the edit."""
        ...
