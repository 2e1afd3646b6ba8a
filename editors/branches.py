"""Several edited models in one: low-rank updates that each row of a batch has for itself.

An update Δ of a projection W adds Δ x to what it puts out. With Δ = L R of rank r that is two thin
products, so rows of one batch can each have another Δ while W is never touched. Which one a row
has, its query's `branch` says.

B rows of a batch, T columns, V branches, r the largest rank among them, d inputs, o outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from editors.lm import LM
from editors.prompts import Query
from editors.trace import by_rows


class Branching:
    """Writes to projections that hold for the rows of one branch, while the context is open."""

    def __init__(self, lm: LM) -> None:
        """Take hold of a model."""
        self._lm = lm
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        """Nothing is written yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take back what was written."""
        self._hooks.close()

    def write(self, layer: int, owners: Tensor, left: Tensor, right: Tensor) -> None:
        """Add to a layer's projection, for each branch its own update.

        Args:
            layer: The layer.
            owners: The branch of each of n rank-one parts, shape (n,).
            left: Their columns, shape (n, o).
            right: Their rows, shape (n, d).
        """
        projection = self._lm.anatomy.projections[layer]
        update = _Update(self._lm, projection, owners.tolist(), left, right)
        self._hooks.callback(projection.register_forward_hook(update).remove)


class _Update:
    """A hook that adds to a projection's output what its row's branch has written.

    Attributes:
        left: Shape (V + 1, r, o); parts that a branch lacks are zero, as all of the last one, which
            rows without a branch have.
        right: Shape (V + 1, r, d).
    """

    def __init__(
        self, lm: LM, projection: nn.Module, owners: Sequence[int], left: Tensor, right: Tensor
    ) -> None:
        weight = projection.get_parameter("weight")
        dtype = torch.promote_types(weight.dtype, torch.float32)
        self._lm = lm
        self._place = {branch: i for i, branch in enumerate(dict.fromkeys(owners))}
        count: Counter[int] = Counter()
        parts = []
        for branch in owners:
            parts.append((self._place[branch], count[branch]))
            count[branch] += 1
        where = tuple(torch.tensor(parts, device=weight.device).t())
        shape = len(self._place) + 1, max(count.values())

        def laid(part: Tensor) -> Tensor:
            empty = torch.zeros(*shape, part.shape[1], dtype=dtype, device=weight.device)
            return empty.index_put(where, part.detach().to(weight.device, dtype))

        self.left, self.right = laid(left), laid(right)

    def __call__(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        batch = self._lm.current
        if batch is None:
            return None
        rows = self._rows(batch.queries)
        if rows is None:
            return None
        x = by_rows(args[0], len(rows)).to(self.right.dtype)
        added = torch.bmm(torch.bmm(x, self.right[rows].mT), self.left[rows])
        return (by_rows(output, len(rows)) + added).to(output.dtype).reshape(output.shape)

    def _rows(self, queries: Sequence[Query]) -> Tensor | None:
        """The place of each row's branch; None where no row has one."""
        none = len(self._place)
        places = [none if q.branch is None else self._place.get(q.branch, none) for q in queries]
        if all(place == none for place in places):
            return None
        return torch.tensor(places, device=self.left.device)
