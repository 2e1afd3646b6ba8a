"""MEMIT: mass-editing memory in a transformer (Meng et al., ICLR 2023).

Every edited layer's projection W (H, d) gets the update (eq. 14)

    Δ = R K^T (λ C + K K^T)^-1

with K (d, n) the keys of n edits, R (H, n) the layer's share of what is missing to their values,
and C (d, d) the second moment of the keys of a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, Unpack

from editors.lm import LM
from editors.locate import LocateThenEdit, Settings
from editors.moments import Moment
from editors.solve import MomentPrecision
from schemas.errors import require_number


class MEMITSettings(Settings, total=False):
    """What `MEMIT.for_model` takes; see its attributes."""

    moment_weight: float


@dataclass(frozen=True, kw_only=True)
class MEMIT(LocateThenEdit):
    """MEMIT's hyperparameters; with `remember`, the sequential form of AlphaEdit's eq. 15.

    Attributes:
        moment_weight: λ, how much the corpus weighs against an edit.
    """

    moment_weight: float = 15_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("moment_weight", self.moment_weight, above=0)

    @property
    def name(self) -> str:
        """`memit`."""
        return "memit"

    @classmethod
    def for_model(cls, lm: LM, **options: Unpack[MEMITSettings]) -> Self:
        """MEMIT as published for a model, but for what is given; see the attributes.

        Raises:
            InputError: If nothing was published for the model and `layers` are not given.
        """
        return cls.published(lm, options)

    def precision(self, moment: Moment) -> MomentPrecision:
        """(λ C)^-1."""
        return MomentPrecision.of(moment, self.moment_weight)
