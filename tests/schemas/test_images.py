from __future__ import annotations

import contextlib
import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from schemas.images import EncodedImage, ImageError, fingerprint
from tests.factories import encode, make_image, make_stripes


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_accepted_formats_decode_to_rgb(kind: str):
    image = make_image(3, format=kind)
    assert image.decode().mode == "RGB"
    assert image.decode().size == (48, 48)
    assert not fingerprint(image.bytes).blank


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_other_modes_decode_to_rgb(mode: str):
    picture = make_image(3).decode().convert(mode)
    image = encode(picture, "TIFF" if mode == "CMYK" else "PNG")
    assert image.decode().mode == "RGB"


def test_sixteen_bit_grey_keeps_its_levels():
    grey = np.asarray(make_image(3).decode().convert("L"))
    image = encode(Image.fromarray(grey.astype(np.uint16) * 257))
    assert np.array_equal(np.asarray(image.decode())[..., 0], grey)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_truncated_files_are_refused(kind: str, part: float):
    data = make_image(3, 128, kind).bytes
    data = data[: int(len(data) * part)]
    with pytest.raises(ImageError):
        fingerprint(data)
    with pytest.raises(ImageError):
        EncodedImage(data).decode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<svg/>", "known format"),
        (b"\xff\xd8\xff\xe0 not really", "cannot be decoded"),
    ],
)
def test_other_bytes_are_refused(data: bytes, reason: str):
    with pytest.raises(ImageError, match=reason):
        fingerprint(data)


@pytest.mark.parametrize("side", [7_100, 10_000, 30_000])
def test_bombs_are_refused_by_their_header(side: int):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="pixels"):
            fingerprint(png_claiming(side, side))
        with pytest.raises(ImageError, match="pixels"):
            EncodedImage(png_claiming(side, side)).decode()


def test_a_bomb_that_would_really_decode_is_refused(monkeypatch: pytest.MonkeyPatch):
    # A program around us may have lifted Pillow's own limit.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    bomb = encode(Image.new("1", (8_000, 8_000)))
    assert len(bomb.bytes) < 20_000
    with pytest.raises(ImageError, match="8000 x 8000 pixels"):
        bomb.decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_damage_never_shows_as_another_error(kind: str):
    chance = random.Random(kind)
    whole = make_image(3, format=kind).bytes
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            data[chance.randrange(min(len(data), chance.choice((40, 200, 10**6))))] = 255
        with contextlib.suppress(ImageError):
            fingerprint(bytes(data))


@pytest.mark.parametrize("colour", ["black", "white", "#336699"])
def test_flat_images_are_blank(colour: str):
    assert fingerprint(encode(Image.new("RGB", (64, 64), colour)).bytes).blank


@pytest.mark.parametrize(
    "image", [make_image(1), make_stripes("red", "blue"), make_stripes("#002b7f", "#fcd116")]
)
def test_pictures_are_not_blank(image: EncodedImage):
    assert not fingerprint(image.bytes).blank


def test_hash_is_that_of_imagehash():
    imagehash = pytest.importorskip("imagehash")
    for seed in range(50):
        image = make_image(seed, 32)  # the size at which hashes are taken
        bits = imagehash.phash(image.decode()).hash.flatten()
        assert fingerprint(image.bytes).hash == int(
            "".join("01"[bit] for bit in bits.astype(int)), 2
        )


def near_duplicate(one: EncodedImage, other: EncodedImage) -> bool:
    return fingerprint(one.bytes).near_duplicate(fingerprint(other.bytes))


@pytest.mark.parametrize("size", [64, 256, 800])
def test_recoded_and_resized_copies_are_near_duplicates(size: int):
    picture = make_image(5, 256).decode()
    buffer = io.BytesIO()
    picture.resize((size, size)).save(buffer, "JPEG", quality=70)
    assert near_duplicate(make_image(5, 256), EncodedImage(buffer.getvalue()))


def test_slightly_cropped_and_brightened_copies_are_near_duplicates():
    picture = make_image(5, 256).decode()
    assert near_duplicate(make_image(5, 256), encode(picture.crop((2, 2, 254, 254))))
    brighter = picture.point([min(255, level + 5) for level in range(256)] * 3)
    assert near_duplicate(make_image(5, 256), encode(brighter))


def test_other_pictures_are_no_near_duplicates():
    images = [make_image(seed) for seed in range(12)]
    assert not any(near_duplicate(a, b) for i, a in enumerate(images) for b in images[:i])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("#002664", "#fecb00", "#c60c30"), ("#002b7f", "#fcd116", "#ce1126")),  # Chad, Romania
        (("#002b7f", "#fcd116", "#ce1126"), ("#009a44", "#fcd116", "#ce1126")),  # Romania, Mali
        (("#008c45", "#f4f9ff", "#cd212a"), ("#169b62", "#ffffff", "#ff883e")),  # Italy, Ireland
        (("#0055a4", "#ffffff", "#ef4135"), ("#008751", "#ffffff", "#008751")),  # France, Nigeria
    ],
)
def test_flags_of_one_structure_in_other_colours_are_no_near_duplicates(
    one: tuple[str, ...], other: tuple[str, ...]
):
    assert not near_duplicate(make_stripes(*one), make_stripes(*other))


def test_decoding_follows_the_exif_orientation():
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (0, 0, 20, 20))  # blue on the left
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown a quarter turn clockwise: blue on top
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=turned)
    shown = EncodedImage(buffer.getvalue()).decode()
    assert shown.size == (20, 40)
    assert shown.getpixel((10, 5)) == (0, 0, 255)
    assert shown.getpixel((10, 35)) == (255, 0, 0)
