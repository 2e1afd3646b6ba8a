"""A model as lm-evaluation-harness knows one: edited or not, in batches, by tokens of the answer.

What the harness's own adapter for transformers hides is told here. Answers begin in a column of
their own behind prompts that are padded on the left and masked, so what routes an edit sees the
prompt alone. Prompts are rewritten on the final question, and what is put before it stands behind
the demonstrations. Nothing is cut: an item that does not fit is not scored, and has a reason.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api import model as harness
from lm_eval.api.instance import Instance

from editors.base import EditedModel
from editors.likelihood import Likelihood
from editors.lm import LM
from editors.prompts import Query
from editors.routing import Routed
from medit_eval.benchmarks.leaf import Leaf
from medit_eval.benchmarks.requests import Asked, Reading, arguments, limits, picture
from schemas.errors import InputError

NOT_FINITE = "the model's logits are not finite"

_KEPT = 4
"""One in so many tokens of a long text's window is read again as the next window's context."""

_SLOT = "<image>"
"""Where the harness's tasks put a picture; here it stands in front, as the model wants it."""


class Harness(harness.LM):
    """A model, edited or not, that the harness can ask.

    Attributes:
        lm: The model underneath.
        MULTIMODAL: Whether it reads pictures.
    """

    def __init__(self, model: LM | EditedModel, leaves: Mapping[str, Leaf] | None = None) -> None:
        """Take a model.

        Args:
            model: The model.
            leaves: Tasks by name, which tell a final question from its demonstrations; the
                questions of others are taken as a whole.
        """
        super().__init__()
        self.edited = model if isinstance(model, EditedModel) else None
        self.lm = model.lm if isinstance(model, EditedModel) else model
        self.MULTIMODAL = self.lm.sees
        self._leaves = dict(leaves or {})
        self._start = _start(self.lm.asked_in("plain"))

    # What the harness calls -------------------------------------------------------------------

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding gives it."""
        return [reading.result for reading in self.continuations(requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-probability of each text."""
        return [reading.result for reading in self.texts(requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """What is written greedily behind each context."""
        return [reading.result for reading in self.written(requests)]

    def read(self, requests: Sequence[Instance]) -> list[Reading]:
        """What comes of requests of any kind, in their order."""
        kinds: dict[str, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            kinds[request.request_type].append(place)
        ways = {
            "loglikelihood": self.continuations,
            "loglikelihood_rolling": self.texts,
            "generate_until": self.written,
        }
        found: dict[int, Reading] = {}
        for kind, places in kinds.items():
            found.update(zip(places, ways[kind]([requests[i] for i in places]), strict=True))
        return [found[place] for place in range(len(requests))]

    def activated(self, readings: Sequence[Reading]) -> list[bool | None]:
        """Whether a memory answered each request; None for models without one."""
        if not isinstance(self.edited, Routed):
            return [None] * len(readings)
        asked = list(dict.fromkeys(r.routed for r in readings if r.routed is not None))
        with self.lm.asking_in("plain"):
            routes = dict(zip(asked, self.edited.routing(asked) if asked else [], strict=True))
        return [r.routed is not None and routes[r.routed].request_id is not None for r in readings]

    # Three kinds of requests ------------------------------------------------------------------

    def continuations(self, requests: Sequence[Instance]) -> list[Reading]:
        """Likelihoods of given continuations, verbatim."""
        asked, answers = [], []
        for request in requests:
            context, answer = arguments(request)[:2]
            # Tokens do not end in a space as a rule; words of an answer begin with one.
            kept = context.rstrip()
            asked.append(self._asked(request, kept))
            answers.append(context[len(kept) :] + answer)
        queries = self._rewritten(asked)
        with self.lm.asking_in("plain"):
            targets = [
                self.lm.encoder.target_ids(query, answer, verbatim=True)
                for query, answer in zip(queries, answers, strict=True)
            ]
            reasons = [
                a.problem or self._unfit(query, len(ids))
                for a, query, ids in zip(asked, queries, targets, strict=True)
            ]
            open_ = [i for i, reason in enumerate(reasons) if reason is None]
            scored = self._scored(
                [queries[i] for i in open_],
                [targets[i] for i in open_],
                [answers[i] for i in open_],
            )
            likelihoods = dict(zip(open_, scored, strict=True))
            readings = []
            for i, (a, query) in enumerate(zip(asked, queries, strict=True)):
                found, reason = likelihoods.get(i), reasons[i]
                result = (math.nan, False)
                if found is not None and _finite(found):
                    greedy = found.ids == tuple(top[0] for top in found.top)
                    result = (found.total, greedy)
                elif found is not None:
                    reason = NOT_FINITE
                readings.append(self._reading(result, reason, query, a))
        return readings

    def texts(self, requests: Sequence[Instance]) -> list[Reading]:
        """Likelihoods of whole texts; each token is predicted once.

        A text longer than the model can read is read in windows, and each begins with the end of
        the one before it.
        """
        with self.lm.asking_in("plain"):
            windows = [list(self._windows(arguments(request)[0])) for request in requests]
            flat = [window for text in windows for window in text]
            scored = iter(
                self.lm.score_tokens([q for q, _ in flat], [ids for _, ids in flat], top=1)
            )
            readings = []
            for text in windows:
                found = [next(scored) for _ in text]
                tokens = sum(len(ids) for _, ids in text)
                total, reason = sum(one.total for one in found), None
                if not text:
                    total, reason = math.nan, "the text is empty"
                elif not all(map(_finite, found)):
                    total, reason = math.nan, NOT_FINITE
                hooked = self.edited is not None and not self.edited.rewrites
                routed = text[0][0] if hooked and text else None
                readings.append(Reading(total, reason, tokens, routed))
        return readings

    def written(self, requests: Sequence[Instance]) -> list[Reading]:
        """Free greedy answers, up to a task's stop strings or its number of tokens."""
        asked = [self._asked(request, arguments(request)[0]) for request in requests]
        queries = self._rewritten(asked)
        with self.lm.asking_in("plain"):
            groups: dict[tuple[tuple[str, ...], int], list[int]] = defaultdict(list)
            reasons: list[str | None] = []
            for i, (request, query) in enumerate(zip(requests, queries, strict=True)):
                stop, wanted = limits(arguments(request)[1])
                reasons.append(asked[i].problem or self._unfit(query, 1))
                if reasons[i] is None:
                    (room,) = self.lm.rooms([query])
                    groups[stop, wanted if room is None else min(wanted, room)].append(i)
            texts: dict[int, str] = {}
            for (stop, tokens), places in groups.items():
                chosen = [queries[i] for i in places]
                with self._watched() as broken:
                    written = self._written(chosen, tokens, stop)
                for i, text in zip(places, written, strict=True):
                    texts[i] = text
                    if queries[i] in broken:
                        reasons[i] = NOT_FINITE
                    elif (
                        tokens < limits(arguments(requests[i])[1])[1]
                        and self._length(text) >= tokens
                    ):
                        reasons[i] = (
                            f"the answer behind a prompt of {self.lm.prompt_tokens(queries[i])} "
                            f"tokens does not fit into the model's {self.lm.context_length}"
                        )
            return [
                self._reading(texts.get(i, "") if reasons[i] is None else "", reasons[i], query, a)
                for i, (a, query) in enumerate(zip(asked, queries, strict=True))
            ]

    # Asking -----------------------------------------------------------------------------------

    def _asked(self, request: Instance, context: str) -> Asked:
        leaf = self._leaves.get(request.task_name or "")
        image, problem = picture(arguments(request)[2:])
        block, prompt = leaf.split(context, request.doc) if leaf else ("", context)
        if image is not None:
            block, prompt = (part.replace(_SLOT, "").lstrip() for part in (block, prompt))
        return Asked(block, prompt, image, problem)

    def _rewritten(self, asked: Sequence[Asked]) -> list[Query]:
        """What the model reads: questions rewritten, each behind its demonstrations.

        They are rewritten in the model's own prompt format, in which an editor may ask it for
        advice.
        """
        bare = list(dict.fromkeys(a.bare for a in asked if a.prompt or a.image))
        read = self.edited.rewritten(bare) if self.edited is not None and bare else bare
        known = dict(zip(bare, read, strict=True))
        queries = [a.behind(known.get(a.bare, a.bare)) for a in asked]
        return [query if query.text or query.image else self._start for query in queries]

    def _scored(
        self, queries: Sequence[Query], targets: Sequence[list[int]], answers: Sequence[str]
    ) -> list[Likelihood]:
        if self.edited is not None and self.edited.scores_itself:
            return self.edited.score(queries, [answer.lstrip() for answer in answers], top=1)
        return self.lm.score_tokens(queries, targets, top=1)

    def _written(self, queries: Sequence[Query], tokens: int, stop: tuple[str, ...]) -> list[str]:
        if self.edited is not None and self.edited.writes_itself:
            return self.edited.generate(queries, max_new_tokens=tokens, stop=stop)
        return self.lm.generate(queries, max_new_tokens=tokens, stop=stop)

    def _reading(self, result: Any, reason: str | None, query: Query, asked: Asked) -> Reading:
        rewrites = self.edited is not None and self.edited.rewrites
        tokens = self.lm.prompt_tokens(query)
        return Reading(result, reason, tokens, asked.bare if rewrites else query)

    def _unfit(self, query: Query, more: int) -> str | None:
        """Why a query and an answer of so many tokens cannot be read."""
        if not more:
            return "the answer to be scored is empty"
        if query.image is not None and not self.lm.sees:
            return "the model reads no pictures"
        try:
            self.lm.require_fit(query, more)
        except InputError as error:
            return error.reason
        return None

    def _windows(self, text: str) -> Iterator[tuple[Query, list[int]]]:
        """A text's tokens in parts that fit, each with what it is read behind."""
        encoded = self.lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        limit, done, query = self.lm.context_length, 0, self._start
        while done < len(ids):
            room = len(ids) if limit is None else limit - self.lm.prompt_tokens(query)
            yield query, ids[done : done + room]
            done += room
            if done < len(ids):
                begin = offsets[max(0, done - max(1, room // _KEPT))][0]
                query = Query("", context=text[begin : offsets[done][0]])

    def _length(self, text: str) -> int:
        return len(self.lm.tokenizer(text, add_special_tokens=False)["input_ids"]) + 1

    @contextmanager
    def _watched(self) -> Iterator[set[Query]]:
        """The queries during whose answers logits were not finite."""
        broken: set[Query] = set()

        def look(_: Any, __: Any, logits: torch.Tensor) -> None:
            batch = self.lm.current
            if batch is not None:
                finite = torch.isfinite(logits[:, -1]).all(-1).tolist()
                broken.update(q for q, ok in zip(batch.queries, finite, strict=True) if not ok)

        head = self.lm.model.get_output_embeddings()
        handle = head.register_forward_hook(look) if head is not None else None
        try:
            yield broken
        finally:
            if handle is not None:
                handle.remove()


def _start(plain: LM) -> Query:
    """What stands before a text with nothing before it: the model's first token, or its last.

    Nothing is asked by it, so it is context and not prompt.
    """
    if plain.encoder.token_ids(Query("")):
        return Query("")
    return Query("", context=plain.tokenizer.bos_token or plain.tokenizer.eos_token or "\n")


def _finite(likelihood: Likelihood) -> bool:
    return all(map(math.isfinite, likelihood.logprobs))
