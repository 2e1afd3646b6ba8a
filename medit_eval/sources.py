"""Records as a user names them: a builder's folder, a foreign file, a Hub data set, a list."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from schemas.arrow import schema_of, to_row
from schemas.conflicts import find_conflicts, summary
from schemas.errors import InputError
from schemas.records import EditRecord

if TYPE_CHECKING:
    from schemas.formats import Format

PEOPLE = "testbed/people"
"""The records about the people that the testbed models know."""

DOCUMENTS = "testbed/documents"
"""The same records, each with a document that its edit puts out of date."""

OWN = "medit"
"""The format of this project's builders."""

_ALIASES: Mapping[str, str] = MappingProxyType(
    {"zsre": "easyedit-text", "wikidata_counterfact": "easyedit-text", "knowedit": "easyedit-text"}
)
"""Data sets by name -> the format of their rows."""


_CHAINED = frozenset({"mquake", "mquake-remastered"})
"""Formats whose questions rely on facts that the edits of other records may change."""


def format_names() -> list[str]:
    """All formats that `load` reads, by the name that a user gives."""
    return [OWN, *_ALIASES, *_formats()]


def load(
    records: str | Path | Iterable[EditRecord] | Any,
    *,
    records_format: str = OWN,
    images: Path | None = None,
    split: str = "test",
    limit: int | None = None,
) -> list[EditRecord]:
    """The records that a user means.

    Args:
        records: A builder's folder or one of its Parquet files, a file of a foreign format, a
            `datasets.Dataset` or the Hub id of one, `testbed/people`,
            `testbed/documents`, or records themselves.
        records_format: What the rows of a file or data set are; see `format_names`.
        images: The folder of a foreign file's pictures. Without it, questions about pictures are
            left out where the format allows it.
        split: The split of a data set on the Hub.
        limit: How many records to read, from the first on; all by default.

    Raises:
        InputError: If there are none, one is not a record, two share an id, two probes of a record
            do, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"is {limit}; at least one record is needed", field="limit")
    found = list(islice(_records(records, records_format, images, split), limit))
    if not found:
        raise InputError("there are no records", file=_name(records))
    seen: set[str] = set()
    for record in found:
        if not isinstance(record, EditRecord):
            raise InputError(f"is a {type(record).__name__}, not an EditRecord", row="records")
        if record.id in seen:
            raise InputError("two records have this id", file=_name(records), row=record.id)
        seen.add(record.id)
        probes = Counter(probe.id for probe in record.probes)
        if twice := next((name for name, count in probes.items() if count > 1), None):
            reason = f"two probes have the id {twice!r}"
            raise InputError(reason, file=_name(records), row=record.id)
    if records_format in _CHAINED and (clashes := find_conflicts(found)):
        warnings.warn(f"{_name(records) or 'the data set'}: {summary(clashes)}", stacklevel=2)
    return found


def records_digest(records: Iterable[EditRecord]) -> str:
    """A digest of records, in order, with all that they hold."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(json.dumps(to_row(record), default=_hexed).encode())
    return digest.hexdigest()


def _records(
    records: Any, records_format: str, images: Path | None, split: str
) -> Iterator[EditRecord]:
    if isinstance(records, str | Path):
        path = Path(records)
        if str(records) in (PEOPLE, DOCUMENTS) and not path.exists():
            from medit_eval import testbed

            edits = testbed.people_records if records == PEOPLE else testbed.document_records
            return iter(edits())
        if not path.exists():
            return _from_hub(str(records), records_format, images, split)
        if records_format == OWN:
            return _own(path)
        return _foreign_file(path, records_format, images)
    if hasattr(records, "with_format") and hasattr(records, "features"):
        return _from_dataset(records, records_format, images)
    if isinstance(records, Iterable):
        return iter(records)
    raise InputError(f"records cannot be read from a {type(records).__name__}")


def _own(path: Path) -> Iterator[EditRecord]:
    """The records of a builder's folder or file, streamed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.layout import Layout

    files = Layout(path).shards() if path.is_dir() else [path]
    for file in files:
        if file.suffix != ".parquet":
            raise InputError(
                "is no .parquet file of this project's; name its format: "
                f"{', '.join(format_names()[1:])}",
                file=file,
            )
        try:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=16):
                    yield from schema_of(batch.schema).records(batch)
        except InputError as error:
            raise InputError(error.reason, file=file, field=error.field) from None
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"is not a whole Parquet file: {reason}", file=file) from None


def _foreign_file(path: Path, records_format: str, images: Path | None) -> Iterator[EditRecord]:
    from schemas.formats.files import read_rows

    joined = _format(records_format).joined
    if path.is_dir() and joined is not None:
        return _foreign(joined(path), records_format, images, path)
    return _foreign(read_rows(path), records_format, images, path)


def _foreign(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    records_format: str,
    images: Path | None,
    file: Path | str,
) -> Iterator[EditRecord]:
    from schemas.formats import ImageFolder, ReadContext

    known = _format(records_format)
    folder = ImageFolder(images) if images is not None else None
    for number, row in rows:
        yield known.read_row(row, folder, ReadContext(file=file, row=number))


def _from_hub(
    name: str, records_format: str, images: Path | None, split: str
) -> Iterator[EditRecord]:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError("does not exist", file=name)
    import datasets

    try:
        found = datasets.load_dataset(name, split=split)
    except Exception as error:  # the library raises almost any type
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"is neither a file nor a data set on the Hub that can be read: {reason}", file=name
        ) from None
    return _from_dataset(found, records_format, images)


def _from_dataset(dataset: Any, records_format: str, images: Path | None) -> Iterator[EditRecord]:
    """The rows of a `datasets.Dataset`; pictures stay encoded, as they are in its Arrow table."""
    tables = dataset.with_format("arrow").iter(batch_size=16)
    if records_format == OWN:
        for table in tables:
            yield from schema_of(table.schema).records(table)
        return
    rows = (row for table in tables for row in table.to_pylist())
    yield from _foreign(enumerate(rows), records_format, images, "the data set")


def _formats() -> Mapping[str, Format]:
    from schemas.formats import FORMATS

    return FORMATS


def _format(name: str) -> Format:
    found = _formats().get(_ALIASES.get(name, name))
    if found is None:
        raise InputError(
            f"unknown format of records {name!r}; known are {', '.join(format_names())}"
        )
    return found


def _name(records: Any) -> str | None:
    return str(records) if isinstance(records, str | Path) else None


def _hexed(value: Any) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"a record holds a {type(value).__name__}")


def first_with_picture(records: Sequence[EditRecord]) -> tuple[str, int] | None:
    """Id of the first record that edits or asks about a picture, and how many do; None if none."""
    with_picture = [
        record.id
        for record in records
        if any(request.image is not None for request in record.requests)
        or any(probe.images for probe in record.probes)
    ]
    return (with_picture[0], len(with_picture)) if with_picture else None
