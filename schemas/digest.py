"""Short digests of content: what caches and stored answers are named by."""

from __future__ import annotations

import hashlib


def digest128(data: str | bytes) -> str:
    """A 128-bit BLAKE2b digest, in hex; text counts as UTF-8.

    Raises:
        UnicodeEncodeError: If the text holds half a surrogate pair.
    """
    content = data.encode() if isinstance(data, str) else data
    return hashlib.blake2b(content, digest_size=16).hexdigest()
