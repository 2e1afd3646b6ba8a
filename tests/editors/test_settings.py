"""Hyperparameters of wrong types and impossible values are refused with one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from editors.alphaedit import AlphaEdit
from editors.balancedit import BalancEdit
from editors.codebook import find_layer
from editors.come import CoME
from editors.ft import FT
from editors.grace import GRACE
from editors.ike import IKE
from editors.lora import LoRA
from editors.memit import MEMIT
from editors.rome import ROME
from editors.scr import SCR
from schemas.errors import InputError, require_number
from tests.tiny_models import tiny

NAN, INF = float("nan"), float("inf")

LAYERS = {"layers": (1,)}
NEEDED: dict[type, dict[str, Any]] = {
    MEMIT: LAYERS,
    AlphaEdit: LAYERS,
    ROME: LAYERS,
    CoME: {"base": MEMIT(layers=(1,))},
}
LOCATED: dict[str, tuple[Any, ...]] = {
    "layers": (1.5, "abc", None),
    "steps": (2.5, "abc", 0, True, INF),
    "learning_rate": ("abc", NAN, INF, 0, True),
    "clamp": (-1, 0, "abc", NAN),
    "weight_decay": (-1, "abc"),
    "divergence": (NAN, -0.1),
    "contexts": (2.5, -1),
    "seed": ("abc", 1.5),
    "cache": (3,),
}
TRAINED: dict[str, tuple[Any, ...]] = {
    "steps": (2.5, "abc", 0),
    "learning_rate": ("abc", NAN, INF, -1.0),
    "batch_size": (2.5, 0),
    "reached": ("abc", INF, NAN, -1),
    "seed": (1.5,),
}
WRONG: dict[type, dict[str, tuple[Any, ...]]] = {
    FT: {**TRAINED, "layer": (1.5, [], {"a": 1}, True), "norm_constraint": (NAN, "abc", 0)},
    LoRA: {
        **TRAINED,
        "rank": (2.5, "abc", 0),
        "alpha": (NAN, 0),
        "layers": (1.5, ("a",)),
        "targets": (3, (3,)),
    },
    ROME: LOCATED,
    MEMIT: {**LOCATED, "moment_weight": (0, "abc", NAN)},
    AlphaEdit: {**LOCATED, "null_weight": (0, "abc", INF), "threshold": ("abc", NAN)},
    CoME: {"base": (FT(), "memit"), "removal": ("abc", NAN), "share": ("abc", NAN, 1.0)},
    GRACE: {
        "layer": (2.5,),
        "radius": (NAN, "abc", None, 0, INF),
        "rank": (2.5,),
        "steps": ("abc",),
        "learning_rate": (NAN,),
        "seed": (None,),
    },
    BalancEdit: {
        "layer": (2.5,),
        "w_pos": (NAN, "abc", -1),
        "w_neg": (INF,),
        "rank": (2.5,),
        "steps": (0,),
        "learning_rate": ("abc",),
    },
    IKE: {
        "k": ("abc", 2.5, -1),
        "image_layer": (1.5,),
        "seed": ("abc",),
        "retriever": (3, ""),
        "lessons": (3, "ab"),
    },
    SCR: {
        "k": ("abc", 2.5, 0),
        "threshold": (NAN, "abc"),
        "image_layer": (None,),
        "image_threshold": ("abc",),
        "seen_threshold": (INF,),
        "retriever": (None,),
    },
}


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        pytest.param(kind, field, value, id=f"{kind.__name__}-{field}-{value!r:.20}")
        for kind, fields in WRONG.items()
        for field, values in fields.items()
        for value in values
    ],
)
def test_a_wrong_setting_is_named(kind: type, field: str, value: Any) -> None:
    given = {**NEEDED.get(kind, {}), field: value}
    with pytest.raises(InputError, match=field) as error:
        kind(**given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "bounds", "said"),
    [
        (2.5, {"whole": True, "least": 1}, "n is a whole number of at least 1, not 2.5"),
        ("3", {"above": 0.5}, "n is a number above 0.5, not '3'"),
        (True, {}, "n is a number, not True"),
        (NAN, {}, "n is a number, not nan"),
        (0.5, {"above": 0.5}, "n is a number above 0.5, not 0.5"),
    ],
)
def test_what_a_number_must_be_is_said(value: Any, bounds: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        require_number("n", value, **bounds)
    assert error.value.reason == said
    require_number("n", 1, whole=True, least=1, above=0)


def test_a_layer_lies_inside_a_block() -> None:
    lm = tiny("gpt2")
    name = f"{lm.anatomy.block_names[0]}.mlp.c_fc"
    assert find_layer(lm, name) is lm.model.get_submodule(name)
    with pytest.raises(InputError, match="'lm_head' is a Linear outside of the blocks"):
        find_layer(lm, "lm_head")
    with pytest.raises(InputError, match="'nowhere' is no layer, not a linear layer of a block"):
        find_layer(lm, "nowhere")
