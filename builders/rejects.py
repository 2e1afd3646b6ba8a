"""The rows that a build leaves out, kept in parts on the disk.

Of a large source most rows may be left out: of two dumps of a Wikipedia, every page whose
introduction kept its facts. So what is held in memory is what waits to be written, and at the end
one Arrow table in which equal reasons are stored once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from builders.steps import Reject
from schemas.layout import write_parquet

SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "id": pa.string(),
        "step": pa.string(),
        "rule": pa.string(),
        "column": pa.string(),
        "reason": pa.string(),
    }
)
"""Columns of `rejects.parquet`: the fields of `Reject`."""

_REPEATED = ("step", "rule", "column", "reason")
_PART_ROWS = 10_000


class RejectLog:
    """Writes rejects into a folder, a part at a time."""

    def __init__(self, folder: Path) -> None:
        """Begin anew: parts of an earlier attempt go.

        Args:
            folder: Where the parts go.
        """
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._waiting: list[dict[str, Any]] = []
        self._parts = 0
        self.first: Reject | None = None

    def add(self, reject: Reject) -> None:
        """Take one reject."""
        self.first = self.first or reject
        self._waiting.append(asdict(reject))
        if len(self._waiting) == _PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            part = pa.Table.from_pylist(self._waiting, schema=SCHEMA)
            write_parquet(self._folder / f"{self._parts:05d}.parquet", part)
            self._waiting, self._parts = [], self._parts + 1


def gathered(folder: Path, more: Iterable[Mapping[str, Any]]) -> pa.Table:
    """All rejects by row: those in the parts of a folder, and others; columns as in `SCHEMA`."""
    parts = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    tables = [pq.read_table(part, read_dictionary=list(_REPEATED)) for part in parts]
    tables.append(pa.Table.from_pylist(list(more), schema=SCHEMA))
    kind = pa.schema(
        [
            pa.field(name, pa.dictionary(pa.int32(), pa.string()) if name in _REPEATED else field)
            for name, field in zip(SCHEMA.names, SCHEMA.types, strict=True)
        ]
    )
    whole = pa.concat_tables(table.cast(kind) for table in tables).unify_dictionaries()
    return whole.sort_by("row")
