"""Values: what a block should put out at the lookup token, so that the model gives the new answer.

Symbols: n aims; H hidden width; δ (n, H) what is added to the block's output; h (n, H) that output
as it is; z = h + δ the value. All aims are optimised together, each with its own δ, its own state
of Adam and its own end; the objective is a sum over aims, so this is the same as one after another
(Meng et al. 2023, MEMIT, eq. 16; `compute_z` of the released code).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from editors.anatomy import dtype_of
from editors.base import EditError
from editors.lm import LM
from editors.lookup import LookupRule, Place, at, columns, divergence_place, place, read
from editors.tail import Tail
from schemas.errors import InputError
from schemas.records import EditRequest

Unit = Literal["block", "projection"]
"""What δ is measured by; see `Descent`."""

REACHED = 0.05
"""The loss under which an aim is reached, as in the released code."""


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How values are searched.

    Attributes:
        layer: The block whose output is changed.
        learning_rate: Of Adam.
        clamp: The largest norm of δ, in norms of the unit u.
        weight_decay: Weight of |δ| / |u|^2; the released code squares the second norm only.
        divergence: Weight of KL(p_δ || p) at the divergence place.
        unit: What u is: h (`block`), or what the projection out of the block's MLP puts out
            (`projection`), as in ROME.
    """

    layer: int
    learning_rate: float
    clamp: float
    weight_decay: float
    divergence: float
    unit: Unit = "block"


@dataclass(frozen=True)
class Aim:
    """One answer that should become likely.

    Attributes:
        request_id: The request it belongs to.
        places: The lookup token after each context; the bare prompt's first.
        divergence: Where what comes next should stay.
        target_ids: The answer's tokens.
        divisor: What the answer's negative log-likelihood is divided by: its number of tokens.
        updates: Steps of Adam, at most.
    """

    request_id: str
    places: tuple[Place, ...]
    divergence: Place
    target_ids: tuple[int, ...]
    divisor: int
    updates: int


@dataclass(frozen=True)
class Values:
    """What was found, in the order of the aims.

    Attributes:
        initial: h, the block's output for the bare prompts, shape (n, H).
        delta: δ, shape (n, H).
    """

    initial: Tensor
    delta: Tensor


def aim_at(
    lm: LM,
    request: EditRequest,
    answer: str,
    *,
    contexts: Sequence[str],
    rule: LookupRule,
    updates: int,
) -> Aim:
    """The aim that a request's prompt be answered in a certain way.

    Raises:
        InputError: If the prompt does not hold the subject, or prompt and answer are too long.
    """
    places = (
        place(lm, request, rule),
        *(place(lm, request, rule, context) for context in contexts),
    )
    ids = tuple(lm.encoder.target_ids(places[0].query, answer))
    for where in places:
        try:
            lm.require_fit(where.query, len(ids))
        except InputError as error:
            raise InputError(error.reason, row=request.id) from None
    divergence = divergence_place(lm, request, rule)
    return Aim(request.id, places, divergence, ids, len(ids), updates)


def find_values(lm: LM, aims: Sequence[Aim], descent: Descent) -> Values:
    """The values that reach the aims, all of which have equally many places.

    Raises:
        EditError: If a value is not finite.
    """
    lm.anatomy.require_layers([descent.layer])
    found = lm.in_batches(
        aims,
        lambda chosen: _descend(lm, chosen, descent),
        size=lambda aim: lm.length_key(aim.places[-1].query),
        rows=len(aims[0].places) + 1,
    )
    values = Values(torch.stack([h for h, _ in found]), torch.stack([d for _, d in found]))
    for aim, finite in zip(aims, torch.isfinite(values.delta).all(1).tolist(), strict=True):
        if not finite:
            raise EditError("its value is not finite", row=aim.request_id)
    return values


def _descend(lm: LM, aims: list[Aim], descent: Descent) -> list[tuple[Tensor, Tensor]]:
    """Adam on all aims at once; those that are done leave when they are half of the batch."""
    objective = _Objective(lm, aims, descent)
    h = initial = objective.hidden
    unit = initial.norm(dim=1) if descent.unit == "block" else _projected(lm, aims, descent)
    delta, mean, square = (torch.zeros_like(h) for _ in range(3))
    largest = descent.clamp * unit
    updates = torch.tensor([aim.updates for aim in aims], device=h.device)
    active = updates > 0
    read = torch.arange(len(aims), device=h.device)
    for step in range(1, max(aim.updates for aim in aims) + 1):
        if int(active.sum()) * 2 <= len(read):
            kept, read = active[read], active.nonzero()[:, 0]
            reference = objective.reference[kept.to(objective.reference.device)]
            objective = _Objective(lm, [aims[i] for i in read.tolist()], descent, reference)
        losses, gradient = objective(delta[read], unit[read])
        active[read] &= ~(losses < REACHED)
        active &= step <= updates
        if not bool(active.any()):
            break
        chosen = active[read]
        now, g = read[chosen], gradient[chosen]
        mean[now] = 0.9 * mean[now] + 0.1 * g
        square[now] = 0.999 * square[now] + 0.001 * g * g
        scale = square[now].sqrt() / (1 - 0.999**step) ** 0.5 + 1e-8
        moved = delta[now] - descent.learning_rate / (1 - 0.9**step) * mean[now] / scale
        norms = moved.norm(dim=1)
        delta[now] = moved * (largest[now] / norms).clamp(max=1)[:, None]
    return list(zip(initial, delta, strict=True))


def _projected(lm: LM, aims: list[Aim], descent: Descent) -> Tensor:
    """Norms of what the projection puts out at the aims' first places, shape (n,)."""
    keys = read(lm, [aim.places[0] for aim in aims], keys=[descent.layer]).keys[descent.layer]
    projection = lm.anatomy.projections[descent.layer]
    with torch.no_grad():
        return projection(keys.to(dtype_of(projection))).to(keys.dtype).norm(dim=1)


class _Objective:
    """Loss and gradient of each of n aims, as a function of their δ.

    Rows of the batch: for each aim its places, then its divergence place.

    Attributes:
        hidden: The block's output at the aims' first places, shape (n, H).
        reference: Log-probabilities of what comes next at the divergence places with δ = 0, shape
            (n, vocabulary); the first call, which is made with δ = 0, finds them.
    """

    def __init__(
        self, lm: LM, aims: list[Aim], descent: Descent, reference: Tensor | None = None
    ) -> None:
        self.descent = descent
        self._reference = reference
        places = [where for aim in aims for where in (*aim.places, aim.divergence)]
        answers = [ids for aim in aims for ids in (*[aim.target_ids] * len(aim.places), ())]
        batch = lm.encoder.encode([where.query for where in places], answers)
        per_aim = len(aims[0].places) + 1
        self._rows = torch.arange(len(places))
        self._columns = columns(batch, places)
        self._tail = Tail(lm, batch, descent.layer, int(self._columns.min()))
        self._owner = self._rows // per_aim
        self.hidden = at(self._tail.hidden, self._columns)[::per_aim]
        # Every token of every answer is a position: that of the logits which predict it.
        self._answer_rows, offsets = batch.target_mask.nonzero(as_tuple=True)
        self._answer_columns = batch.prompt_end - 1 + offsets
        self._answer_ids = batch.target_ids[self._answer_rows, offsets]
        self._diverging = self._rows[per_aim - 1 :: per_aim]
        self._answer_owner = self._answer_rows // per_aim
        shares = [1 / ((per_aim - 1) * aim.divisor) for aim in aims]
        self._shares = torch.tensor(shares, dtype=self.hidden.dtype)[self._answer_owner]

    @property
    def reference(self) -> Tensor:
        """See the class."""
        assert self._reference is not None, "the objective was not evaluated yet"
        return self._reference

    def __call__(self, delta: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of shape (n,) and their gradients of shape (n, H).

        Args:
            delta: δ, shape (n, H).
            unit: |u|, shape (n,).
        """
        delta = delta.detach().requires_grad_()
        states = self._tail.hidden
        added = delta[self._owner.to(delta.device)].to(states.dtype)
        where = (self._rows.to(states.device), self._columns.to(states.device))
        logits = self._tail.logits(
            states.index_put(where, added, accumulate=True),
            torch.cat([self._answer_rows, self._diverging]),
            torch.cat([self._answer_columns, self._columns[self._diverging]]),
        )
        logprobs = logits.to(delta.dtype).log_softmax(-1)
        answers, after = logprobs.split([len(self._answer_ids), len(delta)])
        own = answers.gather(1, self._answer_ids.to(answers.device)[:, None])[:, 0]
        likelihood = own.new_zeros(len(delta)).index_add(
            0, self._answer_owner.to(own.device), own * self._shares.to(own.device)
        )
        if self._reference is None:
            self._reference = after.detach()
        # As in the released code, the expectation is over the edited distribution.
        divergence = functional.kl_div(self._reference, after, reduction="none", log_target=True)
        shrinking = delta.norm(dim=1) / unit**2
        losses = (-likelihood + self.descent.divergence * divergence.sum(1)).to(
            delta.device
        ) + self.descent.weight_decay * shrinking
        (gradient,) = torch.autograd.grad(losses.sum(), delta)
        return losses.detach(), gradient
