"""Foreign row formats: rows of other data sets to records and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.formats import (
    counterfact,
    easyedit,
    fruit,
    mc_mke,
    mmedit,
    mmke,
    mquake,
    mquake_remastered,
    multi_counterfact,
    okedit,
    rippleedits,
    unke,
    vlkeb,
    zsre,
)
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
            mc_mke.FORMAT,
            okedit.FORMAT,
            easyedit.FORMAT,
            easyedit.TEXT_FORMAT,
            counterfact.FORMAT,
            multi_counterfact.FORMAT,
            zsre.FORMAT,
            zsre.ROME_FORMAT,
            mquake.FORMAT,
            mquake_remastered.FORMAT,
            rippleedits.FORMAT,
            unke.FORMAT,
            fruit.FORMAT,
        )
    }
)
"""All formats by name."""


def looks_like(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the formats whose fields a row has; several where formats share all of them."""
    return tuple(name for name, known in FORMATS.items() if known.fits(row))


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
    "looks_like",
]
