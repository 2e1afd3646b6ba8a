"""Changes of weights, kept small: small where they can be, and the same weights come back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editors.delta import LEFT, PLACE, ULPS, WHOLE, packed, restored


def weights(dtype: torch.dtype, m: int, n: int, writes: int, size: float) -> tuple[Tensor, Tensor]:
    """A weight before and after writes of rank 1, each rounded as `EditedModel.write` does."""
    draw = torch.Generator().manual_seed(writes)
    original = (torch.randn(m, n, generator=draw) * 0.02).to(dtype)
    edited = original.clone()
    for _ in range(writes):
        column, row = torch.randn(m, 1, generator=draw), torch.randn(1, n, generator=draw)
        edited.add_(column @ row * size)
    return original, edited


@pytest.mark.parametrize(("m", "n"), [(96, 256), (256, 96), (128, 128)])
@pytest.mark.parametrize("size", [1e-5, 1e-2])
def test_few_edits_are_factors_of_their_rank(m: int, n: int, size: float) -> None:
    original, edited = weights(torch.float32, m, n, 3, size)
    parts = packed(original, edited)
    assert parts[LEFT].shape == (m, 3)
    assert not len(parts[PLACE])
    made = restored(original, parts)
    spacing = torch.finfo(torch.float32).eps * (edited.abs() + edited.square().mean().sqrt())
    assert bool(((made - edited).abs() <= ULPS * spacing).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("writes", [1, 3, 20])
def test_half_precision_comes_back_bit_for_bit(dtype: torch.dtype, writes: int) -> None:
    original, edited = weights(dtype, 64, 512, writes, 1e-3)
    parts = packed(original, edited)
    assert torch.equal(restored(original, parts), edited)
    assert (WHOLE in parts) == (writes > 1)


def test_a_change_without_structure_is_the_whole_weight() -> None:
    original, edited = weights(torch.float32, 32, 48, 60, 1e-2)
    parts = packed(original, edited)
    assert [*parts] == [WHOLE]
    assert restored(original, parts) is edited


@pytest.mark.parametrize("shape", [(40,), (8, 40), (2, 4, 40)])
def test_few_elements_are_kept_alone(shape: tuple[int, ...]) -> None:
    original = torch.randn(shape)
    edited = original.clone()
    edited.view(-1)[7] += 1
    parts = packed(original, edited)
    assert parts[PLACE].tolist() == [7]
    assert LEFT not in parts
    assert torch.equal(restored(original, parts), edited)


def test_nothing_changed_is_nothing() -> None:
    original = torch.randn(8, 8)
    assert sum(part.numel() for part in packed(original, original.clone()).values()) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: {**parts, "left": parts["left"][1:]},
        lambda parts: {**parts, "place": torch.tensor([9999]), "value": torch.tensor([1.0])},
        lambda parts: {**parts, "value": torch.tensor([1.0])},
        lambda parts: {"whole": torch.zeros(3, 3)},
        lambda parts: {"whole": torch.zeros(64, 96, dtype=torch.float16)},
    ],
)
def test_parts_that_do_not_fit_are_refused(change: object) -> None:
    original, edited = weights(torch.float32, 64, 96, 1, 1e-2)
    with pytest.raises(ValueError, match="holds"):
        restored(original, change(packed(original, edited)))  # type: ignore[operator]
