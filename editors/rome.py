"""ROME: rank-one model editing (Meng et al., NeurIPS 2022).

One layer's projection W (H, d) is changed for one edit at a time, so that a key is mapped to a
value exactly while the keys of a corpus move as little as possible (eq. 2):

    W' = W + Λ (C^-1 k)^T       with  Λ = (v - W k) / (C^-1 k)^T k

k (d,) the mean of what the MLP reads at the subject's last token over the prompt alone and after
texts of the model's own (eq. 3), v (H,) the value at which the model gives the new answer (eq. 4),
C (d, d) the second moment of the keys of a corpus.

MEMIT with one layer and one edit tends to this as its λ goes to 0.

The texts are ten tokens long, as MEMIT's; the authors' are ten of five and ten of ten tokens.

**Two ways to read eq. 2.** The code of the authors takes the mean k in C^-1 k alone, and the bare
prompt's key in W k and in the denominator. That breaks models after a few edits, since the two can
be nearly at right angles (Gupta et al. 2024, "Rebuilding ROME", arXiv 2403.07175). `keys="mean"`
takes the mean everywhere, as the equation says; `keys="released"` is the code.

Source: arXiv 2202.05262 and kmeng01/rome, 0874014.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Literal, Self, Unpack, get_args

import torch
from torch import Tensor

from editors.anatomy import oriented
from editors.base import EditError, Groups, Told
from editors.branches import Branching
from editors.lm import LM
from editors.locate import (
    LocatedModel,
    LocateThenEdit,
    Settings,
    new_values,
    require_finite,
    warn_of_contradictions,
    windows,
)
from editors.lookup import place, read
from editors.moments import Moment
from editors.presets import OWN_SEARCH, Kind, Preset, listed_sources
from editors.solve import MomentPrecision, Precision, wide
from editors.targets import Descent
from schemas.errors import InputError, require_one_of
from schemas.records import EditRequest

Keys = Literal["mean", "released"]
"""Which key stands where in eq. 2; see the module."""

_ROME = "hparams/ROME of kmeng01/rome, 0874014"
_ALPHAEDIT = "hparams/ROME of jianghoucheng/AlphaEdit, f5248d3"

PAPER: Mapping[Kind, Preset] = MappingProxyType(
    {
        ("gpt2", 48, 1600, 50257): Preset(_ROME, {"layers": (17,)}),
        ("gptj", 28, 4096, 50400): Preset(_ROME, {"layers": (5,)}),
        ("llama", 32, 4096, 128256): Preset(
            _ALPHAEDIT, {"layers": (5,), "weight_decay": 1e-3, "steps": 25, "moments": False}
        ),
        ("gpt2", 6, 128, 2048): Preset(OWN_SEARCH, {"layers": (0,), "contexts": 4}, own=True),
    }
)
"""Presets by kind of model."""


class ROMESettings(Settings, total=False):
    """What `ROME.for_model` takes; see its attributes."""

    keys: Keys
    moments: bool


@dataclass(frozen=True, kw_only=True)
class ROME(LocateThenEdit):
    """ROME's hyperparameters; the defaults are those of GPT2-XL.

    Attributes:
        keys: Which key stands where in eq. 2.
        moments: Whether C is that of the corpus, or the identity.
    """

    steps: int = 20
    clamp: float = 4.0
    contexts: int = 20
    keys: Keys = "mean"
    moments: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("keys", self.keys, get_args(Keys))
        if len(self.layers) != 1:
            raise InputError(f"ROME edits one layer, not {len(self.layers)}", field="layers")
        if self.remember:
            raise InputError("ROME remembers no keys", field="remember")

    @property
    def name(self) -> str:
        """`rome`."""
        return "rome"

    @classmethod
    def for_model(cls, lm: LM, **options: Unpack[ROMESettings]) -> Self:
        """ROME as published for a model, but for what is given; see the attributes.

        Raises:
            InputError: If nothing was published for the model and `layers` are not given.
        """
        return cls.published(lm, options, PAPER)

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        return listed_sources(lm, PAPER, options)

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model; see `LocateThenEdit.space`."""
        return {**super().space(lm), "layers": windows(lm, (1,))}

    def precision(self, moment: Moment) -> MomentPrecision:
        """C^-1."""
        return MomentPrecision.of(moment, 1.0)

    def precisions(self, moments: Callable[[], Mapping[int, Moment]]) -> dict[int, Precision]:
        """C^-1, or 1 without moments, which are not taken then."""
        if not self.moments:
            return dict.fromkeys(self.layers, Identity())
        return super().precisions(moments)

    @property
    def descent(self) -> Descent:
        """How values are searched: bounds are in norms of what the MLP puts out."""
        return replace(super().descent, unit="projection")

    def apply(self, lm: LM) -> ROMEModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layer.
        """
        return ROMEModel(lm, self)


class ROMEModel(LocatedModel):
    """A model edited by rank-one changes, one edit after another."""

    def __init__(self, lm: LM, editor: ROME) -> None:
        """Take hold of a model."""
        super().__init__(lm, editor, new_values)
        self._key_rule = editor.keys

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        warn_of_contradictions(requests)
        (layer,) = self.editor.layers
        for request in requests:
            left, right = self._updates([request], layer)
            try:
                self.change(layer, torch.outer(left[0], right[0]))
            except EditError as error:
                raise EditError(error.reason, row=request.id) from None

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """Those groups, from the first on, that are one request: each edit changes the next."""
        return sum(1 for _ in takewhile(lambda group: len(group) == 1, groups))

    @contextmanager
    def _branched(self, groups: Groups) -> Iterator[Told]:
        (layer,) = self.editor.layers
        requests = [request for group in groups.values() for request in group]
        left, right = self._updates(requests, layer)
        require_finite(requests, layer, left, right)
        with Branching(self.lm) as branching:
            branching.write(layer, torch.tensor(list(groups)), left, right)
            yield {}

    def _updates(self, requests: Sequence[EditRequest], layer: int) -> tuple[Tensor, Tensor]:
        """Λ and C^-1 k of n requests, shapes (n, H) and (n, d), float64."""
        contexts = (None, *self.contexts)
        places = [
            place(self.lm, request, self.editor.lookup, context)
            for request in requests
            for context in contexts
        ]
        z = new_values(self, requests)
        found = read(self.lm, places, keys=[layer], hidden=[layer])
        keys = wide(found.keys[layer]).unflatten(0, (-1, len(contexts)))
        bare, mean = keys[:, 0], keys.mean(1)
        k = bare if self._key_rule == "released" else mean
        directions = self.precisions[layer].apply(mean.t()).t()
        # What the block lacks the MLP has to add: v = W k_bare + (z - h). So v - W k is that and
        # what W makes of the difference between the two keys.
        weight = wide(oriented(self.lm.anatomy.projections[layer]).detach())
        lacking = wide(z - found.hidden[layer][:: len(contexts)]).to(weight.device)
        residual = lacking + (bare - k) @ weight.t()
        shares = (directions * k).sum(1)
        for request, share in zip(requests, shares.tolist(), strict=True):
            if not math.isfinite(share) or share == 0:
                reason = "the key has no part in the direction of the update"
                raise EditError(reason, row=request.id)
        return residual / shares[:, None], directions


@dataclass(frozen=True)
class Identity:
    """C = 1, where no moments are taken."""

    def apply(self, keys: Tensor) -> Tensor:
        """The keys as they are, in float64."""
        return wide(keys)
