"""Pictures made fit to store: verified, upright, of one size and format."""

from __future__ import annotations

import io

from PIL import Image

from schemas.images import EncodedImage, ImageError, fingerprint

LONG_SIDE = 512
"""Pixels of a picture's longer side, unless said otherwise; what today's encoders look at."""

QUALITY = 92
"""JPEG quality: no visible loss at a third of a PNG's size."""


def finish(picture: Image.Image, long_side: int) -> EncodedImage:
    """The picture as JPEG, shrunk where it is larger; equal pixels give equal bytes.

    Raises:
        ImageError: It shows one flat tone.
    """
    # A copy without what the encoder would carry over: comments, profiles, EXIF.
    clean = Image.new("RGB", picture.size)
    clean.paste(picture)
    clean.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    clean.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    encoded = EncodedImage(buffer.getvalue(), None)
    if fingerprint(encoded.bytes).blank:
        raise ImageError("the picture is blank")
    return encoded


def verified(data: bytes, long_side: int) -> EncodedImage:
    """A picture from foreign bytes, decoded whole and encoded anew.

    Raises:
        ImageError: It is no image, damaged, too large or blank.
    """
    return finish(EncodedImage(data, None).decode(), long_side)
