"""Digests of weights: what a restored model is checked by, and what caches are named by."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

_MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)
"""An odd 64-bit number, as a signed one; odd, so that multiplying by it loses nothing."""

_WIDTH = 256
"""Columns of the table that a tensor's elements are read as; even, see `_checksum`."""

_CHUNK = 1 << 17
"""Elements that one thread of a processor sums at once, so that they are read into its cache once
and summed twice. An accelerator sums `_LARGE` of them, for it would wait for each call."""

_LARGE = 1 << 28


def weights_digest(module: nn.Module) -> str:
    """A digest of all parameters and buffers of a module, by name, dtype, shape and bits.

    It is computed where the weights lie, one sum per tensor, so that checking a model after every
    edit costs about one reading of its memory. A single changed bit always changes it; it is not
    meant to withstand an adversary.
    """
    state = module.state_dict()
    sums = {name: _checksum(tensor) for name, tensor in state.items()}
    # One transfer per device: every other way waits for the device at every tensor.
    numbers: dict[str, int] = {}
    for device in {found.device for found in sums.values()}:
        names = [name for name, found in sums.items() if found.device == device]
        numbers |= zip(names, torch.stack([sums[name] for name in names]).tolist(), strict=True)
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in state.items():
        checksum = numbers[name] & ((1 << 64) - 1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {checksum};".encode())
    return digest.hexdigest()


@torch.no_grad()
def _checksum(tensor: Tensor) -> Tensor:
    """A 64-bit sum of all elements' bits p_i, each times an odd number of its place's own.

    The number is (i M) | 1, with M odd, which is i M, and one more where i is even. So the sum is
    M Σ i p_i + Σ_{i even} p_i. With the elements as a table of W columns, i = r W + c, and the
    first is M (W Σ_r r Σ_c p + Σ_c c Σ_r p): the sums of rows and of columns are enough, and no
    element is copied, widened or multiplied. Integers wrap around, which is arithmetic modulo 2^64.
    """
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    bits = tensor.detach().contiguous().view(width).flatten()
    device, whole = bits.device, bits.numel() // _WIDTH * _WIDTH
    table = bits[:whole].view(-1, _WIDTH)
    rows = torch.empty(len(table), dtype=torch.int64, device=device)
    columns = torch.zeros(_WIDTH, dtype=torch.int64, device=device)
    chunk = _CHUNK * torch.get_num_threads() if device.type == "cpu" else _LARGE
    for start in range(0, len(table), chunk // _WIDTH):
        part = table[start : start + chunk // _WIDTH]
        rows[start : start + len(part)] = part.sum(1, dtype=torch.int64)
        columns += part.sum(0, dtype=torch.int64)
    by_place = _WIDTH * (rows * torch.arange(len(rows), device=device)).sum()
    by_place += (columns * torch.arange(_WIDTH, device=device)).sum()
    places = torch.arange(whole, bits.numel(), device=device)
    rest = (bits[whole:].long() * ((places * _MULTIPLIER) | 1)).sum()
    return by_place * _MULTIPLIER + columns[::2].sum() + rest
