from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from editors.lm import LM
from editors.lookup import Place, place, read
from editors.rounds import Rounds
from tests.editors.facts import FACTS, FLAG, OTHER_FLAG, exact
from tests.tiny_models import VISION, tiny

LAYERS = (0, 1, 2)


def places(lm: LM, family: str) -> list[Place]:
    pictures = (FLAG.image, None, OTHER_FLAG.image) if family in VISION else (None,) * 3
    return [
        place(lm, replace(request, image=image), "last_prompt", context)
        for request, image in zip(FACTS, pictures, strict=True)
        for context in (None, "The town. ")
    ]


def written(lm: LM, layer: int) -> None:
    weight = lm.anatomy.projections[layer].get_parameter("weight")
    weight.data += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(layer))


@pytest.mark.parametrize("family", ["gpt2", "llama", "falcon", "gemma3", "llava", "qwen2_5_vl"])
@pytest.mark.parametrize(("rows", "room"), [(64, 2**30), (2, 2**30), (2, 3000), (2, 0)])
@pytest.mark.parametrize("layers", [LAYERS, (0, 2), (1, 2)])
def test_a_round_reads_what_a_whole_forward_reads(
    family: str, rows: int, room: int, layers: tuple[int, ...]
) -> None:
    lm = exact(family)
    lm.batch_size = rows
    chosen = places(lm, family)
    rounds, without = Rounds(lm, chosen, room=room), Rounds(lm, chosen, room=room)
    kept: dict[int, torch.Tensor] = {}
    for layer in layers:
        own = read(lm, chosen, keys=[layer], hidden=[layers[-1]])
        again = layer != layers[-1]
        keys, hidden = rounds.read(layer, hidden=layers[-1], again=again)
        torch.testing.assert_close(keys, own.keys[layer])
        torch.testing.assert_close(hidden, own.hidden[layers[-1]])
        keys, nothing = without.read(layer, again=again)
        torch.testing.assert_close(keys, own.keys[layer])
        assert nothing is None
        kept[layer] = keys
        written(lm, layer)
    # What was read in the rounds is what the model reads once all is written.
    after = read(lm, chosen, keys=layers)
    for layer in layers:
        torch.testing.assert_close(kept[layer], after.keys[layer])


def test_blocks_run_from_the_last_write_to_what_is_wanted() -> None:
    lm = tiny("gpt2")
    chosen = places(lm, "gpt2")
    ran: list[int] = []
    for number, block in enumerate(lm.anatomy.blocks):
        mlp = block.get_submodule("mlp")
        mlp.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
    rounds = Rounds(lm, chosen)
    seen = []
    for layer in LAYERS:
        rounds.read(layer, again=layer < 2)
        seen.append(tuple(ran))
        ran.clear()
    assert seen == [(0,), (0, 1), (1, 2)]


def test_columns_behind_the_last_lookup_token_are_not_read() -> None:
    lm = tiny("gpt2")
    batch = lm.encode([where.query for where in places(lm, "gpt2")], ["a b c"] * 6)
    for end in (batch.prompt_end - 2, batch.prompt_end + 1):
        cut = batch.upto(end)
        assert cut.length == end
        assert cut.prompt_end == min(end, batch.prompt_end)
        assert cut.target_ids.shape == cut.target_mask.shape == (6, end - cut.prompt_end)
        torch.testing.assert_close(lm.forward(cut), lm.forward(batch)[:, :end])
    assert batch.upto(batch.length) is batch
    pictured = tiny("llava").encode([place(tiny("llava"), FLAG, "last_prompt").query])
    assert pictured.upto(1) is pictured
