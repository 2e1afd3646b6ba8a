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
