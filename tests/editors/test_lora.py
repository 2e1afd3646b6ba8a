"""LoRA: what peft trains ends up in the weights, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editors.lora import LoRA
from editors.prompts import Query
from schemas.errors import InputError
from tests.editors.facts import ANN, FACTS, FRANCE
from tests.tiny_models import tiny

ONE = LoRA(rank=2, steps=4, learning_rate=1e-2, batch_size=2)


@pytest.mark.parametrize("family", ["gpt2", "llama", "llava", "gpt_neox"])
def test_every_linear_layer_of_the_blocks_changes_by_at_most_its_rank(family: str) -> None:
    lm = tiny(family)
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}
    structure = [name for name, _ in lm.model.named_modules()]
    with ONE.apply(lm) as edited:
        edited.edit(FACTS)
        changed = {
            name: p.detach() - before[name]
            for name, p in lm.model.named_parameters()
            if not torch.equal(p, before[name])
        }
        assert [name for name, _ in lm.model.named_modules()] == structure
        assert not any("lora" in name for name in before)
    assert {name.removesuffix(".weight") for name in changed} == set(ONE._names(lm))
    assert all(torch.linalg.matrix_rank(c, rtol=1e-4) <= 2 for c in changed.values())
    assert not hasattr(lm.model, "peft_config")


def test_the_weights_answer_as_the_adapter_did() -> None:
    """What stands in the weights is α / r · B A."""
    lm = tiny("llama")
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}
    with ONE.apply(lm) as edited:
        edited.edit(FACTS)
        assert edited.state is not None
        for name, up in edited.state.up.items():
            change = ONE.alpha / ONE.rank * up @ edited.state.down[name]
            now = lm.model.get_parameter(f"{name}.weight")
            torch.testing.assert_close(now - before[f"{name}.weight"], change, atol=1e-6, rtol=0)


def test_later_edits_train_the_same_adapter() -> None:
    lm = tiny("gpt2")
    weight = lm.anatomy.projections[1].get_parameter("weight")
    before = weight.detach().clone()
    with ONE.apply(lm) as edited:
        for request in FACTS:
            edited.edit([request])
        assert torch.linalg.matrix_rank(weight.detach() - before, rtol=1e-4) <= 2
        edited.restore()
        assert edited.state is None
        assert torch.equal(weight, before)


def test_targets_and_layers_are_chosen_by_name_and_number(tmp_path: Path) -> None:
    lm = tiny("llama")
    assert LoRA(targets=("q_proj", "v_proj"), layers=(1,))._names(lm) == (
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.self_attn.v_proj",
    )
    assert LoRA(targets="q_proj", layers=1)._names(lm) == (  # type: ignore[arg-type]
        "model.layers.1.self_attn.q_proj",
    )
    with pytest.raises(InputError, match="no linear layer 'c_attn'; they have down_proj, gate_"):
        LoRA(targets=("c_attn",)).apply(lm)
    with pytest.raises(InputError, match="the model has layers 0 to"):
        LoRA(layers=(9,)).apply(lm)


def test_epochs_make_all_answers_likely() -> None:
    lm = tiny("llama")
    queries, answers = [Query(ANN.prompt), Query(FRANCE.prompt)], ["Rome", "New York"]
    with replace(ONE, rank=4, learning_rate=5e-3, steps=60).apply(lm) as edited:
        edited.edit([ANN, FRANCE])
        assert all(found.mean > -0.5 for found in edited.score(queries, answers))


def test_a_failure_leaves_no_adapter_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("gpt2")
    structure, digest = [name for name, _ in lm.model.named_modules()], lm.digest()

    def fails(*_: Any) -> None:
        raise KeyError("on purpose")

    monkeypatch.setattr("editors.lora.answer_losses", fails)
    with ONE.apply(lm) as edited, pytest.raises(KeyError):
        edited.edit([ANN])
    assert [name for name, _ in lm.model.named_modules()] == structure
    assert lm.digest() == digest


def test_training_draws_nothing_from_the_global_generator() -> None:
    lm = tiny("gpt2")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with ONE.apply(lm) as edited:
        edited.edit([ANN])
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("options", [{"rank": 0}, {"alpha": 0}, {"steps": 0}])
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} is a .*number .*, not 0"):
        LoRA(**options)


def test_divergence_is_said() -> None:
    lm = tiny("gpt2")
    with (
        replace(ONE, learning_rate=1e30).apply(lm) as edited,
        pytest.raises(InputError, match="training diverged"),
    ):
        edited.edit([ANN])
