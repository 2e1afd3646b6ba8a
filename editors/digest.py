"""Digests of models: what a restored model is checked by, and what caches are named by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from schemas.digest import digest128

if TYPE_CHECKING:
    from editors.lm import LM

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


def setup_digests(lm: LM) -> dict[str, str]:
    """Digests of what decides a model's answers beside its weights, by what it is called.

    They are the same for a model in memory and for one that was written and read again: what
    loading sets anew (dtype, library versions, class names) is not among them, nor is what a
    library adds with a default that changes nothing.
    """
    images = getattr(lm.processor, "image_processor", None)
    template = getattr(lm.processor or lm.tokenizer, "chat_template", None)
    rules = json.loads(lm.tokenizer.backend_tokenizer.to_str())
    found = {
        "configuration": lm.config.to_diff_dict(),
        "tokenizer": {k: v for k, v in rules.items() if k not in ("padding", "truncation")},
        "chat template": template,
        "image processor": None if images is None else images.to_dict(),
    }
    return {name: digest128(_canonical(part)) for name, part in found.items()}


def _canonical(part: Any) -> str:
    return json.dumps(_told(part), sort_keys=True, default=str)


def _told(part: Any) -> Any:
    """What a setting says: without what loading sets anew, and without what is off."""
    if isinstance(part, Mapping):
        told = {str(name): _told(value) for name, value in part.items()}
        return {
            name: value
            for name, value in told.items()
            if not (name.startswith("_") or name in _SET_ANEW or value is None or value is False)
        }
    return [_told(item) for item in part] if isinstance(part, list | tuple) else part


_SET_ANEW = frozenset(
    {
        *("transformers_version", "dtype", "torch_dtype", "architectures", "name_or_path"),
        *("processor_class", "image_processor_type"),
    }
)
"""What loading or saving sets by itself."""


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
