"""IKE: editing by in-context learning (Zheng et al., EMNLP 2023, arXiv 2305.12740).

The model's weights stay. Every question is put behind the new fact, and behind k demonstrations of
what to do with one, in the form

    New Fact: {fact}
    Prompt: {question} {answer}

Three kinds of demonstrations, each made from another fact f with its old and new answer:

    copy     f's own question, answered anew
    update   another wording of f's question, answered anew
    retain   a question that f does not bear on, answered as before

The k demonstrations whose facts are nearest to the new fact are shown, the nearest last, then a
copy of the new fact itself. 4 of 32 are copies, 12 updates, 16 retained, dealt at random
(`icl.py` of Zce1112zslx/IKE, 9bbda6d). Facts are compared by a sentence encoder there, here by what
`retriever` names.

**Several edits.** The paper has one new fact at a time. With more, each question gets the one that
is nearest to it, whether it bears on it or not: IKE has no gate, and so its locality rests on what
the model has learned from the retained demonstrations. That is the difference to SCR.

**Small models** that were never shown this form may read facts in another: `form="bare"` drops the
labels, so that a fact stands on a line of its own before its question, as in SCR.

**What does not fit** into the model's context is left out, the farthest demonstration first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from editors.base import EditedModel, Groups, Told
from editors.facts import (
    Candidate,
    Fact,
    Shelf,
    by_branch,
    facts_apart,
    statement,
    with_facts_of,
)
from editors.lm import LM
from editors.presets import OWN_SEARCH, Preset, listed, listed_sources
from editors.presets import Kind as ModelKind
from editors.prompts import Query
from editors.retrieval import Index, load_retriever, require_retriever
from editors.routing import Forced, Route, require_mode
from editors.sight import Picture, Sight
from schemas.digest import digest128
from schemas.errors import InputError, require_number, require_one_of
from schemas.records import EditRequest

Kind = Literal["copy", "update", "retain"]
"""What a demonstration shows."""

Form = Literal["labelled", "bare"]
"""How facts and questions are written: with the paper's labels, or without any."""

FORMS: Mapping[Form, str] = MappingProxyType(
    {"labelled": "New Fact: {fact}\nPrompt: {prompt}", "bare": "{fact}\n{prompt}"}
)

DEALT: dict[Kind, int] = {"copy": 4, "update": 12, "retain": 16}
"""How many of 32 demonstrations are of each kind, in the authors' code."""

PAPER: Mapping[ModelKind, Preset] = MappingProxyType(
    {
        ("gpt2", 6, 128, 2048): Preset(OWN_SEARCH, {"k": 0, "form": "bare"}, own=True),
    }
)
"""Settings that are not the paper's, by model."""

ROOM = 40
"""Tokens left free behind the prompt, for an answer."""


@dataclass(frozen=True)
class Lesson:
    """A fact with the questions that demonstrations are made of.

    Attributes:
        prompt: The fact's question.
        answer: Its new answer.
        rephrased: Other wordings of the question.
        unrelated: Questions that the fact does not bear on, with their answers.
    """

    prompt: str
    answer: str
    rephrased: tuple[str, ...] = ()
    unrelated: tuple[tuple[str, str], ...] = ()

    @property
    def fact(self) -> str:
        """The fact as one line."""
        return f"{self.prompt.rstrip()} {self.answer.strip()}"

    def answered(self, kind: Kind, draw: random.Random) -> str:
        """A question of some kind with its answer; a copy where the lesson has nothing for it."""
        if kind == "update" and self.rephrased:
            return f"{draw.choice(self.rephrased).rstrip()} {self.answer.strip()}"
        if kind == "retain" and self.unrelated:
            prompt, answer = draw.choice(self.unrelated)
            return f"{prompt.rstrip()} {answer.strip()}"
        return self.fact


@dataclass(frozen=True)
class IKE:
    """The hyperparameters of IKE.

    Attributes:
        k: Demonstrations at most.
        lessons: What they are made of: facts that are not evaluated. Without any, the new fact
            alone stands before a question, the baseline PROMPT of the paper.
        form: How facts and questions are written.
        retriever: `bm25`, or a Hugging Face encoder by folder or Hub id.
        image_layer: The block of the decoder before which pictures are compared.
        seed: Of the kinds and wordings that are dealt.
        name: What it is called in reports.
    """

    k: int = 32
    lessons: tuple[Lesson, ...] = ()
    form: Form = "labelled"
    retriever: str = "bm25"
    image_layer: int = 0
    seed: int = 0
    name: str = "ike"

    def __post_init__(self) -> None:
        require_one_of("form", self.form, get_args(Form))
        require_number("k", self.k, whole=True, least=0)
        require_number("image_layer", self.image_layer, whole=True)
        require_number("seed", self.seed, whole=True)
        require_retriever(self.retriever)
        lessons = tuple(self.lessons) if isinstance(self.lessons, Iterable) else (None,)
        if not all(isinstance(lesson, Lesson) for lesson in lessons):
            raise InputError("lessons are made by `Lesson`", field="lessons")
        object.__setattr__(self, "lessons", lessons)

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        k: int | None = None,
        lessons: tuple[Lesson, ...] = (),
        form: Form | None = None,
        retriever: str = "bm25",
        image_layer: int = 0,
        seed: int = 0,
    ) -> Self:
        """The paper's settings for a model, or those known to suit it, but for what is given.

        Args:
            lm: The model.
            k: See the class, as for all that follows.
            lessons: What demonstrations are made of.
            form: How facts and questions are written.
            retriever: What facts are compared by.
            image_layer: The block before which pictures are compared.
            seed: Of what is dealt.

        Raises:
            InputError: If a setting cannot be.
        """
        given = {"k": k, "form": form}
        settings: dict[str, Any] = {
            **listed(lm, PAPER, given),
        }
        return cls(
            lessons=lessons, retriever=retriever, image_layer=image_layer, seed=seed, **settings
        )

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        return listed_sources(lm, PAPER, options)

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model."""
        del lm
        return {"k": (0, 4, 16, 32), "form": get_args(Form)}

    def apply(self, lm: LM) -> IKEModel:
        """An edited model with an empty memory.

        Raises:
            InputError: If the retriever cannot be loaded.
        """
        return IKEModel(lm, self)


@dataclass(frozen=True)
class Known:
    """What stands before questions; lessons are saved with the facts, for they are read again.

    Attributes:
        facts: The new facts, in the order of their edits.
        lessons: What demonstrations are made of.
    """

    facts: tuple[Fact, ...]
    lessons: tuple[Lesson, ...]


class IKEModel(EditedModel):
    """A model with a memory of new facts, one of which stands before every question.

    Attributes:
        state: What it knows; None without edits.
        editor: The hyperparameters.
    """

    keeps_weights = True
    state_kinds = (Known, Fact, Picture, Lesson)
    state: Known | None

    def __init__(self, lm: LM, editor: IKE) -> None:
        """Begin with an empty memory."""
        super().__init__(lm)
        self.state = None
        self.editor = editor
        self._retriever = load_retriever(editor.retriever, lm.device)
        self._sight = Sight(lm.asked_in("plain"), editor.image_layer, threshold=1.0)
        self._forced: Forced | None = None
        self._shelves: dict[int | None, Shelf] = {}
        self._apart: dict[int, tuple[Fact, ...]] | None = None
        self._lessons: tuple[tuple[Lesson, ...], Index] | None = None
        self._known: dict[str, tuple[str, ...]] = {}
        self.rewrite(self._behind_facts)

    def routing(self, queries: Sequence[Query]) -> list[Route]:
        """The request whose fact stands before each query: the nearest one."""
        return [
            Route(None) if c is None else Route(c.fact.request_id, c.fact.request_id, c.score)
            for c in self._nearest(queries)
        ]

    def force(self, mode: Forced | None) -> None:
        """Put no fact before any question ("off"), until the next call; "on" changes nothing.

        Raises:
            InputError: If there is no such mode.
        """
        require_mode(mode)
        self._forced = mode

    def demonstrations(self, fact: str) -> tuple[str, ...]:
        """What is shown before a new fact, the nearest last."""
        lessons = self.state.lessons if self.state else ()
        if self._lessons is None or self._lessons[0] is not lessons:
            index = self._retriever.index([lesson.fact for lesson in lessons])
            self._lessons, self._known = (lessons, index), {}
        if fact not in self._known:
            self._known[fact] = self._chosen(fact, *self._lessons)
        return self._known[fact]

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        known = self.state or Known((), self.editor.lessons)
        facts = with_facts_of(requests, known.facts, self._sight, _sentences)
        self.state = Known(facts, known.lessons)

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """All groups."""
        return len(groups)

    @contextmanager
    def _branched(self, groups: Groups) -> Iterator[Told]:
        self._apart = facts_apart(groups, self._sight, _sentences)
        self.state = Known((), self.editor.lessons)
        try:
            yield {}
        finally:
            self._apart = None
            self._shelves.clear()

    def _nearest(self, queries: Sequence[Query]) -> list[Candidate | None]:
        """The fact for each query; None where there is none to take."""

        def found(branch: int | None, own: list[Query]) -> Sequence[Candidate | None]:
            shelf = self._shelf(branch)
            return shelf.best(own) if shelf.facts else [None] * len(own)

        return by_branch(queries, found)

    def _shelf(self, branch: int | None) -> Shelf:
        facts = self.state.facts if self.state else ()
        if self._apart is not None and branch is not None:
            facts = self._apart.get(branch, ())
        earlier = self._shelves.get(branch)
        if earlier is None or earlier.facts is not facts:
            shelf = Shelf(facts, self._retriever, self._sight, 1, earlier)
            self._shelves[branch] = shelf
        return self._shelves[branch]

    def _behind_facts(self, queries: Sequence[Query]) -> list[Query]:
        if self._forced == "off":
            return list(queries)
        return [
            query if found is None else self._behind(query, found)
            for query, found in zip(queries, self._nearest(queries), strict=True)
        ]

    def _behind(self, query: Query, found: Candidate) -> Query:
        """A query behind as many demonstrations as fit, the new fact's own copy, and the fact."""
        fact = found.fact.text
        copy = self._shown(fact, fact)
        last = self._written(fact, query.context or "")
        demonstrations = self.demonstrations(fact)
        limit = self.lm.context_length
        for first in range(len(demonstrations) + 1):
            context = "".join((*demonstrations[first:], copy, last))
            whole = Query(query.prompt, query.image, context)
            if limit is None or self.lm.prompt_tokens(whole) + ROOM <= limit:
                return whole
        return Query(query.prompt, query.image, last)

    def _written(self, fact: str, prompt: str) -> str:
        return FORMS[self.editor.form].replace("{prompt}", prompt).replace("{fact}", fact)

    def _shown(self, fact: str, answered: str) -> str:
        return f"{self._written(fact, answered)}\n\n"

    def _chosen(self, fact: str, lessons: Sequence[Lesson], index: Index) -> tuple[str, ...]:
        editor = self.editor
        if not lessons or not editor.k:
            return ()
        scores = index.scores([fact])[0]
        nearest = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: editor.k]
        draw = random.Random(digest128(f"{editor.seed} {fact}"))
        made = [
            self._shown(lessons[place].fact, lessons[place].answered(kind, draw))
            for place, kind in zip(nearest, _dealt(len(nearest), draw), strict=True)
        ]
        return tuple(reversed(made))


def _sentences(request: EditRequest) -> tuple[str, ...]:
    return (statement(request),)


def _dealt(count: int, draw: random.Random) -> list[Kind]:
    """Kinds of demonstrations in the proportions of `DEALT`, in random order."""
    whole = sum(DEALT.values())
    kinds: list[Kind] = [
        kind for kind, share in DEALT.items() for _ in range(max(1, round(count * share / whole)))
    ]
    draw.shuffle(kinds)
    return (kinds * (count // len(kinds) + 1))[:count]
