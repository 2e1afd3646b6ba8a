"""The offline text generator: rules and pools, no model, the same answer for the same seed.

It does what rules can do well. Where an answer would need knowledge that neither the source nor
the rules have (a two-hop question about a photograph's breed of dog), it says so, and the record
goes without that probe; the data card counts how many have it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from builders.okedit import tasks
from builders.okedit.words import COLOURS, NUMBERS, answer_type, normalise, number_of, same
from builders.text.protocol import TextRequest, TextResult

Pools = Mapping[str, Sequence[str]]
"""Distinct answers by answer type, as mined from the source."""


class NoRuleError(Exception):
    """No rule covers this request."""


# Rephrasing rules for probes and for editors share nothing: neither a pattern's replacement nor a
# frame. An editor that learns the wording of its samples has learned nothing about the probes.
_Rewrite = tuple[re.Pattern[str], str]
_PROBE_REWRITES: tuple[_Rewrite, ...] = (
    (re.compile(r"^how many\b", re.I), "What number of"),
    (re.compile(r"^wh(?:at|ich) colou?r (is|are) (.+)$", re.I), r"What \1 the color of \2"),
    (re.compile(r"^wh(?:at|ich) (?:kind|sort) of\b", re.I), "What type of"),
    (re.compile(r"^where\b", re.I), "In which place"),
    (re.compile(r"^why\b", re.I), "For what reason"),
)
_EDITOR_REWRITES: tuple[_Rewrite, ...] = (
    (re.compile(r"^how many\b", re.I), "Exactly how many"),
    (re.compile(r"^wh(?:at|ich) colou?r (is|are) (.+)$", re.I), r"Of which color \1 \2"),
    (re.compile(r"^wh(?:at|ich) (?:kind|type) of\b", re.I), "Which sort of"),
    (re.compile(r"^where\b", re.I), "At what place"),
    (re.compile(r"^why\b", re.I), "What is the reason:"),
)
_PROBE_FRAMES = (
    "Looking at the picture, {q}",
    "Based on the image, {q}",
    "From what the picture shows, {q}",
    "Going by this photo, {q}",
    "According to the image, {q}",
    "Judging from the picture, {q}",
    "With this image in view, {q}",
    "Given what can be seen here, {q}",
    "As far as the photo tells, {q}",
    "Considering the picture, {q}",
    "After a look at the image, {q}",
    "Using the picture, {q}",
)
_EDITOR_FRAMES = (
    "Please answer: {q}",
    "I would like to know: {q}",
    "A question for you: {q}",
    "Tell me, {q}",
    "Quick question: {q}",
    "Can you say: {q}",
    "Someone asks: {q}",
    "Help me with this: {q}",
)
_FALLBACK_POOL = {"yes/no": ("yes", "no"), "colour": COLOURS, "number": NUMBERS[1:11]}

_DEICTIC = re.compile(
    r"\b(this|these|that|those|here|shown|seen|see|picture|image|photo|he|she|they|it|his|her|"
    r"their|its)\b"
)
_DEFINITE = re.compile(r"\b(the|this|these|that|those) \w+")
_VISUAL = re.compile(
    r"^(how many|what colou?r|is there|are there|is the|are the|where is|where are|what is in|"
    r"what is on|who is|what is (this|that)|what are (these|those))\b"
    r"|\b(shown|seen|pictured|visible|wearing|holding)\b"
)
_KNOWLEDGE = re.compile(
    r"\b(capital|invent\w*|year|founded|used for|made (of|from)|named after|origin\w*|famous|"
    r"language|currency|continent|why|country|century|company|president|scientific|found in|"
    r"average|usually|typically|known)\b"
)
_KIND = re.compile(r"^(what|which) (kind|type|sort|breed|sport|animal|food|fruit|vehicle|room)\b")


class OfflineTextGenerator:
    """Rules and mined pools behind the text generator protocol.

    Args:
        pools: Distinct answers by answer type.
    """

    name = "offline"

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._rules: dict[str, Callable[[Mapping[str, Any], random.Random], BaseModel]] = {
            tasks.REPHRASE.name: self._rephrase,
            tasks.OBJECT_PHRASE.name: self._object_phrase,
            tasks.COUNTERFACTUAL.name: self._other_answer,
            tasks.EDIT_TYPE.name: self._vote,
            tasks.THIRD_ANSWER.name: self._other_answer,
            tasks.HOPS.name: self._hops,
            tasks.FACT.name: self._fact,
        }

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        """One result per request, in order."""
        return [self._answer(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, request: TextRequest[Any]) -> TextResult[Any]:
        task = request.task
        output, error = None, None
        try:
            rule = self._rules[task.name]
            output = rule(request.inputs, random.Random(request.seed))
            error = task.check(request.inputs, output)
        except KeyError:
            error = f"no offline rule for {task.name}"
        except NoRuleError as reason:
            error = str(reason)
        return TextResult(
            output=None if error else output,
            error=error,
            generator=self.name,
            model=None,
            prompt_digest=request.prompt_digest,
            seed=request.seed,
            fallback=False,
        )

    def _rephrase(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Rephrasings:
        editor = inputs["audience"] == "editor"
        question, wanted = str(inputs["question"]).strip(), int(inputs["n"])
        taken = {normalise(question), *(normalise(text) for text in inputs.get("avoid", ()))}
        rewrites = _EDITOR_REWRITES if editor else _PROBE_REWRITES
        frames = list(_EDITOR_FRAMES if editor else _PROBE_FRAMES)
        rng.shuffle(frames)
        candidates = [p.sub(r, question) for p, r in rewrites if p.search(question)]
        candidates += [frame.format(q=_lower_first(question)) for frame in frames]
        chosen: list[str] = []
        for text in candidates:
            if normalise(text) not in taken and len(chosen) < wanted:
                taken.add(normalise(text))
                chosen.append(text)
        if len(chosen) < wanted:
            raise NoRuleError(f"the rules give {len(chosen)} rephrasings, {wanted} are wanted")
        return tasks.Rephrasings(rephrasings=chosen)

    def _object_phrase(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Phrase:
        question, answer = normalise(str(inputs["question"])), str(inputs["answer"]).strip()
        if match := re.match(r"^what colou?r (?:is|are) (?:the |this |that )?(.+)$", question):
            return tasks.Phrase(phrase=f"{answer} {match.group(1)}"[:200])
        if match := re.match(r"^how many ([\w ]+?) (?:are|is|do|does|can|were|in)\b", question):
            return tasks.Phrase(phrase=f"{answer} {match.group(1)}"[:200])
        if normalise(answer) in ("yes", "no"):
            return tasks.Phrase(phrase=f'a scene where "{question}" is answered {answer}'[:200])
        return tasks.Phrase(phrase=answer[:200])

    def _other_answer(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.NewAnswer:
        taken = {normalise(str(inputs[key])) for key in ("old", "new") if key in inputs}
        taken |= {normalise(text) for text in inputs.get("avoid", ())}
        kind = answer_type(str(inputs["question"]), str(inputs["old"]))
        everything = [answer for pool in self._pools.values() for answer in pool]
        for pool in (self._pools.get(kind, ()), _FALLBACK_POOL.get(kind, ()), everything):
            free = sorted({answer for answer in pool if normalise(answer) not in taken} - {""})
            # Yes or no has two answers: a third one does not exist, so no pool may widen it.
            if free or kind == "yes/no":
                break
        if not free:
            raise NoRuleError(f"no other answer of type {kind!r} is known")
        return tasks.NewAnswer(answer=rng.choice(free), aliases=[])

    def _vote(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Vote:
        question = normalise(str(inputs["question"]))
        kind = answer_type(question, str(inputs["old"]))
        voter = int(inputs["vote"]) % 3
        needs_picture, why = (
            (bool(_DEICTIC.search(question)), "words that point at the picture"),
            (bool(_VISUAL.search(question)), "words for what can be seen"),
            (bool(_DEFINITE.search(question)), "a definite thing that only the picture gives"),
        )[voter]
        recognises = (
            kind in ("yes/no", "number", "colour"),
            not _KNOWLEDGE.search(question),
            bool(_KIND.search(question) or _VISUAL.search(question)),
        )[voter]
        return tasks.Vote(
            edit_type="image_text" if needs_picture else "text",
            scope="recognition" if recognises else "knowledge",
            reason=f"rule {voter + 1}: {'has' if needs_picture else 'lacks'} {why}",
        )

    def _hops(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Hops:
        """Hops over whole numbers, the one kind of answer whose consequences rules know."""
        before, after = number_of(str(inputs["old"])), number_of(str(inputs["new"]))
        if before is None or after is None:
            raise NoRuleError("no offline rule knows facts about these answers")
        asked = f'the answer to "{inputs["question"]}"'
        return tasks.Hops(
            one_hop=_count(f"What is one more than {asked}?", after + 1, before + 1),
            two_hop=_count(
                f"What is twice the number that is one more than {asked}?",
                2 * (after + 1),
                2 * (before + 1),
            ),
        )

    def _fact(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Sentence:
        asked, shown = str(inputs["question"]), str(inputs["image_object"])
        return tasks.Sentence(
            sentence=f'The answer to "{asked}" for a picture of {shown} is {inputs["new"]}.'
        )


def _count(question: str, after: int, before: int) -> tasks.Follow:
    return tasks.Follow(
        question=question, answers=_wordings(after), answers_before=_wordings(before)
    )


def _wordings(number: int) -> list[str]:
    return [str(number), *([NUMBERS[number]] if number < len(NUMBERS) else [])]


def _lower_first(question: str) -> str:
    """The question as it continues a sentence: `What is` becomes `what is`, `NASA` stays."""
    first = question.split(maxsplit=1)[0] if question else ""
    return question if len(first) > 1 and first.isupper() else question[:1].lower() + question[1:]


def pool_answers(pools: dict[str, list[str]], question: str, answer: str, limit: int = 500) -> None:
    """Add an answer to the pool of its type, in place, unless the pool is full or has it."""
    pool = pools.setdefault(answer_type(question, answer), [])
    if len(pool) < limit and not any(same(answer, other) for other in pool):
        pool.append(answer)
