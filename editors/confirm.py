"""Whether a fact bears on a question, asked of the model that is to read it.

**By likelihood**, for base models, which follow no instruction. The question is whether it matters
to the model whom the fact is about. So the question is read behind the fact, behind the same fact
about several stand-ins for its subject, and behind no fact at all, and the share of its surprisal
that the fact explains better than any of these is taken:

    support = 1 - S(q | fact) / min over others of S(q | other)

S(q | .) is the surprisal of the question's tokens behind a text. Words of the relation become as
likely behind a stand-in as behind the fact: what is left is the name. A fact about somebody else
with the same relation is one more stand-in, and gives about 0. One stand-in is not enough: its own
name may make the question's unlikely, and then any fact seems to explain it. A mean of
log-probability gains over the question, in which words of the relation count as much as the name
does, confirms facts about other people; so does the probability that the model answers from the
fact, wherever the model repeats what it has just read.

Where a fact names no subject, as with most pictures, it is compared with no fact alone. A question
about a picture is read behind its picture.

**By generation**, for instruction models: the model is shown the facts, numbered, and the question,
and writes the number of the one that is needed, or NONE. The method's authors let it copy the fact,
and look for phrases such as "false" in what it writes, which shuts the gate on facts that hold the
word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from editors.lm import LM
from editors.prompts import Query
from schemas.errors import InputError

CONFIRMATION = (
    "Facts:\n{facts}\n\nQuestion: {question}\n\n"
    "Which one of these facts is needed to answer the question? A fact about somebody or something "
    "else is not needed. Reply with the number of the fact and nothing else, or with NONE.\n"
)
"""What an instruction model is asked."""

_KEPT = 200_000
"""Readings that are kept: questions that are asked again and again, after each edit, share them."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact that may bear on a question.

    Attributes:
        query: The question.
        text: The fact.
        others: The fact about stand-ins; none where it names no subject.
        threshold: The support under which it is of no interest.
    """

    query: Query
    text: str
    others: tuple[str, ...]
    threshold: float = -math.inf


def behind(query: Query, text: str | None, template: str) -> Query:
    """A query with a fact before it and before its own context, or itself without a fact."""
    if text is None:
        return query
    context = template.replace("{fact}", text) + (query.context or "")
    return Query(query.prompt, query.image, context)


class Reader:
    """Confirms claims by likelihood, with a model whose weights stay what they are."""

    def __init__(self, plain: LM) -> None:
        """Take a model with the prompt format `plain`."""
        self._lm = plain
        starts = bool(plain.encoder.token_ids(Query("")))
        self._start = "" if starts else plain.tokenizer.bos_token or ""
        self._known: dict[tuple[Query, str], float | None] = {}

    def support(self, claims: Sequence[Claim]) -> list[float]:
        """How far each claim is borne out, at most 1; see the module.

        What the model cannot read at once, or a question without words, counts as 0.
        """
        self._read((claim, n) for claim in claims for n in range(2 + len(claim.others)))
        return [self._support(claim, len(claim.others)) for claim in claims]

    def best(self, claims: Sequence[Sequence[Claim]]) -> list[tuple[int, float] | None]:
        """For each question the place of the claim with the greatest support, and that support.

        Of equal ones the first counts. The support of a claim is the least over its others, so
        reading more of them only lowers it: those that cannot be the greatest any more are not
        read on, and none is where all are under their thresholds, which spares most of the reading
        and changes nothing else. A support under its threshold may therefore be too great.

        Args:
            claims: For each question its claims.
        """
        if len(self._known) > _KEPT:
            self._known.clear()
        self._read((claim, n) for among in claims for claim in among for n in (0, 1))
        done = [[0] * len(among) for among in claims]
        bounds = [[self._support(claim, 0) for claim in among] for among in claims]
        while True:
            further = [
                (question, place)
                for question, among in enumerate(claims)
                if any(b >= c.threshold for b, c in zip(bounds[question], among, strict=True))
                and done[question][place := _greatest(bounds[question])] < len(among[place].others)
            ]
            if not further:
                break
            self._read((claims[q][place], 2 + done[q][place]) for q, place in further)
            for q, place in further:
                done[q][place] += 1
                bounds[q][place] = self._support(claims[q][place], done[q][place])
        return [(place := _greatest(among), among[place]) if among else None for among in bounds]

    def _read(self, wanted: Iterable[tuple[Claim, int]]) -> None:
        """Read the questions of claims behind nothing (0), the fact (1) or another (2 and on)."""
        pairs = dict.fromkeys(self._pair(claim, number) for claim, number in wanted)
        new = [pair for pair in pairs if pair not in self._known]
        self._known.update(zip(new, _logprobs(self._lm, new), strict=True))

    def _support(self, claim: Claim, others: int) -> float:
        """The support of a claim with its first others."""
        nowhere, behind_fact, *elsewhere = (
            self._known[self._pair(claim, number)] for number in range(2 + others)
        )
        among = [other for other in (nowhere, *elsewhere) if other is not None]
        best = max(among, default=None)
        return 1 - behind_fact / best if behind_fact is not None and best else 0.0

    def _pair(self, claim: Claim, number: int) -> tuple[Query, str]:
        image = claim.query.image
        if number:
            text = f"{(claim.text, *claim.others)[number - 1]}\n"
        else:
            text = f"{self._start}\n" if image is None else ""
        return Query(text, image), claim.query.prompt.strip()


def _greatest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def choose(lm: LM, queries: Sequence[Query], facts: Sequence[Sequence[str]]) -> list[int | None]:
    """The place of the fact that an instruction model names for each query, or None.

    Args:
        lm: The model.
        queries: The questions.
        facts: At least one fact per question.
    """
    asked = []
    for query, shown in zip(queries, facts, strict=True):
        listed = "\n".join(f"{number}. {fact}" for number, fact in enumerate(shown, start=1))
        # Not `format`: facts and questions may hold braces.
        text = CONFIRMATION.replace("{question}", query.prompt).replace("{facts}", listed)
        asked.append(Query(text, query.image))
    chosen = []
    for reply, shown in zip(lm.generate(asked, max_new_tokens=8), facts, strict=True):
        number = _NUMBER.search(reply)
        place = int(number[0]) - 1 if number else -1
        chosen.append(place if 0 <= place < len(shown) else None)
    return chosen


def _logprobs(lm: LM, pairs: Sequence[tuple[Query, str]]) -> list[float | None]:
    """Log-probabilities of answers, None where there is none to read or no room to read it."""
    unique = [pair for pair in dict.fromkeys(pairs) if _fits(lm, *pair)]
    scored = lm.score([query for query, _ in unique], [answer for _, answer in unique], top=1)
    known = {pair: found.total for pair, found in zip(unique, scored, strict=True)}
    return [known.get(pair) for pair in pairs]


def _fits(lm: LM, query: Query, answer: str) -> bool:
    tokens = len(lm.encoder.target_ids(query, answer)) if answer.strip() else 0
    try:
        lm.require_fit(query, tokens)
    except InputError:
        return False
    return tokens > 0
