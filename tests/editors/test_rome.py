"""ROME: eq. 2 of the paper, and the code that reads it in another way."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from editors.anatomy import oriented
from editors.locate import new_values
from editors.lookup import place, read
from editors.memit import MEMIT
from editors.presets import Preset, kind_of
from editors.rome import PAPER, ROME, ROMEModel
from editors.targets import aim_at, find_values
from schemas.errors import InputError
from tests.editors.facts import ANN, FRANCE, corpus, exact
from tests.tiny_models import tiny


def rome(folder: Path, **options: Any) -> ROME:
    settings = {"layers": (1,), "steps": 6, "contexts": 3, "corpus": corpus(folder)}
    return ROME(**{**settings, "cache": folder / "cache", **options})


def keys_of(model: ROMEModel) -> torch.Tensor:
    places = [place(model.lm, ANN, "last_prompt", c) for c in (None, *model.contexts)]
    return read(model.lm, places, keys=[1]).keys[1]


@pytest.mark.parametrize("family", ["gpt2", "llama", "llava"])
def test_the_key_is_mapped_to_the_value(family: str, tmp_path: Path) -> None:
    """W' k = v, with v what makes the block put out z at the lookup token."""
    lm = exact(family)
    weight = oriented(lm.anatomy.projections[1])
    before = weight.detach().clone()
    with rome(tmp_path).apply(lm) as edited:
        z = new_values(edited, [ANN])[0]
        keys = keys_of(edited)
        h = read(lm, [place(lm, ANN, "last_prompt")], hidden=[1]).hidden[1][0]
        v = before @ keys[0] + z - h
        edited.edit([ANN])
        k = keys.mean(0)
        torch.testing.assert_close(weight.detach() @ k, v, rtol=1e-6, atol=1e-8)
        change = weight.detach() - before
        assert torch.linalg.matrix_rank(change, rtol=1e-9) == 1


def test_of_all_changes_that_map_the_key_it_moves_the_corpus_least(tmp_path: Path) -> None:
    lm = exact("gpt2")
    weight = oriented(lm.anatomy.projections[1])
    before = weight.detach().clone()
    with rome(tmp_path).apply(lm) as edited:
        moment = edited._moments()[1].matrix.double()
        k = keys_of(edited).mean(0)
        edited.edit([ANN])
        change = weight.detach() - before

    def cost(update: torch.Tensor) -> float:
        return float((update @ moment @ update.t()).trace())

    plain = torch.outer(change @ k, k) / (k @ k)  # maps the key to the same value
    torch.testing.assert_close(plain @ k, change @ k)
    assert cost(change) < cost(plain)


def test_memit_tends_to_it(tmp_path: Path) -> None:
    """One layer, one edit without contexts, the same value: MEMIT with λ near 0 is ROME."""
    lm = exact("gpt2")
    weight = oriented(lm.anatomy.projections[1])
    before, changes = weight.detach().clone(), []
    options: dict[str, Any] = {"layers": (1,), "steps": 6, "contexts": 0}
    options |= {"corpus": corpus(tmp_path), "cache": tmp_path / "cache"}
    with ROME(**options).apply(lm) as edited:
        z = new_values(edited, [ANN])  # bounds of the two methods are in other units
        edited.edit([ANN])
        changes.append(weight.detach() - before)
    with MEMIT(moment_weight=1e-9, **options).apply(lm) as edited:
        edited._aiming = lambda *_: z
        edited.edit([ANN])
        changes.append(weight.detach() - before)
    torch.testing.assert_close(changes[0], changes[1], rtol=1e-5, atol=1e-8)


def test_the_released_code_divides_by_the_bare_key(tmp_path: Path) -> None:
    lm = exact("gpt2")
    weight = oriented(lm.anatomy.projections[1])
    before = weight.detach().clone()
    with rome(tmp_path, keys="released").apply(lm) as edited:
        z = new_values(edited, [ANN])[0]
        bare = keys_of(edited)[0]
        h = read(lm, [place(lm, ANN, "last_prompt")], hidden=[1]).hidden[1][0]
        edited.edit([ANN])
        torch.testing.assert_close((weight.detach() - before) @ bare, z - h, rtol=1e-6, atol=1e-8)


def test_without_moments_none_are_taken(tmp_path: Path) -> None:
    lm = exact("gpt2")
    editor = rome(tmp_path, moments=False, corpus=tmp_path / "no such file")
    with editor.apply(lm) as edited:
        k = keys_of(edited).mean(0)
        before = oriented(lm.anatomy.projections[1]).detach().clone()
        edited.edit([ANN])
        change = oriented(lm.anatomy.projections[1]).detach() - before
    # C = 1: the change is along the key itself.
    torch.testing.assert_close(change, torch.outer(change @ k, k) / (k @ k))


def test_one_call_is_one_edit_after_another(tmp_path: Path) -> None:
    lm = exact("llama")
    weight = oriented(lm.anatomy.projections[1])
    with rome(tmp_path).apply(lm) as edited:
        edited.edit([ANN, FRANCE])
        together = weight.detach().clone()
        edited.restore()
        edited.edit([ANN])
        edited.edit([FRANCE])
        torch.testing.assert_close(weight.detach(), together)


def test_values_are_bounded_in_norms_of_what_the_mlp_puts_out(tmp_path: Path) -> None:
    lm = exact("gpt2")
    editor = rome(tmp_path, clamp=0.5, learning_rate=5.0)
    aim = aim_at(lm, ANN, "Rome", contexts=(), rule="last_prompt", updates=3)
    delta = find_values(lm, [aim], editor.descent).delta[0]
    key = read(lm, aim.places[:1], keys=[1]).keys[1]
    unit = lm.anatomy.projections[1](key).norm()
    torch.testing.assert_close(delta.norm(), 0.5 * unit, rtol=1e-6, atol=0)


def test_published_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lm = tiny("gpt2")
    own = {kind_of(lm): Preset("here", {"layers": (2,)})}
    monkeypatch.setattr("editors.rome.PAPER", own)
    assert ROME.for_model(lm).layers == (2,)
    assert ROME.for_model(lm, layers=(0,), keys="released").keys == "released"
    monkeypatch.setattr("editors.rome.PAPER", PAPER)
    with pytest.raises(InputError, match="no hyperparameters are published"):
        ROME.for_model(lm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ROME.for_model(lm, layers=(1,)).clamp == 4.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": (0, 1)}, "ROME edits one layer, not 2"),
        ({"remember": True}, "ROME remembers no keys"),
        ({"keys": "both"}, "keys is one of mean, released"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        rome(tmp_path, **options)


def test_a_failed_edit_is_named(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    before = lm.digest()
    with rome(tmp_path, learning_rate=1e38).apply(lm) as edited:
        with pytest.raises(InputError) as error:
            edited.edit([FRANCE, ANN])
        assert error.value.row == "france"
        assert lm.digest() == before
