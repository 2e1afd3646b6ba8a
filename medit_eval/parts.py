"""Folders of small Parquet files of one schema: each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import Schema, identify
from schemas.errors import InputError
from schemas.layout import write_parquet

R = TypeVar("R")


@dataclass(frozen=True)
class Parts(Generic[R]):
    """Rows of one schema in `part-*.parquet` files under a folder.

    Attributes:
        root: The folder.
        schema: What a row is.
    """

    root: Path
    schema: Schema[R]

    def files(self) -> list[Path]:
        """The parts that are there, in order."""
        return sorted(self.root.glob("part-*.parquet"))

    def append(self, rows: Sequence[R]) -> Path:
        """Write rows as the next part."""
        files = self.files()
        number = int(files[-1].stem.removeprefix("part-")) + 1 if files else 0
        return self.write(f"{number:05d}", rows)

    def write(self, name: str, rows: Sequence[R]) -> Path:
        """Write rows as a part of this name, in place of one that is there."""
        path = self.root / f"part-{name}.parquet"
        write_parquet(path, self.schema.table(rows))
        return path

    def rows(self) -> Iterator[R]:
        """All rows, in order.

        Raises:
            InputError: If a part is damaged or holds something else.
        """
        for file in self.files():
            yield from read_part(file, self.schema)


def read_part(path: Path, schema: Schema[R]) -> list[R]:
    """The rows of one Parquet file.

    Raises:
        InputError: If it is missing, damaged, or holds other columns or values than the schema's.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError("is not there", file=path) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"is not a whole Parquet file: {reason}", file=path) from None
    claim = identify(table.schema)
    if claim != (schema.name, schema.version):
        said = f"{claim[0]} of version {claim[1]}" if claim else "of no schema"
        raise InputError(f"is {said}, not {schema.name} of version {schema.version}", file=path)
    if not table.schema.equals(schema.arrow):
        raise InputError(f"has other columns than {schema.name} do", file=path)
    try:
        return list(schema.records(table))
    except InputError as error:
        raise InputError(error.reason, file=path, field=error.field) from None
