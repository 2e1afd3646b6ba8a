"""What is behind a flag: cheap procedural scenery in muted colours.

Muted and textured on purpose: nothing here may be taken for a flag, nor for a part of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

Backdrop = Literal["sky", "plaster", "bricks", "wood", "meadow", "fabric", "studio", "city"]
BACKDROPS: tuple[Backdrop, ...] = (
    "sky",
    "plaster",
    "bricks",
    "wood",
    "meadow",
    "fabric",
    "studio",
    "city",
)

#: Backdrops near enough to the flag for its shadow to fall on them.
SURFACES: frozenset[Backdrop] = frozenset({"plaster", "bricks", "wood", "fabric"})

_Colour = tuple[int, int, int]

_PLASTER: tuple[_Colour, ...] = ((176, 166, 148), (150, 156, 160), (168, 150, 136), (140, 146, 132))
_BRICK: tuple[_Colour, ...] = ((142, 104, 88), (128, 120, 114), (152, 124, 98))
_WOOD: tuple[_Colour, ...] = ((134, 100, 70), (110, 84, 62), (158, 130, 98))
_CLOTH: tuple[_Colour, ...] = ((124, 116, 128), (112, 124, 118), (140, 130, 116), (104, 108, 118))
_SKY: tuple[_Colour, ...] = ((128, 166, 204), (148, 172, 196), (112, 148, 188))


def paint_backdrop(kind: Backdrop, seed: int, size: int) -> Image.Image:
    """A backdrop `size` pixels square, RGB; the same arguments give the same pixels."""
    return _PAINTERS[kind](np.random.default_rng(seed), size)


def _cells(
    rng: np.random.Generator, columns: int, rows: int, size: int, *, smooth: bool = True
) -> Image.Image:
    """Random grey values on a coarse grid, stretched to the picture; mode L."""
    grid = Image.fromarray(rng.integers(0, 256, (rows, columns), np.uint8))
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return grid.resize((size, size), how)


@lru_cache(maxsize=8)
def _grain(size: int) -> Image.Image:
    """Fine noise at pixel scale, larger than the picture so that windows of it differ."""
    rng = np.random.default_rng(20260101)
    return Image.fromarray(rng.integers(0, 256, (2 * size, 2 * size), np.uint8))


def _fine(rng: np.random.Generator, size: int) -> Image.Image:
    x, y = (int(v) for v in rng.integers(0, size, 2))
    return _grain(size).crop((x, y, x + size, y + size))


@lru_cache(maxsize=8)
def _downwards(size: int) -> Image.Image:
    """Grey 0 at the top to 255 at the bottom; mode L."""
    column = np.linspace(0, 255, size).astype(np.uint8)
    return Image.fromarray(np.repeat(column[:, None], size, axis=1))


def _ramp(low: _Colour, high: _Colour, start: int = 0, end: int = 255) -> list[list[int]]:
    """Three lookup tables from a grey value to the colours between low and high."""
    t = np.clip((np.arange(256) - start) / (end - start), 0, 1)
    return [np.round(a + (b - a) * t).astype(int).tolist() for a, b in zip(low, high, strict=True)]


def _tinted(grey: Image.Image, tables: list[list[int]]) -> Image.Image:
    return Image.merge("RGB", [grey.point(table) for table in tables])


def _around(colour: _Colour, spread: int) -> list[list[int]]:
    return _ramp(
        (colour[0] - spread, colour[1] - spread, colour[2] - spread),
        (colour[0] + spread, colour[1] + spread, colour[2] + spread),
    )


def _pick(rng: np.random.Generator, colours: tuple[_Colour, ...]) -> _Colour:
    return colours[int(rng.integers(len(colours)))]


def _sky(rng: np.random.Generator, size: int) -> Image.Image:
    clouds = Image.blend(_cells(rng, 4, 6, size), _cells(rng, 11, 17, size), 0.35)
    blue = _pick(rng, _SKY)
    start = int(rng.integers(100, 150))
    sky = _tinted(clouds, _ramp(blue, (222, 226, 230), start, start + 70))
    haze = _tinted(_downwards(size), _ramp((225, 228, 232), (255, 255, 255)))
    return ImageChops.multiply(sky, haze)


def _plaster(rng: np.random.Generator, size: int) -> Image.Image:
    rough = Image.blend(_cells(rng, 5, 5, size), _cells(rng, 60, 60, size), 0.4)
    return _tinted(Image.blend(rough, _fine(rng, size), 0.2), _around(_pick(rng, _PLASTER), 26))


def _bricks(rng: np.random.Generator, size: int) -> Image.Image:
    colour = _pick(rng, _BRICK)
    height = max(size // int(rng.integers(12, 17)), 4)
    width = height * 5 // 2
    tones = rng.integers(90, 166, (size // height + 2, size // width + 3))
    wall = np.repeat(np.repeat(tones, height, axis=0), width, axis=1)[:size]
    joint = max(height // 8, 1)
    rows = np.arange(size)
    out = np.empty((size, size), np.int16)
    for row in range(0, size, height):
        shift = width // 2 if (row // height) % 2 else 0
        course = wall[row : row + height, shift : shift + size].astype(np.int16)
        for x in range(-shift % width, size, width):
            course[:, x : x + joint] = 215
        out[row : row + height] = course
    out[(rows % height) < joint] = 215
    grey = Image.fromarray(out.astype(np.uint8))
    return _tinted(Image.blend(grey, _fine(rng, size), 0.12), _around(colour, 40))


def _wood(rng: np.random.Generator, size: int) -> Image.Image:
    colour = _pick(rng, _WOOD)
    streaks = Image.blend(_cells(rng, 90, 5, size), _cells(rng, 22, 3, size), 0.5)
    boards = np.asarray(Image.blend(streaks, _fine(rng, size), 0.12)).copy()
    width = max(size // int(rng.integers(5, 9)), 8)
    for x in range(int(rng.integers(0, width)), size, width):
        boards[:, x : x + max(size // 128, 1)] = 20
    return _tinted(Image.fromarray(boards), _around(colour, 34))


def _meadow(rng: np.random.Generator, size: int) -> Image.Image:
    sky = _tinted(
        Image.blend(_downwards(size), _cells(rng, 4, 6, size), 0.5),
        _ramp((150, 172, 196), (212, 218, 222)),
    )
    grass = _tinted(
        Image.blend(_cells(rng, 50, 26, size), _fine(rng, size), 0.45),
        _ramp((58, 78, 40), (128, 144, 86)),
    )
    # A rough tree line keeps the horizon from being the straight edge of a stripe.
    horizon = 0.6 + 0.2 * rng.random()
    hills = np.interp(
        np.arange(size),
        np.linspace(0, size, 24),
        size * (horizon + rng.normal(0, 0.022, 24)),
    )
    below = (np.arange(size)[:, None] >= hills[None, :]).astype(np.uint8) * 255
    sky.paste(grass, mask=Image.fromarray(below))
    return sky


def _fabric(rng: np.random.Generator, size: int) -> Image.Image:
    colour = _pick(rng, _CLOTH)
    weave = np.full((4, 4), 150, np.uint8)
    weave[:2, :2] = weave[2:, 2:] = 96
    tiles = -(-size // 4)
    cloth = Image.fromarray(np.tile(weave, (tiles, tiles))[:size, :size])
    folds = Image.blend(cloth, _cells(rng, 6, 4, size), 0.5)
    return _tinted(Image.blend(folds, _fine(rng, size), 0.15), _around(colour, 30))


def _studio(rng: np.random.Generator, size: int) -> Image.Image:
    colour = _pick(rng, _PLASTER + _CLOTH)
    soft = Image.blend(_downwards(size), _cells(rng, 3, 3, size), 0.5)
    if rng.random() < 0.5:
        soft = ImageChops.invert(soft)
    return _tinted(Image.blend(soft, _fine(rng, size), 0.03), _around(colour, 44))


def _city(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _tinted(
        Image.blend(_downwards(size), _cells(rng, 4, 5, size), 0.4),
        _ramp((158, 172, 188), (208, 212, 214)),
    )
    draw = ImageDraw.Draw(picture)
    x = -int(rng.integers(0, size // 8))
    window = max(size // 40, 3)
    while x < size:
        width = int(size * rng.uniform(0.1, 0.2))
        top = int(size * rng.uniform(0.3, 0.75))
        tone = int(rng.integers(92, 150))
        draw.rectangle(
            (x, top, x + width, size), fill=(tone, tone, tone + int(rng.integers(-8, 9)))
        )
        for wy in range(top + window, size, 2 * window):
            for wx in range(x + window, x + width - window, 2 * window):
                if rng.random() < 0.75:
                    lit = tone - 34 if rng.random() < 0.8 else tone + 52
                    draw.rectangle((wx, wy, wx + window - 1, wy + window - 1), fill=(lit, lit, lit))
        x += width + int(rng.integers(0, 4))
    return Image.blend(picture, Image.merge("RGB", [_fine(rng, size)] * 3), 0.05)


_PAINTERS: Mapping[Backdrop, Callable[[np.random.Generator, int], Image.Image]] = MappingProxyType(
    {
        "sky": _sky,
        "plaster": _plaster,
        "bricks": _bricks,
        "wood": _wood,
        "meadow": _meadow,
        "fabric": _fabric,
        "studio": _studio,
        "city": _city,
    }
)


@lru_cache(maxsize=4)
def sensor_noise(size: int) -> NDArray[np.float32]:
    """Standard normal noise for windows of a picture, shape (size + 64, size + 64, 3)."""
    rng = np.random.default_rng(20260102)
    return rng.standard_normal((size + 64, size + 64, 3), np.float32)
