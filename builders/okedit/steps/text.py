"""Steps that write text: rephrasings, phrases, answers, votes, further questions, facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from builders.okedit import tasks
from builders.okedit.draft import Answer, Draft, Question
from builders.okedit.steps.asking import ask, fill, made_by, new_of, output_of, text_problem
from builders.okedit.words import TWO_ANSWERS
from builders.steps import Problem
from builders.text.protocol import TextGenerator, TextResult

Choice = TypeVar("Choice")

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
        results = ask(self.text, tasks.REPHRASE, [cut[i] for i in short], inputs, audience)
        made: list[Draft | Problem] = list(cut)
        column = "probes" if audience == "probe" else "requests.positives"
        for i, result in zip(short, results, strict=True):
            made[i] = text_problem(self.name, column, result) or cut[i].with_(
                made_by(result, cut[i], f"{column}.rephrase"),
                **{
                    field: (*getattr(cut[i], field), *map(str.strip, output_of(result).rephrasings))
                },
            )
        return made


@dataclass(frozen=True)
class ObjectPhrase:
    """A phrase that names what the picture shows."""

    text: TextGenerator
    name: str = "object phrase"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Fill in `image_object`."""
        return fill(
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
        return fill(
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
                "new": new_of(drafts[i]).text,
                "vote": vote,
            }
            for i, vote in ballots
        ]
        cast = ask(self.text, tasks.EDIT_TYPE, [drafts[i] for i, _ in ballots], inputs, "vote")
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
                (text_problem(self.name, "edit_type", r) for r in results if r.error), None
            )
            return failed or Problem("text", "edit_type", "no answer has a majority of the votes")
        voted = ("edit_type",) if draft.scope else ("edit_type", "scope")
        return draft.with_(
            *(made_by(counted, draft, field) for field in voted),
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
        made = fill(
            self,
            tasks.THIRD_ANSWER,
            drafts,
            lambda d: d.third is None and d.answer_type not in TWO_ANSWERS,
            lambda d: {
                "question": d.question,
                "old": d.old.text,
                "new": new_of(d).text,
                "avoid": d.old.aliases + new_of(d).aliases,
            },
            lambda d, out: {"third": out.answer.strip()},
            "third_answer",
        )
        alive = [i for i, draft in enumerate(made) if isinstance(draft, Draft)]
        phrased = fill(
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
            results = ask(self.text, task, asked, [_about(d) for d in asked], kind)
            for i, result in zip(open_, results, strict=True):
                if result.output is not None:
                    asked_for = _questions(made[i], kind, result.output)
                    made[i] = made[i].with_(
                        *(made_by(result, made[i], f"probes.{q.kind}") for q in asked_for),
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
        return fill(
            self,
            tasks.FACT,
            drafts,
            lambda d: not d.facts,
            lambda d: {
                "question": d.question,
                "image_object": d.image_object or "",
                "new": new_of(d).text,
            },
            lambda d, out: {"facts": (out.sentence.strip(),)},
            "requests.facts",
        )


def _about(draft: Draft) -> dict[str, Any]:
    return {
        "question": draft.question,
        "image_object": draft.image_object or "",
        "scope": draft.scope or "",
        "old": draft.old.text,
        "new": new_of(draft).text,
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
