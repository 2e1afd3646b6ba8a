"""Tensors that grow by rows without being copied every time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SPARE = 1.5
"""How many times the rows at hand a new buffer has room for."""


@dataclass
class _Buffer:
    """Memory that tensors share which grew out of one another.

    Attributes:
        rows: The memory.
        used: How many rows the longest of them has.
    """

    rows: Tensor
    used: int


def appended(rows: Tensor, more: Tensor) -> Tensor:
    """Rows, then others, shape (n + m, ...); what was given stays as it is.

    A tensor made here has room behind it, which the next call fills in place, so that adding one
    row at a time costs a copy of the row and not of all that is there. Two tensors that grow out
    of the same one do not see each other: the second gets memory of its own.
    """
    count = len(rows) + len(more)
    buffer = _buffer_of(rows)
    if (
        buffer is None
        or buffer.used != len(rows)
        or len(buffer.rows) < count
        or buffer.rows.dtype != more.dtype
    ):
        dtype = torch.promote_types(rows.dtype, more.dtype)
        room = rows.new_empty((max(count, int(_SPARE * count)), *rows.shape[1:]), dtype=dtype)
        room[: len(rows)] = rows
        buffer = _Buffer(room, len(rows))
    buffer.rows[buffer.used : count] = more
    buffer.used = count
    grown = buffer.rows[:count]
    # On the tensor itself, since states are made of plain tensors.
    setattr(grown, "_grown_in", buffer)  # noqa: B010
    return grown


def overwritten(rows: Tensor, where: Tensor, new: Tensor, own: int) -> Tensor:
    """Rows with others in the place of some.

    Args:
        rows: The rows.
        where: Which are replaced, shape (m,).
        new: By what, shape (m, ...).
        own: The row from which on nobody else needs what is there. If only such rows are replaced,
            in a tensor that `appended` made, that is done in place; else in a copy.
    """
    where, new = where.to(rows.device), new.to(rows)
    if _buffer_of(rows) is not None and int(where.min()) >= own:
        rows[where] = new
        return rows
    return rows.index_copy(0, where, new)


def _buffer_of(rows: Tensor) -> _Buffer | None:
    return getattr(rows, "_grown_in", None)
