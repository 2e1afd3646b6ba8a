"""Steps that gather pictures: positives, negatives, and what must not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from builders.images.aspects import aspects_of
from builders.images.protocol import ImageGenerator, ImageKind, ImageRequest, ImageResult
from builders.okedit.draft import Draft, Picture
from builders.okedit.steps.asking import made_by
from builders.okedit.world import NegativePlan, World
from builders.seeds import seed_for
from builders.steps import Problem
from schemas.images import EncodedImage, ImageError, fingerprint
from schemas.records import Provenance

_ATTEMPTS = 4
"""How often pictures that look like others of the record are drawn again."""


@dataclass(frozen=True)
class Pictures:
    """How many pictures of each kind a record gets; the editor's are apart from the probes'."""

    augmented: int = 1
    other_instances: int = 2
    negatives: int = 3
    editor_augmented: int = 1
    editor_other_instances: int = 1
    editor_negatives: int = 1


@dataclass(frozen=True)
class Positives:
    """Pictures the edit must reach: the edited one slightly changed, and others of the same thing.

    The two are separate kinds: an editor may well carry over to a brighter copy of the picture and
    miss the same thing photographed elsewhere.
    """

    world: World
    images: ImageGenerator
    counts: Pictures
    name: str = "positive images"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in pictures for probes and editor; a text-only record gets none."""
        counts = self.counts
        searches: list[tuple[_Search, _Search]] = []
        for draft in drafts:
            augmented = _Search(
                draft, "image_augmented", counts.augmented + counts.editor_augmented
            )
            wanted = counts.other_instances + counts.editor_other_instances
            others = _Search(draft, "image_other_instance", wanted)
            seed = seed_for(draft.id, "other instances")
            if draft.image is None:
                augmented.wanted = others.wanted = 0
            elif (mined := self.world.other_instances(draft, wanted, seed)) is not None:
                others.take_mined(mined)
            searches.append((augmented, others))
        _draw(self.images, [search for pair in searches for search in pair])
        return [self._one(*pair) for pair in searches]

    def _one(self, augmented: _Search, others: _Search) -> Draft | Problem:
        counts, draft = self.counts, augmented.draft
        if draft.image is None:
            return draft
        if not augmented.found and not others.found and not draft.rephrased_images:
            return Problem("positive_images", "probes.image_augmented", "could not be made")
        # The probes are served first: an editor without samples still works, an axis without
        # probes cannot be scored.
        editor = [("image_augmented", p) for p in augmented.found[counts.augmented :]]
        editor += [("image_other_instance", p) for p in others.found[counts.other_instances :]]
        return draft.with_(
            *_both(augmented.origin, "image_augmented", editor),
            *_both(others.origin, "image_other_instance", editor),
            augmented=tuple(augmented.found[: counts.augmented]),
            other_instances=tuple(others.found[: counts.other_instances]),
            editor_pictures=tuple(editor),
        )


@dataclass
class _Search:
    """Pictures of one kind for one draft, as far as they are found.

    No two look the same: an editor's sample that looks like a probe's picture would give that
    probe away, so a picture that repeats another one is drawn again, a few times.
    """

    draft: Draft
    kind: ImageKind
    wanted: int
    found: list[Picture] = field(default_factory=list)
    origin: Provenance | None = None

    def take_mined(self, pictures: Sequence[Picture]) -> None:
        """Be content with pictures of the source."""
        self.wanted = 0
        self.found.extend(pictures)
        if pictures:
            self.origin = Provenance(f"probes.{self.kind}", self.draft.source, "source")

    def requests(self, attempt: int) -> list[ImageRequest]:
        """What is still missing."""
        draft = self.draft
        return [
            ImageRequest(
                record_id=draft.id,
                kind=self.kind,
                phrase=draft.image_object or draft.old.text,
                seed=seed_for(draft.id, self.kind, attempt, i),
                reference=draft.image,
                protects=aspects_of(f"{draft.question} {draft.old.text}"),
                entity=draft.entity,
            )
            for i in range(self.wanted - len(self.found))
        ]

    def take(self, result: ImageResult) -> None:
        """Keep a picture that was made, unless it looks like one that is there."""
        if result.image is None or _seen(result.image, self.found):
            return
        self.found.append(Picture(result.image, entity=self.draft.entity))
        self.origin = self.origin or made_by(result, self.draft, f"probes.{self.kind}")


def _draw(images: ImageGenerator, searches: Sequence[_Search]) -> None:
    """Let all searches find what they want, with one call of the generator per attempt."""
    for attempt in range(_ATTEMPTS):
        asked = [(s, r) for s in searches for r in s.requests(attempt)]
        if not asked:
            return
        results = images.generate([request for _, request in asked])
        for (search, _), result in zip(asked, results, strict=True):
            search.take(result)


@dataclass(frozen=True)
class Negatives:
    """Pictures with another answer, graded by distance; the editor's show other things."""

    world: World
    images: ImageGenerator
    counts: Pictures
    name: str = "negative images"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in negatives for probes and editor; a text-only record gets none."""
        wanted = self.counts.negatives + self.counts.editor_negatives
        planned = [
            (draft, plan)
            for draft in drafts
            if draft.image is not None
            for plan in self.world.negatives(draft, wanted, seed_for(draft.id, "negatives"))
        ]
        requests = [_request(draft, plan) for draft, plan in planned if plan.image is None]
        results = iter(self.images.generate(requests) if requests else ())
        drawn: dict[str, list[tuple[Picture, Provenance]]] = {draft.id: [] for draft in drafts}
        for draft, plan in planned:
            image, origin = plan.image, Provenance("probes.negative", draft.source, "source")
            if image is None:
                result = next(results)
                image, origin = result.image, made_by(result, draft, "probes.negative")
            if image is not None:
                picture = Picture(
                    image, plan.answer, plan.entity, plan.question, plan.distance, plan.grade
                )
                drawn[draft.id].append((picture, origin))
        return [d if d.image is None else self._one(d, drawn[d.id]) for d in drafts]

    def _one(self, draft: Draft, drawn: Sequence[tuple[Picture, Provenance]]) -> Draft | Problem:
        if not drawn:
            return Problem("negative_images", "probes.negative", "no picture has another answer")
        probes, editors = drawn[: self.counts.negatives], drawn[self.counts.negatives :]
        return draft.with_(
            *dict.fromkeys(origin for _, origin in probes),
            *dict.fromkeys(replace(o, field="requests.negatives") for _, o in editors),
            negatives=tuple(picture for picture, _ in probes),
            editor_negatives=tuple(picture for picture, _ in editors),
        )


def _request(draft: Draft, plan: NegativePlan) -> ImageRequest:
    return ImageRequest(
        record_id=draft.id,
        kind="negative",
        phrase=plan.phrase,
        seed=seed_for(draft.id, "negative", plan.entity),
        reference=None,
        protects=frozenset(),
        entity=plan.entity,
    )


@dataclass(frozen=True)
class Locality:
    """What must not change: an unrelated picture and an unrelated question."""

    world: World
    name: str = "locality"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `unrelated` and a question of kind `text`."""
        return [self._one(draft) for draft in drafts]

    def _one(self, draft: Draft) -> Draft:
        made, fields = [], {}
        if draft.image is not None and draft.unrelated is None:
            unrelated = self.world.unrelated(draft, seed_for(draft.id, "unrelated"))
            if unrelated is not None:
                fields["unrelated"] = unrelated
                made.append(Provenance("probes.unrelated_image", draft.source, "source"))
        if not draft.has("text"):
            question = self.world.text_question(draft, seed_for(draft.id, "text"))
            fields["questions"] = (*draft.questions, question)
            made.append(Provenance("probes.text", "atlas", "source"))
        return draft.with_(*made, **fields)


def _seen(image: EncodedImage, pictures: Sequence[Picture]) -> bool:
    """Whether a picture looks like one of some others."""
    try:
        look = fingerprint(image.bytes)
        return any(look.near_duplicate(fingerprint(p.image.bytes)) for p in pictures)
    except ImageError:
        return False  # validation says what is wrong with it


def _both(
    origin: Provenance | None, kind: str, editor: Sequence[tuple[str, Picture]]
) -> list[Provenance]:
    """The origin of a kind's pictures, for probes and, where it has some, for the editor."""
    if origin is None:
        return []
    if all(name != kind for name, _ in editor):
        return [origin]
    return [origin, replace(origin, field=f"requests.positives.{kind}")]
