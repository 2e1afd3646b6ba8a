"""Sums of outer products over many tokens, in double precision at the speed of single precision.

Keys are multiplied in float32, a few thousand tokens at a time, and these products are added up in
float64. The sum is symmetric, so only the panels on and below its diagonal are computed and kept:
with p panels (p + 1) / 2p of the operations and of the memory, 56 % with eight.

Symbols: n tokens, keys k of width d.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PANELS, NARROWEST = 8, 256
"""Panels of a sum, and the fewest rows of one: narrow products are slower per operation."""


class OuterSum:
    """The sum of k k^T over tokens, shape (d, d).

    Attributes:
        width: d.
        panels: The sum as it was when `merge` was last called, in float64: for each panel of rows
            those up to the diagonal, shapes (rows, columns). On the keys' device, or on the
            processor where the device knows no float64.
    """

    def __init__(self, width: int) -> None:
        """Begin with nothing."""
        self.width = width
        self._cuts = cuts(width)
        self.panels = [
            torch.zeros(end - start, end, dtype=torch.float64)
            for start, end in zip(self._cuts, self._cuts[1:], strict=False)
        ]
        self._pending: list[Tensor] = []

    def prepare(self, device: torch.device) -> None:
        """Take the memory that `add` needs, where it is not taken yet."""
        if not self._pending:
            home = "cpu" if device.type == "mps" else device
            self.panels = [panel.to(home) for panel in self.panels]
            self._pending = [
                torch.zeros(panel.shape, dtype=torch.float32, device=device)
                for panel in self.panels
            ]

    @torch.no_grad()
    def add(self, keys: Tensor) -> None:
        """Take in the keys of some tokens, shape (n, d), float32; `merge` puts them into the sum.

        It takes no memory after `prepare`, and so cannot end halfway for want of it.
        """
        self.prepare(keys.device)
        for start, panel in zip(self._cuts, self._pending, strict=False):
            rows, end = panel.shape
            panel.addmm_(keys[:, start : start + rows].t(), keys[:, :end])

    @torch.no_grad()
    def merge(self) -> None:
        """Put what was added since into the sum; to be called every few thousand tokens."""
        for panel, pending in zip(self.panels, self._pending, strict=False):
            panel += pending.to(panel.device)
            pending.zero_()

    @torch.no_grad()
    def take_up(self, panels: Sequence[Tensor]) -> None:
        """Go on from the panels of an earlier sum.

        Raises:
            ValueError: If they are of another shape or precision.
        """
        for own, other in zip(self.panels, panels, strict=True):
            if own.shape != other.shape or own.dtype != other.dtype:
                raise ValueError(f"expected a panel of shape {tuple(own.shape)}")
        self.panels = list(panels)
        self._pending = []

    def matrix(self) -> Tensor:
        """The sum as it was when `merge` was last called, shape (d, d), float64."""
        whole = self.panels[0].new_zeros(self.width, self.width)
        for start, panel in zip(self._cuts, self.panels, strict=False):
            beside, corner = panel.split([start, len(panel)], dim=1)
            own = slice(start, start + len(panel))
            whole[own, :start], whole[:start, own] = beside, beside.t()
            whole[own, own] = corner.tril() + corner.tril(-1).t()
        return whole


def cuts(width: int) -> list[int]:
    """Where panels begin, and where the last one ends."""
    rows = max(NARROWEST, -(-width // PANELS))
    return [*range(0, width, rows), width]
