"""Foreign row formats: rows of other data sets to records and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.formats import easyedit, fruit, mmedit, mmke, okedit, vlkeb
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import (
    DamagedImageError,
    ImageFolder,
    ImageSink,
    ImageWriter,
    KeepPaths,
    MissingImageError,
    UnsafePathError,
)
from schemas.formats.rows import ReadContext, Row

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        known.name: known
        for known in (
            mmedit.FORMAT,
            vlkeb.FORMAT,
            mmke.FORMAT,
            okedit.FORMAT,
            easyedit.FORMAT,
            easyedit.TEXT_FORMAT,
            fruit.FORMAT,
        )
    }
)
"""All formats by name."""

__all__ = [
    "FORMATS",
    "DamagedImageError",
    "Format",
    "ImageFolder",
    "ImageSink",
    "ImageWriter",
    "KeepPaths",
    "MissingImageError",
    "OutputFile",
    "ReadContext",
    "Row",
    "UnsafePathError",
]
