"""Numbers as tables show them."""

from __future__ import annotations


def number(value: float, digits: int = 3) -> str:
    """A number; a dash for none."""
    return "–" if value != value else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """An interval; nothing for none."""
    return "" if low != low else f"{low:.{digits}f} – {high:.{digits}f}"
