"""TOML tables to frozen dataclasses: each field has the type that its annotation says."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from schemas.errors import InputError
from schemas.plugins import hint

Kind = TypeVar("Kind")

_WORDS: Mapping[Any, str] = types.MappingProxyType(
    {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
)


def read_into(kind: type[Kind], table: Any, file: str, field: str = "") -> Kind:
    """The dataclass that a table holds, and those in it.

    Args:
        kind: The dataclass.
        table: What TOML made of the table.
        file: Its file, for messages.
        field: Where in the file it stands, for messages; empty for the whole file.

    Raises:
        InputError: If a field is missing, unknown, or of another type.
    """
    if not isinstance(table, dict):
        raise InputError("is not a table", file=file, field=field or None)
    assert dataclasses.is_dataclass(kind)
    types_of, fields = get_type_hints(kind), {f.name: f for f in dataclasses.fields(kind)}
    for name in table:
        if name not in fields:
            raise InputError(
                f"is no field of it; {hint(name, list(fields))}",
                file=file,
                field=_join(field, name),
            )
    made, absent = {}, dataclasses.MISSING
    for name, declared in fields.items():
        if name in table:
            made[name] = _value(types_of[name], table[name], file, _join(field, name))
        elif declared.default is absent and declared.default_factory is absent:
            raise InputError("is missing", file=file, field=_join(field, name))
    try:
        return kind(**made)
    except InputError as error:  # what a class itself refuses
        where = _join(field, error.field or "")
        raise InputError(error.reason, file=file, field=where or None) from None


def _value(wanted: Any, value: Any, file: str, field: str) -> Any:
    if wanted is Any:
        return value
    if dataclasses.is_dataclass(wanted):
        return read_into(wanted, value, file, field)  # type: ignore[arg-type]
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        # TOML has no null: None is what is not there.
        choices = [choice for choice in inner if choice is not type(None)]
        for choice in choices:
            if _fits(choice, value):
                return _value(choice, value, file, field)
        wanted_words = " or ".join(_word(choice) for choice in choices)
        raise InputError(f"is not {wanted_words}, but {value!r}", file=file, field=field)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError("is not a list", file=file, field=field)
        return tuple(_value(inner[0], v, file, f"{field}[{n}]") for n, v in enumerate(value))
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, dict):
            raise InputError("is not a table", file=file, field=field)
        return {n: _value(inner[1], v, file, _join(field, n)) for n, v in value.items()}
    if not _fits(wanted, value):
        raise InputError(f"is not {_word(wanted)}, but {value!r}", file=file, field=field)
    return float(value) if wanted is float else value


def _fits(wanted: Any, value: Any) -> bool:
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) is tuple:
        return isinstance(value, list)
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, int | float)
    return wanted in _WORDS and isinstance(value, wanted)


def _word(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        words = [repr(choice) for choice in get_args(wanted)]
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    return "a list" if get_origin(wanted) is tuple else _WORDS[wanted]


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field and name else field or name
