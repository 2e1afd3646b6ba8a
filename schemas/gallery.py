"""Thumbnails of an HTML page, each of them encoded and inlined once."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field

from markupsafe import Markup
from PIL import Image

from schemas.images import EncodedImage, ImageError

_LARGE = ((448, 76, 28_000), (448, 50, 28_000), (320, 45, 28_000), (224, 40, 28_000))
"""Longest side, WebP quality and bytes allowed, tried in order, for a large picture."""

_SMALL = ((176, 74, 5_500), (176, 48, 5_500), (144, 35, 5_500), (96, 30, 5_500))
"""The same for small ones: 60 large and 1,000 small pictures stay under 10 MB of page."""


@dataclass(frozen=True)
class Picture:
    """A picture at one place of a page.

    Attributes:
        number: Names the picture in the page.
        uri: Its data, where it appears for the first time; other places refer to that one.
        reason: Why it cannot be shown, or None.
    """

    number: int
    uri: Markup | None = None
    reason: str | None = None


@dataclass
class Gallery:
    """The pictures of one page so far; holds digests, not pictures."""

    _seen: dict[tuple[bytes, bool], Picture] = field(default_factory=dict)

    def show(self, image: EncodedImage, large: bool = False) -> Picture:
        """The picture as it goes here; called in the page's order."""
        digest = hashlib.sha256(image.bytes).digest()
        for size in (True, large):  # a large one does for a small place too
            if seen := self._seen.get((digest, size)):
                return seen
        number = len(self._seen) + 1
        try:
            data = thumbnail(image, large=large)
        except ImageError as error:
            first = later = Picture(number, reason=str(error))
        else:
            first, later = Picture(number, uri=data_uri(data)), Picture(number)
        self._seen[digest, large] = later
        return first


def data_uri(webp: bytes) -> Markup:
    """A WebP file as an address that holds all of it."""
    # Base64 has no character that a page would take for markup.
    return Markup(f"data:image/webp;base64,{base64.b64encode(webp).decode()}")  # noqa: S704


def thumbnail(image: EncodedImage, *, large: bool = False) -> bytes:
    """A picture as a small WebP file.

    Raises:
        ImageError: If the bytes are no picture that can be shown.
    """
    picture, data = image.decode(), b""
    # The first rung that fits its allowance, else the last one.
    for side, quality, allowance in _LARGE if large else _SMALL:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        if len(data) <= allowance:
            break
    return data
