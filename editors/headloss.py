"""Losses of a model's head on many final states, in pieces that a vocabulary's width fits into.

Symbols: m positions, H hidden width, V vocabulary. The loss is a sum over positions, so its
gradient by a position's final state can be had as soon as that position's logits are there. No more
than `PIECE` logits are in memory at once, however many positions there are, and none of them wait
for a backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from editors.tail import Tail

PIECE = 2**25
"""Logits of a piece: 128 MiB in float32."""


def unlikelihood(
    tail: Tail, states: Tensor, ids: Tensor, weights: Tensor, *, piece: int = PIECE
) -> tuple[Tensor, Tensor]:
    """Weighted negative log-likelihoods of one token after each of m positions.

    The gradient of -w log p_t by the logits is w (p - e_t).

    Args:
        tail: Whose head.
        states: Final states, shape (m, H).
        ids: The tokens t, shape (m,).
        weights: w, shape (m,); the result has its dtype.
        piece: Logits in memory at once.

    Returns:
        The losses, shape (m,), and their gradient by the states, shape (m, H).
    """
    losses, gradient = torch.empty_like(weights, device=states.device), torch.empty_like(states)
    for here in _pieces(tail, states, piece):
        token, w = (x[here].to(states.device)[:, None] for x in (ids, weights))
        leaf, logits = _logits(tail, states[here])
        token, w = token.to(logits.device), w.to(logits.device)
        logprobs = logits.detach().to(w.dtype).log_softmax(-1)
        losses[here] = -(w * logprobs.gather(1, token))[:, 0].to(losses.device)
        pull = logprobs.exp_().mul_(w).scatter_add_(1, token, -w)
        (gradient[here],) = torch.autograd.grad(logits, leaf, pull.to(logits.dtype))
    return losses, gradient


def divergence(
    tail: Tail,
    states: Tensor,
    before: Tensor,
    weight: float,
    dtype: torch.dtype,
    *,
    piece: int = PIECE,
) -> tuple[Tensor, Tensor]:
    """Weighted KL(p || q) of what comes after m positions, as in the released code of MEMIT.

    Its gradient by the logits of p is p (log p - log q - KL). Of q the final states are kept, not
    the distribution, which is H numbers in place of V.

    Args:
        tail: Whose head.
        states: Final states that give p, shape (m, H).
        before: Final states that give q, shape (m, H).
        weight: What the divergences are multiplied by.
        dtype: That of the result.
        piece: Logits in memory at once.

    Returns:
        The losses, shape (m,), and their gradient by `states`, shape (m, H).
    """
    losses = torch.empty(len(states), dtype=dtype, device=states.device)
    gradient = torch.empty_like(states)
    for here in _pieces(tail, states, piece):
        leaf, logits = _logits(tail, states[here])
        logp = logits.detach().to(dtype).log_softmax(-1)
        with torch.no_grad():
            apart = logp - tail.head(before[here]).to(dtype).log_softmax(-1)
        p = logp.exp_()
        found = (p * apart).sum(1, keepdim=True)
        losses[here] = weight * found[:, 0].to(losses.device)
        pull = apart.sub_(found).mul_(p).mul_(weight)
        (gradient[here],) = torch.autograd.grad(logits, leaf, pull.to(logits.dtype))
    return losses, gradient


def _pieces(tail: Tail, states: Tensor, piece: int) -> Iterator[slice]:
    rows = max(1, piece // tail.vocabulary)
    for start in range(0, len(states), rows):
        yield slice(start, start + rows)


def _logits(tail: Tail, states: Tensor) -> tuple[Tensor, Tensor]:
    """States as a leaf of their own, and the head's logits of them."""
    leaf = states.detach().requires_grad_()
    with torch.enable_grad():
        return leaf, tail.head(leaf)
