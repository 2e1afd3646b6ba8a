"""Prompts read once: for a free answer, and for all answers that are scored behind them.

What a model made of a prompt's tokens is kept as keys and values. Answers go on from there, whether
they are written token by token or given. Hooks see the prompts in one forward, and in later ones
what follows them; see `Batch.read_in`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from editors.batch import Batch
from editors.likelihood import Likelihood, likelihoods
from editors.prompts import Query

if TYPE_CHECKING:
    from editors.lm import LM


@dataclass(frozen=True)
class Prompts:
    """Prompts that a model has read.

    Attributes:
        batch: The prompts, B of them.
        logits: What may follow each, shape (B, vocabulary).
        cache: Keys and values, a transformers cache.
    """

    batch: Batch
    logits: Tensor
    cache: Any


@dataclass(frozen=True)
class Reply:
    """What a model says to a query.

    Attributes:
        text: Its free answer.
        likelihoods: Those of the answers that were to be scored; None where one is empty.
    """

    text: str
    likelihoods: tuple[Likelihood | None, ...]


class Answering(Protocol):
    """What writes answers and scores them; a class that can do both at once has its own `reply`."""

    def generate(
        self, queries: Sequence[Query], *, max_new_tokens: int = 32, stop: Sequence[str] = ("\n",)
    ) -> list[str]:
        """Free greedy answers."""
        ...

    def score(
        self, queries: Sequence[Query], answers: Sequence[str], *, top: int = 10
    ) -> list[Likelihood]:
        """Likelihoods of given answers."""
        ...

    def reply(
        self,
        queries: Sequence[Query],
        answers: Sequence[Sequence[str | None]],
        *,
        max_new_tokens: int = 32,
        stop: Sequence[str] = ("\n",),
        top: int = 10,
    ) -> list[Reply]:
        """Free answers as of `generate`, and likelihoods of answers as of `score`.

        Args:
            queries: The queries.
            answers: For each query the answers to score; None stands for its free answer.
            max_new_tokens: Length of a free answer at most.
            stop: What ends a free answer.
            top: How many of the most probable tokens are kept.

        Raises:
            InputError: If a query and its answers are longer than the model can read, or a given
                answer is empty.
        """
        texts = self.generate(queries, max_new_tokens=max_new_tokens, stop=stop)
        wanted = [
            [text if given is None else given for given in some]
            for text, some in zip(texts, answers, strict=True)
        ]
        pairs = [(q, a) for q, some in zip(queries, wanted, strict=True) for a in some if a]
        scored = self.score([q for q, _ in pairs], [a for _, a in pairs], top=top) if pairs else []
        found = iter(scored)
        return [
            Reply(text, tuple(next(found) if a else None for a in some))
            for text, some in zip(texts, wanted, strict=True)
        ]


def read_prompts(lm: LM, queries: Sequence[Query]) -> Prompts:
    """Read prompts, all with a picture or all without."""
    batch = lm.encoder.encode(queries)
    logits, cache = lm.run(batch, keep=1, use_cache=True)
    return Prompts(batch, logits[:, -1], cache)


def greedy(lm: LM, prompts: Prompts, tokens: int, stop: Sequence[str]) -> list[str]:
    """What follows each prompt greedily, up to an end token or a text that holds a stop string.

    Answers that are complete leave the batch.

    Args:
        lm: The model.
        prompts: The prompts.
        tokens: Length of an answer at most.
        stop: The stop strings.
    """
    ends = _ends(lm.model.generation_config)
    # A token is at least a byte, and a sign at most four: later tokens cannot end a stop string.
    reach = 4 * max(map(len, stop), default=0) + 4
    written: list[list[int]] = [[] for _ in prompts.batch.queries]
    rows, logits, cache = list(range(len(written))), prompts.logits, copied(prompts.cache)
    for step in range(tokens):
        best = logits.argmax(-1).tolist()
        for row, token in zip(rows, best, strict=True):
            if token not in ends:
                written[row].append(token)
        tails = lm.tokenizer.batch_decode(
            [written[row][-reach:] for row in rows], skip_special_tokens=True
        )
        live = [
            place
            for place, (token, tail) in enumerate(zip(best, tails, strict=True))
            if token not in ends and not any(mark in tail for mark in stop)
        ]
        if not live or step == tokens - 1:
            break
        if len(live) < len(rows):
            cache.batch_select_indices(torch.tensor(live, device=lm.device))
            rows = [rows[place] for place in live]
        follows = lm.encoder.following(prompts.batch, rows, [best[place] for place in live], step)
        logits, cache = lm.run(follows, keep=1, past_key_values=cache, use_cache=True)
        logits = logits[:, -1]
    return lm.tokenizer.batch_decode(written, skip_special_tokens=True)


def likelihoods_behind(
    lm: LM, prompts: Prompts, targets: Sequence[Sequence[list[int]]], top: int
) -> list[list[Likelihood]]:
    """The likelihoods of answers behind their prompts.

    Args:
        lm: The model.
        prompts: The prompts.
        targets: For each prompt the tokens of any number of answers, at least one token each.
        top: How many of the most probable tokens are kept.
    """
    flat = [target for several in targets for target in several]
    if not flat:
        return [[] for _ in targets]
    rows = [row for row, several in enumerate(targets) for _ in several]
    after = lm.encoder.continued(prompts.batch, rows, flat)
    logits = prompts.logits[rows][:, None]
    if after.target_ids.shape[1] > 1:
        cache = copied(prompts.cache)
        cache.batch_select_indices(torch.tensor(rows, device=lm.device))
        more, _ = lm.run(after, keep=0, past_key_values=cache, use_cache=True)
        logits = torch.cat([logits, more], dim=1)
    found = iter(likelihoods(logits, after.target_ids, flat, top))
    return [[next(found) for _ in several] for several in targets]


def copied(cache: Any) -> Any:
    """A cache that can be added to while the other stays; its tensors are shared."""
    other = copy.copy(cache)
    other.layers = [copy.copy(layer) for layer in cache.layers]
    return other


_NEUTRAL = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": 0,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "sequence_bias": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": 1.0,
    "stop_strings": None,
}
"""What keeps greedy decoding from being the repeated best token, each with the value that does
not."""


def is_plain(config: Any) -> bool:
    """Whether greedy decoding under a generation configuration is the repeated best token."""
    return all(getattr(config, name, None) in (None, value) for name, value in _NEUTRAL.items())


def _ends(config: Any) -> set[int]:
    """The end tokens."""
    ends = config.eos_token_id
    return set() if ends is None else {ends} if isinstance(ends, int) else set(ends)
