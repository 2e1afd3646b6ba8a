"""JSON schemas of pydantic models in the dialect that structured outputs accept."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema with every object closed and every property required.

    Strict mode allows neither optional properties nor defaults nor a `$ref` with neighbours, so
    defaults are dropped, all properties are required and such references are written out. What the
    model itself accepts stays as it is: this is only what a server is asked for.
    """
    schema = model.model_json_schema()
    return _closed(schema, schema)


def _closed(node: Any, root: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_closed(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and len(node) > 1:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _closed({**copy.deepcopy(target), **beside}, root)
    closed: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):  # names chosen by the model's author, not keywords
            closed[key] = {name: _closed(child, root) for name, child in value.items()}
        elif key in ("enum", "const"):
            closed[key] = value
        elif key not in ("default", "title"):
            closed[key] = _closed(value, root)
    if closed.get("type") == "object":
        closed["additionalProperties"] = False
        closed["required"] = list(closed.get("properties", {}))
    return closed
