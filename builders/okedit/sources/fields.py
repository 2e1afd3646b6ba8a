"""Checked access to the fields of foreign rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FieldError(Exception):
    """A field that cannot be used: its name, and why as a clause."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def text(row: Mapping[str, Any], name: str) -> str:
    """A non-empty text without outer spaces.

    Raises:
        FieldError: If it is missing, no text, or empty.
    """
    if name not in row:
        raise FieldError(name, "is missing")
    value = row[name]
    if not isinstance(value, str):
        raise FieldError(name, f"is a {type(value).__name__}, not a text")
    if not value.strip():
        raise FieldError(name, "is empty")
    return value.strip()


def texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, or one text as a list; empty texts and repetitions are dropped.

    Raises:
        FieldError: If it is missing or holds anything but texts.
    """
    if name not in row:
        raise FieldError(name, "is missing")
    value = row[name]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise FieldError(name, "is not a list of texts")
    return tuple(dict.fromkeys(item.strip() for item in value if item.strip()))


def whole(row: Mapping[str, Any], name: str) -> int:
    """A whole number.

    Raises:
        FieldError: If it is missing or no whole number.
    """
    if name not in row:
        raise FieldError(name, "is missing")
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(name, f"is a {type(value).__name__}, not a whole number")
    return value
