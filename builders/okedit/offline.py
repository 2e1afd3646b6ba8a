"""The offline text generator: rules and pools, no model, the same answer for the same seed.

It does what rules can do well. Where an answer would need knowledge that neither the source nor
the rules have (a two-hop question about a photograph's breed of dog), it says so, and the record
goes without that probe; the data card counts how many have it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from builders.okedit import tasks
from builders.okedit.words import (
    COLOURS,
    NUMBERS,
    answer_type,
    fits,
    normalise,
    number_of,
    same,
)
from builders.text.protocol import TextRequest, TextResult

Pools = Mapping[str, Sequence[str]]
"""Distinct answers by answer type, as mined from the source."""


class NoRuleError(Exception):
    """No rule covers this request."""


# Rephrasing rules for probes and for editors share nothing: neither a pattern's replacement nor a
# frame. An editor that learns the wording of its samples has learned nothing about the probes.
_Rewrite = tuple[re.Pattern[str], str]
_NO_PREPOSITION = r"(?!.*\b(?:at|to|too|from|in|on)\W*$)"
_DETERMINER = r"(?:the|this|that|these|those|his|her|their|its|your|a|an)"
_THING = rf"(is|are) ({_DETERMINER} (?!.*(?:ing|in|on|with)\?*$).+)"
"""A verb and a thing, but neither `the man wearing` nor `this photo in`."""
_PROBE_REWRITES: tuple[_Rewrite, ...] = (
    (re.compile(r"^how many (?!of\b)", re.I), "What number of "),
    (re.compile(rf"^wh(?:at|ich) colou?r {_THING}$", re.I), r"What is the color of \2"),
    (re.compile(r"^wh(?:at|ich) (?:kind|sort) of\b", re.I), "What type of"),
    (re.compile(rf"^where\b{_NO_PREPOSITION}", re.I), "In which place"),
    (re.compile(r"^why\b", re.I), "For what reason"),
)
_EDITOR_REWRITES: tuple[_Rewrite, ...] = (
    (re.compile(r"^how many\b", re.I), "Exactly how many"),
    (re.compile(rf"^wh(?:at|ich) colou?r {_THING}$", re.I), r"Of which color \1 \2"),
    (re.compile(r"^wh(?:at|ich) (?:kind|type) of\b", re.I), "Which sort of"),
    (re.compile(rf"^where\b{_NO_PREPOSITION}", re.I), "At what place"),
    (re.compile(r"^why\b", re.I), "Because of what"),
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

_UNTYPED = ("yes/no", "number", "colour")
"""Types whose answers stand in for no other type's."""

_COLOUR_OF = re.compile(
    rf"^(?:what|which) colou?rs? (?:is|are) {_DETERMINER} (.+?)(?: in| on)?$", re.I
)
_COUNT_OF = re.compile(
    r"^how many ([\w' -]+?)(?: (?:are|is|do|does|did|can|were|in|on)\b.*)?$", re.I
)
_THERE = re.compile(r"^(?:is|are|was|were) there (?:any )?(.+)$", re.I)
_ONE_OF = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "buses": "bus",
}
_OPENERS = re.compile(
    r"^(what|which|who|whom|whose|where|when|why|how|is|are|was|were|do|does|did|can|could|will|"
    r"would|should|has|have|had|in|on|at|to|from|of|for|name|the|this|that|these|those|a|an)\b",
    re.I,
)
_EITHER = re.compile(r"([\w'-]+) or (?:an? |the )?([\w'-]+)\W*$")
_DEICTIC = re.compile(
    r"\b(this|these|that|those|here|there|shown|seen|see|picture|image|photo|he|she|they|it|his|her|"
    r"their|its)\b"
)
_DEFINITE = re.compile(r"\b(the|this|these|that|those) \w+")
_VISUAL = re.compile(
    r"^(how many|what colou?r|is there|are there|is the|are the|where is|where are|what is in|"
    r"what is on|who is|what is (this|that)|what are (these|those))\b"
    r"|\b(shown|seen|pictured|visible|background|behind|next to|in front of|left|right|depicted)\b"
    r"|\b(is|are) .*\b\w{2,}ing\b|\b(on|in|his|her|their) (the|his|her|their|\w+'s)\b"
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
        asked = str(inputs["question"]).strip().rstrip("?").strip()
        return tasks.Phrase(phrase=_shown(asked, str(inputs["answer"]).strip())[:200].strip())

    def _other_answer(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.NewAnswer:
        question, old = str(inputs["question"]), str(inputs["old"])
        taken = [str(inputs[key]) for key in ("old", "new") if key in inputs]
        taken += inputs.get("avoid", ())
        kind = answer_type(question, old)
        for pool in self._pools_for(kind, question):
            free = sorted({a for a in pool if fits(a, kind) and not _alike(a, taken)})
            if free:
                return tasks.NewAnswer(answer=rng.choice(free), aliases=[])
        raise NoRuleError(f"no other answer of type {kind!r} is known")

    def _pools_for(self, kind: str, question: str) -> Iterator[Sequence[str]]:
        """Answers to choose from, the best ones first."""
        if kind == "choice":
            # One of two: a third one does not exist, so no pool may widen it.
            yield next(iter(_EITHER.findall(question)), ())
            return
        yield self._pools.get(kind, ())
        yield _FALLBACK_POOL.get(kind, ())
        if kind not in _UNTYPED:
            yield [a for k, pool in self._pools.items() if k not in _UNTYPED for a in pool]

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
        asked = f'the answer to "{str(inputs["question"]).strip().rstrip("?").strip()}"'
        return tasks.Hops(
            one_hop=_count(f"What is one more than {asked}?", after + 1, before + 1),
            two_hop=_count(
                f"What is twice the number that is one more than {asked}?",
                2 * (after + 1),
                2 * (before + 1),
            ),
        )

    def _fact(self, inputs: Mapping[str, Any], rng: random.Random) -> tasks.Sentence:
        # What the picture shows is left out: rules name it by the old answer.
        return tasks.Sentence(
            sentence=f'The answer to "{str(inputs["question"]).strip()}" is {inputs["new"]}.'
        )


def _count(question: str, after: int, before: int) -> tasks.Follow:
    return tasks.Follow(
        question=question, answers=_wordings(after), answers_before=_wordings(before)
    )


def _wordings(number: int) -> list[str]:
    return [str(number), *([NUMBERS[number]] if number < len(NUMBERS) else [])]


def _shown(asked: str, answer: str) -> str:
    """What a picture shows for which this question has this answer."""
    if (match := _COLOUR_OF.match(asked)) and fits(answer, "colour"):
        thing = match.group(1)
        return f"{thing} in {answer}" if "'s " in thing else f"{answer} {thing}"
    if match := _COUNT_OF.match(asked):
        thing, count = match.group(1), number_of(answer)
        if count == 0 or normalise(answer) in ("no", "none"):
            return f"no {thing}"
        if count is not None:
            return f"{answer} {_singular(thing) if count == 1 else thing}"
    if normalise(answer) in ("yes", "no"):
        if match := _THERE.match(asked):
            there = normalise(answer) == "yes"
            return match.group(1) if there else f"a scene without {match.group(1)}"
        return f'a scene where "{asked}?" is answered {answer}'
    return answer


def _singular(things: str) -> str:
    """One of some things, by the regular endings and a few irregular nouns."""
    *before, noun = things.split(" ")
    lowered = noun.lower()
    if lowered in _ONE_OF:
        noun = _ONE_OF[lowered]
    elif lowered.endswith("ies") and len(noun) > 4:
        noun = f"{noun[:-3]}y"
    elif lowered.endswith(("ches", "shes", "sses", "xes")):
        noun = noun[:-2]
    elif lowered.endswith("s") and not lowered.endswith(("ss", "us", "is")):
        noun = noun[:-1]
    return " ".join([*before, noun])


def _alike(answer: str, taken: Sequence[str]) -> bool:
    """Whether an answer says the same as one of some others, or nearly: `dog`, `dogs`."""
    text = normalise(answer)
    if not text or any(same(answer, other) for other in taken):
        return True
    others = [normalise(other) for other in taken]
    return any(len(min(text, o, key=len)) > 2 and (text in o or o in text) for o in others)


def _lower_first(question: str) -> str:
    """The question as it continues a sentence: `What is` becomes `what is`, `NASA` stays."""
    return question[:1].lower() + question[1:] if _OPENERS.match(question) else question


def pool_answers(pools: dict[str, list[str]], question: str, answer: str, limit: int = 500) -> None:
    """Add an answer to the pool of its type, in place, where it fits and there is room."""
    kind = answer_type(question, answer)
    if kind == "choice" or not answer.strip() or not fits(answer, kind):
        return
    pool = pools.setdefault(kind, [])
    if len(pool) < limit and not any(same(answer, other) for other in pool):
        pool.append(answer)
