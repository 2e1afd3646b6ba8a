from __future__ import annotations

import pytest
import torch

from editors import digest
from editors.digest import weights_digest

MULTIPLIER = 0x9E3779B97F4A7C15


def literal(tensor: torch.Tensor) -> int:
    """The sum as it is defined, in Python's integers."""
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    bits = tensor.contiguous().view(width).flatten().tolist()
    modulus = 1 << 64
    return sum(p * ((i * MULTIPLIER % modulus) | 1) for i, p in enumerate(bits)) % modulus


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.float8_e5m2],
)
@pytest.mark.parametrize("shape", [(), (0,), (255,), (256,), (3, 257), (7, 1024)])
def test_the_sum_is_that_of_its_definition(
    dtype: torch.dtype, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "_CHUNK", 512)
    torch.manual_seed(0)
    tensor = (torch.randn(shape) * 100).to(dtype)
    found = int(digest._checksum(tensor)) % (1 << 64)
    assert found == literal(tensor)
    if len(shape) == 2:
        turned = tensor.t()
        assert int(digest._checksum(turned)) % (1 << 64) == literal(turned)


def test_a_digest_of_known_weights_stays_what_it_was() -> None:
    """Saved edits and second moments name the model that they belong to by it."""
    layer = torch.nn.Linear(300, 7)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(2100).reshape(7, 300) / 8)
        layer.bias.copy_(-torch.arange(7.0))
    assert weights_digest(layer) == "72add0e44ddd004e6e97b7aa83704481"
