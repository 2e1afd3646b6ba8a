"""Whether values from a file are of the kinds that annotations say."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def annotated(kind: type) -> dict[str, Any]:
    """The annotations of a class; none where one names what is not there when it runs."""
    try:
        return typing.get_type_hints(kind)
    except NameError:
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotation's kind, what it holds included.

    A whole number is a float too, and a truth value is no number.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    kind = NoneType if hint is None else origin or hint
    if kind is Any or not isinstance(kind, type):
        return True
    if kind in (int, float):
        number = isinstance(value, int | float if kind is float else int)
        return number and not isinstance(value, bool)
    if not isinstance(value, kind):
        return False
    if isinstance(value, Mapping) and len(inner) == 2:
        return all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if isinstance(value, tuple) and kind is tuple and inner and inner[-1] is not ...:
        return len(value) == len(inner) and all(map(fits, value, inner))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and inner:
        return all(fits(item, inner[0]) for item in value)
    return True
