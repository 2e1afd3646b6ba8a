from __future__ import annotations

from typing import Any

import pytest
import transformers as hf
from torch import nn

from editors.anatomy import Anatomy, fan_in, fan_out, oriented, parameter_name
from schemas.errors import InputError
from tests.tiny_models import FAMILIES, HIDDEN, LAYERS, MLP, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_resolved_by_structure(family: str) -> None:
    lm = tiny(family)
    anatomy = lm.anatomy
    assert len(anatomy.blocks) == len(anatomy.projections) == LAYERS
    assert anatomy.hidden_size == HIDDEN
    assert anatomy.mlp_size == (4 * HIDDEN if family == "bloom" else MLP)
    for name, block in zip(anatomy.block_names, anatomy.blocks, strict=True):
        assert lm.model.get_submodule(name) is block
    for name, projection in zip(anatomy.projection_names, anatomy.projections, strict=True):
        assert lm.model.get_submodule(name) is projection
        assert "vision" not in name
        assert (fan_out(projection), fan_in(projection)) == (HIDDEN, anatomy.mlp_size)
        assert parameter_name(lm.model, projection) == f"{name}.weight"


def test_orientation_follows_the_type_even_where_the_weight_is_square() -> None:
    from transformers.pytorch_utils import Conv1D

    conv, linear = Conv1D(8, 8), nn.Linear(8, 8, bias=False)
    assert (oriented(conv) == conv.weight.t()).all()
    assert (oriented(linear) == linear.weight).all()


SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
}


def refused() -> list[tuple[str, hf.PreTrainedModel, str]]:
    return [
        (
            "mixture",
            hf.MixtralForCausalLM(hf.MixtralConfig(**SMALL, num_local_experts=2)),
            "mixture of experts",
        ),
        (
            "mixture of small experts",
            hf.Qwen3MoeForCausalLM(
                hf.Qwen3MoeConfig(**SMALL, num_experts=4, moe_intermediate_size=8)
            ),
            "mixture of experts",
        ),
        (
            "encoder-decoder",
            hf.T5ForConditionalGeneration(
                hf.T5Config(vocab_size=64, d_model=16, d_ff=24, num_layers=2, num_heads=2, d_kv=8)
            ),
            "encoder-decoder",
        ),
        (
            "state space",
            hf.MambaForCausalLM(
                hf.MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4)
            ),
            "state-space model",
        ),
    ]


@pytest.mark.parametrize(("name", "model", "reason"), refused(), ids=lambda v: str(v)[:20])
def test_other_kinds_are_refused_with_what_was_found(
    name: str, model: hf.PreTrainedModel, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        Anatomy.of(model)
    assert type(model).__name__ in str(caught.value)
    if reason != "encoder-decoder":
        assert "holds" in str(caught.value)


@pytest.mark.parametrize("layers", [(), (2, 1), (1, 1), (-1,), (0, LAYERS)])
def test_layers_must_be_there_and_ascend(layers: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="layers"):
        tiny().anatomy.require_layers(layers)
    tiny().anatomy.require_layers((0, LAYERS - 1))
