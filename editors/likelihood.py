"""How a model scores given answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """What logits (B, L, vocabulary) make of the answers in (B, L), of which there are B."""
    logits = logits.float()
    ids = target_ids.to(logits.device)
    own = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0].cpu()
    best = logits.topk(min(top, logits.shape[-1]), dim=-1).indices.cpu()
    return [
        Likelihood(
            tuple(target),
            tuple(own[row, : len(target)].tolist()),
            tuple(map(tuple, best[row, : len(target)].tolist())),
        )
        for row, target in enumerate(targets)
    ]
