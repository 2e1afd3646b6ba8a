"""Keys and outputs at lookup tokens while layer after layer is written to.

Every write changes what later layers read, so there is a round per layer. A round begins with the
block whose projection was written to last and ends where the last thing wanted is seen: what lies
before is kept from the round before, what lies behind is not run.

A key of a layer depends on the writes to earlier layers alone. So the keys of a round are also
those of the model once all layers are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from editors.batch import Batch
from editors.lm import LM
from editors.lookup import Place, at, columns, per_token, reading_order
from editors.rerun import Early, Seen, eyes, keeping, replaying
from editors.trace import forwarding, stopped, traced

ROOM = 2**30
"""Bytes of states that are kept between rounds; batches beyond begin where they began before."""


@dataclass
class _Part:
    """A batch of places, and what is known of it.

    Attributes:
        numbers: Which places it holds.
        batch: Their prompts, up to the last lookup token.
        column: The lookup tokens' columns.
        early: What modules do in place of their own forwards.
        kept: Bytes that this takes.
    """

    numbers: Sequence[int]
    batch: Batch
    column: Tensor
    early: Early = field(default_factory=dict)
    kept: int = 0


Read = tuple[Tensor, Tensor | None]
"""The key at a place, and the output that is wanted beside it."""


class Rounds:
    """Rounds of reading the same places, in ascending layers.

    After a round the projection of its layer is written to, and none before it.
    """

    def __init__(self, lm: LM, places: Sequence[Place], *, room: int = ROOM) -> None:
        """Nothing is read yet.

        Args:
            lm: The model.
            places: The places.
            room: Bytes of states that are kept between rounds, at most.
        """
        self._lm, self._places, self._room = lm, places, room
        self._parts: list[_Part] = []

    @torch.no_grad()
    def read(self, layer: int, *, hidden: int | None = None, again: bool = True) -> Read:
        """Keys of a layer at n places, (n, d), and outputs of another block, (n, H).

        Args:
            layer: The layer.
            hidden: The other block, not before the layer; None if no output is wanted.
            again: Whether there is a round after this one.
        """

        def begin(numbers: list[int]) -> list[Read]:
            part = self._part(numbers)
            found = self._run(part, layer, hidden, again)
            self._parts.append(part)
            return found

        if not self._parts:
            order = range(len(self._places))
            rows = self._lm.in_batches(order, begin, size=self._order)
        else:
            found: dict[int, Read] = {}
            for part in self._parts:
                found.update(zip(part.numbers, self._run(part, layer, hidden, again), strict=True))
            rows = [found[number] for number in range(len(found))]
        outputs = [output for _, output in rows if output is not None]
        return torch.stack([key for key, _ in rows]), torch.stack(outputs) if outputs else None

    def _order(self, number: int) -> tuple[bool, int, int]:
        return reading_order(self._lm, self._places[number])

    def _part(self, numbers: Sequence[int]) -> _Part:
        places = [self._places[i] for i in numbers]
        batch = self._lm.encoder.encode([where.query for where in places])
        column = columns(batch, places)
        return _Part(numbers, batch.upto(int(column.max()) + 1), column)

    def _run(self, part: _Part, layer: int, hidden: int | None, again: bool) -> list[Read]:
        anatomy = self._lm.anatomy
        projection = anatomy.projections[layer]
        # What goes into the block that is written to next.
        early = anatomy.blocks[:layer] if again else ()
        seen: Seen = {}
        outputs = {} if hidden is None else {"hidden": anatomy.blocks[hidden]}
        with ExitStack() as stack:
            for module in (*early[-1:], *(eyes(self._lm) if early else ())):
                stack.callback(module.register_forward_hook(keeping(seen)).remove)
            stop = {projection: stopped} if hidden is None else {}
            stack.enter_context(forwarding({**part.early, **stop}))
            with traced({"key": projection}, outputs, stop_at=outputs.get("hidden")) as trace:
                self._lm.forward(part.batch, keep=1)
        if early:
            self._keep(part, replaying(seen, early), _bytes(list(seen.values())))
        key = at(per_token(trace.inputs["key"], part.batch), part.column)
        if hidden is None:
            return [(row, None) for row in key]
        states = at(per_token(trace.outputs["hidden"], part.batch), part.column)
        return list(zip(key, states, strict=True))

    def _keep(self, part: _Part, early: Early, size: int) -> None:
        """Let a part begin later from now on, if there is room."""
        if size <= self._room + part.kept:
            self._room += part.kept - size
            part.early, part.kept = early, size


def _bytes(value: Any) -> int:
    """How large the tensors in something are."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    inside = list(value.values()) if isinstance(value, Mapping) else value
    return sum(map(_bytes, inside)) if isinstance(inside, list | tuple) else 0
