"""Flags: the embedded source. Countries' flags as pictures, dated facts as answers.

Every record asks one thing about one flag: which country's it is (a recognition edit), or its
capital, currency and so on (a knowledge edit). All answers, before and after the edit and one or
two hops on, come from the atlas, so that no model is needed and nothing has to be guessed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from builders.atlas import facts as atlas_facts
from builders.atlas.facts import RELATION_KEYS, RelationKey, load_atlas
from builders.atlas.flags import grade, is_fragile, neighbours
from builders.atlas.scenes import Scene, encode, render, vary
from builders.atlas.unrelated import UNRELATED, render_unrelated
from builders.definition import Row
from builders.images.protocol import ImageGenerator, ImageRequest, ImageResult
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.okedit.sources.photos import trivia_question
from builders.okedit.world import NegativePlan
from builders.seeds import content_id, seed_for
from builders.steps import Problem, Reject
from schemas.images import EncodedImage
from schemas.records import Provenance

RECOGNITION: RelationKey = "country"
"""The relation whose edit changes what the picture shows; all others change what is true of it."""

MIN_ANSWERS = 2
"""False answers that a pair must have: the new one and the third one."""

_TOLD = (
    "requests.prompt",
    "requests.target_true",
    "requests.target_new",
    "requests.facts",
    "scope",
    "image_object",
    "third_answer",
    "third_object",
)
"""Fields that the atlas gives."""

# Terse requests, so that an editor's samples share no wording with the probes' full sentences.
_EDITOR_FORMS = (
    "Name {} for this flag.",
    "Flag shown; give {}, please.",
    "Identify {} behind this banner.",
)
_NOUNS: Mapping[RelationKey, str] = MappingProxyType(
    {
        "country": "the nation",
        "capital": "the capital city",
        "currency": "the money",
        "language": "the official language",
        "continent": "the continent",
        "largest_city": "the most populous city",
        "tld": "the internet domain ending",
        "calling_code": "the telephone prefix",
    }
)

GRADES = ("confusable", "similar", "different")
"""Grades of negatives, nearest first."""


@dataclass(frozen=True)
class FlagsSource:
    """All pairs of a country and a relation, in an order that the seed decides.

    Beyond the last pair the round starts again with new scenes and new answers, so a build can be
    as large as `limit` says.

    Attributes:
        seed: The build's seed.
        limit: Rows to give, or None for every pair once.
    """

    seed: int
    limit: int | None

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The pairs, each with the number of its round."""
        atlas = load_atlas()
        pairs = [
            (country, relation)
            for country in atlas.flag_keys
            for relation in RELATION_KEYS
            if len(atlas.counterfactuals(relation, country)) >= MIN_ANSWERS
        ]
        random.Random(seed_for(self.seed, "flags")).shuffle(pairs)
        for number in range(len(pairs) if self.limit is None else self.limit):
            variant, place = divmod(number, len(pairs))
            country, relation = pairs[place]
            fields = {"country": country, "relation": relation, "variant": variant}
            yield Row(number, content_id("flags", self.seed, country, relation, variant), fields)

    def context(self) -> dict[str, Any]:
        """Answer pools, for generators that draw from them."""
        atlas = load_atlas()
        return {"pools": {r: [a.text for a in atlas.pool(r)] for r in RELATION_KEYS}}

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card."""
        return {
            "name": "flags",
            "title": "Flags of the world, drawn by this project, with dated facts",
            "licence": "apache-2.0",
            "as_of": atlas_facts.AS_OF,
            "sources": [f"{source}: {backs}" for source, backs in atlas_facts.SOURCES],
            "notes": [
                "The pictures are drawings of flags in simple scenes, not photographs. Results on "
                "them do not carry over to photographs without a check.",
                "Flags with coats of arms or lettering are left out, and small emblems are "
                "simplified.",
                "Facts that are disputed or have more than one answer (two capitals, several "
                "official languages) are left out.",
                "The questions are in English, written from a few dozen patterns.",
                "The licence covers drawings and records; facts are not subject to copyright.",
            ],
        }


class FlagImages:
    """Renders flags in scenes: the same one seen slightly differently, or another one.

    Args:
        size: Pixels per side.
    """

    name = "flags"

    def __init__(self, size: int) -> None:
        self._size = size

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One picture per request, in order."""
        return [self._one(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""

    def edited(self, record_id: str, country: str) -> EncodedImage:
        """The picture that a record edits."""
        return self._draw(country, _first_scene(record_id, country))

    def _one(self, request: ImageRequest) -> ImageResult:
        image, error = None, None
        if request.entity is None:
            error = "the request names no country"
        elif request.kind == "image_augmented":
            first = _first_scene(request.record_id, request.entity)
            image = self._draw(request.entity, vary(first, request.seed))
        else:
            scene = Scene.draw(request.seed, is_fragile(request.entity))
            image = self._draw(request.entity, scene)
        return ImageResult(image, error, self.name, None, None, request.seed, False)

    def _draw(self, country: str, scene: Scene) -> EncodedImage:
        return EncodedImage(encode(render(country, scene, self._size)), None)


class FlagsWorld:
    """What the atlas knows about a flag's country, and how to draw it.

    Args:
        templates: Whether rephrasings come from the questions written for each relation; if not,
            the text generator writes them.
        size: Pixels per side of a picture.
    """

    def __init__(self, *, templates: bool, size: int) -> None:
        self._atlas = load_atlas()
        self._templates = templates
        self._size = size
        self._images = FlagImages(size)

    @property
    def offline_images(self) -> ImageGenerator:
        """Re-rendered scenes."""
        return self._images

    def draft(self, row: Row) -> Draft | Problem:
        """A complete draft but for rephrasings, votes and pictures other than the edited one."""
        country, relation = row.fields["country"], _relation(row.fields["relation"])
        atlas, rng = self._atlas, random.Random(seed_for(row.id, "answers"))
        old = atlas.answers(relation, country)
        assert old is not None
        new, third = rng.sample(atlas.counterfactuals(relation, country), MIN_ANSWERS)
        recognises = relation == RECOGNITION
        drawn = Provenance(
            "requests.image", "atlas", self._images.name, seed=seed_for(row.id, "scene")
        )
        questions = self._questions(country, relation, old, new, rng)
        told = (*_TOLD, *(f"probes.{question.kind}" for question in questions))
        draft = Draft(
            id=row.id,
            row=row.row,
            source="atlas",
            question=atlas.relation(relation).picture_question,
            image=self._images.edited(row.id, country),
            old=_answer(old),
            answer_type=relation,
            entity=country,
            new=_answer(new),
            third=third.text,
            image_object=f"the flag of {atlas.country(country).phrase}",
            third_object=self._third_object(relation, third, rng),
            scope="recognition" if recognises else "knowledge",
            facts=(self._fact(country, relation, new),),
            questions=questions,
        ).with_(drawn, *(Provenance(field, "atlas", "source") for field in told))
        if not self._templates:
            return draft
        probe = atlas.relation(relation).picture_paraphrases
        editor = tuple(form.format(_NOUNS[relation]) for form in _EDITOR_FORMS)
        written = ("probes.rephrase", "requests.positives.rephrase")
        return draft.with_(
            *(Provenance(field, "atlas", "templates") for field in written),
            rephrasings=tuple(rng.sample(probe, len(probe))),
            editor_rephrasings=tuple(rng.sample(editor, len(editor))),
        )

    def negatives(self, draft: Draft, wanted: int, seed: int) -> Sequence[NegativePlan]:
        """Flags of other countries, the grades in turn, each with its own true answer."""
        assert draft.entity is not None
        assert draft.new is not None
        taken = {draft.old.text, draft.new.text}
        by_grade: dict[str, list[tuple[str, float, Answer]]] = {name: [] for name in GRADES}
        for key, distance in neighbours(draft.entity):
            answer = self._atlas.answers(_relation(draft.answer_type), key)
            if answer is not None and answer.text not in taken:
                by_grade[grade(distance)].append((key, distance, _answer(answer)))
        rng = random.Random(seed)
        plans: list[NegativePlan] = []
        while len(plans) < wanted and any(by_grade.values()):
            for name, found in by_grade.items():
                if not found or len(plans) == wanted:
                    continue
                # Among the nearest few, so that the hard ones stay hard and still vary.
                key, distance, answer = found.pop(rng.randrange(min(3, len(found))))
                phrase = f"the flag of {self._atlas.country(key).phrase}"
                plans.append(NegativePlan(answer, phrase, key, None, distance, name))
        return plans

    def other_instances(self, draft: Draft, wanted: int, seed: int) -> Sequence[Picture] | None:
        """None: other flags of the same country are drawn."""
        return None

    def unrelated(self, draft: Draft, seed: int) -> Picture | None:
        """A picture without any flag."""
        thing = random.Random(seed).choice(UNRELATED)
        image = EncodedImage(encode(render_unrelated(thing.key, seed, self._size)), None)
        return Picture(image, Answer(thing.answer, thing.aliases), thing.key, thing.question)

    def text_question(self, draft: Draft, seed: int) -> Question:
        """A question of general knowledge."""
        return trivia_question(draft, seed)

    def _third_object(
        self, relation: RelationKey, third: atlas_facts.Answer, rng: random.Random
    ) -> str:
        """A flag for which the third answer is right."""
        atlas = self._atlas
        fitting = [
            key
            for key in atlas.flag_keys
            if (answer := atlas.answers(relation, key)) and answer.key == third.key
        ]
        return f"the flag of {atlas.country(rng.choice(fitting)).phrase}"

    def _fact(self, country: str, relation: RelationKey, new: atlas_facts.Answer) -> str:
        wording = self._atlas.relation(relation)
        by_name = wording.text_statement(self._atlas.country(country), new)
        return by_name or wording.picture_statement(new)

    def _questions(
        self,
        country: str,
        relation: RelationKey,
        old: atlas_facts.Answer,
        new: atlas_facts.Answer,
        rng: random.Random,
    ) -> tuple[Question, ...]:
        """Questions by name, about the same picture, and one and two hops away."""
        hops = zip(
            self._atlas.hops(relation, new.key), self._atlas.hops(relation, old.key), strict=True
        )
        about = self._if_recognised if relation == RECOGNITION else self._if_known
        return (
            *about(country, relation, old, new, rng),
            *(
                Question(
                    "one_hop" if after.hops == 1 else "two_hop",
                    after.picture_question,
                    Answer(after.answers[0], after.answers[1:]),
                    Answer(before.answers[0], before.answers[1:]),
                )
                for after, before in hops
            ),
        )

    def _if_recognised(
        self,
        country: str,
        relation: RelationKey,
        old: atlas_facts.Answer,
        new: atlas_facts.Answer,
        rng: random.Random,
    ) -> Iterator[Question]:
        """After a recognition edit the picture has the new country's facts; names keep theirs."""
        atlas = self._atlas
        known: list[tuple[RelationKey, atlas_facts.Answer, atlas_facts.Answer]] = [
            (key, before, after)
            for key in RELATION_KEYS
            if key != relation
            and (before := atlas.answers(key, country))
            and (after := atlas.answers(key, new.key))
        ]
        changing = [fact for fact in known if not {*fact[1].accepted} & {*fact[2].accepted}]
        if changing:
            key, before, after = rng.choice(changing)
            asked = atlas.relation(key).picture_question
            yield Question("same_image", asked, _answer(after), _answer(before))
        if known:
            key, before, _ = rng.choice(known)
            by_name = atlas.relation(key).text_question(atlas.country(country))
            assert by_name is not None
            yield Question("text_only", by_name, _answer(before))

    def _if_known(
        self,
        country: str,
        relation: RelationKey,
        old: atlas_facts.Answer,
        new: atlas_facts.Answer,
        rng: random.Random,
    ) -> Iterator[Question]:
        """After a knowledge edit the picture's other facts stay; the name has the new one."""
        atlas = self._atlas
        others: list[tuple[RelationKey, atlas_facts.Answer]] = [
            (key, answer)
            for key in RELATION_KEYS
            if key != relation and (answer := atlas.answers(key, country))
        ]
        key, same = rng.choice(others)
        yield Question("same_image", atlas.relation(key).picture_question, _answer(same))
        by_name = atlas.relation(relation).text_question(atlas.country(country))
        assert by_name is not None
        yield Question("text_only", by_name, _answer(new), _answer(old))


def _answer(answer: atlas_facts.Answer) -> Answer:
    return Answer(answer.text, answer.aliases)


def _first_scene(record_id: str, country: str) -> Scene:
    return Scene.draw(seed_for(record_id, "scene"), is_fragile(country))


def _relation(key: str) -> RelationKey:
    """A relation's key, from a row or an answer type."""
    return next(relation for relation in RELATION_KEYS if relation == key)
