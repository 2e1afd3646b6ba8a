"""CoME: conflict-free model editing (Jung et al., NAACL 2025), on MEMIT or on AlphaEdit.

Beside the change δ (H) that brings the new answer, a change δ' is searched that brings the old one,
and what is particular to δ' is taken out of the value z, in some of its coordinates:

    z = h + δ - α (δ' - δ'')        where δ'' is the part that δ' shares with δ

δ'' is the projection of δ' on the direction halfway between both. The rest is MEMIT's or
AlphaEdit's own.

`variant="described"` is this rule as second-hand sources state it (the paper itself could not be
read): the old answer is treated as the new one is, and the coordinates are the share p of them that
are largest in |h + δ|.

`variant="reference"` is the released code (ekgus9/COME, come_memit/compute_z.py), which differs:

1. z = h + δ - α δ' + δ'': the shared part is added unscaled, which outweighs α δ' at α = 0.1.
2. The coordinates are those largest in h + δ itself, with its sign, not its size.
3. δ' is searched in half the passes, each of which takes a step.
4. The old answer follows the prompt without a space between them.
5. Its negative log-likelihood is divided by the length of the new answer.

One thing is not copied: the code decodes and tokenizes prompt and old answer together again, which
merges tokens across their border; here the old answer's tokens follow the prompt's as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, Unpack, get_args

import torch
from torch import Tensor
from torch.nn import functional

from editors.alphaedit import AlphaEdit, AlphaEditSettings
from editors.lm import LM
from editors.locate import LocatedModel, LocateThenEdit
from editors.memit import MEMIT, MEMITSettings
from editors.prompts import Query
from editors.targets import Aim, find_values
from schemas.errors import InputError, require_number
from schemas.records import EditRequest

Variant = Literal["reference", "described"]
"""`reference`: the released code. `described`: the rule as second-hand sources state it."""

Base = Literal["memit", "alphaedit"]
"""What writes the values."""

OLD_TOKENS = 12
"""Tokens up to which the unedited model says the old answer, where a request does not give it."""


class CoMESettings(MEMITSettings, AlphaEditSettings, total=False):
    """What `CoME.for_model` hands on to the method that it stands on."""


@dataclass(frozen=True, kw_only=True)
class CoME:
    """CoME's hyperparameters.

    Attributes:
        base: The method that writes the values, with its own hyperparameters.
        variant: Which form of the rule.
        removal: α, how much of the old answer is taken out.
        share: p, the share of the coordinates that it is taken out of.
    """

    base: LocateThenEdit
    variant: Variant = "reference"
    removal: float = 0.1
    share: float = 0.2

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            known = ", ".join(get_args(Variant))
            raise InputError(f"unknown variant {self.variant!r}; known are {known}")
        if not isinstance(self.base, LocateThenEdit):
            raise InputError("base is MEMIT or AlphaEdit", field="base")
        require_number("removal", self.removal)
        require_number("share", self.share)
        if not 0 < self.share < 1:
            raise InputError(f"share must lie between 0 and 1, not be {self.share}")

    @property
    def name(self) -> str:
        """`come-memit` or `come-alphaedit`."""
        return f"come-{self.base.name}"

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        on: Base = "memit",
        variant: Variant = "reference",
        removal: float = 0.1,
        share: float = 0.2,
        **options: Unpack[CoMESettings],
    ) -> Self:
        """CoME on a method as published for a model, but for what is given.

        Raises:
            InputError: If there is no such base, it has no such option, or nothing was published
                for the model and `layers` are not given.
        """
        bases: dict[str, type[MEMIT] | type[AlphaEdit]] = {"memit": MEMIT, "alphaedit": AlphaEdit}
        if on not in bases:
            raise InputError(f"CoME stands on memit or alphaedit, not on {on!r}")
        base = bases[on].published(lm, options)
        return cls(base=base, variant=variant, removal=removal, share=share)

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model: those of its bases."""
        return LocateThenEdit.space(lm)

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        base = AlphaEdit if options.get("on") == "alphaedit" else MEMIT
        code = "released code: ekgus9/COME, come_memit/compute_z.py"
        own = {name: code for name in ("removal", "share") if name not in options}
        of_base = base.setting_sources(lm, options)
        return {**own, **{f"base.{name}": where for name, where in of_base.items()}}

    def apply(self, lm: LM) -> LocatedModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layers.
        """
        edited = self.base.edited(lm, self.values)
        edited.method = self
        return edited

    def values(self, edited: LocatedModel, requests: Sequence[EditRequest]) -> Tensor:
        """The values z of requests, shape (n, H); both searches run in one batch."""
        new = [edited.aim(request, request.target_new) for request in requests]
        old = [
            self._old(edited, request, answer, aim)
            for request, answer, aim in zip(requests, _outdated(edited, requests), new, strict=True)
        ]
        known = [aim for aim in old if aim is not None]
        found = find_values(edited.lm, [*new, *known], edited.editor.descent)
        n = len(requests)
        h, delta = found.initial[:n], found.delta[:n]
        delta_old = torch.zeros_like(delta)
        delta_old[[i for i, aim in enumerate(old) if aim is not None]] = found.delta[n:]
        z = self.combine(h, delta, delta_old)
        without = torch.tensor([aim is None for aim in old], device=z.device)
        return torch.where(without[:, None], h + delta, z)

    def combine(self, h: Tensor, delta: Tensor, delta_old: Tensor) -> Tensor:
        """The values z of n edits from h, δ and δ', all of shape (n, H).

        A δ or δ' of 0 has no direction, and counts as pointing nowhere; the released code makes
        NaN of it.
        """
        unit = functional.normalize
        direction = unit(unit(delta) + unit(delta_old))
        shared = (delta_old * direction).sum(1, keepdim=True) * direction
        z = h + delta
        # kthvalue: all but the k - 1 smallest coordinates are at or above the k-th smallest.
        k = max(1, int((1 - self.share) * z.shape[1]))
        if self.variant == "reference":
            chosen = z >= z.kthvalue(k, dim=1, keepdim=True).values
            return torch.where(chosen, z - self.removal * delta_old + shared, z)
        size = z.abs()
        chosen = size >= size.kthvalue(k, dim=1, keepdim=True).values
        return torch.where(chosen, z - self.removal * (delta_old - shared), z)

    def _old(self, edited: LocatedModel, request: EditRequest, answer: str, new: Aim) -> Aim | None:
        """The aim of the old answer; None if there is no old answer other than the new one."""
        if not answer.strip() or answer.strip() == request.target_new.strip():
            return None
        old = edited.aim(request, answer)
        if self.variant == "described":
            return old
        tokenizer = edited.lm.tokenizer
        ids = tuple(tokenizer(answer, add_special_tokens=False)["input_ids"])
        return replace(old, target_ids=ids, divisor=new.divisor, updates=edited.editor.steps // 2)


def _outdated(edited: LocatedModel, requests: Sequence[EditRequest]) -> list[str]:
    """The old answers: those of the requests, else what the unedited model answers."""
    asked = [request for request in requests if request.target_true is None]
    said: dict[int, str] = {}
    if asked:
        queries = [Query(request.prompt, request.image) for request in asked]
        with edited.unedited():
            answers = edited.lm.generate(queries, max_new_tokens=OLD_TOKENS, stop=("\n", "."))
        said = {id(request): answer for request, answer in zip(asked, answers, strict=True)}
    return [said.get(id(request), request.target_true or "") for request in requests]
