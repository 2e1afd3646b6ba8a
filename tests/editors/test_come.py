from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editors.alphaedit import AlphaEdit, AlphaEditedModel
from editors.come import CoME
from editors.locate import new_values
from editors.memit import MEMIT
from editors.prompts import Query
from schemas.errors import InputError
from tests.editors import test_alphaedit, test_memit
from tests.editors.facts import ANN, FACTS, FLAG, FRANCE, exact
from tests.editors.test_memit import moved, weights
from tests.reference.locate_literal import come_z
from tests.tiny_models import tiny


def memit(folder: Path, **more: object) -> MEMIT:
    return test_memit.editor(folder, **more)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_values_are_those_of_the_released_code(family: str, tmp_path: Path) -> None:
    lm = exact(family)
    made = CoME(base=memit(tmp_path))
    with made.apply(lm) as edited:
        found = made.values(edited, FACTS[:2])
        for row, request in zip(found, FACTS[:2], strict=True):
            slow = come_z(lm, request, made.base, edited.contexts, a=0.1, p=0.2)
            torch.testing.assert_close(row, slow, rtol=1e-4, atol=1e-5)


def test_the_described_rule() -> None:
    made = CoME(base=MEMIT(layers=(1,)), variant="described", removal=0.5, share=0.25)
    h = torch.tensor([[0.0, -9.0, 1.0, 2.0]])
    delta = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    # δ' is at a right angle to δ: its shared part lies halfway between them.
    delta_old = torch.tensor([[0.0, 2.0, 0.0, 0.0]])
    found = made.combine(h, delta, delta_old)
    # The largest coordinate by size is -9; there δ' is 2 and the shared part 1.
    torch.testing.assert_close(found, torch.tensor([[1.0, -9.5, 1.0, 2.0]]))
    # The released code takes the largest by sign, 2, where δ' is 0, and more above the threshold.
    reference = replace(made, variant="reference").combine(h, delta, delta_old)
    torch.testing.assert_close(reference, torch.tensor([[1.0 + 1.0, -9.0, 1.0, 2.0]]))


def test_what_both_answers_share_stays() -> None:
    """Where δ' is along δ it is shared altogether, and described CoME is its base."""
    made = CoME(base=MEMIT(layers=(1,)), variant="described", removal=1.0, share=0.9)
    h, delta = torch.randn(2, 3, 16).double()
    torch.testing.assert_close(made.combine(h, delta, 2 * delta), h + delta)
    torch.testing.assert_close(made.combine(h, delta, 0 * delta), h + delta)


@pytest.mark.parametrize("variant", ["reference", "described"])
def test_come_differs_from_its_base_in_the_share_of_coordinates(
    variant: str, tmp_path: Path
) -> None:
    lm = exact("gpt2")
    made = CoME(base=memit(tmp_path), variant=variant, share=0.25)  # type: ignore[arg-type]
    with made.apply(lm) as edited:
        change = made.values(edited, FACTS) - new_values(edited, FACTS)
    # Of 32 coordinates the 24th smallest and all above it.
    assert ((change.abs() > 1e-7).sum(1) == 9).all()


def test_on_alphaedit(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    base = test_alphaedit.editor(tmp_path)
    before = weights(lm)
    with CoME(base=base).apply(lm) as edited:
        edited.edit(FACTS)
        assert isinstance(edited, AlphaEditedModel)
        assert set(edited.null_space_share) == {0, 1}
        come = moved(lm, before)
    with base.apply(lm) as edited:
        edited.edit(FACTS)
        plain = moved(lm, before)
    assert (come[0] - plain[0]).norm() > 1e-4 * plain[0].norm()


def test_pictures(tmp_path: Path) -> None:
    lm = tiny("llava")
    digest = lm.digest()
    with CoME(base=memit(tmp_path)).apply(lm) as edited:
        edited.edit([FLAG, ANN])
        assert lm.digest() != digest
    assert lm.digest() == digest


def test_the_old_answer_is_decoded_from_the_unedited_model(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    unknown = [replace(request, target_true=None) for request in FACTS]
    (said,) = lm.generate([Query(ANN.prompt)], max_new_tokens=12, stop=("\n", "."))
    assert said
    made = CoME(base=memit(tmp_path, clamp=5.0, moment_weight=1e-4))
    with made.apply(lm) as edited:
        edited.edit([FRANCE])
        assert lm.generate([Query(ANN.prompt)], max_new_tokens=12, stop=("\n", ".")) != [said]
        digest = lm.digest()
        given = made.values(edited, [replace(ANN, target_true=said)])
        decoded = made.values(edited, [unknown[0]])
        assert lm.digest() == digest
    torch.testing.assert_close(decoded, given)


def test_without_an_old_answer_come_is_its_base(tmp_path: Path) -> None:
    lm = exact("gpt2")
    made = CoME(base=memit(tmp_path))
    requests = [replace(ANN, target_true=" "), replace(FRANCE, target_true=FRANCE.target_new)]
    with made.apply(lm) as edited:
        torch.testing.assert_close(made.values(edited, requests), new_values(edited, requests))


def test_for_model() -> None:
    lm = tiny("gpt2")
    with pytest.warns(UserWarning, match="no hyperparameters"):
        made = CoME.for_model(lm, on="alphaedit", layers=(1, 2), clamp=2.0, variant="described")
    assert made == CoME(base=AlphaEdit(layers=(1, 2), clamp=2.0), variant="described")
    assert made.name == "come-alphaedit"
    with pytest.raises(InputError, match="not on 'rome'"):
        CoME.for_model(lm, on="rome", layers=(1,))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="MEMIT has no option 'null_weight'"):
        CoME.for_model(lm, on="memit", layers=(1,), null_weight=1.0)
    with pytest.raises(InputError, match="unknown variant 'paper'"):
        CoME(base=MEMIT(layers=(1,)), variant="paper")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="share must lie between"):
        CoME(base=MEMIT(layers=(1,)), share=1.0)
