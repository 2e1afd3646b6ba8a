"""Whether a fact bears on a question, asked of the model that is to read it.

**By likelihood**, for base models, which follow no instruction. The question is whether it matters
to the model whom the fact is about. So it reads the fact, and the same fact with a stand-in for its
subject, and two things are compared, of which the greater counts:

    explained question      1 - S(q | fact) / S(q | stand-in)
    explained answer        P(o | fact, q) - P(o | stand-in, q)

S(q | .) is the surprisal of the question's tokens behind a text, and P(o | ., q) the probability of
the fact's own answer when the question is read behind it. Words of the relation become as likely
behind the stand-in as behind the fact, and a model that repeats any answer it has just read repeats
it in both cases: what is left is the name. A fact about somebody else with the same relation gives
about 0 in both. The first finds facts that are needed on the way to another answer, as in questions
of two hops; the second holds for models that were never trained to go from facts to questions.
A mean of log-probability gains over the question, in which words of the relation count as much as
the name does, confirms facts about other people.

Where a fact names no subject, as with most pictures, nothing stands in its place: the question is
read without any fact.

**By generation**, for instruction models: the model is shown the facts, numbered, and the question,
and writes the number of the one that is needed, or NONE. The method's authors let it copy the fact,
and look for phrases such as "false" in what it writes, which shuts the gate on facts that hold the
word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact that may bear on a question.

    Attributes:
        query: The question.
        text: The fact.
        instead: The fact about a stand-in, or None where it names no subject.
        answer: What the fact makes the answer to its own question.
        template: How a fact stands before a question, with `{fact}` in its place.
    """

    query: Query
    text: str
    instead: str | None
    answer: str
    template: str


def behind(query: Query, text: str | None, template: str) -> Query:
    """A query with a fact before it and before its own context, or itself without a fact."""
    if text is None:
        return query
    context = template.replace("{fact}", text) + (query.context or "")
    return Query(query.prompt, query.image, context)


def support(lm: LM, plain: LM, claims: Sequence[Claim]) -> list[float]:
    """How far each claim is borne out by likelihood, at most 1; see the module.

    What the model cannot read at once, or a question without words, counts as 0.

    Args:
        lm: The model, as it is asked.
        plain: The same with the prompt format `plain`.
        claims: The claims.
    """
    start = "" if plain.encoder.token_ids(Query("")) else plain.tokenizer.bos_token or ""
    texts = [
        (Query(f"{text or start}\n"), claim.query.prompt.strip())
        for claim in claims
        for text in (claim.text, claim.instead)
    ]
    answers = [
        (behind(claim.query, text, claim.template), claim.answer)
        for claim in claims
        for text in (claim.text, claim.instead)
    ]
    questions, answered = _logprobs(plain, texts), _logprobs(lm, answers)
    found = []
    for place in range(0, 2 * len(claims), 2):
        scores = [0.0]
        after, alone = questions[place : place + 2]
        if after is not None and alone:
            scores.append(1 - after / alone)
        told, untold = answered[place : place + 2]
        if told is not None and untold is not None:
            scores.append(math.exp(told) - math.exp(untold))
        found.append(max(scores))
    return found


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
