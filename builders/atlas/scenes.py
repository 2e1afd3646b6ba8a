"""Photograph-like pictures of a flag: how it hangs, what is behind it, how it is lit.

A fresh `Scene` is another instance of the flag; `vary` sees the same instance slightly differently.
Every picture stays decidable: the whole flag is in view, never mirrored, and a flag that only
shade or proportion tells from another (`flags.is_fragile`) gets neutral light and calm cloth.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from builders.atlas.backdrops import (
    BACKDROPS,
    SURFACES,
    Backdrop,
    paint_backdrop,
    sensor_noise,
)
from builders.atlas.flags import draw_flag, is_fragile, spec
from schemas.errors import InputError

#: Whether the flag flies from a pole, hangs from a rod, or is printed flat on a board.
Support = Literal["pole", "rod", "print"]

#: Smallest picture in which a small emblem survives.
MIN_SIZE = 64

#: Pixels of transparent border around the texture, so that its edge is anti-aliased.
_PAD = 2

#: A whole flag stays this share of the picture away from its border.
_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class _Limits:
    """How far the parameters of a scene may go."""

    gain: tuple[float, float]
    tint: float
    fold_shade: float
    wave: float
    turn: float
    noise: float
    crop: float


_FREE = _Limits(
    gain=(0.74, 1.06), tint=0.06, fold_shade=0.26, wave=0.06, turn=9.0, noise=4.0, crop=0.07
)
_CALM = _Limits(
    gain=(0.97, 1.03), tint=0.0, fold_shade=0.06, wave=0.02, turn=4.0, noise=1.5, crop=0.0
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything about a picture but the flag and the size; lengths are shares of the picture.

    Attributes:
        backdrop: What is behind the flag.
        support: "pole", "rod" or "print".
        extent: Width of a 3:2 flag; others get the same area, as far as they fit.
        place_x: Where the flag sits in the room it leaves, -1 leftmost to 1 rightmost.
        place_y: The same, -1 top to 1 bottom.
        turn: Rotation in degrees, clockwise.
        wave: Amplitude of the cloth's wave over the flag's height.
        waves: Number of waves across the cloth.
        phase: Phase of the wave in radians.
        fold_shade: How much the folds lighten and darken the cloth.
        gain: Brightness of the light on the flag.
        tint: Factors on red, green and blue.
        crop: Share of the flag's width that the right border cuts off.
        noise: Standard deviation of the sensor noise in grey levels.
        texture_seed: Seeds the backdrop.
        noise_seed: Seeds the sensor noise.
        fragile: Whether the scene keeps to the limits for flags of a fragile pair.
    """

    backdrop: Backdrop
    support: Support
    extent: float
    place_x: float
    place_y: float
    turn: float
    wave: float
    waves: float
    phase: float
    fold_shade: float
    gain: float
    tint: tuple[float, float, float]
    crop: float
    noise: float
    texture_seed: int
    noise_seed: int
    fragile: bool

    @classmethod
    def draw(cls, seed: int, fragile: bool) -> Scene:
        """A random scene; the same arguments give the same scene.

        Args:
            seed: Any integer.
            fragile: `is_fragile` of the flag that will be in it.
        """
        rng = Random(f"scene {seed}")
        limits = _CALM if fragile else _FREE
        backdrop = rng.choice(BACKDROPS)
        supports: tuple[Support, ...] = ("pole", "rod", "print")
        # A print needs a surface, and a pole the open air.
        weights = (1, 2, 2) if backdrop in SURFACES else (4, 1, 0)
        support = rng.choices(supports, weights)[0]
        flat = support == "print"
        return cls(
            backdrop=backdrop,
            support=support,
            extent=rng.uniform(0.58, 0.8),
            place_x=rng.uniform(-1, 1),
            place_y=rng.uniform(-1, 1),
            turn=rng.uniform(-limits.turn, limits.turn),
            wave=0.0 if flat else limits.wave * rng.uniform(0.4, 1),
            waves=rng.uniform(1.1, 2.2),
            phase=rng.uniform(0, 2 * math.pi),
            fold_shade=0.0 if flat else limits.fold_shade * rng.uniform(0.4, 1),
            gain=rng.uniform(*limits.gain),
            tint=_tint(rng, limits.tint),
            crop=limits.crop * rng.random() if limits.crop and rng.random() < 0.25 else 0.0,
            noise=limits.noise * rng.random(),
            texture_seed=rng.getrandbits(48),
            noise_seed=rng.getrandbits(48),
            fragile=fragile,
        )


def _tint(rng: Random, most: float) -> tuple[float, float, float]:
    return (
        1 + rng.uniform(-most, most),
        1 + rng.uniform(-most, most),
        1 + rng.uniform(-most, most),
    )


def vary(scene: Scene, seed: int) -> Scene:
    """The same flag before the same backdrop, an instant later: light, framing and cloth moved.

    Stays within the limits of the scene it came from, so a fragile scene stays fragile.
    """
    rng = Random(f"vary {seed}")
    limits = _CALM if scene.fragile else _FREE

    def near(value: float, step: float, low: float, high: float) -> float:
        return min(max(value + rng.uniform(-step, step), low), high)

    return replace(
        scene,
        extent=near(scene.extent, 0.05, 0.56, 0.82),
        place_x=near(scene.place_x, 0.35, -1, 1),
        place_y=near(scene.place_y, 0.35, -1, 1),
        turn=near(scene.turn, 2.0, -limits.turn, limits.turn),
        phase=scene.phase + rng.uniform(0.4, 2.0),
        gain=near(scene.gain, 0.08, *limits.gain),
        tint=_tint(rng, limits.tint),
        crop=near(scene.crop, 0.03, 0.0, limits.crop) if scene.crop else 0.0,
        noise=limits.noise * rng.random(),
        noise_seed=rng.getrandbits(48),
    )


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a flag of given proportion lies in the picture: maps between flag and pixels.

    Flag coordinates (u, v) run from (0, 0) at the upper hoist to (1, 1) at the lower fly.

    Attributes:
        scene: The scene it belongs to.
        x: Column of the flag's centre in pixels.
        y: Row of the flag's centre in pixels.
        width: Width of the flat flag in pixels.
        height: Height of the flat flag in pixels.
    """

    scene: Scene
    x: float
    y: float
    width: float
    height: float

    def to_picture(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel coordinates (x, y) of flag coordinates (u, v)."""
        shift, stretch = self._cloth(u)
        p = (u - 0.5) * self.width
        q = shift + v * stretch * self.height - self.height / 2
        a = math.radians(self.scene.turn)
        return (
            self.x + p * math.cos(a) - q * math.sin(a),
            self.y + p * math.sin(a) + q * math.cos(a),
        )

    def to_flag(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flag coordinates (u, v) of pixel coordinates (x, y)."""
        a = math.radians(self.scene.turn)
        dx, dy = x - self.x, y - self.y
        u = (dx * math.cos(a) + dy * math.sin(a)) / self.width + 0.5
        q = dy * math.cos(a) - dx * math.sin(a)
        shift, stretch = self._cloth(u)
        return u, (q + self.height / 2 - shift) / (stretch * self.height)

    def _cloth(
        self, u: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | float, NDArray[np.float64] | float]:
        """How far each column is moved down, in pixels, and stretched."""
        scene = self.scene
        ripple = scene.wave * np.sin(2 * math.pi * scene.waves * u + scene.phase)
        if scene.support == "pole":
            # Held at the hoist, free at the fly.
            return ripple * (0.25 + 0.75 * np.clip(u, 0, 1)) * self.height, 1.0
        # Held along the top: folds shorten the cloth.
        return 0.0, 1.0 + 0.6 * ripple


def pose(scene: Scene, aspect: float, size: int) -> Pose:
    """Where a flag with this width over height lies in a picture `size` pixels square."""
    a = math.radians(abs(scene.turn))
    swell = 1 + 2 * scene.wave

    def bounds(width: float) -> tuple[float, float]:
        height = width / aspect * swell
        return (
            width * math.cos(a) + height * math.sin(a),
            width * math.sin(a) + height * math.cos(a),
        )

    room = 1 - 2 * _MARGIN
    width = scene.extent * math.sqrt(aspect / 1.5)
    width *= min(1.0, room / max(bounds(width)))
    across, down = bounds(width)
    x = 0.5 + scene.place_x * (room - across) / 2
    if scene.crop:
        x = 1 - across / 2 + scene.crop * width
    y = 0.5 + scene.place_y * (room - down) / 2
    return Pose(scene, x * size, y * size, width * size, width * size / aspect)


@lru_cache(maxsize=256)
def _texture(key: str, height: int) -> NDArray[np.float32]:
    """The flat flag with a slightly darker hem, shape (height, width, 3), values 0..255."""
    flag = np.asarray(draw_flag(key, height), np.float32).copy()
    hem = max(round(height / 90), 1)
    for edge in (np.s_[:hem], np.s_[-hem:], np.s_[:, :hem], np.s_[:, -hem:]):
        flag[edge] *= 0.93
    flag.flags.writeable = False
    return flag


def _lit_texture(key: str, scene: Scene, height: float) -> Image.Image:
    """The flag under the scene's light, with a transparent border; mode RGBX, X is opacity."""
    flat = _texture(key, max(round(height / 4) * 4, 8))
    rows, columns = flat.shape[:2]
    light = np.asarray(scene.tint, np.float32) * np.float32(scene.gain)
    if scene.fold_shade:
        u = np.linspace(0, 2 * math.pi * scene.waves, columns, dtype=np.float32) + scene.phase + 0.9
        v = np.linspace(0, 0.7, rows, dtype=np.float32)
        folds = 1 + scene.fold_shade * np.sin(u[None, :] + v[:, None])
        lit = flat * (folds[..., None] * light)
    else:
        lit = flat * light
    out = np.zeros((rows + 2 * _PAD, columns + 2 * _PAD, 4), np.uint8)
    inner = out[_PAD:-_PAD, _PAD:-_PAD]
    inner[..., :3] = np.minimum(lit + 0.5, 255)
    inner[..., 3] = 255
    # The border repeats the edge's colour, so that blending into it fades without darkening.
    out[:_PAD, :, :3], out[-_PAD:, :, :3] = out[_PAD, :, :3], out[-_PAD - 1, :, :3]
    out[:, :_PAD, :3], out[:, -_PAD:, :3] = out[:, [_PAD], :3], out[:, [-_PAD - 1], :3]
    return Image.frombuffer(
        "RGBX", (out.shape[1], out.shape[0]), out.tobytes(), "raw", "RGBX", 0, 1
    )


def _warp(texture: Image.Image, where: Pose, size: int) -> Image.Image:
    """The texture bent into its pose, size x size, by a mesh of bilinear patches."""
    corners_u, corners_v = np.meshgrid(np.linspace(0, 1, 9), np.array([0.0, 1.0]))
    xs, ys = where.to_picture(corners_u, corners_v)
    slack = 2 + where.scene.wave * where.height
    left, top = max(int(xs.min() - slack), 0), max(int(ys.min() - slack), 0)
    right, bottom = min(int(xs.max() + slack) + 1, size), min(int(ys.max() + slack) + 1, size)
    columns = max(round((right - left) / (size / 16)), 1)
    rows = max(round((bottom - top) / (size / 4)), 1)
    if not (where.scene.wave or where.scene.turn):
        columns = rows = 1
    x_edges = np.linspace(left, right, columns + 1).round().astype(int)
    y_edges = np.linspace(top, bottom, rows + 1).round().astype(int)
    u, v = where.to_flag(*np.meshgrid(x_edges.astype(float), y_edges.astype(float)))
    sx = (_PAD + u * (texture.width - 2 * _PAD)).tolist()
    sy = (_PAD + v * (texture.height - 2 * _PAD)).tolist()
    x_list, y_list = x_edges.tolist(), y_edges.tolist()
    mesh = [
        (
            (x_list[i], y_list[j], x_list[i + 1], y_list[j + 1]),
            (
                sx[j][i],
                sy[j][i],
                sx[j + 1][i],
                sy[j + 1][i],
                sx[j + 1][i + 1],
                sy[j + 1][i + 1],
                sx[j][i + 1],
                sy[j][i + 1],
            ),
        )
        for j in range(rows)
        for i in range(columns)
    ]
    return texture.transform((size, size), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _paint_support(picture: Image.Image, where: Pose, size: int) -> None:
    """Paints the pole at the hoist, or the rod and its cords along the top."""
    scene = where.scene
    if scene.support == "print":
        return
    draw = ImageDraw.Draw(picture)
    thick = max(size / 64, 2.0)
    metal = ((104, 100, 96), (168, 164, 158), (128, 124, 118))
    a = math.radians(scene.turn)
    along, outward = (math.cos(a), math.sin(a)), (-math.sin(a), math.cos(a))

    def at(p: float, q: float) -> tuple[float, float]:
        return (
            where.x + p * along[0] + q * outward[0],
            where.y + p * along[1] + q * outward[1],
        )

    half_w, half_h = where.width / 2, where.height / 2
    for i, tone in enumerate(metal):
        low, high = thick * i / 3, thick * (i + 1) / 3
        if scene.support == "pole":
            p0, p1 = -half_w - thick + low, -half_w - thick + high + 1
            top, foot = -half_h - 2 * thick, 2.0 * size
            draw.polygon([at(p0, top), at(p1, top), at(p1, foot), at(p0, foot)], fill=tone)
        else:
            q0, q1 = -half_h - thick + low, -half_h - thick + high + 1
            end = half_w + 2 * thick
            draw.polygon([at(-end, q0), at(end, q0), at(end, q1), at(-end, q1)], fill=tone)
    if scene.support == "rod":
        for p in (-half_w, half_w):
            x, y = at(p, -half_h - thick)
            draw.line([(x, y), (x, -1)], fill=metal[0], width=max(size // 200, 1))


def render(key: str, scene: Scene, size: int = 256) -> Image.Image:
    """The flag in its scene as an RGB picture `size` pixels square.

    Args:
        key: ISO 3166-1 alpha-2 code of a drawn flag.
        scene: Must be a fragile one if the flag is fragile.
        size: Side in pixels, at least 64; small emblems want 224 or more.

    Raises:
        InputError: If the flag is not drawn, the size is too small, or the scene is not calm
            enough for a fragile flag.
    """
    flag = spec(key)
    if size < MIN_SIZE:
        raise InputError(f"a picture needs a side of at least {MIN_SIZE} pixels, not {size}")
    if is_fragile(key) and not scene.fragile:
        raise InputError(
            f"the flag of {key} differs from another only in shade or proportion, "
            "so its scene must be drawn with fragile=True"
        )
    where = pose(scene, flag.aspect, size)
    cloth = _warp(_lit_texture(key, scene, where.height), where, size)
    opacity = cloth.getchannel(3)
    picture = paint_backdrop(scene.backdrop, scene.texture_seed, size)
    if scene.backdrop in SURFACES:
        drop = max(size // 50, 1)
        soft = opacity.reduce(4).resize((size, size), Image.Resampling.BILINEAR)
        picture.paste((30, 28, 26), (drop // 2, drop), soft.point([v * 2 // 5 for v in range(256)]))
    _paint_support(picture, where, size)
    picture.paste(cloth.convert("RGB"), mask=opacity)
    return _with_noise(picture, scene, size)


def _with_noise(picture: Image.Image, scene: Scene, size: int) -> Image.Image:
    x, y = scene.noise_seed % 64, scene.noise_seed // 64 % 64
    noise = sensor_noise(size)[y : y + size, x : x + size] * np.float32(scene.noise)
    noise += np.asarray(picture)
    np.clip(noise, 0, 255, out=noise)
    return Image.fromarray((noise + np.float32(0.5)).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, quality: int = 92) -> bytes:
    """The picture as JPEG bytes, without chroma subsampling: thin coloured stripes stay."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
