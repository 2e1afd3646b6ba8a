"""Arrow schemas derived from record types, and rows to and from them.

One walk over a dataclass's annotations gives its Arrow type, its Hugging Face features and both
conversions, so that they cannot drift apart. The features travel in the schema's metadata under
the key that `datasets` reads, so a plain Parquet writer is enough for `load_dataset` to show
images; `datasets` itself is not needed to write.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa

from schemas.documents import DocumentRecord
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRecord

METADATA_KEY = b"medit"
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCALARS: dict[type, tuple[pa.DataType, str]] = {
    str: (pa.string(), "string"),
    int: (pa.int64(), "int64"),
    float: (pa.float64(), "float64"),
    bool: (pa.bool_(), "bool"),
}

R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Schema(typing.Generic[R]):
    """A versioned kind of record.

    Attributes:
        name: As given to `python -m schemas show`.
        version: Raised when a field is added, removed or changes its meaning.
        record: The dataclass of one row.
    """

    name: str
    version: int
    record: type[R]

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with features and version in its metadata."""
        return _arrow_schema(self)

    def table(self, records: Sequence[R]) -> pa.Table:
        """Records as a table of this schema."""
        return pa.Table.from_pylist([to_row(record) for record in records], schema=self.arrow)

    def records(self, table: pa.Table | pa.RecordBatch) -> Iterator[R]:
        """The records of a table.

        Raises:
            InputError: If a field that must not be null is, or has a value of another type.
        """
        for row in table.to_pylist():
            yield from_row(self.record, row)


OKEDIT: Schema[EditRecord] = Schema("okedit", 1, EditRecord)
DOCMEDIT: Schema[DocumentRecord] = Schema("docmedit", 1, DocumentRecord)
SCHEMAS: Mapping[str, Schema[Any]] = types.MappingProxyType(
    {schema.name: schema for schema in (OKEDIT, DOCMEDIT)}
)
"""All schemas by name."""


def identify(schema: pa.Schema) -> tuple[str, int] | None:
    """Name and version that a file's schema claims, or None where it claims none."""
    claim = (schema.metadata or {}).get(METADATA_KEY)
    if claim is None:
        return None
    try:
        fields = json.loads(claim)
        return str(fields["schema"]), int(fields["version"])
    except (ValueError, KeyError, TypeError):
        return None


def schema_of(found: pa.Schema) -> Schema[Any]:
    """The schema to read a file or a table by, told by its columns: metadata may get lost."""
    return DOCMEDIT if "document" in found.names else OKEDIT


def to_row(value: Any) -> Any:
    """A record, or a part of one, as nested dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_row(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, tuple):
        return [to_row(item) for item in value]
    return value


def from_row(record: type[R], row: Mapping[str, Any]) -> R:
    """The record that a row holds.

    Raises:
        InputError: Naming the field that is missing, null or of another type.
    """
    return _parse(record, row, "")


@lru_cache(maxsize=32)
def _arrow_schema(schema: Schema[Any]) -> pa.Schema:
    hints = _hints(schema.record)
    features = {name: _feature(hint) for name, hint in hints.items()}
    return pa.schema(
        [(name, _arrow_type(hint)) for name, hint in hints.items()],
        metadata={
            METADATA_KEY: json.dumps({"schema": schema.name, "version": schema.version}),
            b"huggingface": json.dumps({"info": {"features": features}}),
        },
    )


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@lru_cache(maxsize=64)
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


@lru_cache(maxsize=256)
def without_none(hint: Any) -> tuple[Any, bool]:
    """The type without `| None`, and whether null is allowed."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(inner) != 1:
            raise TypeError(f"a column has one type, not {hint}")
        return inner[0], True
    return hint, False


def _arrow_type(hint: Any) -> pa.DataType:
    hint, _ = without_none(hint)
    if hint is EncodedImage:
        return _IMAGE
    if get_origin(hint) is Literal:
        return pa.string()
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return pa.struct([(n, _arrow_type(h)) for n, h in _hints(typing.cast(type, hint)).items()])
    return _SCALARS[hint][0]


def _feature(hint: Any) -> Any:
    hint, _ = without_none(hint)
    if hint is EncodedImage:
        return {"_type": "Image"}
    if get_origin(hint) is Literal:
        return {"dtype": "string", "_type": "Value"}
    if get_origin(hint) is tuple:
        return {"feature": _feature(get_args(hint)[0]), "_type": "List"}
    if dataclasses.is_dataclass(hint):
        return {n: _feature(h) for n, h in _hints(typing.cast(type, hint)).items()}
    return {"dtype": _SCALARS[hint][1], "_type": "Value"}


def _parse(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    hint, nullable = without_none(hint)
    if value is None:
        if nullable:
            return None
        raise InputError("is null", field=path or "the row")
    origin = get_origin(hint)
    if origin is Literal:
        if value not in get_args(hint):
            choices = ", ".join(get_args(hint))
            raise InputError(f"is {value!r}, not one of {choices}", field=path)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"is a {type(value).__name__}, not a list", field=path)
        item = get_args(hint)[0]
        return tuple(_parse(item, entry, f"{path}[{i}]") for i, entry in enumerate(value))
    if origin is dict:  # in JSON files only: no column is a dict
        if not isinstance(value, Mapping):
            raise InputError(f"is a {type(value).__name__}, not an object", field=path)
        item = get_args(hint)[1]
        return {key: _parse(item, entry, f"{path}[{key!r}]") for key, entry in value.items()}
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"is a {type(value).__name__}, not an object", field=path)
        cls = typing.cast(type, hint)
        prefix = f"{path}." if path else ""
        return cls(**{n: _parse(h, value.get(n), prefix + n) for n, h in _hints(cls).items()})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = bytes if hint is bytes else hint
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise InputError(f"is a {type(value).__name__}, not a {expected.__name__}", field=path)
    return value
