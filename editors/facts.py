"""Facts outside the model: a memory of sentences, and which of them are near a question.

A question about a picture is compared with the facts of requests with a picture by text and
picture together, those whose pictures are alike (`sight.py`) first; a question without a picture is
compared with all facts by words alone.

The last write wins: a request replaces the facts of any earlier one that asks the same question
(case and spacing aside) about the same picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from editors.base import Groups
from editors.prompts import Query
from editors.retrieval import Retriever, Scores
from editors.routing import latest, question_id
from editors.sight import Picture, Sight
from schemas.records import EditRequest

Flags = npt.NDArray[np.bool_]

Sentences = Callable[[EditRequest], Sequence[str]]
"""What a request adds to a memory."""

Result = TypeVar("Result")


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

    def __init__(self, facts: Sequence[Fact], retriever: Retriever, sight: Sight, k: int) -> None:
        """Index facts.

        Args:
            facts: The facts.
            retriever: Compares texts.
            sight: Compares pictures.
            k: How many facts are found for a question at most.
        """
        self.facts = tuple(facts)
        self._index = retriever.index([fact.text for fact in facts])
        self._sight = sight
        self._k = k
        self._known: dict[Query, list[Candidate]] = {}
        self._best: dict[Query, Candidate] = {}

    def nearest(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """The nearest facts of each query: those with a picture like its own first.

        Facts that have nothing in common with a query are not among them.
        """
        new = [query for query in dict.fromkeys(queries) if query not in self._known]
        if new and self.facts:
            scores, alike, related = self._compared(new)
            for query, row, same, near in zip(new, scores, alike, related, strict=True):
                order = np.lexsort((-row, ~same))
                self._known[query] = [
                    Candidate(self.facts[i], float(row[i]), bool(same[i]))
                    for i in order[near[order]][: self._k]
                ]
        return [self._known.get(query, []) for query in queries]

    def best(self, queries: Sequence[Query]) -> list[Candidate]:
        """The nearest fact of each query, whether they have anything in common or not.

        Of equal ones it is the latest. There has to be a fact.
        """
        new = [query for query in dict.fromkeys(queries) if query not in self._best]
        if new:
            scores, alike, _ = self._compared(new)
            for query, row, same in zip(new, scores, alike, strict=True):
                i = np.lexsort((-np.arange(len(row)), -row, ~same))[0]
                self._best[query] = Candidate(self.facts[i], float(row[i]), bool(same[i]))
        return [self._best[query] for query in queries]

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

    def _compared(self, queries: Sequence[Query]) -> tuple[Scores, Flags, Flags]:
        """How near facts are, whether pictures are alike, and whether they have to do with it.

        All are of shape (queries, facts).
        """
        scores = self._index.scores([query.prompt for query in queries])
        related = scores > 0
        alike = np.ones_like(related)
        pictured = [i for i, fact in enumerate(self.facts) if fact.picture is not None]
        seen = [i for i, query in enumerate(queries) if query.image is not None]
        if pictured and seen:
            pictures = [p for i in pictured if (p := self.facts[i].picture) is not None]
            asked = self._sight.keys(
                [image for i in seen if (image := queries[i].image) is not None]
            )
            cosine = torch.stack(asked) @ torch.stack([p.key for p in pictures]).mT
            threshold = torch.tensor([p.threshold for p in pictures])
            pairs = np.ix_(seen, pictured)
            alike[pairs] = (cosine >= threshold).numpy()
            scores[pairs] += cosine.double().numpy()
            related[pairs] = True
        return scores, alike, related
