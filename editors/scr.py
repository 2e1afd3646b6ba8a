"""SCR: facts in a memory outside the model, read in context when the model confirms that they bear.

For every question:

1. Retrieve. The k facts nearest to the question, by words or by an encoder.
2. Confirm. The same model says which of them bears on the question, if any: `confirm.py`.
3. Answer. The confirmed fact is put before the question. Without one the question is passed on as
   it is, and the model answers as if it had never been edited.

Source: He, Song and Sun, "Selective contextual reasoning" (arXiv 2503.05212) and the code of its
authors, who confirm by generation with an instruction model.

**Pictures.** "What is this?" says nothing of what it is about. So a question about a picture is
compared with the facts of requests with a picture only if the two pictures are alike (`facts.py`),
and the words have to bear such a fact out less far (`seen_threshold`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from editors.base import EditedModel, Groups, Told
from editors.confirm import Claim, Reader, behind, choose
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
from editors.prompts import Query
from editors.retrieval import load_retriever, require_retriever
from editors.routing import Forced, Route, require_mode
from editors.sight import Picture, Sight
from schemas.errors import require_number, require_one_of
from schemas.records import EditRequest

Confirm = Literal["generate", "likelihood", "none"]
"""How the model confirms a fact; `none` takes the nearest one."""

Template = Literal["base", "instruction"]
"""How a fact stands before a question."""

TEMPLATES: Mapping[Template, str] = MappingProxyType(
    {
        "base": "{fact}\n",
        "instruction": (
            "Take this as true, whatever else you know: {fact}\n"
            "Answer the question from it, in as few words as possible.\n"
        ),
    }
)

STAND_INS = ("Robin Miller", "Nora Lindqvist", "Kofi Mensah", "Yuki Tanaka")
"""Whom facts are about instead, where the memory does not hold so many other subjects."""


@dataclass(frozen=True)
class SCR:
    """The hyperparameters of SCR; `for_model` chooses those that depend on the model.

    Attributes:
        retriever: `bm25`, or a Hugging Face encoder by folder or Hub id.
        k: Facts that are retrieved.
        confirm: How the model confirms one of them.
        threshold: How far a fact is borne out at least, for `likelihood`; see `confirm.py`.
        template: How a fact stands before a question.
        image_layer: The block of the decoder before which pictures are compared.
        image_threshold: The cosine from which a picture is like that of a request without
            negative pictures.
        seen_threshold: The same as `threshold` where the pictures of fact and question are alike:
            less is asked of words then, for the pictures tell already what both are about.
        name: What it is called in reports.
    """

    retriever: str = "bm25"
    k: int = 5
    confirm: Confirm = "likelihood"
    threshold: float = 0.12
    template: Template = "base"
    image_layer: int = 0
    image_threshold: float = 0.95
    seen_threshold: float = -0.1
    name: str = "scr"

    def __post_init__(self) -> None:
        require_one_of("confirm", self.confirm, get_args(Confirm))
        require_one_of("template", self.template, get_args(Template))
        require_retriever(self.retriever)
        require_number("k", self.k, whole=True, least=1)
        require_number("threshold", self.threshold)
        require_number("image_layer", self.image_layer, whole=True)
        require_number("image_threshold", self.image_threshold)
        require_number("seen_threshold", self.seen_threshold)

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        retriever: str = "bm25",
        k: int = 5,
        confirm: Confirm | None = None,
        threshold: float = 0.12,
        template: Template | None = None,
        image_layer: int = 0,
        image_threshold: float = 0.95,
        seen_threshold: float = -0.1,
    ) -> Self:
        """The settings for a model: one that is asked in chat format counts as instructed.

        Args:
            lm: The model.
            retriever: See the class, as for all that follows.
            k: Facts that are retrieved.
            confirm: By default, `generate` for an instructed model, else `likelihood`.
            threshold: How far a fact is borne out at least.
            template: By default, `instruction` for an instructed model, else `base`.
            image_layer: The block before which pictures are compared.
            image_threshold: The cosine from which pictures are alike.
            seen_threshold: How far a fact is borne out at least where they are.

        Raises:
            InputError: If a setting does not exist.
        """
        instructed = lm.renderer.format == "chat"
        return cls(
            retriever=retriever,
            k=k,
            confirm=confirm or ("generate" if instructed else "likelihood"),
            threshold=threshold,
            template=template or ("instruction" if instructed else "base"),
            image_layer=image_layer,
            image_threshold=image_threshold,
            seen_threshold=seen_threshold,
        )

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        where = f"follows from the prompt format, {lm.renderer.format}"
        return {name: where for name in ("confirm", "template") if options.get(name) is None}

    def apply(self, lm: LM) -> SCRModel:
        """An edited model with an empty memory.

        Raises:
            InputError: If the retriever cannot be loaded.
        """
        return SCRModel(lm, self)


@dataclass(frozen=True)
class _Decision:
    """What was decided about a question: the fact that answers it, if any, and the route."""

    fact: Fact | None
    route: Route


@dataclass
class _Session:
    """What was worked out from one state of the memory; a new state begins a new one."""

    shelf: Shelf
    decisions: dict[Query, _Decision] = field(default_factory=dict)


class SCRModel(EditedModel):
    """A model with a memory of facts.

    Attributes:
        state: The facts, in the order of their edits; None without edits.
        editor: The hyperparameters.
    """

    keeps_weights = True
    state_kinds = (Fact, Picture)
    state: tuple[Fact, ...] | None

    def __init__(self, lm: LM, editor: SCR) -> None:
        """Begin with an empty memory."""
        super().__init__(lm)
        self.state = None
        self.editor = editor
        self._retriever = load_retriever(editor.retriever, lm.device)
        self._forced: Forced | None = None
        self._sessions: dict[int | None, _Session] = {}
        self._apart: dict[int, tuple[Fact, ...]] = {}
        self._plain = lm.asked_in("plain")
        self._reader = Reader(self._plain)
        self._sight = Sight(self._plain, editor.image_layer, editor.image_threshold)
        self.rewrite(self._with_facts)

    # Diagnostics ----------------------------------------------------------------------------

    def routing(self, queries: Sequence[Query]) -> list[Route]:
        """The request whose fact answers each query; scores are great where a fact is near.

        With `confirm="likelihood"` the score is how far the fact is borne out, or under the
        threshold how far at most; otherwise it is the retriever's score, without a threshold.
        """
        return [decision.route for decision in self._decide(queries)]

    def force(self, mode: Forced | None) -> None:
        """Put the nearest fact before every question ("on"), or none ever ("off").

        It holds until the next call. A question that has nothing in common with any fact is left
        alone in either case.

        Raises:
            InputError: If there is no such mode.
        """
        require_mode(mode)
        self._forced = mode

    # Editing --------------------------------------------------------------------------------

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        self.state = with_facts_of(requests, self.state or (), self._sight, sentences)

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """All groups."""
        return len(groups)

    @contextmanager
    def _branched(self, groups: Groups) -> Iterator[Told]:
        self._apart = facts_apart(groups, self._sight, sentences)
        try:
            yield {}
        finally:
            self._apart = {}
            self._sessions = {None: self._session(None)}

    # Asking ---------------------------------------------------------------------------------

    def _with_facts(self, queries: Sequence[Query]) -> list[Query]:
        """The queries, each with its fact before it; those without one are the same objects."""
        if self._forced == "off":
            return list(queries)
        if self._forced == "on":
            found = [candidates[:1] for candidates in self._nearest(queries)]
            facts = [nearest[0].fact if nearest else None for nearest in found]
        else:
            facts = [decision.fact for decision in self._decide(queries)]
        return [
            behind(query, None if fact is None else fact.text, self._template)
            for query, fact in zip(queries, facts, strict=True)
        ]

    @property
    def _template(self) -> str:
        return TEMPLATES[self.editor.template]

    def _session(self, branch: int | None) -> _Session:
        facts = self._apart.get(branch, ()) if branch is not None else self.state or ()
        session = self._sessions.get(branch)
        if session is None or session.shelf.facts is not facts:
            earlier = session.shelf if session else None
            session = _Session(Shelf(facts, self._retriever, self._sight, self.editor.k, earlier))
            self._sessions[branch] = session
        return session

    def _nearest(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        return by_branch(queries, lambda branch, own: self._session(branch).shelf.nearest(own))

    def _decide(self, queries: Sequence[Query]) -> list[_Decision]:
        sessions = {branch: self._session(branch) for branch in {q.branch for q in queries}}
        known = {query: sessions[query.branch].decisions for query in queries}
        new = [query for query in known if query not in known[query]]
        if new:
            candidates = self._nearest(new)
            ways = {
                "generate": self._by_generation,
                "likelihood": self._by_likelihood,
                "none": self._by_score,
            }
            decisions = ways[self.editor.confirm](new, candidates)
            for query, decision in zip(new, decisions, strict=True):
                known[query][query] = decision
        return [known[query][query] for query in queries]

    def _by_score(
        self, _: Sequence[Query], candidates: Sequence[Sequence[Candidate]]
    ) -> list[_Decision]:
        chosen = (next((c for c in found if c.open), None) for found in candidates)
        return [_decision(c, found) for c, found in zip(chosen, candidates, strict=True)]

    def _by_generation(
        self, queries: Sequence[Query], candidates: Sequence[Sequence[Candidate]]
    ) -> list[_Decision]:
        shown = [[c for c in found if c.open] for found in candidates]
        asked = [i for i, found in enumerate(shown) if found]
        facts = [[c.fact.text for c in shown[i]] for i in asked]
        places = choose(self.lm, [queries[i] for i in asked], facts)
        chosen = {
            i: shown[i][place] for i, place in zip(asked, places, strict=True) if place is not None
        }
        return [_decision(chosen.get(i), found) for i, found in enumerate(candidates)]

    def _by_likelihood(
        self, queries: Sequence[Query], candidates: Sequence[Sequence[Candidate]]
    ) -> list[_Decision]:
        shown = [[c for c in found if c.open] for found in candidates]
        claims = [
            [self._claim(query, c.fact) for c in found]
            for query, found in zip(queries, shown, strict=True)
        ]
        # Equal ones go to the fact that is nearer, which comes first.
        best = self._reader.best(claims)
        decisions: list[_Decision] = []
        for found, open_, among, place in zip(candidates, shown, claims, best, strict=True):
            if place is None:
                decisions.append(_decision(None, found))
                continue
            chosen, score = open_[place[0]], place[1]
            threshold = among[place[0]].threshold
            decision = _decision(chosen if score >= threshold else None, [chosen])
            route = replace(decision.route, score=score, threshold=threshold)
            decisions.append(replace(decision, route=route))
        return decisions

    def _claim(self, query: Query, fact: Fact) -> Claim:
        seen = query.image is not None and fact.picture is not None
        threshold = self.editor.seen_threshold if seen else self.editor.threshold
        return Claim(query, fact.text, self._others(fact, query.branch), threshold)

    def _others(self, fact: Fact, branch: int | None) -> tuple[str, ...]:
        """The fact about other subjects, of the memory where it holds any; none without subject."""
        if fact.subject is None:
            return ()
        start, count = zlib.crc32(fact.text.encode()), len(STAND_INS)
        names = [*self._session(branch).shelf.others(fact.subject, start, count), *STAND_INS][
            :count
        ]
        return tuple(fact.text.replace(fact.subject, name) for name in names)


def sentences(request: EditRequest) -> tuple[str, ...]:
    """A request's facts, or what it says as one sentence: "Who is it? Ann."."""
    if request.facts:
        return request.facts
    text = statement(request)
    return (text if text.endswith((".", "!", "?")) else f"{text}.",)


def _decision(chosen: Candidate | None, found: Sequence[Candidate]) -> _Decision:
    nearest = chosen or (found[0] if found else None)
    if nearest is None:
        return _Decision(None, Route(None))
    answered = nearest.fact.request_id if chosen else None
    route = Route(answered, nearest.fact.request_id, nearest.score)
    return _Decision(nearest.fact if chosen else None, route)
