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
        others: The fact about stand-ins; none where it names no subject.
    """

    query: Query
    text: str
    others: tuple[str, ...]


def behind(query: Query, text: str | None, template: str) -> Query:
    """A query with a fact before it and before its own context, or itself without a fact."""
    if text is None:
        return query
    context = template.replace("{fact}", text) + (query.context or "")
    return Query(query.prompt, query.image, context)


def support(plain: LM, claims: Sequence[Claim]) -> list[float]:
    """How far each claim is borne out by likelihood, at most 1; see the module.

    What the model cannot read at once, or a question without words, counts as 0.

    Args:
        plain: The model with the prompt format `plain`.
        claims: The claims.
    """
    start = "" if plain.encoder.token_ids(Query("")) else plain.tokenizer.bos_token or ""
    read = []
    for claim in claims:
        image = claim.query.image
        nothing = Query(f"{start}\n" if image is None else "", image)
        read.append([nothing, *(Query(f"{text}\n", image) for text in (claim.text, *claim.others))])
    asked = [
        (query, claim.query.prompt.strip())
        for claim, queries in zip(claims, read, strict=True)
        for query in queries
    ]
    logprobs = iter(_logprobs(plain, asked))
    found = []
    for queries in read:
        nowhere, behind_fact, *others = [next(logprobs) for _ in queries]
        elsewhere = (nowhere, *others)
        best = max((other for other in elsewhere if other is not None), default=None)
        found.append(1 - behind_fact / best if behind_fact is not None and best else 0.0)
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
