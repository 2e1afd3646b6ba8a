"""The world of photographs: pictures in a folder, and what the source's other rows offer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builders.atlas.facts import load_atlas
from builders.definition import Row
from builders.images.mined import Candidate, choose
from builders.images.photo import PhotoAugmenter
from builders.images.protocol import ImageGenerator
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.okedit.words import normalise, same
from builders.okedit.world import NegativePlan
from builders.seeds import seed_for
from builders.steps import Problem
from schemas.formats.images import ImageFolder, MissingImageError
from schemas.images import EncodedImage, ImageError
from schemas.records import Provenance


class PhotoWorld:
    """What photographs and their questions offer; sources derive from it and add `draft`.

    Args:
        name: The source's name.
        context: The survey of the source, as JSON.
        folder: The pictures, or None where there are none at hand.
        allow_missing: Whether a row without its picture becomes a text-only record.
        drawn_negatives: Whether negatives are left to a text-to-image model, from the third
            answer, as OKEDIT does it, instead of being taken from the source.
    """

    def __init__(
        self,
        name: str,
        context: Mapping[str, Any],
        folder: ImageFolder | None,
        *,
        allow_missing: bool,
        drawn_negatives: bool,
    ) -> None:
        self.name = name
        self.pools: Mapping[str, Sequence[str]] = context["pools"]
        self._candidates = [Candidate(**entry) for entry in context["candidates"]]
        self._folder = folder
        self._allow_missing = allow_missing
        self._drawn = drawn_negatives

    @property
    def offline_images(self) -> ImageGenerator:
        """Crops, colours and blur of the picture at hand."""
        return PhotoAugmenter()

    def picture(self, path: str) -> EncodedImage | Problem | None:
        """The picture at a path; None where it is missing and that is allowed."""
        if self._folder is None:
            problem = Problem("missing_image", "image", "cannot be had: no image folder was given")
            return None if self._allow_missing else problem
        try:
            return self._folder.read(path)
        except MissingImageError as error:
            return None if self._allow_missing else Problem("missing_image", "image", str(error))
        except ImageError as error:
            return Problem("image", "image", str(error))

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record; each source has its own."""
        raise NotImplementedError

    def negatives(self, draft: Draft, wanted: int, seed: int) -> Sequence[NegativePlan]:
        """A drawing of the third answer where a model draws, then pictures of other rows.

        The model may refuse, and a question with two answers has no third one; a photograph of
        another row still tells an edit that leaks from one that does not.
        """
        drawn = self._to_draw(draft) if self._drawn else ()
        return (*drawn, *self._mined(draft, wanted - len(drawn), seed))

    def _mined(self, draft: Draft, wanted: int, seed: int) -> Sequence[NegativePlan]:
        assert draft.new is not None
        chosen = choose(
            self._candidates,
            question=draft.question,
            old_answer=draft.old.text,
            new_answer=draft.new.text,
            answer_type=draft.answer_type,
            exclude_images=_paths(draft),
            seed=seed,
            n=2 * wanted,
        )
        plans: list[NegativePlan] = []
        for candidate, grade in chosen:
            if len(plans) == wanted:
                break
            if any(same(candidate.answer, a) for a in (*draft.old.all, *draft.new.all)):
                continue
            if _asked(candidate.question, draft):
                continue
            image = self.picture(candidate.image)
            if not isinstance(image, EncodedImage):
                continue
            asked_here = same(candidate.question, draft.question)
            plans.append(
                NegativePlan(
                    answer=Answer(candidate.answer),
                    phrase=candidate.answer,
                    entity=candidate.image,
                    question=None if asked_here else candidate.question,
                    grade=grade,
                    image=image,
                )
            )
        return plans

    def _to_draw(self, draft: Draft) -> Sequence[NegativePlan]:
        if draft.third is None or draft.third_object is None:
            return ()
        phrase = draft.third_object
        return (NegativePlan(Answer(draft.third), phrase, phrase, grade="third_answer"),)

    def other_instances(self, draft: Draft, wanted: int, seed: int) -> Sequence[Picture] | None:
        """Pictures of other rows with the same question and the same answer."""
        if self._drawn:
            return None
        used = _paths(draft)
        alike = [
            candidate
            for candidate in self._candidates
            if same(candidate.question, draft.question)
            and same(candidate.answer, draft.old.text)
            and candidate.image not in used
        ]
        random.Random(seed).shuffle(alike)
        found: list[Picture] = []
        for candidate in alike[: 2 * wanted]:
            image = self.picture(candidate.image)
            if isinstance(image, EncodedImage) and len(found) < wanted:
                found.append(Picture(image, entity=candidate.image))
        return found

    def unrelated(self, draft: Draft, seed: int) -> Picture | None:
        """A picture of another row with that row's own question, which asks for another kind."""
        used = _paths(draft)
        others = [
            candidate
            for candidate in self._candidates
            if candidate.answer_type != draft.answer_type
            and not same(candidate.question, draft.question)
            and not _asked(candidate.question, draft)
            and candidate.image not in used
        ]
        rng = random.Random(seed)
        for candidate in rng.sample(others, min(4, len(others))):
            image = self.picture(candidate.image)
            if isinstance(image, EncodedImage):
                answer = Answer(candidate.answer)
                return Picture(image, answer, candidate.image, candidate.question)
        return None

    def text_question(self, draft: Draft, seed: int) -> Question:
        """A question of general knowledge."""
        return trivia_question(draft, seed)


def copied(draft: Draft, *fields: str) -> Iterator[Provenance]:
    """The origin of fields that a row of the source gave."""
    pictured = ("requests.image",) if draft.image else ()
    for field in ("requests.prompt", "requests.target_true", *pictured, *fields):
        yield Provenance(field, draft.source, "source")


def trivia_question(draft: Draft, seed: int) -> Question:
    """A question of general knowledge whose answers are not the edit's."""
    taken = {normalise(text) for text in (*draft.old.all, *(draft.new.all if draft.new else ()))}
    free = [
        item
        for item in load_atlas().trivia
        if not taken & {normalise(text) for text in (item.answer, *item.aliases)}
    ]
    item = random.Random(seed_for(seed, "trivia")).choice(free)
    return Question("text", item.question, Answer(item.answer, item.aliases))


def _paths(draft: Draft) -> set[str]:
    """Paths of all pictures that the record has so far, whoever sees them."""
    pictures = (
        *draft.rephrased_images,
        *draft.other_instances,
        *(picture for _, picture in draft.editor_pictures),
        *draft.negatives,
        *draft.editor_negatives,
        *((draft.unrelated,) if draft.unrelated else ()),
    )
    images = (draft.image, *(picture.image for picture in pictures))
    return {image.path for image in images if image and image.path}


def _asked(question: str, draft: Draft) -> bool:
    """Whether the record asks this about another picture; editors and probes share no question."""
    others = (*draft.editor_negatives, *((draft.unrelated,) if draft.unrelated else ()))
    return any(other.question and same(question, other.question) for other in others)
