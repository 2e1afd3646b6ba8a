"""Encoded images: the bytes a record carries, and what can be told of them cheaply and safely."""

from __future__ import annotations

import builtins
import io
import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
"""Pixels above which an image is refused before it is decoded (a decompression bomb)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Formats that are decoded; the list keeps rarely audited decoders away from foreign bytes."""

NEAR_DUPLICATE_BITS = 4
"""Hamming distance (of 64 bits) up to which two perceptual hashes call images alike."""

NEAR_DUPLICATE_COLOUR = 8.0
"""Mean colour difference (0-255) up to which images alike in structure are near-duplicates."""

BLANK_DEVIATION = 2.0
"""Standard deviation of the grey levels (0-255) under which an image is called blank."""

_THUMBNAIL = 32
_GRID = 8


class ImageError(Exception):
    """An image that cannot be used, said in one clause."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as stored: encoded bytes and a name for people, the two fields of a Hub `Image`.

    Attributes:
        bytes: The encoded file (JPEG, PNG, ...).
        path: Where it came from, for people. It is never opened.
    """

    bytes: builtins.bytes
    path: str | None = None

    def decode(self) -> Image.Image:
        """The picture as RGB, turned the way its EXIF orientation says, as `datasets` shows it.

        Raises:
            ImageError: If the bytes are not a whole image of an accepted format and size.
        """
        picture = _load(self.bytes, thumbnail=None)
        try:
            return ImageOps.exif_transpose(picture)
        except Exception:  # damaged EXIF surfaces as almost any type, and says nothing then
            return picture


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What validation needs to know of an image.

    Attributes:
        hash: 64-bit perceptual hash (DCT of the grey image; `imagehash.phash`).
        colours: Mean colours of an 8 x 8 grid, 192 bytes.
        deviation: Standard deviation of the grey levels, 0-255.
    """

    hash: int
    colours: bytes
    deviation: float

    @property
    def blank(self) -> bool:
        """Whether the image shows one flat tone."""
        return self.deviation < BLANK_DEVIATION

    def near_duplicate(self, other: Fingerprint) -> bool:
        """Whether both images look the same in structure and in colour.

        A perceptual hash sees brightness only. Two flags that differ in one colour share it, so
        the colours must agree as well.
        """
        if (self.hash ^ other.hash).bit_count() > NEAR_DUPLICATE_BITS:
            return False
        pairs = zip(self.colours, other.colours, strict=True)
        return sum(abs(a - b) for a, b in pairs) / len(self.colours) <= NEAR_DUPLICATE_COLOUR


def fingerprint(data: bytes) -> Fingerprint:
    """Decode `data` at thumbnail size and summarise it; a file seen lately is not decoded again.

    JPEG files are decoded at a reduced scale, which still reads every byte, so that a truncated
    file is found at a fraction of the cost of a full decode.

    Raises:
        ImageError: If the bytes are not a whole image of an accepted format and size.
    """
    return _summary(_File(data))


class _File:
    """A file known by its hash and length, so that a cache can know it without keeping it.

    Python computes the 64-bit hash of a bytes object once and keeps it there, so asking again for
    the same object costs nothing.
    """

    __slots__ = ("content", "known_by")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.known_by = (hash(content), len(content))

    def __hash__(self) -> int:
        return self.known_by[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _File) and self.known_by == other.known_by

    def give_up(self) -> bytes:
        content, self.content = self.content, b""
        return content


@lru_cache(maxsize=4096)
def _summary(file: _File) -> Fingerprint:
    picture = _load(file.give_up(), thumbnail=_THUMBNAIL)
    if max(picture.size) > _THUMBNAIL:
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=None)
    grey = picture.convert("L")
    return Fingerprint(
        hash=_perceptual_hash(grey),
        colours=picture.resize((_GRID, _GRID), Image.Resampling.BOX).tobytes(),
        deviation=_deviation(grey),
    )


def _perceptual_hash(grey: Image.Image) -> int:
    import imagehash  # which brings scipy

    return int(str(imagehash.phash(grey)), 16)


def _deviation(grey: Image.Image) -> float:
    levels = np.asarray(grey, dtype=np.float64).ravel()
    mean = float(levels.sum()) / levels.size
    return math.sqrt(max(0.0, float(levels @ levels) / levels.size - mean * mean))


def _load(data: bytes, thumbnail: int | None) -> Image.Image:
    if not data:
        raise ImageError("the image is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns of size, where our own limit follows, and of oddities that do not matter.
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    f"the image has {width} x {height} pixels, more than {MAX_PIXELS:,} in all"
                )
            if thumbnail is not None:
                picture.draft("RGB", (thumbnail, thumbnail))
            picture.load()
            if picture.mode.startswith("I;16"):  # converting would cut off at 255, to pure white
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            return picture if picture.mode == "RGB" else picture.convert("RGB")
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("the bytes are not an image of a known format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the image has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # damage surfaces from Pillow's decoders as almost any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"the image cannot be decoded: {reason}") from None
