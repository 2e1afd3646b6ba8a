"""What a record is: types, Arrow schemas, validation, layout on disk, foreign formats."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.arrow import OKEDIT, SCHEMAS, Schema
    from schemas.errors import InputError
    from schemas.images import EncodedImage
    from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample

__all__ = [
    "OKEDIT",
    "SCHEMAS",
    "EditRecord",
    "EditRequest",
    "EncodedImage",
    "InputError",
    "Probe",
    "Provenance",
    "Sample",
    "Schema",
]

_HOME = {"InputError": "errors", "EncodedImage": "images"} | dict.fromkeys(
    ("OKEDIT", "SCHEMAS", "Schema"), "arrow"
)


def __getattr__(name: str) -> object:
    # Loaded at first use: a command line that only prints its help does not wait for pyarrow.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"schemas.{_HOME.get(name, 'records')}"), name)
