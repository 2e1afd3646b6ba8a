"""A finished data set written in a foreign format."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import identify, schema_of
from schemas.errors import InputError
from schemas.formats import FORMATS, Format, ImageWriter, OutputFile
from schemas.images import EncodedImage
from schemas.layout import SHARD_NAME, Layout, atomic_write
from schemas.records import EditRecord

_BATCH = 16
"""Records held at a time; one carries up to some 20 pictures."""


@dataclass(frozen=True)
class Skipped:
    """A record that the format cannot express.

    Attributes:
        record_id: Its id.
        reason: Why, naming the field.
    """

    record_id: str
    reason: str


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and what it left out.

    Attributes:
        format: The format's name.
        files: The files of rows.
        exported: How many records they hold.
        images: How many picture files were written.
        without_images: How many of the records carry no picture themselves, so that their rows
            name pictures by the paths they came with, or none.
        skipped: The records left out.
    """

    format: str
    files: tuple[Path, ...]
    exported: int
    images: int
    without_images: int
    skipped: tuple[Skipped, ...]


def export(
    dataset_root: Path,
    out: Path,
    format: str,  # noqa: A002 - the word its users say
    *,
    overwrite: bool = False,
) -> ExportReport:
    """Write a finished data set in a foreign format: its files of rows, and `images/`.

    Paths in rows are relative to `images/`. A data set with several splits gets one folder of
    row files per split. Files of rows appear when they are whole, after all pictures.

    Args:
        dataset_root: The data set's folder.
        out: The folder to write into, absent or empty.
        format: The format's name, see `FORMATS`.
        overwrite: Whether `out` may hold files; those with the same names are replaced, all
            others stay.

    Raises:
        InputError: If the format is unknown, the data set is not finished or not of edit
            records, or `out` cannot be used.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format {format!r}; known are {', '.join(FORMATS)}")
    layout = Layout(dataset_root)
    if not layout.complete:
        raise InputError("holds no finished data set: there is no manifest.json", file=dataset_root)
    shards = layout.shards()
    _check_out(out, overwrite)
    by_split: dict[str, list[Path]] = {}
    for shard in shards:
        found = SHARD_NAME.fullmatch(shard.name)
        by_split.setdefault(found["split"] if found else "", []).append(shard)
    images = ImageWriter(out / "images")
    files: list[Path] = []
    skipped: list[Skipped] = []
    exported = without_images = 0
    for split, paths in by_split.items():
        folder = out if len(by_split) == 1 else out / split
        with _row_files(folder, FORMATS[format]) as (written, append):
            for record in _records(paths):
                try:
                    # A record that is left out leaves no pictures behind.
                    FORMATS[format].write_row(record, _Rehearsal())
                    row = FORMATS[format].write_row(record, images)
                except InputError as error:
                    skipped.append(Skipped(record.id, _reason(error)))
                    continue
                append(row)
                exported += 1
                without_images += all(request.image is None for request in record.requests)
            files += written
    return ExportReport(format, tuple(files), exported, len(images), without_images, tuple(skipped))


class _Rehearsal:
    """A sink that takes every picture and writes none."""

    def put(self, image: EncodedImage, path: str | None = None) -> str:
        return path or image.path or ""


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError("is a file, not a folder", file=out)
    if out.is_dir() and not overwrite and next(out.iterdir(), None) is not None:
        raise InputError("is not empty; choose another folder or allow overwriting", file=out)


def _records(shards: Iterable[Path]) -> Iterator[EditRecord]:
    for shard in shards:
        try:
            with pq.ParquetFile(shard) as file:
                claim, schema = identify(file.schema_arrow), schema_of(file.schema_arrow)
                if claim != (schema.name, schema.version):
                    found = " version ".join(map(str, claim)) if claim else "no known schema"
                    raise InputError(
                        f"has {found}; expected {schema.name} version {schema.version}",
                        file=shard,
                    )
                for batch in file.iter_batches(batch_size=_BATCH):
                    yield from schema.records(batch)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            raise InputError(f"cannot be read: {reason}", file=shard) from None


@contextlib.contextmanager
def _row_files(
    folder: Path, kind: Format
) -> Iterator[tuple[list[Path], Callable[[Mapping[str, Any]], None]]]:
    """The paths of a format's files, and a function that appends a row to each of them."""
    with contextlib.ExitStack() as stack:
        writers = [
            (stack.enter_context(_rows(folder / file.name, file)), file) for file in kind.files
        ]

        def append(row: Mapping[str, Any]) -> None:
            for write, file in writers:
                write(file.part(row))

        yield [folder / file.name for file in kind.files], append


@contextlib.contextmanager
def _rows(path: Path, kind: OutputFile) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that appends a row to a file, which is completed and moved in place at exit."""
    begin, separator, end = b"[\n", b",\n", b"\n]\n"
    if kind.lines:
        begin, separator, end = b"", b"\n", b"\n"
    elif kind.key is not None:
        begin, end = f"{{{json.dumps(kind.key)}: [\n".encode(), b"\n]}\n"
    with atomic_write(path) as file:
        file.write(begin)
        written = 0

        def write(row: Mapping[str, Any]) -> None:
            nonlocal written
            file.write(separator if written else b"")
            file.write(json.dumps(row, ensure_ascii=False).encode())
            written += 1

        yield write
        file.write(end if written or not kind.lines else b"")


def _reason(error: InputError) -> str:
    return error.reason if error.field is None else f"field {error.field!r}: {error.reason}"
