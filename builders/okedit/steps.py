"""The construction steps of an OKEDIT-style record, in the order in which they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from builders.images.aspects import aspects_of
from builders.images.protocol import ImageGenerator, ImageKind, ImageRequest, ImageResult
from builders.okedit import tasks
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.okedit.words import TWO_ANSWERS, normalise, same, states
from builders.okedit.world import NegativePlan, World
from builders.seeds import seed_for
from builders.steps import Problem
from builders.text.protocol import TextGenerator, TextRequest, TextResult, TextTask
from schemas.images import EncodedImage, ImageError, fingerprint
from schemas.records import Provenance

Choice = TypeVar("Choice", bound=str)

_ATTEMPTS = 4
"""How often pictures that look like others of the record are drawn again."""

_PROBE_STYLE = "Keep them natural and complete, as different people would ask."
_EDITOR_STYLE = "Write them in a terse, informal register, as in a chat."


@dataclass(frozen=True)
class Rephrase:
    """N distinct rephrasings for the probes and others for the editor, none in common."""

    text: TextGenerator
    probe: int
    editor: int
    name: str = "rephrase"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in what is missing of both kinds."""
        made = self._fill(drafts, "probe", "rephrasings", self.probe, _PROBE_STYLE)
        alive = [i for i, draft in enumerate(made) if isinstance(draft, Draft)]
        rest = [draft for draft in made if isinstance(draft, Draft)]
        filled = self._fill(rest, "editor", "editor_rephrasings", self.editor, _EDITOR_STYLE)
        for i, draft in zip(alive, filled, strict=True):
            made[i] = draft
        return made

    def _fill(
        self, drafts: Sequence[Draft], audience: str, field: str, wanted: int, style: str
    ) -> list[Draft | Problem]:
        cut = [replace(d, **{field: getattr(d, field)[:wanted]}) for d in drafts]
        short = [i for i, draft in enumerate(cut) if len(getattr(draft, field)) < wanted]
        inputs = [
            {
                "question": cut[i].question,
                "n": wanted - len(getattr(cut[i], field)),
                "audience": audience,
                "style": style,
                "avoid": cut[i].rephrasings + cut[i].editor_rephrasings,
            }
            for i in short
        ]
        results = _ask(self.text, tasks.REPHRASE, [cut[i] for i in short], inputs, audience)
        made: list[Draft | Problem] = list(cut)
        column = "probes" if audience == "probe" else "requests.positives"
        for i, result in zip(short, results, strict=True):
            made[i] = _text_problem(self.name, column, result) or cut[i].with_(
                _made_by(result, cut[i], f"{column}.rephrase"),
                **{field: (*getattr(cut[i], field), *map(str.strip, _output(result).rephrasings))},
            )
        return made


@dataclass(frozen=True)
class ObjectPhrase:
    """A phrase that names what the picture shows."""

    text: TextGenerator
    name: str = "object phrase"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `image_object`."""
        return _fill(
            self,
            tasks.OBJECT_PHRASE,
            drafts,
            lambda d: d.image_object is None,
            lambda d: {"question": d.question, "answer": d.old.text},
            lambda d, out: {"image_object": out.phrase.strip()},
            "image_object",
        )


@dataclass(frozen=True)
class Counterfactual:
    """The new answer: plausible, and not the old one."""

    text: TextGenerator
    name: str = "counterfactual"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `new`."""
        return _fill(
            self,
            tasks.COUNTERFACTUAL,
            drafts,
            lambda d: d.new is None,
            lambda d: {"question": d.question, "old": d.old.text, "avoid": d.old.aliases},
            lambda d, out: {"new": Answer(out.answer.strip(), _clean(out.aliases))},
            "requests.target_new",
        )


@dataclass(frozen=True)
class EditTypeVote:
    """Edit type, and scope where the source does not say, by the majority of three votes."""

    text: TextGenerator
    votes: int = 3
    name: str = "edit type"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `edit_type` and `scope`."""
        open_ = [i for i, draft in enumerate(drafts) if draft.edit_type is None]
        ballots = [(i, vote) for i in open_ for vote in range(self.votes)]
        inputs = [
            {
                "question": drafts[i].question,
                "image_object": drafts[i].image_object or "",
                "old": drafts[i].old.text,
                "new": _new(drafts[i]).text,
                "vote": vote,
            }
            for i, vote in ballots
        ]
        cast = _ask(self.text, tasks.EDIT_TYPE, [drafts[i] for i, _ in ballots], inputs, "vote")
        made: list[Draft | Problem] = list(drafts)
        for i in open_:
            results = [r for (j, _), r in zip(ballots, cast, strict=True) if j == i]
            made[i] = self._count(drafts[i], results)
        return made

    def _count(self, draft: Draft, results: Sequence[TextResult[tasks.Vote]]) -> Draft | Problem:
        votes = [result.output for result in results if result.output is not None]
        counted = next((result for result in results if result.output is not None), results[0])
        edit_type = self._majority([vote.edit_type for vote in votes])
        scope = draft.scope or self._majority([vote.scope for vote in votes])
        if edit_type is None or scope is None:
            failed = next(
                (_text_problem(self.name, "edit_type", r) for r in results if r.error), None
            )
            return failed or Problem("text", "edit_type", "no answer has a majority of the votes")
        voted = ("edit_type",) if draft.scope else ("edit_type", "scope")
        return draft.with_(
            *(_made_by(counted, draft, field) for field in voted),
            edit_type=edit_type,
            scope=scope,
            edit_type_votes=tuple(vote.edit_type for vote in votes),
            edit_type_reason=next(v.reason for v in votes if v.edit_type == edit_type),
        )

    def _majority(self, votes: Sequence[Choice]) -> Choice | None:
        """What more than half of all votes say, those that were not cast included."""
        counted = Counter(votes).most_common(1)
        return counted[0][0] if counted and 2 * counted[0][1] > self.votes else None


@dataclass(frozen=True)
class ThirdAnswer:
    """An answer that is neither old nor new, and a phrase for a picture of it."""

    text: TextGenerator
    name: str = "third answer"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `third` and `third_object`.

        A question with two answers in all, such as yes and no, has no third one and goes without.
        """
        made = _fill(
            self,
            tasks.THIRD_ANSWER,
            drafts,
            lambda d: d.third is None and d.answer_type not in TWO_ANSWERS,
            lambda d: {
                "question": d.question,
                "old": d.old.text,
                "new": _new(d).text,
                "avoid": d.old.aliases + _new(d).aliases,
            },
            lambda d, out: {"third": out.answer.strip()},
            "third_answer",
        )
        alive = [i for i, draft in enumerate(made) if isinstance(draft, Draft)]
        phrased = _fill(
            self,
            tasks.OBJECT_PHRASE,
            [draft for draft in made if isinstance(draft, Draft)],
            lambda d: d.third is not None and d.third_object is None,
            lambda d: {"question": d.question, "answer": d.third},
            lambda d, out: {"third_object": out.phrase.strip()},
            "third_object",
        )
        for i, draft in zip(alive, phrased, strict=True):
            made[i] = draft
        return made


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
        return [d if d.image is None else self._one(d) for d in drafts]

    def _one(self, draft: Draft) -> Draft | Problem:
        counts = self.counts
        augmented, varied = self._generate(
            draft, "image_augmented", counts.augmented + counts.editor_augmented
        )
        others, drawn = self._others(draft, counts.other_instances + counts.editor_other_instances)
        if not augmented and not others and not draft.rephrased_images:
            return Problem("positive_images", "probes.image_augmented", "could not be made")
        # The probes are served first: an editor without samples still works, an axis without
        # probes cannot be scored.
        editor = [("image_augmented", p) for p in augmented[counts.augmented :]]
        editor += [("image_other_instance", p) for p in others[counts.other_instances :]]
        return draft.with_(
            *_both(varied, "image_augmented", editor),
            *_both(drawn, "image_other_instance", editor),
            augmented=tuple(augmented[: counts.augmented]),
            other_instances=tuple(others[: counts.other_instances]),
            editor_pictures=tuple(editor),
        )

    def _others(self, draft: Draft, wanted: int) -> tuple[list[Picture], Provenance | None]:
        mined = self.world.other_instances(draft, wanted, seed_for(draft.id, "other instances"))
        if mined is None:
            return self._generate(draft, "image_other_instance", wanted)
        copied = Provenance("probes.image_other_instance", draft.source, "source")
        return list(mined), copied if mined else None

    def _generate(
        self, draft: Draft, kind: ImageKind, wanted: int
    ) -> tuple[list[Picture], Provenance | None]:
        """Up to `wanted` pictures no two of which look the same, and where they come from.

        An editor's sample that looks like a probe's picture would give that probe away, so a
        picture that repeats another one is drawn again, a few times.
        """
        pictures: list[Picture] = []
        origin: Provenance | None = None
        missing, attempt = wanted, 0
        while missing and attempt < _ATTEMPTS:
            requests = [
                ImageRequest(
                    record_id=draft.id,
                    kind=kind,
                    phrase=draft.image_object or draft.old.text,
                    seed=seed_for(draft.id, kind, attempt, i),
                    reference=draft.image,
                    protects=aspects_of(f"{draft.question} {draft.old.text}"),
                    entity=draft.entity,
                )
                for i in range(missing)
            ]
            for result in self.images.generate(requests):
                if result.image is not None and not _seen(result.image, pictures):
                    pictures.append(Picture(result.image, entity=draft.entity))
                    origin = origin or _made_by(result, draft, f"probes.{kind}")
            missing, attempt = wanted - len(pictures), attempt + 1
        return pictures, origin


@dataclass(frozen=True)
class Negatives:
    """Pictures with another answer, graded by distance; the editor's show other things."""

    world: World
    images: ImageGenerator
    counts: Pictures
    name: str = "negative images"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in negatives for probes and editor; a text-only record gets none."""
        return [d if d.image is None else self._one(d) for d in drafts]

    def _one(self, draft: Draft) -> Draft | Problem:
        wanted = self.counts.negatives + self.counts.editor_negatives
        plans = self.world.negatives(draft, wanted, seed_for(draft.id, "negatives"))
        drawn = self._draw(draft, plans)
        if not drawn:
            return Problem("negative_images", "probes.negative", "no picture has another answer")
        pictures = [picture for picture, _ in drawn]
        probe, editor = pictures[: self.counts.negatives], pictures[self.counts.negatives :]
        origin = drawn[0][1]
        return draft.with_(
            origin,
            *([replace(origin, field="requests.negatives")] if editor else []),
            negatives=tuple(probe),
            editor_negatives=tuple(editor),
        )

    def _draw(
        self, draft: Draft, plans: Sequence[NegativePlan]
    ) -> list[tuple[Picture, Provenance]]:
        requests = [
            ImageRequest(
                record_id=draft.id,
                kind="negative",
                phrase=plan.phrase,
                seed=seed_for(draft.id, "negative", plan.entity),
                reference=None,
                protects=frozenset(),
                entity=plan.entity,
            )
            for plan in plans
            if plan.image is None
        ]
        results = iter(self.images.generate(requests) if requests else ())
        drawn: list[tuple[Picture, Provenance]] = []
        for plan in plans:
            image, origin = plan.image, Provenance("probes.negative", draft.source, "source")
            if image is None:
                result = next(results)
                image, origin = result.image, _made_by(result, draft, "probes.negative")
            if image is not None:
                picture = Picture(
                    image, plan.answer, plan.entity, plan.question, plan.distance, plan.grade
                )
                drawn.append((picture, origin))
        return drawn


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


@dataclass(frozen=True)
class FurtherQuestions:
    """Questions by name, about the same picture, and one and two hops away.

    A generator that cannot give one leaves the record without that probe: the counts in the
    manifest show it, and no made-up answer stands in for it.
    """

    text: TextGenerator
    name: str = "further questions"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in questions of kinds `text_only`, `same_image`, `one_hop` and `two_hop`."""
        made = list(drafts)
        for task, kind, needs_image in (
            (tasks.NAMED_QUESTION, "text_only", False),
            (tasks.SAME_IMAGE, "same_image", True),
            (tasks.HOPS, "one_hop", False),
        ):
            open_ = [
                i
                for i, d in enumerate(made)
                if not d.has(kind) and not (needs_image and d.image is None)
            ]
            asked = [made[i] for i in open_]
            results = _ask(self.text, task, asked, [_about(d) for d in asked], kind)
            for i, result in zip(open_, results, strict=True):
                if result.output is not None:
                    asked_for = _questions(made[i], kind, result.output)
                    made[i] = made[i].with_(
                        *(_made_by(result, made[i], f"probes.{q.kind}") for q in asked_for),
                        questions=(*made[i].questions, *asked_for),
                    )
        return list(made)


@dataclass(frozen=True)
class Facts:
    """The new knowledge as a declarative sentence, for editors that keep a memory."""

    text: TextGenerator
    name: str = "facts"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `facts`."""
        return _fill(
            self,
            tasks.FACT,
            drafts,
            lambda d: not d.facts,
            lambda d: {
                "question": d.question,
                "image_object": d.image_object or "",
                "new": _new(d).text,
            },
            lambda d, out: {"facts": (out.sentence.strip(),)},
            "requests.facts",
        )


def distinct_answers(draft: Draft) -> Problem | None:
    """Rejects a record whose three answers are not three.

    Raised here as well as in validation, before any picture is made for it.
    """
    new = _new(draft)
    if any(same(new.text, old) for old in draft.old.all):
        return Problem("target_unchanged", "requests.target_new", "is the old answer")
    if draft.third and any(same(draft.third, known) for known in (*draft.old.all, *new.all)):
        return Problem("third_answer", "third_answer", "is the old or the new answer")
    return None


def question_keeps_answer(draft: Draft) -> Problem | None:
    """Rejects a question that states the new answer and so needs no edit."""
    new = normalise(_new(draft).text)
    # Either-or questions name both answers, and "many" is in every "How many".
    fair = draft.answer_type in (*TWO_ANSWERS, "number") or " or " in draft.question.casefold()
    if not fair and len(new) > 3 and states(draft.question, new):
        return Problem("answer_in_question", "requests.prompt", "states the new answer")
    return None


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


def _about(draft: Draft) -> dict[str, Any]:
    return {
        "question": draft.question,
        "image_object": draft.image_object or "",
        "scope": draft.scope or "",
        "old": draft.old.text,
        "new": _new(draft).text,
    }


def _questions(draft: Draft, kind: str, output: Any) -> list[Question]:
    if isinstance(output, tasks.NamedQuestion):
        # By name, the knowledge edit's own fact; of the recognition edit it must stay as it is.
        if draft.scope == "knowledge":
            return [Question(kind, output.question, draft.new, draft.old)]
        return [Question(kind, output.question, Answer(output.answer.strip()))]
    if isinstance(output, tasks.Hops):
        return [_follow("one_hop", output.one_hop), _follow("two_hop", output.two_hop)]
    return [_follow(kind, output)]


def _follow(kind: str, follow: tasks.Follow) -> Question:
    after, before = _clean(follow.answers), _clean(follow.answers_before)
    return Question(
        kind,
        follow.question.strip(),
        Answer(after[0], after[1:]),
        Answer(before[0], before[1:]) if before else None,
    )


def _clean(answers: Sequence[str]) -> tuple[str, ...]:
    """Answers without outer spaces, empty ones and repetitions."""
    return tuple(dict.fromkeys(text.strip() for text in answers if text.strip()))


def _new(draft: Draft) -> Answer:
    assert draft.new is not None, "the counterfactual comes first"
    return draft.new


def _output(result: TextResult[Any]) -> Any:
    assert result.output is not None
    return result.output


def _ask(
    text: TextGenerator,
    task: TextTask[Any],
    drafts: Sequence[Draft],
    inputs: Sequence[Mapping[str, Any]],
    purpose: str,
) -> list[TextResult[Any]]:
    requests = [
        TextRequest(
            task, values, seed_for(draft.id, task.name, purpose, values.get("vote", 0)), draft.id
        )
        for draft, values in zip(drafts, inputs, strict=True)
    ]
    return text.generate(requests) if requests else []


def _fill(
    step: Any,
    task: TextTask[Any],
    drafts: Sequence[Draft],
    open_: Any,
    inputs: Any,
    fields: Any,
    column: str,
) -> list[Draft | Problem]:
    """Ask for one field of the drafts that lack it; a draft without an answer is rejected."""
    todo = [i for i, draft in enumerate(drafts) if open_(draft)]
    asked = [drafts[i] for i in todo]
    results = _ask(step.text, task, asked, [inputs(draft) for draft in asked], column)
    made: list[Draft | Problem] = list(drafts)
    for i, result in zip(todo, results, strict=True):
        made[i] = _text_problem(step.name, column, result) or drafts[i].with_(
            _made_by(result, drafts[i], column), **fields(drafts[i], _output(result))
        )
    return made


def _text_problem(step: str, column: str, result: TextResult[Any]) -> Problem | None:
    if result.output is not None:
        return None
    return Problem("text", column, f"{result.generator} gave no {step}: {result.error}")


def _made_by(result: TextResult[Any] | ImageResult, draft: Draft, field: str) -> Provenance:
    """Where a generator's result comes from."""
    return Provenance(
        field,
        draft.source,
        result.generator,
        result.model,
        result.prompt_digest,
        result.seed,
        result.fallback,
    )
