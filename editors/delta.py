"""What edits changed of a weight, kept small: factors of low rank and the elements that they miss.

Symbols: W0 and W (m, n) a weight before and after the edits, D = W - W0, k a rank.

MEMIT, AlphaEdit, CoME and ROME add a matrix of a rank no greater than the number of their edits.
What the model holds is that sum, rounded to the weight's dtype, so D has full rank: the change,
and rounding noise. For each of some ranks the best factors A (m, k) and B (k, n) are taken, the
weight is made from them again as `restored` makes it, and elements that come out otherwise than
rounding explains are kept one by one. The smallest form counts, which is the whole weight where
the change has no structure, and elements alone where it touches few.

**Exactness.** In half precision every element counts that differs at all, so the weight comes back
bit for bit. In float32 and wider, elements may differ by `ULPS` units of their last place, which
is less than a hundred edits in sequence add up to by rounding; nothing that a model says depends
on it but the last digits of its logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

LEFT, RIGHT, PLACE, VALUE, WHOLE = "left", "right", "place", "value", "whole"

ULPS = 4
"""By how many units of the last place elements may differ in single precision."""


@torch.no_grad()
def packed(original: Tensor, edited: Tensor) -> dict[str, Tensor]:
    """The parts from which `restored` makes an edited weight again, by their names.

    Args:
        original: W0.
        edited: W, of the same shape and dtype.
    """
    best = {WHOLE: edited}
    for parts in _candidates(original, edited):
        if _bytes(parts) < _bytes(best):
            best = parts
    return best


@torch.no_grad()
def restored(original: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
    """An edited weight from its parts, where the original lies.

    Raises:
        KeyError: If a part is missing.
        ValueError: If the parts do not fit the weight.
    """
    if WHOLE in parts:
        whole = parts[WHOLE]
        if whole.shape != original.shape or whole.dtype != original.dtype:
            raise ValueError(
                f"holds {whole.dtype} of shape {list(whole.shape)} for {original.dtype} of shape "
                f"{list(original.shape)}"
            )
        return whole.to(original.device)
    made = original.clone()
    if LEFT in parts:
        left, right = parts[LEFT], parts[RIGHT]
        fits = left.ndim == right.ndim == 2 and left.shape[1] == right.shape[0]
        if not fits or (len(left), right.shape[1]) != tuple(original.shape):
            found = f"{list(left.shape)} and {list(right.shape)}"
            raise ValueError(f"holds factors of shape {found} for {list(original.shape)}")
        made = _added(original, left, right)
    place, value = parts[PLACE].long(), parts[VALUE]
    if place.shape != value.shape or value.dtype != original.dtype:
        raise ValueError("holds other places than values")
    if len(place) and not 0 <= int(place.min()) <= int(place.max()) < original.numel():
        raise ValueError("holds places outside of the weight")
    made.view(-1)[place.to(made.device)] = value.to(made.device)
    return made


def _candidates(original: Tensor, edited: Tensor) -> Iterator[dict[str, Tensor]]:
    """The change in forms of several ranks, from none on."""
    yield _missed(original, edited)
    if original.ndim != 2:
        return
    m, n = original.shape
    wide = _wide(edited) - _wide(original)
    # The singular vectors of the shorter side, from the Gram matrix, which is small.
    transposed = m > n
    change = wide.t() if transposed else wide
    energies, vectors = torch.linalg.eigh(change @ change.t())  # ascending
    energies, vectors = energies.flip(0).clamp(min=0), vectors.flip(1)
    itself = edited.element_size() * edited.numel()
    precise = torch.promote_types(original.dtype, torch.float32)
    for rank in _ranks(energies, edited):
        if rank * (m + n) * torch.finfo(precise).bits // 8 >= itself:
            return
        basis = vectors[:, :rank]
        left, right = basis.to(precise), (basis.t() @ change).to(precise)
        if transposed:
            left, right = right.t(), left.t()
        factors = {LEFT: left.contiguous(), RIGHT: right.contiguous()}
        yield {**factors, **_missed(_added(original, left, right), edited)}


def _ranks(energies: Tensor, edited: Tensor) -> list[int]:
    """Ranks worth a try: those that leave no more than rounding, and powers of two.

    Args:
        energies: Squared singular values, descending.
        edited: The edited weight.
    """
    noise = torch.finfo(edited.dtype).eps * _wide(edited).norm()
    left = energies.flip(0).cumsum(0).flip(0).sqrt()
    found = {int((left > share * noise).sum()) for share in (0.1, 0.3, 1.0, 3.0)}
    powers = {1 << i for i in range(len(energies).bit_length())}
    return sorted(rank for rank in found | powers if 0 < rank <= len(energies))


def _missed(made: Tensor, edited: Tensor) -> dict[str, Tensor]:
    """Places and values of the elements that were not made again."""
    if edited.dtype in (torch.float16, torch.bfloat16):
        off = made != edited
    else:
        size = edited.abs()
        allowed = ULPS * torch.finfo(edited.dtype).eps * (size + size.square().mean().sqrt())
        off = (made - edited).abs() > allowed
    place = off.flatten().nonzero()[:, 0]
    narrow = torch.int32 if edited.numel() < 2**31 else torch.int64
    return {PLACE: place.to(narrow), VALUE: edited.flatten()[place]}


def _added(original: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """W0 + A B, summed in float64 so that every machine rounds it alike."""
    wide = _wide(original)
    product = _wide(left).to(wide.device) @ _wide(right).to(wide.device)
    return (wide + product).to(original.dtype).to(original.device)


def _wide(tensor: Tensor) -> Tensor:
    """A tensor in float64, on the processor where its own device has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def _bytes(parts: Mapping[str, Tensor]) -> int:
    return sum(part.numel() * part.element_size() for part in parts.values())
