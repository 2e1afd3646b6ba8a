"""GRACE's rules for keys, radii and labels, one edit at a time (`GRACEAdapter.forward`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Adapter:
    """Keys, radii and answers, and which entry each edit's value was trained in."""

    epsilon: float
    keys: list[Tensor] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)

    def edit(self, query: Tensor, label: str) -> None:
        if not self.keys:
            self._add(query, label, self.epsilon)
            return
        distances = [float(torch.dist(query, key)) for key in self.keys]
        nearest = min(range(len(distances)), key=distances.__getitem__)
        smallest = distances[nearest]
        if smallest > self.epsilon + self.radii[nearest]:
            self._add(query, label, self.epsilon)
        elif label != self.labels[nearest]:
            self.radii[nearest] = smallest / 2
            self._add(query, label, smallest / 2)
        else:
            if smallest > self.radii[nearest]:
                self.radii[nearest] = smallest
            self.trained.append(nearest)

    def _add(self, query: Tensor, label: str, radius: float) -> None:
        self.keys.append(query)
        self.radii.append(radius)
        self.labels.append(label)
        self.trained.append(len(self.keys) - 1)
