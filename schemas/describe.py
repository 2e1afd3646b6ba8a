"""A schema in words: its fields with types, nullability and what they mean.

Types come from the annotations and descriptions from the docstrings of the record types.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from schemas.arrow import Schema, without_none
from schemas.images import EncodedImage

_NAMES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class FieldDescription:
    """One field of a schema.

    Attributes:
        path: Where it is: `requests[].prompt` is the prompt of each request.
        type: Its type, for people.
        nullable: Whether it may be null.
        description: What it means.
    """

    path: str
    type: str
    nullable: bool
    description: str


def describe(schema: Schema[Any]) -> list[FieldDescription]:
    """The fields of a schema, those of nested records after the field that holds them."""
    return list(_fields(schema.record, ""))


def _fields(record: type, prefix: str) -> Iterator[FieldDescription]:
    descriptions = attributes(record)
    for name, hint in typing.get_type_hints(record).items():
        inner, nullable = without_none(hint)
        listed = get_origin(inner) is tuple
        item = get_args(inner)[0] if listed else inner
        kind = f"list of {_name(item)}" if listed else _name(item)
        yield FieldDescription(prefix + name, kind, nullable, descriptions.get(name, ""))
        if dataclasses.is_dataclass(item) and item is not EncodedImage:
            yield from _fields(typing.cast(type, item), f"{prefix}{name}{'[]' * listed}.")


def attributes(record: type) -> dict[str, str]:
    """What the fields of a record type mean, those that it inherits among them."""
    found: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        section = (inspect.cleandoc(kind.__doc__ or "")).partition("Attributes:\n")[2]
        found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
    return found


def _name(hint: Any) -> str:
    if hint is EncodedImage:
        return "image"
    if get_origin(hint) is Literal:
        return " | ".join(get_args(hint))
    return _NAMES.get(hint) or hint.__name__
