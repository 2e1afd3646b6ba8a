"""Copies of a layer, the forward passes that train them, and distances between keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from editors.base import EditError
from editors.codebook import find_layer
from editors.copies import Copies, FullCopies, LowRankCopies, joined, multiplied, train
from editors.keys import distances, pairwise
from editors.lm import LM
from editors.prompts import Query
from editors.rerun import rerunning
from schemas.errors import InputError
from tests.factories import make_image
from tests.tiny_models import tiny


def _louder(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 1.5


EXAMPLES = [
    (Query("Ann Smith was born in"), "Rome"),
    (Query("The capital of France is"), "Ann Smith"),
    (Query("Paris is"), "born in Rome"),
]


def copies_of(lm: LM, kind: str, count: int = 3) -> Copies:
    layer = find_layer(lm, None)
    return FullCopies.of(layer, count) if kind == "full" else LowRankCopies.of(layer, count, 4)


@pytest.mark.parametrize("which", [[0], [2, 0, 2, 2, 1], [3, 3, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_rows_are_multiplied_with_their_own_matrices(
    which: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("editors.copies._GATHERED_BYTES", at_once * 5 * 7 * 4)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(which), 6, 7, generator=generator)
    weight = torch.randn(4, 5, 7, generator=generator)
    found = multiplied(x, weight, torch.tensor(which))
    expected = torch.stack([row @ weight[i].mT for row, i in zip(x, which, strict=True)])
    torch.testing.assert_close(found, expected)


def test_distances_are_exact_near_zero_and_agree_row_by_row() -> None:
    keys = 100 + torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    for measure in ("euclidean", "cosine"):
        full = distances(keys, keys.flip(0), measure)
        torch.testing.assert_close(full.diagonal(), pairwise(keys, keys.flip(0), measure))
        assert full.flip(1).diagonal().abs().max() < 1e-6
    euclidean = (keys - keys.flip(0)).norm(dim=1)
    torch.testing.assert_close(pairwise(keys, keys.flip(0), "euclidean"), euclidean)


@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.parametrize("family", ["gpt2", "opt", "llama"])
def test_training_together_is_training_apart(family: str, kind: str) -> None:
    lm = tiny(family)
    layer = find_layer(lm, None)
    before = lm.digest()
    together = train(
        lm, layer, EXAMPLES, copies_of(lm, kind), learning_rate=0.01, steps=8, epsilon=1e-4
    )
    apart = joined(
        [
            train(
                lm, layer, [one], copies_of(lm, kind, 1), learning_rate=0.01, steps=8, epsilon=1e-4
            )
            for one in EXAMPLES
        ]
    )
    x = torch.randn(3, 4, lm.anatomy.mlp_size, generator=torch.Generator().manual_seed(0))
    unedited, which = layer(x), torch.arange(3)
    torch.testing.assert_close(
        together.output(x, unedited, which),
        apart.output(x, unedited, which),
        rtol=2e-3,
        atol=2e-3,
    )
    assert not torch.allclose(together.output(x, unedited, which), unedited, atol=0.05)
    assert lm.digest() == before


@pytest.mark.parametrize("kind", ["full", "low_rank"])
def test_a_bounded_memory_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("gpt2")
    layer = find_layer(lm, None)
    whole = train(
        lm, layer, EXAMPLES, copies_of(lm, kind), learning_rate=0.01, steps=3, epsilon=1e-4
    )
    monkeypatch.setattr("editors.copies._TRAINED_BYTES", 1)
    parts = train(
        lm, layer, EXAMPLES, copies_of(lm, kind), learning_rate=0.01, steps=3, epsilon=1e-4
    )
    for a, b in zip(whole.parameters, parts.parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_diverging_copy_is_named() -> None:
    lm = tiny("gpt2")
    with pytest.raises(EditError, match=r"Ann Smith was born in.*learning rate"):
        train(
            lm,
            find_layer(lm, None),
            EXAMPLES[:1],
            copies_of(lm, "full", 1),
            learning_rate=float("inf"),
            steps=2,
            epsilon=1e-4,
        )


def test_a_basis_holds_new_inputs_and_an_earlier_change() -> None:
    generator = torch.Generator().manual_seed(0)
    up, down = (torch.randn(1, *shape, generator=generator) for shape in ((5, 4), (4, 20)))
    down[:, 2:] = 0  # a change of rank 2
    inputs = torch.randn(2, 20, generator=generator)
    old = LowRankCopies(up, down)
    new = old.with_basis([inputs])
    torch.testing.assert_close(new.up @ new.down, old.up @ old.down, rtol=1e-4, atol=1e-4)
    basis = new.down[0]
    torch.testing.assert_close(basis @ basis.mT, torch.eye(4), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inputs @ basis.mT @ basis, inputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "family", ["gpt2", "opt", "gemma3", "falcon", "llava", "qwen2_5_vl", "blip2"]
)
@pytest.mark.parametrize("block", [0, 1, 2])
def test_rerunning_gives_the_same_logits_and_undoes_itself(family: str, block: int) -> None:
    lm = tiny(family)
    image = make_image(3, size=28) if lm.sees else None
    queries = [Query("Paris is", image), Query("What country is shown?", image)]
    batch = lm.encode(queries, ["Rome", "the capital"])
    layer = lm.anatomy.projections[block]
    nudge = layer.register_forward_hook(_louder)
    expected = lm.forward(batch)
    with rerunning(lm, batch, layer):
        ran: list[int] = []
        watch = lm.anatomy.blocks[0].register_forward_hook(lambda *_: ran.append(1))
        first = lm.anatomy.projections[0].register_forward_hook(lambda *_: ran.append(2))
        for _ in range(2):
            torch.testing.assert_close(lm.forward(batch), expected, rtol=1e-5, atol=1e-5)
        watch.remove()
        first.remove()
    assert (2 in ran) == (block == 0)
    nudge.remove()
    assert all("forward" not in module.__dict__ for module in lm.model.modules())
    other = lm.encode(queries[:1], ["Rome"])
    assert lm.forward(other).shape[0] == 1


def test_layers_are_found_by_number_and_path() -> None:
    lm = tiny("llama")
    assert find_layer(lm, None) is lm.anatomy.projections[-1]
    assert find_layer(lm, 0) is lm.anatomy.projections[0]
    path = "model.layers.1.mlp.up_proj"
    assert find_layer(lm, path) is lm.model.get_submodule(path)
    for wrong in ("model.layers.1", "nowhere", 3, -1):
        with pytest.raises(InputError):
            find_layer(lm, wrong)
