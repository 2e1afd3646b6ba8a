from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editors.alphaedit import AlphaEdit
from editors.base import EditError
from editors.corpus import as_corpus
from editors.lookup import place, read
from editors.memit import MEMIT
from editors.moments import Moment, second_moments
from editors.prompts import Query
from editors.solve import NullSpace, Past, solve
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, FACTS, FLAG, FRANCE, OTHER_FLAG, TEXTS, corpus, exact
from tests.editors.test_memit import literal_values, moved, random_problem, weights
from tests.reference import locate_literal as literal
from tests.tiny_models import tiny

FEW = TEXTS[:1]


def editor(folder: Path, texts: tuple[str, ...] = TEXTS, **more: object) -> AlphaEdit:
    made = AlphaEdit(
        layers=(0, 1),
        steps=4,
        null_weight=2.0,
        threshold=1.0,
        corpus=corpus(folder, texts),
        cache=folder / "cache",
        contexts=2,
    )
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "batches"),
    [
        ("gpt2", (FACTS[:2], FACTS[2:])),
        ("llama", (FACTS[:1], FACTS[2:])),
        ("llava", ((FLAG,), (OTHER_FLAG,))),
    ],
)
def test_sequential_updates_and_caches_are_those_of_the_literal_version(
    family: str, batches: tuple[tuple[EditRequest, ...], ...], tmp_path: Path
) -> None:
    lm, other = exact(family), exact(family)
    made = editor(tmp_path)
    before = weights(lm)
    moments = second_moments(other, [0, 1], as_corpus(made.corpus), cache=made.cache)
    matrices = {layer: moment.matrix for layer, moment in moments.items()}
    kept = {
        i: int((torch.linalg.eigvalsh(m.double()) < made.threshold).sum())
        for i, m in matrices.items()
    }
    assert all(0 < rank < 48 for rank in kept.values())
    cache = {layer: torch.zeros(48, 48).double() for layer in (0, 1)}
    with made.apply(lm) as edited:
        for requests in batches:
            edited.edit(requests)
            zs = literal_values(other, made, requests, edited.contexts)  # type: ignore[arg-type]
            literal.alphaedit(other, requests, zs, made, edited.contexts, matrices, cache)
            for one, two in zip(moved(lm, before)[:2], moved(other, before)[:2], strict=True):
                assert one.norm() > 1e-3
                torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))
        for layer, past in edited.state.past.items():
            torch.testing.assert_close(past @ past.t(), cache[layer], rtol=1e-4, atol=1e-6)


def test_the_small_system_is_the_large_one() -> None:
    keys, residual, past, moment = random_problem()
    space = NullSpace.of(moment, 0.7, 0.9, "absolute")
    assert 0 < space.used.shape[1] < 30
    p = torch.eye(30).double() - space.used @ space.used.t()
    full = p @ (keys @ keys.t() + past @ past.t()) + 0.7 * torch.eye(30).double()
    large = torch.linalg.solve(full, p @ keys @ residual.t()).t()
    small = solve(keys, residual, Past.of(past, space), space)
    torch.testing.assert_close(small, large, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_keys_in_the_range_of_the_covariance_stay_where_they_are(
    family: str, tmp_path: Path
) -> None:
    """The theorem: Δ k = 0 for every key k of the corpus, however hard the edits push."""
    lm = exact(family)
    made = editor(tmp_path, FEW, layers=(1,), null_weight=1e-3, clamp=5.0, threshold=1e-7)
    query = Query(FEW[0])
    places = [
        replace(place(lm, replace(ANN, subject=None), "last_prompt"), query=query, back=b)
        for b in range(1, 20)
    ]
    before, digest = weights(lm), lm.digest()
    keys = read(lm, places, keys=[1]).keys[1]
    with made.apply(lm) as edited:
        edited.edit(FACTS)
        delta = moved(lm, before)[1]
        assert lm.digest() != digest
        own = edited.state.past[1]
    assert (delta @ own).norm() / own.norm() > 0.05
    assert (delta @ keys.t()).norm() / keys.norm() < 1e-4 * float(delta.norm())


def test_the_share_of_energy_in_the_null_space(tmp_path: Path) -> None:
    lm = exact("gpt2")
    shares = []
    for texts in (FEW, TEXTS):
        with editor(tmp_path, texts, threshold=1e-6).apply(lm) as edited:
            assert edited.null_space_share == {}
            edited.edit([FRANCE])
            shares.append(edited.null_space_share)
    for layer in (0, 1):
        assert 1 > shares[0][layer] > shares[1][layer] >= 0


@pytest.mark.parametrize(
    ("rule", "threshold", "null"),
    [
        ("absolute", 2e-2, 2),
        ("absolute", 0.9, 3),
        ("absolute", 1.1, 4),
        ("relative", 6e-3, 3),
        ("relative", 0.5, 4),
        ("energy", 0.001, 2),
        ("energy", 0.02, 4),
        ("energy", 1e-9, 1),
    ],
)
def test_threshold_rules(rule: str, threshold: float, null: int) -> None:
    values = torch.tensor([0.0, 0.01, 0.5, 1.0, 100.0])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()).Q
    matrix = turn @ torch.diag(values.double()) @ turn.t()
    space = NullSpace.of(Moment(matrix, 1), 1.0, threshold, rule)  # type: ignore[arg-type]
    assert 5 - space.used.shape[1] == null


def test_without_a_null_space_nothing_is_written(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    before = weights(lm)
    with editor(tmp_path, threshold=-1.0).apply(lm) as edited:
        edited.edit([ANN])
        for update in moved(lm, before):
            assert update.abs().max() < 1e-6
        assert all(share < 1e-6 for share in edited.null_space_share.values())


def test_constants_of_paper_and_code() -> None:
    lm = tiny("gpt2")
    with pytest.warns(UserWarning, match="no hyperparameters"):
        released = AlphaEdit.for_model(lm, layers=(1,))
    assert (released.null_weight, released.threshold, released.remember) == (10.0, 2e-2, True)
    with pytest.warns(UserWarning, match="no hyperparameters"):
        paper = AlphaEdit.for_model(lm, layers=(1,), constants="paper")
    assert (paper.null_weight, paper.threshold) == (1.0, 1e-2)
    with pytest.warns(UserWarning, match="no hyperparameters"):
        own = AlphaEdit.for_model(lm, layers=(1,), constants="paper", null_weight=3.0)
    assert (own.null_weight, own.threshold) == (3.0, 1e-2)


def test_wrong_hyperparameters_are_refused() -> None:
    with pytest.raises(InputError, match="unknown threshold rule 'share'; known are absolute"):
        AlphaEdit(layers=(1,), threshold_rule="share")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="null_weight is a number above 0"):
        AlphaEdit(layers=(1,), null_weight=0.0)
    with pytest.raises(InputError, match="unknown constants 'mine'"):
        AlphaEdit.for_model(tiny("gpt2"), constants="mine")  # type: ignore[arg-type]
    with pytest.raises(EditError, match="not finite"):
        NullSpace.of(Moment(torch.full((3, 3), float("nan")), 1), 1.0, 0.1, "absolute")


def test_names() -> None:
    assert AlphaEdit(layers=(1,)).name == "alphaedit"
    assert MEMIT(layers=(1,)).name == "memit"
