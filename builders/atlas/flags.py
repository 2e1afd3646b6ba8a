"""Draws flags, and says how alike any two of them look."""

from __future__ import annotations

from functools import cache, lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builders.atlas.flag_specs import FLAGS
from builders.atlas.shapes import FlagSpec, rasterise
from schemas.errors import InputError

Grade = Literal["confusable", "similar", "different"]

#: Height in pixels of the drawing that smaller ones are reduced from.
BASE_HEIGHT = 256

#: Distances below these are graded "confusable" and "similar". See `grade`.
CONFUSABLE_BELOW = 27.0
SIMILAR_BELOW = 50.0

#: Right way round, flags nearer than this need scenes that keep shade and proportion readable.
FRAGILE_BELOW = 45.0

#: What a mirrored or upended likeness adds to the distance of the turned drawing.
_TURNED = 10.0

_KEYS = tuple(sorted(FLAGS))
_PLACES = MappingProxyType({key: place for place, key in enumerate(_KEYS)})

#: Columns and rows of the grid on which flags are compared; shape is normalised away.
_GRID = (48, 32)


def spec(key: str) -> FlagSpec:
    """The construction of a flag.

    Raises:
        InputError: If no flag is drawn for this key.
    """
    try:
        return FLAGS[key]
    except KeyError:
        raise InputError(f"no flag is drawn for the country key {key!r}") from None


@lru_cache(maxsize=256)
def _base(key: str) -> Image.Image:
    return rasterise(spec(key), BASE_HEIGHT)


def draw_flag(key: str, height: int = BASE_HEIGHT) -> Image.Image:
    """The flag as a flat RGB picture `height` pixels high, in its official proportion.

    Args:
        key: ISO 3166-1 alpha-2 code.
        height: Height in pixels, at least 8.

    Raises:
        InputError: If no flag is drawn for this key, or the height is below 8.
    """
    if height < 8:
        raise InputError(f"a flag needs a height of at least 8 pixels, not {height}")
    if height > BASE_HEIGHT:
        return rasterise(spec(key), height)
    base = _base(key)
    if height == BASE_HEIGHT:
        return base.copy()
    return base.resize((round(height * spec(key).aspect), height), Image.Resampling.BOX)


@lru_cache(maxsize=256)
def _lab(key: str) -> NDArray[np.float32]:
    """The flag stretched to the comparison grid, in CIELAB; shape (rows, columns, 3)."""
    small = np.asarray(_base(key).resize(_GRID, Image.Resampling.BOX), np.float32)
    return srgb_to_lab(small / np.float32(255))


def srgb_to_lab(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """CIELAB (D65) of sRGB values in 0..1; the last axis holds the three channels."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack(
        [
            116 * f[..., 1] - 16,
            500 * (f[..., 0] - f[..., 1]),
            200 * (f[..., 1] - f[..., 2]),
        ],
        axis=-1,
    ).astype(np.float32)


@cache
def _distances() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root mean square differences of all pairs, the right way round and the other turned.

    Rows and columns are flags in the order of their keys.
    """
    grids = np.stack([_lab(key) for key in _KEYS])
    turned = (grids[:, :, ::-1], grids[:, ::-1])

    def differences(others: NDArray[np.float32]) -> NDArray[np.float64]:
        rows = (np.square(grids - other).sum(axis=-1).mean(axis=(1, 2)) for other in others)
        return np.sqrt(np.stack(list(rows)), dtype=np.float64)

    return differences(grids), np.minimum(*(differences(others) for others in turned))


def _same_way_up(a: str, b: str) -> float:
    return float(_distances()[0][_PLACES[a], _PLACES[b]])


def visual_distance(a: str, b: str) -> float:
    """How far two flags look apart: root mean square CIELAB difference, 0 for the same flag.

    The square lets an emblem count for more than its area: Turkey and China share most of their
    red, yet nobody takes one for the other. Both are stretched to one grid, so proportion does not
    count. People also mix up flags that are each other's mirror image or upside-down image, Ireland
    and Côte d'Ivoire say, or Poland and Monaco: such a likeness counts too, 10 further off than a
    likeness the right way round.
    """
    if a == b:
        return 0.0
    first, second = sorted((a, b))  # so that rounding is the same both ways
    turned = float(_distances()[1][_PLACES[first], _PLACES[second]])
    return min(_same_way_up(first, second), _TURNED + turned)


@lru_cache(maxsize=256)
def neighbours(key: str) -> tuple[tuple[str, float], ...]:
    """All other flags with their visual distance, nearest first."""
    spec(key)
    ranked = sorted((visual_distance(key, other), other) for other in FLAGS if other != key)
    return tuple((other, distance) for distance, other in ranked)


def grade(distance: float) -> Grade:
    """The everyday word for a visual distance.

    "confusable" (below 27): nothing but shade, a small emblem, the order of the colours or the
    proportion separates the two, as with Chad and Romania. "similar" (below 50): the same layout
    with one colour changed, as with Austria and Latvia, or about as close. "different": the rest.
    """
    if distance < CONFUSABLE_BELOW:
        return "confusable"
    return "similar" if distance < SIMILAR_BELOW else "different"


@lru_cache(maxsize=256)
def fragile_partners(key: str) -> tuple[str, ...]:
    """The flags that only shade, proportion or a small emblem tells from this one, by key.

    Measured the right way round, because no scene mirrors or upends a flag.
    """
    spec(key)
    return tuple(
        other
        for other in sorted(FLAGS)
        if other != key and _same_way_up(*sorted((key, other))) < FRAGILE_BELOW
    )


def is_fragile(key: str) -> bool:
    """Whether a scene could turn this flag into another one by a change of shade or proportion."""
    return bool(fragile_partners(key))
