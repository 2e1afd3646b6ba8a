"""Edits on the disk: changed weights and a method's memory as safetensors, the rest as JSON.

A folder holds `edit.safetensors` and `edit.json`. The latter names the model that the edits belong
to by the digest of its weights, and the former by its SHA-256, so that neither a damaged file nor
one of another model is ever put to use. What a memory is made of is written by structure and read
back into the classes that its method names; no code comes from a file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from schemas.errors import InputError
from schemas.layout import atomic_write, read_json, sha256_of, write_json

FORMAT = 1
"""Raised when the folder's layout changes."""

_WEIGHT, _STATE = "weight.", "state."


@dataclasses.dataclass(frozen=True)
class Saved:
    """Edits as they lie on the disk.

    Attributes:
        editor: Name of the method.
        model: Digest of the unedited model's weights.
        weights: Edited weights by the parameters' names.
        state: What the method remembers.
    """

    editor: str
    model: str
    weights: Mapping[str, Tensor]
    state: Any


def write(folder: Path, saved: Saved) -> None:
    """Write edits into a folder; what is there is replaced, the JSON file last.

    Raises:
        TypeError: If the method's memory holds something that has no form on the disk.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    structure = _written(saved.state, tensors)
    tensors |= {f"{_WEIGHT}{name}": weight for name, weight in saved.weights.items()}
    folder.mkdir(parents=True, exist_ok=True)
    # Tensors may share memory, as views of one another do, which the format does not allow.
    blob = save({name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()})
    path = folder / "edit.safetensors"
    with atomic_write(path) as file:
        file.write(blob)
    described = {
        "format": FORMAT,
        "editor": saved.editor,
        "model": saved.model,
        "tensors": sha256_of(path),
        "state": structure,
    }
    write_json(folder / "edit.json", described)


def read(
    folder: Path, *, model: str, kinds: Sequence[type], device: torch.device | str = "cpu"
) -> Saved:
    """The edits in a folder.

    Args:
        folder: The folder.
        model: Digest of the weights of the model that they are for.
        kinds: The classes that the method's memory is made of.
        device: Where tensors go that were on the model's device.

    Raises:
        InputError: If they are for another model, or a file is missing, damaged or altered.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, tensors_path = folder / "edit.json", folder / "edit.safetensors"
    if not path.is_file():
        raise InputError("holds no edit.json, so no edits were saved here", file=folder)
    found = read_json(path)
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        raise InputError(f"holds no edits of format {FORMAT}", file=path)
    if found.get("model") != model:
        raise InputError(
            f"belongs to a model with the digest {found.get('model')}, not {model}", file=path
        )
    if not tensors_path.is_file():
        raise InputError("is not there", file=tensors_path)
    digest = sha256_of(tensors_path)
    if digest != found.get("tensors"):
        raise InputError(
            f"has the SHA-256 {digest}; edit.json says {found.get('tensors')}", file=tensors_path
        )
    try:
        tensors = load_file(tensors_path)
        state = _read(found["state"], tensors, {kind.__name__: kind for kind in kinds}, device)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot be read: {reason}", file=path) from None
    weights = {
        name.removeprefix(_WEIGHT): tensor
        for name, tensor in tensors.items()
        if name.startswith(_WEIGHT)
    }
    return Saved(str(found.get("editor")), model, weights, state)


def _written(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; its tensors go into a dictionary."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Tensor):
        name = f"{_STATE}{len(tensors)}"
        tensors[name] = value
        return {"tensor": name, "on": "cpu" if value.device.type == "cpu" else "model"}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_written(item, tensors) for item in value]}
    if isinstance(value, dict):
        pairs = [[_written(k, tensors), _written(v, tensors)] for k, v in value.items()]
        return {"dict": pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _written(getattr(value, field.name), tensors)
            for field in dataclasses.fields(value)
            if field.init
        }
        return {"class": type(value).__name__, "fields": fields}
    raise TypeError(f"an editor's memory holds a {type(value).__name__}, which cannot be saved")


def _read(
    value: Any, tensors: Mapping[str, Tensor], kinds: Mapping[str, type], device: torch.device | str
) -> Any:
    """The value that `_written` wrote."""

    def inner(part: Any) -> Any:
        return _read(part, tensors, kinds, device)

    match value:
        case {"float": text}:
            return float(text)
        case {"tensor": name, "on": where}:
            return tensors[name].to("cpu" if where == "cpu" else device)
        case {"tuple": items}:
            return tuple(map(inner, items))
        case {"list": items}:
            return list(map(inner, items))
        case {"dict": pairs}:
            return {inner(key): inner(item) for key, item in pairs}
        case {"class": name, "fields": fields}:
            if name not in kinds:
                raise ValueError(f"holds a {name}, which this editor does not know")
            return kinds[name](**{key: inner(item) for key, item in fields.items()})
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise ValueError("holds something that no editor wrote")
