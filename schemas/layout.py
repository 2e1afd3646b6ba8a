"""The layout of a data set on disk, the same for every builder, and atomic writes into it.

DIR/data/<split>-NNNNN-of-NNNNN.parquet   records
DIR/rejects.parquet                       what was left out, and why
DIR/validation.json                       the validation report
DIR/README.md                             the data card
DIR/manifest.json                         written last: its presence means complete
```
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError

SHARD_NAME = re.compile(r"(?P<split>\w+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")


@dataclass(frozen=True)
class Layout:
    """Paths of a data set's files.

    Attributes:
        root: The data set's folder.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The folder of shards."""
        return self.root / "data"

    @property
    def rejects(self) -> Path:
        """What was left out, and why."""
        return self.root / "rejects.parquet"

    @property
    def manifest(self) -> Path:
        """The manifest, written last."""
        return self.root / "manifest.json"

    @property
    def validation(self) -> Path:
        """The validation report."""
        return self.root / "validation.json"

    @property
    def card(self) -> Path:
        """The data card."""
        return self.root / "README.md"

    @property
    def complete(self) -> bool:
        """Whether a build finished here."""
        return self.manifest.is_file()

    def shard(self, split: str, index: int, count: int) -> Path:
        """Path of shard `index` of `count`, counted from 0."""
        return self.data / f"{split}-{index:05d}-of-{count:05d}.parquet"

    def shards(self) -> list[Path]:
        """The shards that are there, in order.

        Raises:
            InputError: If there are none.
        """
        found = sorted(p for p in self.data.glob("*.parquet") if SHARD_NAME.fullmatch(p.name))
        if not found:
            raise InputError("holds no data set: no data/<split>-NNNNN-of-NNNNN.parquet in it",
                             file=self.root)  # fmt: skip
        return found


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is whole and on the disk.

    The temporary name is the process's own, so two processes never write into one file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people: indented, keys in the given order, UTF-8."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_parquet(path: Path, table: pa.Table, row_group_size: int = 100) -> None:
    """Write a table so that small parts of it can be read, over a network too.

    Small row groups with a page index let the Hub's viewer read one row without the whole file;
    content-defined chunks keep unchanged rows byte-identical between versions of a data set.
    """
    # In memory first: where a write fails, content-defined chunking makes Arrow abort the process.
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        row_group_size=row_group_size,
        write_page_index=True,
        use_content_defined_chunking=True,
    )
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        InputError: If the file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", file=path) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"is not JSON: {error.msg}", file=path, row=f"line {error.lineno}"
        ) from None


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
