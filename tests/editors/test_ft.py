"""Fine-tuning: what it minimises, what constrains it, and in which order it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from editors.anatomy import oriented
from editors.ft import FT, PAPER
from editors.lm import LM
from editors.prompts import Query
from editors.training import Schedule, descend
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, BORN, FACTS, FLAG, FRANCE, OTHER_FLAG, exact
from tests.tiny_models import tiny

ONE = FT(layer=1, steps=3, batch_size=2, learning_rate=1e-3)


def literal(lm: LM, editor: FT, requests: tuple[EditRequest, ...]) -> torch.Tensor:
    """One edit after another through the whole model, without batches, with torch's own Adam."""
    layer = lm.anatomy.projections[1]
    parameter = layer.get_parameter("weight")
    before = parameter.detach().clone()
    parameter.requires_grad_(True)
    for request in requests:
        optimizer = torch.optim.Adam([parameter], lr=editor.learning_rate)
        query = Query(request.prompt, request.image)
        target = lm.encoder.target_ids(query, request.target_new)
        for _ in range(editor.steps):
            batch = lm.encoder.encode([query], [target])
            logits = lm.forward(batch)[0, batch.prompt_end - 1 : -1]
            if editor.objective == "prompt_last":
                logits = logits[:1].expand(len(target), -1)
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target))
            if float(loss.detach()) < editor.reached:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if editor.norm_constraint is not None:
                with torch.no_grad():
                    e = editor.norm_constraint
                    parameter.copy_(parameter.clamp(before - e, before + e))
    parameter.requires_grad_(False)
    change = parameter.detach() - before
    parameter.data.copy_(before)
    return change


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize(
    "options",
    [{}, {"norm_constraint": 5e-4}, {"objective": "prompt_last"}, {"reached": 7.4}],
)
def test_depth_first_is_the_literal_version(family: str, options: dict[str, Any]) -> None:
    editor = replace(ONE, order="depth", batch_size=1, learning_rate=1e-2, steps=6, **options)
    lm = tiny(family)
    change = literal(lm, editor, FACTS)
    weight = lm.anatomy.projections[1].get_parameter("weight")
    before = weight.detach().clone()
    with editor.apply(lm) as edited:
        edited.edit(FACTS)
        torch.testing.assert_close(weight.detach() - before, change, rtol=1e-3, atol=2e-5)


def test_a_step_over_all_edits_is_one_step_on_their_mean_loss() -> None:
    lm = exact("llama")
    weight = oriented(lm.anatomy.projections[1])
    before = weight.detach().clone()
    with replace(ONE, steps=1, batch_size=3).apply(lm) as edited:
        edited.edit(FACTS)
        moved = (weight.detach() - before).abs()
    # Adam's first step moves every number that has a gradient by the rate.
    torch.testing.assert_close(
        moved.max(), torch.tensor(1e-3, dtype=moved.dtype), rtol=0.05, atol=0
    )


def test_a_constraint_holds_and_is_of_the_largest_number() -> None:
    lm = tiny("gpt2")
    weight = lm.anatomy.projections[1].get_parameter("weight")
    before = weight.detach().clone()
    editor = replace(ONE, steps=20, learning_rate=1e-2, norm_constraint=2e-3)
    with editor.apply(lm) as edited:
        edited.edit(FACTS)
        change = (weight.detach() - before).abs().max()
    assert float(change) == pytest.approx(2e-3, rel=1e-3)


def test_epochs_remember_what_one_after_another_forgets() -> None:
    requests, losses = (ANN, FRANCE, BORN), {}
    answers = [request.target_new for request in requests]
    for order in ("breadth", "depth"):
        lm = tiny("gpt2")
        editor = FT(layer=1, order=order, steps=40, batch_size=1, learning_rate=2e-2)
        with editor.apply(lm) as edited:
            edited.edit(requests)
            found = edited.score([Query(request.prompt) for request in requests], answers)
            losses[order] = [-one.mean for one in found]
    assert max(losses["breadth"]) < 0.5
    assert losses["depth"][-1] < 0.5
    assert losses["depth"][0] > 10 * losses["breadth"][0]


def test_text_and_pictures_are_edited_with_one_call() -> None:
    lm = tiny("llava")
    requests = (FLAG, ANN, OTHER_FLAG)
    queries = [Query(r.prompt, r.image) for r in requests]
    answers = [r.target_new for r in requests]
    before = lm.score(queries, answers)
    with FT(layer=1, steps=10, learning_rate=1e-2).apply(lm) as edited:
        edited.edit(requests)
        after = edited.score(queries, answers)
    assert all(a.total > b.total for a, b in zip(after, before, strict=True))


def test_what_earlier_blocks_make_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, runs = tiny("gpt2"), []
    lm.anatomy.projections[0].register_forward_hook(lambda *_: runs.append(1))
    with replace(ONE, steps=5, batch_size=1).apply(lm) as edited:
        edited.edit(FACTS)
        assert len(runs) == len(FACTS)
        runs.clear()
        monkeypatch.setattr("editors.ft.KEPT_BYTES", 0)
        edited.edit(FACTS)
        assert len(runs) == 5 * len(FACTS)


def test_the_source_of_a_preset_claims_no_more_than_what_is_from_there() -> None:
    (published,) = [preset for preset in PAPER.values() if not preset.own]
    assert published.settings == {"layer": 21}
    assert "which train the whole block" in published.source
    assert "GPT-J" not in (FT.__doc__ or "")


def test_names_say_which_fine_tuning_it_is() -> None:
    assert FT().name == "ft"
    assert FT(norm_constraint=1e-3, order="depth").name == "ft-constrained-depth"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "wide"}, "order is one of breadth, depth, not 'wide'"),
        ({"objective": "all"}, "objective is one of answer, prompt_last"),
        ({"norm_constraint": 0.0}, "norm_constraint is a number above 0, not 0.0"),
        ({"steps": 0}, "steps is a whole number of at least 1, not 0"),
        ({"learning_rate": -1.0}, "learning_rate is a number above 0"),
        ({"batch_size": 0}, "batch_size is a whole number of at least 1"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        FT(**options)


def test_divergence_and_length_are_said() -> None:
    lm = tiny("gpt2", positions=16)
    with FT(layer=1, learning_rate=1e30, steps=3).apply(lm) as edited:
        with pytest.raises(InputError, match="training diverged; lower the learning rate"):
            edited.edit([ANN])
        long = replace(ANN, prompt="word " * 40)
        with pytest.raises(InputError, match="exceed the model's 16") as error:
            edited.edit([long])
    assert error.value.row == "ann"
    with pytest.raises(InputError, match="layers 0 to 2"):
        FT(layer=7).apply(lm)


def schedule(**options: Any) -> Schedule:
    chosen = {"order": "breadth", "learning_rate": 0.1, "steps": 4, "batch_size": 1}
    return Schedule(**{**chosen, "reached": 0.01, "seed": 0, **options})


def test_training_ends_where_everything_is_learned() -> None:
    x, asked = torch.tensor([1.0], requires_grad=True), []

    def loss(number: int) -> torch.Tensor:
        asked.append(number)
        return (x * 0).sum() if number else (x * x).sum()

    descend([x], loss, 2, schedule(steps=500))
    assert float(x.detach().abs()) < 0.11  # under the loss that counts as learned
    assert len(asked) < 1000
    assert {*asked} == {0, 1}
    x = torch.tensor([1.0], requires_grad=True)
    asked.clear()
    descend([x], loss, 2, schedule(steps=500, order="depth"))
    assert asked == sorted(asked)
    assert asked.count(1) == 1
