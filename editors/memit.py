"""MEMIT: mass-editing memory in a transformer (Meng et al., ICLR 2023).

Every edited layer's projection W (H, d) gets the update (eq. 14)

    Δ = R K^T (λ C + K K^T)^-1

with K (d, n) the keys of n edits, R (H, n) the layer's share of what is missing to their values,
and C (d, d) the second moment of the keys of a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from editors.corpus import WIKIPEDIA, CorpusSource
from editors.lm import LM
from editors.locate import LocateThenEdit
from editors.lookup import LookupRule
from editors.moments import Moment
from editors.presets import preset_for
from editors.solve import MomentPrecision


@dataclass(frozen=True, kw_only=True)
class MEMIT(LocateThenEdit):
    """MEMIT's hyperparameters; with `remember`, the sequential form of AlphaEdit's eq. 15.

    Attributes:
        moment_weight: λ, how much the corpus weighs against an edit.
    """

    moment_weight: float = 15_000

    @property
    def name(self) -> str:
        """`memit`."""
        return "memit"

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        layers: tuple[int, ...] | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
        clamp: float | None = None,
        weight_decay: float | None = None,
        divergence: float = 0.0625,
        moment_weight: float | None = None,
        lookup: LookupRule = "last_prompt",
        contexts: int = 5,
        corpus: CorpusSource = WIKIPEDIA,
        cache: Path | None = None,
        remember: bool = False,
        seed: int = 0,
    ) -> Self:
        """MEMIT as published for a model, but for what is given; see the attributes.

        Raises:
            InputError: If nothing was published for the model and `layers` are not given.
        """
        preset = preset_for(lm, layers)
        return cls(
            layers=preset.layers if layers is None else layers,
            steps=preset.steps if steps is None else steps,
            learning_rate=preset.learning_rate if learning_rate is None else learning_rate,
            clamp=preset.clamp if clamp is None else clamp,
            weight_decay=preset.weight_decay if weight_decay is None else weight_decay,
            divergence=divergence,
            moment_weight=preset.moment_weight if moment_weight is None else moment_weight,
            lookup=lookup,
            contexts=contexts,
            corpus=corpus,
            cache=cache,
            remember=remember,
            seed=seed,
        )

    def precision(self, moment: Moment) -> MomentPrecision:
        """(λ C)^-1."""
        return MomentPrecision.of(moment, self.moment_weight)
