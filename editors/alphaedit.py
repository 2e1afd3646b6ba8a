"""AlphaEdit: null-space constrained knowledge editing (Fang et al., ICLR 2025).

Every edited layer's projection W (H, d) gets the update (eq. 14)

    Δ = R K^T P (K_p K_p^T P + K K^T P + λ I)^-1

with K (d, n) the keys of n edits, R (H, n) the layer's share of what is missing to their values,
K_p (d, m) the keys of earlier edits, and P (d, d) the projection onto the directions that the keys
of a corpus do not use, so that what the model makes of the corpus stays. The released code and the
paper disagree on λ and on the threshold of P; `constants` chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, Unpack, cast, get_args

from editors.lm import LM
from editors.locate import Aiming, LocatedModel, LocateThenEdit, Settings, new_values
from editors.moments import Moment, cache_folder
from editors.solve import THRESHOLD_RULES, NullSpace, Past, ThresholdRule
from schemas.errors import InputError, require_number

Constants = Literal["released", "paper"]
"""`released`: the code's λ for the model (10 as a rule) and threshold 2e-2. `paper`: λ = 1 (eq. 14)
and threshold 1e-2 (a footnote)."""


class AlphaEditSettings(Settings, total=False):
    """What `AlphaEdit.for_model` takes; see its attributes."""

    null_weight: float
    threshold: float
    threshold_rule: ThresholdRule


@dataclass(frozen=True, kw_only=True)
class AlphaEdit(LocateThenEdit):
    """AlphaEdit's hyperparameters.

    Attributes:
        null_weight: λ, `L2` in the released code.
        threshold: Which eigenvalues of the second moment count as none.
        threshold_rule: What the threshold is compared with.
    """

    remember: bool = True
    null_weight: float = 10.0
    threshold: float = 2e-2
    threshold_rule: ThresholdRule = "absolute"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold_rule not in THRESHOLD_RULES:
            known = ", ".join(THRESHOLD_RULES)
            raise InputError(f"unknown threshold rule {self.threshold_rule!r}; known are {known}")
        require_number("null_weight", self.null_weight, above=0)
        require_number("threshold", self.threshold)

    @property
    def name(self) -> str:
        """`alphaedit`."""
        return "alphaedit"

    @classmethod
    def for_model(
        cls, lm: LM, *, constants: Constants = "released", **options: Unpack[AlphaEditSettings]
    ) -> Self:
        """AlphaEdit as published for a model, but for what is given; see the attributes.

        Raises:
            InputError: If nothing was published for the model and `layers` are not given.
        """
        if constants not in get_args(Constants):
            known = ", ".join(get_args(Constants))
            raise InputError(f"unknown constants {constants!r}; known are {known}")
        of_paper = {"null_weight": 1.0, "threshold": 1e-2} if constants == "paper" else {}
        return cls.published(lm, {**of_paper, **options})

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        found = super().setting_sources(lm, options)
        if options.get("constants") == "paper":
            paper = {"null_weight": "the paper, eq. 14", "threshold": "the paper, a footnote"}
            found |= {name: where for name, where in paper.items() if name not in options}
        return found

    def precision(self, moment: Moment) -> NullSpace:
        """P / λ."""
        return NullSpace.of(
            moment,
            self.null_weight,
            self.threshold,
            self.threshold_rule,
            cache=self.cache or cache_folder(),
        )

    def apply(self, lm: LM) -> AlphaEditedModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layers.
        """
        return self.edited(lm, new_values)

    def edited(self, lm: LM, aiming: Aiming) -> AlphaEditedModel:
        """The model, ready to be edited towards values that are found in some way."""
        return AlphaEditedModel(lm, self, aiming)


class AlphaEditedModel(LocatedModel):
    """A model edited in the null space of a corpus."""

    @property
    def null_space_share(self) -> dict[int, float]:
        """By layer, the share of the edits' key energy inside the null space.

        It is that of all keys remembered, so empty before the first edit and without `remember`.
        Near 0, the projection leaves an edit nothing to be written with.
        """
        return self._shares(self.past())

    def told(self, past: Mapping[int, Past]) -> dict[str, float]:
        """`null_space_share` by layer."""
        shares = self._shares(past).items()
        return {f"null-space share of key energy, layer {layer}": share for layer, share in shares}

    def _shares(self, past: Mapping[int, Past]) -> dict[int, float]:
        spaces = cast(dict[int, NullSpace], self.precisions)
        return {layer: spaces[layer].share(known) for layer, known in past.items()}
