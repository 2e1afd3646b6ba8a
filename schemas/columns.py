"""Whether a file has the columns of the schema that it claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from schemas.arrow import SCHEMAS, Schema, identify, schema_of
from schemas.findings import Finding

CHECKS = (
    "schema_is_known",
    "columns_are_there",
    "columns_have_types",
    "columns_are_known",
    "hub_features_are_there",
)
"""The rules that every file's columns are held to."""

_FEATURES = b"huggingface"


def check_columns(found: pa.Schema) -> tuple[Schema[Any] | None, list[Finding]]:
    """The schema to read a file's rows by, and what is wrong with its columns.

    A file that claims no schema is held to the one that its columns tell. There is no schema to
    read by where the file claims an unknown one, or where a column is missing or of another type:
    its rows would only repeat that.
    """
    claim = identify(found)
    told = schema_of(found)
    name, version = claim or (told.name, told.version)
    schema = SCHEMAS.get(name)
    if schema is None or schema.version != version:
        known = ", ".join(f"{s.name} {s.version}" for s in SCHEMAS.values())
        reason = f"claims the schema {name!r}, version {version}; known are {known}"
        return None, [_finding("schema_is_known", "", reason)]
    problems = list(_compare(schema.arrow, found))
    if claim is None:
        reason = f"claims no schema; held to {name} {version}"
        problems.insert(0, ("schema_is_known", "", reason))
    unusable = {"columns_are_there", "columns_have_types"} & {rule for rule, _, _ in problems}
    return None if unusable else schema, [_finding(*problem) for problem in problems]


def _finding(rule: str, column: str, reason: str) -> Finding:
    return Finding("types", rule, None, column, reason)


def _compare(expected: pa.Schema, found: pa.Schema) -> Iterator[tuple[str, str, str]]:
    for field in expected:
        places = found.get_all_field_indices(field.name)
        if len(places) == 1:
            yield from _compare_types(field.name, field.type, found.field(places[0]).type)
        elif places:
            yield "columns_have_types", field.name, f"is there {len(places)} times"
        else:
            yield "columns_are_there", field.name, "is missing"
    for name in found.names:
        if name not in expected.names:
            yield "columns_are_known", name, "is not a column of the schema"
    if _features(found) != _features(expected):
        reason = "has other Hugging Face features than the schema, so images may not show"
        yield "hub_features_are_there", "", reason


def _compare_types(
    path: str, expected: pa.DataType, found: pa.DataType
) -> Iterator[tuple[str, str, str]]:
    if pa.types.is_list(expected) and pa.types.is_list(found):
        yield from _compare_types(f"{path}[]", expected.value_type, found.value_type)
    elif pa.types.is_struct(expected) and pa.types.is_struct(found):
        parts = {field.name: field.type for field in found}
        for field in expected:
            if field.name not in parts:
                yield "columns_are_there", f"{path}.{field.name}", "is missing"
            else:
                inner = f"{path}.{field.name}"
                yield from _compare_types(inner, field.type, parts.pop(field.name))
        for name in parts:
            yield "columns_are_known", f"{path}.{name}", "is not a field of the schema"
    elif expected != found:
        yield "columns_have_types", path, f"is {_name(found)}, not {_name(expected)}"


def _name(kind: pa.DataType) -> str:
    return "struct" if pa.types.is_struct(kind) else str(kind)


def _features(schema: pa.Schema) -> Any:
    try:
        return json.loads((schema.metadata or {})[_FEATURES])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return None
