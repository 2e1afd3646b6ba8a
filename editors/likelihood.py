"""How a model scores given answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Likelihood:
    """How a model scores one answer, token by token, with the answer itself as context.

    Attributes:
        ids: The answer's n tokens.
        logprobs: Their n natural log-probabilities.
        top: For each, the ids of the k most probable tokens in order, shape (n, k).
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> float:
        """Log-probability of the whole answer."""
        return sum(self.logprobs)

    @property
    def mean(self) -> float:
        """Mean log-probability of a token."""
        return self.total / len(self.ids)


def likelihoods(
    logits: Tensor, target_ids: Tensor, targets: Sequence[list[int]], top: int
) -> list[Likelihood]:
    """What logits (B, L, vocabulary) make of the answers in (B, L), of which there are B.

    In float32 at least, whatever the logits are in.
    """
    lengths = [len(target) for target in targets]
    # Logits are the largest thing in memory, so only those of tokens that are there are widened.
    rows = torch.repeat_interleave(torch.tensor(lengths))
    columns = torch.cat([torch.arange(length) for length in lengths])
    place = rows.to(logits.device), columns.to(logits.device)
    chosen = logits[place]
    chosen = chosen.to(torch.promote_types(chosen.dtype, torch.float32))
    ids = target_ids.to(logits.device)[place][:, None]
    own = (chosen.gather(1, ids)[:, 0] - chosen.logsumexp(1)).cpu()
    best = chosen.topk(min(top, chosen.shape[1]), dim=1).indices.cpu()
    return [
        Likelihood(tuple(target), tuple(values.tolist()), tuple(map(tuple, tops.tolist())))
        for target, values, tops in zip(
            targets, own.split(lengths), best.split(lengths), strict=True
        )
    ]
