"""Encoded images: the bytes a record carries, and what can be told of them cheaply and safely."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, UnidentifiedImageError

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

_THUMBNAIL = 64


class ImageError(Exception):
    """An image that cannot be used, said in one clause."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as stored: encoded bytes and a name for people, the two fields of a Hub `Image`.

    Attributes:
        bytes: The encoded file (JPEG, PNG, ...).
        path: Where it came from, for people. It is never opened.
    """

    bytes: bytes
    path: str | None = None

    def decode(self) -> Image.Image:
        """The picture as RGB.

        Raises:
            ImageError: If the bytes are not a whole image of an accepted format and size.
        """
        return _load(self.bytes, thumbnail=None)


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


@lru_cache(maxsize=256)
def fingerprint(data: bytes) -> Fingerprint:
    """Decode `data` at thumbnail size and summarise it.

    JPEG files are decoded at a reduced scale, which still reads every byte, so that a truncated
    file is found at a fraction of the cost of a full decode.

    Raises:
        ImageError: If the bytes are not a whole image of an accepted format and size.
    """
    import imagehash
    import numpy as np

    picture = _load(data, thumbnail=_THUMBNAIL)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=None)
    grey = picture.convert("L")
    bits = imagehash.phash(grey).hash.flatten()
    return Fingerprint(
        hash=int("".join("1" if bit else "0" for bit in bits), 2),
        colours=picture.resize((8, 8), Image.Resampling.BOX).tobytes(),
        deviation=float(np.asarray(grey, dtype=np.float32).std()),
    )


def _load(data: bytes, thumbnail: int | None) -> Image.Image:
    if not data:
        raise ImageError("the image is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns or raises at its own limit; ours is checked below, before any decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f"the image has {width} x {height} pixels, more than {MAX_PIXELS:,} in all"
            )
        if thumbnail is not None:
            picture.draft("RGB", (thumbnail, thumbnail))
        return picture.convert("RGB")
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("the bytes are not an image of a known format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"the image has more than {MAX_PIXELS:,} pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        # Pillow's decoders signal damage by all of these.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"the image cannot be decoded: {reason}") from None
