"""Facts outside the model: a memory of sentences, and which of them are near a question.

A question about a picture is compared with the facts of requests with a picture by text and
picture together, those whose pictures are alike (`sight.py`) first; a question without a picture is
compared with all facts by words alone.

The last write wins: a request replaces the facts of any earlier one that asks the same question
(case and spacing aside) about the same picture.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import numpy as np
from torch import Tensor

from editors.base import Groups
from editors.comparing import Compared, Pictures
from editors.prompts import Query
from editors.retrieval import Integers, Retriever
from editors.routing import latest, question_id
from editors.sight import Picture, Sight
from schemas.records import EditRequest

Sentences = Callable[[EditRequest], Sequence[str]]
"""What a request adds to a memory."""

Result = TypeVar("Result")

_COMPARED = 1 << 22
"""Scores that are worked out at once."""


@dataclass(frozen=True)
class Fact:
    """One sentence of the memory.

    Attributes:
        text: The sentence.
        subject: Whom or what it is about, as it stands in the sentence, or None.
        request_id: The request that it is from.
        question: That request's question; see `routing.question_id`.
        picture: That request's picture, or None.
    """

    text: str
    subject: str | None
    request_id: str
    question: str
    picture: Picture | None


@dataclass(frozen=True)
class Candidate:
    """A fact retrieved for a question.

    Attributes:
        fact: The fact.
        score: How near it is.
        open: Whether the pictures, where both have one, are alike.
    """

    fact: Fact
    score: float
    open: bool


def with_facts_of(
    requests: Sequence[EditRequest],
    facts: Sequence[Fact],
    sight: Sight,
    sentences: Sentences,
) -> tuple[Fact, ...]:
    """A memory with the facts of more requests.

    Args:
        requests: The requests.
        facts: The memory.
        sight: Looks at the requests' pictures.
        sentences: What a request adds to the memory.
    """
    requests = latest(requests)
    more = _facts_of(requests, sight.of_requests(requests), sentences)
    replaced = {fact.question for fact in more}
    return (*(fact for fact in facts if fact.question not in replaced), *more)


def facts_apart(groups: Groups, sight: Sight, sentences: Sentences) -> dict[int, tuple[Fact, ...]]:
    """The memory that each group of requests makes alone; see `with_facts_of`."""
    standing = {number: latest(group) for number, group in groups.items()}
    pictures = iter(sight.of_requests([r for group in standing.values() for r in group]))
    return {
        number: tuple(_facts_of(group, list(islice(pictures, len(group))), sentences))
        for number, group in standing.items()
    }


def by_branch(
    queries: Sequence[Query], search: Callable[[int | None, list[Query]], Sequence[Result]]
) -> list[Result]:
    """What each branch finds for its own queries, in the order of the queries."""
    places: dict[int | None, list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        places[query.branch].append(place)
    found: dict[int, Result] = {}
    for branch, own in places.items():
        found.update(zip(own, search(branch, [queries[i] for i in own]), strict=True))
    return [found[place] for place in range(len(queries))]


def _facts_of(
    requests: Sequence[EditRequest], pictures: Sequence[Picture | None], sentences: Sentences
) -> list[Fact]:
    more: list[Fact] = []
    for request, picture in zip(requests, pictures, strict=True):
        question = question_id(request.prompt, request.image)
        for text in sentences(request):
            subject = request.subject if request.subject and request.subject in text else None
            more.append(Fact(text, subject, request.id, question, picture))
    return more


def statement(request: EditRequest) -> str:
    """A request's prompt and its new answer: "Ann was born in Rome"."""
    return f"{request.prompt.rstrip()} {request.target_new.strip()}"


class Shelf:
    """One state of a memory, to be searched; what was found is kept.

    Attributes:
        facts: The facts.
    """

    def __init__(
        self,
        facts: Sequence[Fact],
        retriever: Retriever,
        sight: Sight,
        k: int,
        earlier: Shelf | None = None,
    ) -> None:
        """Index facts.

        Args:
            facts: The facts.
            retriever: Compares texts.
            sight: Compares pictures.
            k: How many facts are found for a question at most.
            earlier: Another state of the memory, whose index is taken over as far as its facts are
                the same; its retriever and its sight are these.
        """
        self.facts = tuple(facts)
        if earlier is None:
            self._index = retriever.index([fact.text for fact in self.facts])
            self._pictures = Pictures.of([fact.picture for fact in self.facts])
        else:
            kept, start = _kept(earlier.facts, self.facts)
            more = self.facts[start:]
            self._index = earlier._index.changed(kept, [fact.text for fact in more])
            self._pictures = earlier._pictures.changed(kept, start, [fact.picture for fact in more])
        self._sight = sight
        self._k = k
        self._known: dict[Query, list[Candidate]] = {}
        self._best: dict[Query, Candidate] = {}

    def nearest(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """The nearest facts of each query: those with a picture like its own first.

        Facts that have nothing in common with a query are not among them.
        """
        new = [query for query in dict.fromkeys(queries) if query not in self._known]
        if self.facts:
            for query, compared in self._compared(new):
                self._known[query] = [
                    self._candidate(compared, i) for i in compared.nearest(self._k)
                ]
        return [self._known.get(query, []) for query in queries]

    def best(self, queries: Sequence[Query]) -> list[Candidate]:
        """The nearest fact of each query, whether they have anything in common or not.

        Of equal ones it is the latest. There has to be a fact.
        """
        new = [query for query in dict.fromkeys(queries) if query not in self._best]
        for query, compared in self._compared(new):
            self._best[query] = self._candidate(compared, compared.best())
        return [self._best[query] for query in queries]

    def _candidate(self, compared: Compared, place: int) -> Candidate:
        alike = compared.alike is None or bool(compared.alike[place])
        return Candidate(self.facts[place], float(compared.scores[place]), alike)

    @cached_property
    def subjects(self) -> dict[str, int]:
        """Whom and what the facts are about, each with its place among them."""
        names = dict.fromkeys(fact.subject for fact in self.facts if fact.subject)
        return {name: place for place, name in enumerate(names)}

    def others(self, subject: str, start: int, count: int) -> list[str]:
        """Up to `count` other subjects, from some place on and around."""
        names, own = self._names, self.subjects[subject]
        among = len(names) - 1
        places = ((start + i) % among for i in range(min(count, among)))
        return [names[place + (place >= own)] for place in places]

    @cached_property
    def _names(self) -> list[str]:
        return list(self.subjects)

    def _compared(self, queries: Sequence[Query]) -> Iterator[tuple[Query, Compared]]:
        """All facts beside each query, a few queries at a time, which bounds the memory."""
        asked = {query.image.bytes: query.image for query in queries if query.image is not None}
        seen: dict[bytes, Tensor] = {}
        if len(self._pictures.places):
            seen = dict(zip(asked, self._sight.keys(list(asked.values())), strict=True))
        at_once = max(1, _COMPARED // len(self.facts))
        for start in range(0, len(queries), at_once):
            chosen = queries[start : start + at_once]
            scores = self._index.scores([query.prompt for query in chosen])
            own = [seen.get(query.image.bytes) if query.image else None for query in chosen]
            cosines = self._pictures.cosines([key for key in own if key is not None])
            for query, row, key in zip(chosen, scores, own, strict=True):
                pictured = None if key is None else (self._pictures, next(cosines))
                yield query, Compared.of(row, pictured)


def _kept(old: Sequence[Fact], new: Sequence[Fact]) -> tuple[Integers | None, int]:
    """Which old facts begin a new memory, None for all, and where what is new begins there."""
    if len(new) >= len(old) and all(map(operator.is_, old, new)):
        return None, len(old)
    kept: list[int] = []
    for place, fact in enumerate(old):
        if len(kept) < len(new) and new[len(kept)] is fact:
            kept.append(place)
    return np.array(kept, np.int64), len(kept)
