"""Hyperparameters of locate-then-edit methods, by the model that they were published for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from editors.lm import LM
from schemas.errors import InputError

Kind = tuple[str, int, int, int]
"""Model type, number of layers, hidden width, vocabulary: Llama-2-7B and Llama-3-8B differ in the
last one only."""


@dataclass(frozen=True)
class Preset:
    """What was published for one model.

    Attributes:
        source: Where.
        settings: Hyperparameters by name, those of all methods together: each takes what it has.
            What is not among them is as published for GPT-J, the methods' own defaults.
        own: Whether this project chose them, and nobody published any.
    """

    source: str
    settings: Mapping[str, Any]
    own: bool = False


OWN_SEARCH = "this project, on people of testbed/lm who serve for nothing else"
"""Where settings for the testbed models are from."""

_ALPHAEDIT = "hparams/{MEMIT,AlphaEdit} of jianghoucheng/AlphaEdit, f5248d3"
_EASYEDIT = "hparams/AlphaEdit of zjunlp/EasyEdit, 14cea82; for MEMIT the defaults"

PAPER: Mapping[Kind, Preset] = MappingProxyType(
    {
        # GPT2-XL
        ("gpt2", 48, 1600, 50257): Preset(
            _ALPHAEDIT, {"layers": (13, 14, 15, 16, 17), "steps": 20, "moment_weight": 20_000}
        ),
        # GPT-J-6B
        ("gptj", 28, 4096, 50400): Preset(_ALPHAEDIT, {"layers": (3, 4, 5, 6, 7, 8)}),
        # Llama-3-8B and 3.1-8B
        ("llama", 32, 4096, 128256): Preset(
            _ALPHAEDIT, {"layers": (4, 5, 6, 7, 8), "learning_rate": 0.1}
        ),
        # Qwen2.5-7B
        ("qwen2", 28, 3584, 152064): Preset(
            _EASYEDIT,
            {
                "layers": (4, 5, 6, 7, 8),
                "clamp": 4.0,
                "weight_decay": 1e-3,
                "null_weight": 1.0,
            },
        ),
        # testbed/lm, and the text model inside testbed/vlm
        ("gpt2", 6, 128, 2048): Preset(
            OWN_SEARCH,
            {
                "layers": (0, 1, 2),
                "learning_rate": 0.2,
                "clamp": 1.5,
                "contexts": 2,
                "moment_weight": 300.0,
                "null_weight": 1.0,
                "threshold": 0.003,
            },
            own=True,
        ),
    }
)
"""Presets by kind of model."""

OF_GPT_J = frozenset(
    {
        *("steps", "learning_rate", "clamp", "weight_decay", "divergence", "contexts"),
        *("moment_weight", "null_weight", "threshold"),
    }
)
"""Settings whose defaults are those published for GPT-J; what else has a default is this project's
own choice."""

STAND_IN = "published for GPT-J, which stands in for this model"
"""What is said of a setting that nobody published for a model."""

OWN = "chosen for this model by this project"
"""What is said of a setting of a preset that this project made."""


def setting_sources(lm: LM, names: Iterable[str]) -> dict[str, str]:
    """Where settings that nobody chose are from, by name; those of no published source not.

    Args:
        lm: The model.
        names: Names of settings.
    """
    kind = kind_of(lm)
    preset = PAPER.get(kind, Preset("", {}, own=True))
    listed = OWN if preset.own else f"preset for this model: {preset.source}"
    default = "default, as published for GPT-J"
    if preset.own or kind[0] == "gptj":
        default = STAND_IN if preset.own else listed
    return {
        name: listed if name in preset.settings else default
        for name in names
        if name in preset.settings or name in OF_GPT_J
    }


def listed_sources(
    lm: LM, paper: Mapping[Kind, Preset], options: Mapping[str, Any]
) -> dict[str, str]:
    """Where the settings are from that a method lists for a model and nobody chose, by name."""
    preset = paper.get(kind_of(lm))
    if preset is None:
        return {}
    listed = OWN if preset.own else f"preset for this model: {preset.source}"
    return {name: listed for name in preset.settings if options.get(name) is None}


def depth_source(options: Mapping[str, Any]) -> dict[str, str]:
    """Where a layer is from that is put at GPT-J's share of the depth."""
    told = "this project: the published layer of GPT-J, as a share of the depth"
    return {} if options.get("layer") is not None else {"layer": told}


def listed(lm: LM, paper: Mapping[Kind, Preset], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a method lists for a model, but for what is given (and not None)."""
    preset = paper.get(kind_of(lm))
    chosen = {name: setting for name, setting in given.items() if setting is not None}
    return {**(preset.settings if preset else {}), **chosen}


def kind_of(lm: LM) -> Kind:
    """What presets are keyed by."""
    text = lm.text_config
    return text.model_type, len(lm.anatomy.blocks), lm.anatomy.hidden_size, text.vocab_size


def preset_for(
    lm: LM, layers: Sequence[int] | None, paper: Mapping[Kind, Preset] | None = None
) -> Preset:
    """The published hyperparameters for a model; a model without any needs explicit layers.

    Args:
        lm: The model.
        layers: Layers that somebody chose, or None.
        paper: What was published; `PAPER` by default.

    Raises:
        InputError: If nothing was published for the model and no layers were chosen.
    """
    kind = kind_of(lm)
    found = (PAPER if paper is None else paper).get(kind)
    if found is not None:
        return found
    described = "{} with {} layers, width {} and a vocabulary of {}".format(*kind)
    if layers is None:
        raise InputError(
            f"no hyperparameters are published for {lm.name} ({described}): give layers=, or "
            "search them with `python -m medit_eval tune`"
        )
    warnings.warn(
        f"no hyperparameters are published for {lm.name} ({described}): those of GPT-J stand in "
        "for what is not given",
        stacklevel=3,
    )
    return Preset("the defaults", {})
