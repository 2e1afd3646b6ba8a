"""Eigenvalues and eigenvectors of second moments, computed once and kept on disk beside them.

AlphaEdit needs them in every run, and they depend on the moment alone: not on the threshold. A file
is named by a digest of the moment's own numbers, so it cannot belong to another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor

from schemas.digest import digest128
from schemas.errors import InputError


@dataclass(frozen=True)
class Spectrum:
    """The eigendecomposition of a symmetric matrix.

    Attributes:
        values: Eigenvalues, ascending, shape (d,), float64.
        vectors: Eigenvectors in columns, shape (d, d), float64.
    """

    values: Tensor
    vectors: Tensor


def spectrum(matrix: Tensor, folder: Path) -> Spectrum:
    """The eigendecomposition of a symmetric matrix, read from a folder where it is known.

    It is computed in float64 on the matrix's device, and as kept it is the same to the last bit.

    Args:
        matrix: Shape (d, d), of finite numbers.
        folder: The folder of moments.

    Raises:
        InputError: If a file is damaged or belongs to another matrix.
    """
    digest = _digest(matrix)
    path = folder / f"{digest[:32]}-spectrum.safetensors"
    if path.exists():
        found = _load(path, digest, len(matrix))
        return Spectrum(found.values.to(matrix.device), found.vectors.to(matrix.device))
    wide = (matrix.cpu() if matrix.device.type == "mps" else matrix).double()
    found = Spectrum(*torch.linalg.eigh(wide))
    _save(path, digest, found)
    return found


def _digest(matrix: Tensor) -> str:
    numbers = matrix.detach().cpu().contiguous()
    shape = f"{tuple(numbers.shape)} {numbers.dtype}"
    return digest128(shape.encode() + numbers.flatten().view(torch.uint8).numpy().tobytes())


def _load(path: Path, digest: str, d: int) -> Spectrum:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            written = (opened.metadata() or {}).get("moment")
            found = Spectrum(opened.get_tensor("values"), opened.get_tensor("vectors"))
    except (SafetensorError, OSError) as error:
        raise InputError(f"is damaged, delete it ({error})", file=path) from None
    if written != digest or found.values.shape != (d,) or found.vectors.shape != (d, d):
        raise InputError("belongs to another moment, delete it", file=path, field="moment")
    return found


def _save(path: Path, digest: str, found: Spectrum) -> None:
    """Write it; readers see the whole file or none."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"values": found.values.cpu(), "vectors": found.vectors.cpu().contiguous()}
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(save(tensors, {"moment": digest}))
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
