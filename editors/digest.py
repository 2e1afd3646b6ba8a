"""Digests of weights: what a restored model is checked by, and what caches are named by."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

_MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)
"""An odd 64-bit number, as a signed one; odd, so that multiplying by it loses nothing."""

_CHUNK = 1 << 24
"""Elements that are summed at once, which bounds the memory beside the weights."""


def weights_digest(module: nn.Module) -> str:
    """A digest of all parameters and buffers of a module, by name, dtype, shape and bits.

    It is computed where the weights lie, one sum per tensor, so that checking a model after every
    edit costs about one reading of its memory. A single changed bit always changes it; it is not
    meant to withstand an adversary.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {_checksum(tensor)};".encode())
    return digest.hexdigest()


@torch.no_grad()
def _checksum(tensor: Tensor) -> int:
    """A 64-bit sum of all elements' bits, each multiplied by an odd number of its place's own."""
    if tensor.numel() == 0:
        return 0
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    bits = tensor.detach().contiguous().view(width).flatten()
    total = 0
    for start in range(0, bits.numel(), _CHUNK):
        part = bits[start : start + _CHUNK].long()
        places = torch.arange(start, start + part.numel(), device=part.device)
        total += int((part * ((places * _MULTIPLIER) | 1)).sum())
    return total & ((1 << 64) - 1)
