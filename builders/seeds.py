"""Seeds derived from content, so that order, sharding and resuming never change an output."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Hex SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def seed_for(*parts: str | int) -> int:
    """A 63-bit seed that depends on the parts alone."""
    return int(digest(parts)[:16], 16) >> 1


def content_id(*parts: Any) -> str:
    """A record id of 16 hex digits that depends on the content alone."""
    return digest(parts)[:16]
