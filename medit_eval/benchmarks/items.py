"""Items of lm-evaluation-harness's tasks: what is asked, what is accepted, and the score of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from medit_eval.benchmarks.answers import Answer, TaskInfo
from medit_eval.benchmarks.leaf import Leaf
from medit_eval.benchmarks.requests import Reading, arguments
from medit_eval.metrics.matching import normalise

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_GUESSED = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info"})
"""Scores of choices that guessing gets right once in as many times as there are options."""


@dataclass(frozen=True)
class Item:
    """One item of a task, as it is put to every model.

    Attributes:
        leaf: The task that it is of.
        name: What tells it from all other items.
        cluster: What related items share.
        doc: The harness's document.
        requests: What the harness asks for it.
        prompt: The final question, without demonstrations.
        choices: The options, or none.
        gold: The accepted answers.
        digest: Of all that is asked and accepted.
    """

    leaf: Leaf
    name: str
    cluster: str
    doc: Mapping[str, Any]
    requests: tuple[Instance, ...]
    prompt: str
    choices: tuple[str, ...]
    gold: tuple[str, ...]
    digest: str

    def answer(
        self, benchmark: str, phase: str, readings: Sequence[Reading], activated: bool | None
    ) -> Answer:
        """What a model made of it; the harness scores what could be read.

        Args:
            benchmark: The task as it was asked for.
            phase: When it was asked.
            readings: What came of each request.
            activated: Whether a memory answered.
        """
        reason = next((reading.reason for reading in readings if reading.reason), None)
        value, weight, taken = None, 1.0, None
        if reason is None:
            value, weight, taken, reason = self._scored([reading.result for reading in readings])
        kind, logprobs = self.leaf.kind, ()
        output = str(readings[0].result) if kind == "generation" else ""
        if kind != "generation" and reason is None:
            results = [reading.result for reading in readings]
            logprobs = tuple(float(r[0] if kind == "choice" else r) for r in results)
            if kind == "choice":
                logprobs = logprobs[: len(self.choices)]
                best = max(range(len(logprobs)), key=logprobs.__getitem__)
                # A single continuation is no choice: it is given if greedy decoding gives it.
                output = self.choices[best] if len(logprobs) > 1 or results[0][1] else ""
        return Answer(
            phase=phase,
            task=benchmark,
            item=self.name,
            cluster=self.cluster,
            kind=kind,
            metric=self.leaf.metric,
            question=self.digest,
            prompt=self.prompt,
            choices=self.choices,
            gold=" | ".join(self.gold),
            output=output,
            logprobs=logprobs,
            value=value,
            weight=weight,
            reason=reason,
            activated=activated,
            tokens=max(reading.tokens for reading in readings),
            extracted=taken,
        )

    def _scored(self, results: Sequence[Any]) -> tuple[float | None, float, str | None, str | None]:
        """Score, weight, what was taken from a free answer, and why there is no score."""
        task, requests = self.leaf.task, list(self.requests)
        for request, result in zip(requests, results, strict=True):
            request.resps = [result] * (request.repeats or 1)
            request.filtered_resps = {}
        chosen = task._filters[0]
        chosen.apply(requests)
        taken = [request.filtered_resps[chosen.name] for request in requests]
        metrics = task.process_results(self.doc, taken)
        name = self.leaf.metric.partition(",")[0]
        found = metrics.get(name, next(iter(metrics.values()), None))
        if self.leaf.kind == "perplexity" and isinstance(found, tuple):
            return -float(found[0]) / found[1], float(found[1]), None, None
        if self.leaf.kind == "choice" and name not in metrics:
            best = max(range(len(self.choices)), key=lambda i: results[i][0])
            found = self.choices[best] in self.gold
        if not isinstance(found, Real) or not math.isfinite(found):
            return None, 1.0, None, f"the harness has no {name!r} of a single item"
        text = taken[0] if self.leaf.kind == "generation" and isinstance(taken[0], str) else None
        return float(found), 1.0, None if text == "[invalid]" else text, None


def item_of(leaf: Leaf, index: int, seed: int) -> Item:
    """An item with the demonstrations that its own seed draws, whatever else is asked."""
    task, doc = leaf.task, leaf.docs[index]
    name = f"{leaf.name}:{index}"
    task.set_fewshot_seed(seed=int(digest([seed, name])[:12], 16))
    context = task.fewshot_context(doc, leaf.shots, gen_prefix=task.doc_to_prefix(doc))
    repeats = task.get_config("repeats") or 1
    made = task.construct_requests(doc, context, metadata=(leaf.name, index, repeats))
    requests = tuple(made) if isinstance(made, list) else (made,)
    asked = str(arguments(requests[0])[0])
    prompt = asked if leaf.kind == "perplexity" else leaf.split(asked, doc)[1]
    choices = _choices(leaf, doc, requests)
    gold = _gold(leaf, doc, choices)
    named = doc.get("cluster")
    return Item(
        leaf=leaf,
        name=name,
        cluster=named if isinstance(named, str) and named else leaf.name,
        doc=doc,
        requests=requests,
        prompt=prompt,
        choices=choices,
        gold=gold,
        digest=digest([leaf.kind, [_plain(request.arguments) for request in requests], gold]),
    )


def described(benchmark: str, items: Sequence[Item]) -> TaskInfo:
    """What is known of a benchmark before any model is asked.

    Chance is the mean share of accepted options. Majority is the share of items that accept the
    answer that most items accept.
    """
    import lm_eval

    leaves = list({item.leaf.name: item.leaf for item in items}.values())
    versions = dict.fromkeys(str(leaf.task.VERSION) for leaf in leaves)
    metrics = dict.fromkeys(leaf.metric for leaf in leaves)
    guessed = all(
        leaf.kind == "choice" and leaf.metric in _GUESSED and not _own_rule(leaf.task)
        for leaf in leaves
    ) and all(len(item.choices) > 1 for item in items)
    chance = None
    if guessed:
        chance = sum(_share(item) for item in items) / len(items)
    majority = None
    if guessed or all(leaf.kind == "generation" for leaf in leaves):
        said = Counter(text for item in items for text in {normalise(gold) for gold in item.gold})
        majority = max(said.values(), default=0) / len(items)
    return TaskInfo(
        task=benchmark,
        kind=leaves[0].kind,
        metric=", ".join(metrics),
        version=f"{', '.join(versions)} of lm_eval {lm_eval.__version__}",
        shots=max(leaf.shots for leaf in leaves),
        items=len(items),
        chance=chance,
        majority=majority,
        digest=digest([benchmark, [[item.name, item.digest, item.leaf.metric] for item in items]]),
    )


def digest(value: Any) -> str:
    """32 hex digits that stand for a value of JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _own_rule(task: Any) -> bool:
    return callable(task.get_config("process_results"))


def _choices(leaf: Leaf, doc: Any, requests: Sequence[Instance]) -> tuple[str, ...]:
    if leaf.kind != "choice":
        return ()
    if leaf.task.get_config("doc_to_choice") is not None:
        return tuple(str(choice) for choice in leaf.task.doc_to_choice(doc))
    return tuple(str(arguments(request)[1]).strip() for request in requests)


def _gold(leaf: Leaf, doc: Any, choices: Sequence[str]) -> tuple[str, ...]:
    """The accepted answers as texts."""
    task = leaf.task
    if leaf.kind == "perplexity":
        return ()
    target = task.doc_to_target(doc)
    if getattr(task, "multiple_input", 0):
        target = task.doc_to_text(doc)
    found: list[str] = []
    for one in target if isinstance(target, list | tuple) else [target]:
        place = one if isinstance(one, int) and not isinstance(one, bool) else None
        if place is not None and leaf.kind == "choice":
            found += choices[place : place + 1] if place >= 0 else ()
        else:
            found.append(str(one).strip())
    return tuple(dict.fromkeys(found))


def _share(item: Item) -> float:
    return sum(choice in item.gold for choice in item.choices) / len(item.choices)


def _plain(value: Any) -> Any:
    """Arguments of a request as JSON, pictures as digests of their bytes."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if hasattr(value, "tobytes"):
        return hashlib.sha256(value.tobytes()).hexdigest()
    return value
