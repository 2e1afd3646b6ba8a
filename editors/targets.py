"""Values: what a block should put out at the lookup token, so that the model gives the new answer.

Symbols: n aims; H hidden width; δ (n, H) what is added to the block's output; h (n, H) that output
as it is; z = h + δ the value. All aims are optimised together, each with its own δ, its own state
of Adam and its own end; the objective is a sum over aims, so this is the same as one after another
(Meng et al. 2023, MEMIT, eq. 16; `compute_z` of the released code).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from editors.anatomy import dtype_of
from editors.base import EditError
from editors.batch import Batch
from editors.headloss import divergence, unlikelihood
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
    # Many edits are parted by the columns of a step, so that none of their rows waits for others.
    width = 2 if len(aims) >= _PARTED else 2**20
    found = lm.in_batches(
        aims,
        lambda chosen: _descend(lm, chosen, descent),
        size=lambda aim: _size(lm, aim, width),
        rows=-(-len(aims[0].places) // _NARROW),
    )
    values = Values(torch.stack([h for h, _ in found]), torch.stack([d for _, d in found]))
    for aim, finite in zip(aims, torch.isfinite(values.delta).all(1).tolist(), strict=True):
        if not finite:
            raise EditError("its value is not finite", row=aim.request_id)
    return values


_PARTED = 24
"""Edits from which on batches are parted by their rows' columns."""

_NARROW = 4
"""Rows of a search that count as one of a batch: a step reads the last few of their columns."""

_LEAVE = 0.9
"""The share of a batch that is left when those that are done leave it."""


def _size(lm: LM, aim: Aim, width: int) -> tuple[tuple[bool, int], int, int]:
    """What aims are batched by: with or without picture, columns of a step, columns in all.

    Args:
        lm: The model.
        aim: The aim.
        width: By how many columns the rows of a batch may differ, and 1 more.
    """
    pictured, tokens = lm.length_key(aim.places[-1].query)
    step = (aim.places[-1].back or 0) + len(aim.target_ids)
    return (pictured, step // width), step, tokens


def _descend(lm: LM, aims: list[Aim], descent: Descent) -> list[tuple[Tensor, Tensor]]:
    """Adam on all aims at once."""
    objective = _Objective(lm, aims, descent)
    h = initial = objective.hidden
    unit = initial.norm(dim=1) if descent.unit == "block" else _projected(lm, aims, descent)
    delta, mean, square = (torch.zeros_like(h) for _ in range(3))
    largest = descent.clamp * unit
    updates = torch.tensor([aim.updates for aim in aims], device=h.device)
    active = updates > 0
    read = torch.arange(len(aims), device=h.device)
    for step in range(1, max(aim.updates for aim in aims) + 1):
        if int(active.sum()) <= _LEAVE * len(read):
            objective = objective.kept(active[read].nonzero()[:, 0])
            read = active.nonzero()[:, 0]
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

    Where a prompt begins as that of the divergence does, up to the lookup token, what comes after
    that token is asked of the prompt's own row. The other divergences are read in a second batch,
    which ends with its lookup tokens and needs no other column.

    Attributes:
        hidden: The block's output at the aims' first places, shape (n, H).
    """

    def __init__(self, lm: LM, aims: list[Aim], descent: Descent) -> None:
        self._lm, self._aims, self._descent = lm, aims, descent
        self._after: Tensor | None = None  # final states of the divergence places with δ = 0
        places = [where for aim in aims for where in aim.places]
        answers = [aim.target_ids for aim in aims for _ in aim.places]
        # The last token of an answer predicts nothing that counts.
        batch = lm.encoder.encode([p.query for p in places], [ids[:-1] for ids in answers])
        self._answers = _Changed.read(lm, batch, columns(batch, places), descent.layer)
        self.hidden = self._answers.lookups()[:: len(aims[0].places)]
        self._asked = _Asked.of(aims, batch.prompt_end - 1, self.hidden)
        inside = torch.tensor([_begins_alike(lm, aim) for aim in aims], device=self.hidden.device)
        self._inside, self._apart = inside.nonzero()[:, 0], (~inside).nonzero()[:, 0]
        self._diverging: _Changed | None = None
        if descent.divergence and len(self._apart):
            wheres = [aims[i].divergence for i in self._apart.tolist()]
            batch = lm.encoder.encode([where.query for where in wheres])
            column = columns(batch, wheres)
            batch = batch.upto(int(column.max()) + 1)
            self._diverging = _Changed.read(lm, batch, column, descent.layer)

    def kept(self, chosen: Tensor) -> _Objective:
        """The same for some of the aims, in ascending order."""
        aims = [self._aims[i] for i in chosen.tolist()]
        each = len(aims[0].places)
        rows = (chosen[:, None] * each + torch.arange(each, device=chosen.device)).flatten()
        stay = torch.isin(self._apart, chosen).nonzero()[:, 0]
        answers, diverging = self._answers.kept(rows), self._diverging
        if diverging is not None:
            diverging = diverging.kept(stay) if len(stay) else None
        if answers is None or (len(stay) and diverging is None and self._diverging is not None):
            other = _Objective(self._lm, aims, self._descent)
        else:
            other = copy.copy(self)
            other._aims, other._answers, other._diverging = aims, answers, diverging
            other.hidden = self.hidden[chosen]
            other._asked = _Asked.of(aims, self._asked.first, self.hidden)
            other._inside = torch.isin(chosen, self._inside).nonzero()[:, 0]
            other._apart = torch.isin(chosen, self._apart).nonzero()[:, 0]
        if self._after is not None:
            other._after = self._after[chosen.to(self._after.device)]
        return other

    def __call__(self, delta: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of shape (n,) and their gradients of shape (n, H).

        Args:
            delta: δ, shape (n, H).
            unit: |u|, shape (n,).
        """
        delta = delta.detach().requires_grad_()
        descent, asked, each = self._descent, self._asked, len(self._aims[0].places)
        shrinking = descent.weight_decay * delta.norm(dim=1) / unit**2
        inside = self._inside * each if descent.divergence else self._inside[:0]
        states = self._answers(
            delta.repeat_interleave(each, 0),
            torch.cat([asked.rows, inside]),
            torch.cat([asked.columns, self._answers.columns[inside]]),
        )
        ours, after = states.split([len(asked.rows), len(inside)])
        own, pull = unlikelihood(self._answers.tail, ours, asked.ids, asked.shares)
        losses = shrinking.detach().index_add(0, asked.owners, own.to(delta.device))
        ends, pulls = [shrinking, ours], [torch.ones_like(shrinking), pull]
        if descent.divergence:
            owners = torch.cat([self._inside, self._apart])
            if self._diverging is not None:
                every = torch.arange(len(self._apart), device=delta.device)
                more = self._diverging(delta[self._apart], every, self._diverging.columns)
                after = torch.cat([after, more.to(after.device)])
            there = owners.to(after.device)
            if self._after is None:
                self._after = torch.empty_like(after).index_copy_(0, there, after.detach())
            moved, pull = divergence(
                self._answers.tail, after, self._after[there], descent.divergence, delta.dtype
            )
            losses = losses.index_add(0, owners, moved.to(delta.device))
            ends, pulls = [*ends, after], [*pulls, pull]
        (gradient,) = torch.autograd.grad(ends, delta, pulls)
        return losses, gradient


def _begins_alike(lm: LM, aim: Aim) -> bool:
    """Whether the prompt and that of the divergence are the same up to the lookup token."""
    begun = []
    for where in (aim.places[0], aim.divergence):
        if where.query.image is not None or where.back is None:
            return False
        ids = lm.encoder.token_ids(where.query)
        begun.append(ids[: len(ids) - where.back + 1])
    return begun[0] == begun[1]


@dataclass(frozen=True)
class _Asked:
    """The positions that predict the tokens of the answers, m of them.

    Attributes:
        first: The column that predicts the answers' first tokens.
        rows: Rows, shape (m,).
        columns: Columns, shape (m,).
        ids: The tokens, shape (m,).
        owners: Which aim each belongs to, shape (m,).
        shares: What each weighs in its aim's loss, shape (m,).
    """

    first: int
    rows: Tensor
    columns: Tensor
    ids: Tensor
    owners: Tensor
    shares: Tensor

    @classmethod
    def of(cls, aims: Sequence[Aim], first: int, like: Tensor) -> _Asked:
        """Those of some aims, on the device and in the precision of a tensor."""
        each = len(aims[0].places)
        found = [
            (number * each + row, first + offset, token, number, 1 / (each * aim.divisor))
            for number, aim in enumerate(aims)
            for row in range(each)
            for offset, token in enumerate(aim.target_ids)
        ]
        rows, columns, ids, owners, shares = zip(*found, strict=True)
        on = like.device
        return cls(
            first,
            torch.tensor(rows, device=on),
            torch.tensor(columns, device=on),
            torch.tensor(ids, device=on),
            torch.tensor(owners, device=on),
            torch.tensor(shares, device=on, dtype=like.dtype),
        )


@dataclass(frozen=True)
class _Changed:
    """A tail whose states are changed in one column of each of its B rows.

    Attributes:
        tail: The tail.
        columns: The columns, shape (B,).
    """

    tail: Tail
    columns: Tensor

    @classmethod
    def read(cls, lm: LM, batch: Batch, column: Tensor, layer: int) -> _Changed:
        """Read a batch up to a layer."""
        tail = Tail(lm, batch, layer, int(column.min()))
        return cls(tail, column.to(tail.hidden.device))

    def lookups(self) -> Tensor:
        """The states in those columns, shape (B, H), in float32 or better."""
        return at(self.tail.hidden, self.columns - self.tail.start)

    def kept(self, rows: Tensor) -> _Changed | None:
        """The same for some of the rows, or None where it has to be read anew."""
        tail = self.tail.kept(rows)
        return None if tail is None else _Changed(tail, self.columns[rows])

    def __call__(self, added: Tensor, rows: Tensor, column: Tensor) -> Tensor:
        """Final states at some positions once `added`, of shape (B, H), is added."""
        states = self.tail.hidden
        where = torch.arange(len(states), device=states.device), self.columns - self.tail.start
        changed = states.index_put(where, added.to(states.dtype), accumulate=True)
        return self.tail.final(changed, rows, column)
