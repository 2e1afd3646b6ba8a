from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from editors.headloss import divergence, unlikelihood
from editors.prompts import Query
from editors.tail import Tail
from tests.editors.facts import exact
from tests.tiny_models import tiny


def tail(family: str) -> Tail:
    lm = exact(family)
    return Tail(lm, lm.encode([Query("Ann was born in")], ["Rome"]), 1)


def states(head: Tail, count: int, seed: int = 0) -> torch.Tensor:
    width = head.hidden.shape[-1]
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])  # the second caps its logits
@pytest.mark.parametrize("piece", [1, 700, 2**25])
def test_likelihoods_and_gradients_are_those_of_autograd(family: str, piece: int) -> None:
    head = tail(family)
    leaf = states(head, 7).requires_grad_()
    ids, weights = torch.arange(7) * 3, torch.linspace(0.1, 1, 7).double()
    own = functional.cross_entropy(head.head(leaf), ids, reduction="none") * weights
    (gradient,) = torch.autograd.grad(own.sum(), leaf)
    losses, found = unlikelihood(head, leaf, ids, weights, piece=piece)
    torch.testing.assert_close(losses, own.detach())
    torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
@pytest.mark.parametrize("piece", [1, 700, 2**25])
def test_divergences_and_gradients_are_those_of_autograd(family: str, piece: int) -> None:
    head = tail(family)
    leaf, before = states(head, 5).requires_grad_(), states(head, 5, seed=1)
    own = 0.3 * functional.kl_div(
        head.head(before).log_softmax(-1),
        head.head(leaf).log_softmax(-1),
        reduction="none",
        log_target=True,
    ).sum(1)
    (gradient,) = torch.autograd.grad(own.sum(), leaf)
    losses, found = divergence(head, leaf, before, 0.3, torch.float64, piece=piece)
    torch.testing.assert_close(losses, own.detach())
    torch.testing.assert_close(found, gradient)
    nothing, flat = divergence(head, leaf, leaf.detach(), 0.3, torch.float64, piece=piece)
    assert not nothing.any()
    assert flat.abs().max() < 1e-12


def test_no_more_logits_at_once_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    head = tail("llama")
    rows: list[int] = []
    own = Tail.head

    def noted(self: Tail, final: torch.Tensor) -> torch.Tensor:
        rows.append(len(final))
        return own(self, final)

    monkeypatch.setattr(Tail, "head", noted)
    piece = 3 * head.vocabulary
    unlikelihood(head, states(head, 8), torch.arange(8), torch.ones(8).double(), piece=piece)
    assert rows == [3, 3, 2]
    rows.clear()
    divergence(head, states(head, 4), states(head, 4, 1), 1.0, torch.float64, piece=piece)
    assert rows == [3, 3, 1, 1]


def test_a_vocabulary_wider_than_a_piece_goes_row_by_row() -> None:
    head = tail("gpt2")
    assert head.vocabulary == tiny("gpt2").model.config.vocab_size
    losses, _ = unlikelihood(
        head, states(head, 2), torch.tensor([1, 2]), torch.ones(2).double(), piece=1
    )
    assert losses.shape == (2,)
