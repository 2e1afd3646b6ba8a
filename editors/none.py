"""No editing at all: the line that every editor is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from editors.base import EditedModel, no_edit
from editors.lm import LM


@dataclass(frozen=True)
class NoEdit:
    """An editor that leaves the model as it is.

    Its locality is 1 but for what rounding does when questions are batched otherwise, and its
    reliability is what the model knew before.
    """

    name: str = "none"

    @classmethod
    def for_model(cls, lm: LM) -> Self:
        """The same for every model."""
        return cls()

    def apply(self, lm: LM) -> EditedModel:
        """The model unedited, as an edited model."""
        edited = no_edit(lm)
        edited.method = self
        return edited
