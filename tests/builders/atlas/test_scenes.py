from __future__ import annotations

import io
import random
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from builders.atlas.backdrops import BACKDROPS, Backdrop, paint_backdrop
from builders.atlas.flag_specs import FLAGS
from builders.atlas.flags import draw_flag, is_fragile, spec
from builders.atlas.scenes import Pose, Scene, encode, pose, render, vary
from schemas.errors import InputError

Array = NDArray[np.float64]

# A reader that shares nothing with the renderer but the map from flag to picture coordinates: it
# looks at the picture where each candidate flag would lie and compares with that flag's drawing.
U = (np.arange(48) + 0.5) / 48
V = (np.arange(32) + 0.5) / 32


@lru_cache(maxsize=1)
def drawings() -> dict[float, tuple[tuple[str, ...], Array]]:
    """Keys and flat drawings (flags, rows, columns, 3), by proportion."""
    groups: dict[float, list[str]] = {}
    for key in sorted(FLAGS):
        groups.setdefault(round(spec(key).aspect, 6), []).append(key)

    def flat(key: str) -> Array:
        small = draw_flag(key).resize((48, 32), Image.Resampling.BOX)
        return np.asarray(small, np.float64)

    return {
        aspect: (tuple(keys), np.stack([flat(key) for key in keys]))
        for aspect, keys in groups.items()
    }


def look(pixels: Array, x: Array, y: Array) -> Array:
    """Bilinear samples of the picture at pixel coordinates; the nearest pixel beyond its border."""
    size = pixels.shape[0]
    x, y = np.clip(x - 0.5, 0, size - 1.001), np.clip(y - 0.5, 0, size - 1.001)
    i, j = x.astype(int), y.astype(int)
    a, b = (x - i)[..., None], (y - j)[..., None]
    top = pixels[j, i] * (1 - a) + pixels[j, i + 1] * a
    low = pixels[j + 1, i] * (1 - a) + pixels[j + 1, i + 1] * a
    return top * (1 - b) + low * b


def read(picture: Image.Image, scene: Scene) -> str:
    """The key of the flag that explains the picture best."""
    pixels = np.asarray(picture, np.float64)
    size = picture.width
    best, found = np.inf, ""
    for aspect, (keys, flats) in drawings().items():
        where = pose(scene, aspect, size)
        x, y = where.to_picture(*np.meshgrid(U, V))
        inside = (x < size).astype(float)[None, ..., None]
        seen = look(pixels, x, y)[None]
        # One gain for the whole flag, so that a darker shade cannot pass for a lighter one.
        gain = (seen * flats * inside).sum((1, 2, 3)) / ((flats**2) * inside).sum((1, 2, 3))
        error = (np.abs(seen - gain[:, None, None, None] * flats) * inside).sum((1, 2, 3)) / (
            3 * inside.sum()
        )
        # A candidate of the wrong proportion ends within the true flag, or beyond it.
        error = error + 40 * edgeless(pixels, where)
        index = int(error.argmin())
        if error[index] < best:
            best, found = float(error[index]), keys[index]
    return found


def edgeless(pixels: Array, where: Pose) -> float:
    """Share of the four sides across which the picture does not change."""
    size = pixels.shape[0]
    t = np.linspace(0.06, 0.94, 24)
    du, dv = 4.0 / where.width, 4.0 / where.height
    sides = []
    for inner, outer in (
        ((np.full(24, du), t), (np.full(24, -du), t)),
        ((np.full(24, 1 - du), t), (np.full(24, 1 + du), t)),
        ((t, np.full(24, dv)), (t, np.full(24, -dv))),
        ((t, np.full(24, 1 - dv)), (t, np.full(24, 1 + dv))),
    ):
        ox, oy = where.to_picture(*outer)
        step = np.abs(look(pixels, *where.to_picture(*inner)) - look(pixels, ox, oy)).max(axis=-1)
        visible = (ox >= 0) & (ox < size) & (oy >= 0) & (oy < size)
        sides.append(bool(visible.any()) and float(np.median(step[visible])) < 14)
    return sum(sides) / 4


def misread(seeds: range) -> list[tuple[str, str, int]]:
    wrong = []
    for key in sorted(FLAGS):
        for seed in seeds:
            number = random.Random(f"{key} {seed}").getrandbits(40)
            scene = Scene.draw(number, is_fragile(key))
            if seed % 2:
                scene = vary(scene, number)
            found = read(render(key, scene), scene)
            if found != key:
                wrong.append((key, found, number))
    return wrong


def test_every_flag_can_be_told_from_all_others() -> None:
    assert misread(range(1)) == []


@pytest.mark.slow
def test_every_flag_can_be_told_from_all_others_in_many_scenes() -> None:
    assert misread(range(1, 13)) == []


def test_a_scene_follows_from_its_seed() -> None:
    assert Scene.draw(7, False) == Scene.draw(7, False)
    assert Scene.draw(7, False) != Scene.draw(8, False)
    assert vary(Scene.draw(7, False), 1) == vary(Scene.draw(7, False), 1)
    assert vary(Scene.draw(7, False), 1) != vary(Scene.draw(7, False), 2)


@pytest.mark.parametrize("size", [64, 224, 256, 301])
def test_rendering_is_deterministic_and_of_the_asked_size(size: int) -> None:
    scene = Scene.draw(11, False)
    first, second = render("KN", scene, size), render("KN", scene, size)
    assert first.mode == "RGB"
    assert first.size == (size, size)
    assert first.tobytes() == second.tobytes()


def test_rendering_does_not_depend_on_what_was_rendered_before() -> None:
    scene = Scene.draw(3, False)
    before = render("JM", scene).tobytes()
    for seed in range(5):
        render("US", Scene.draw(seed, False), 128)
    assert render("JM", scene).tobytes() == before


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_a_backdrop_is_textured_muted_and_follows_from_its_seed(backdrop: Backdrop) -> None:
    for seed in range(4):
        picture = paint_backdrop(backdrop, seed, 128)
        assert picture.size == (128, 128)
        assert picture.tobytes() == paint_backdrop(backdrop, seed, 128).tobytes()
        assert picture.tobytes() != paint_backdrop(backdrop, seed + 1, 128).tobytes()
        pixels = np.asarray(picture, np.int16)
        assert pixels.std() > 5
        # No colour as strong as those of a flag: every flag has one beyond this, or black or white.
        chroma = pixels.max(axis=-1) - pixels.min(axis=-1)
        assert np.quantile(chroma, 0.99) < 110


def test_all_backdrops_and_supports_occur() -> None:
    scenes = [Scene.draw(seed, seed % 2 == 0) for seed in range(300)]
    assert {scene.backdrop for scene in scenes} == set(BACKDROPS)
    assert {scene.support for scene in scenes} == {"pole", "rod", "print"}
    assert any(scene.crop for scene in scenes)


def test_fragile_scenes_stay_neutral_whole_and_calm() -> None:
    for seed in range(200):
        scene = Scene.draw(seed, fragile=True)
        for candidate in (scene, vary(scene, seed), vary(vary(scene, seed), seed + 1)):
            assert candidate.fragile
            assert candidate.tint == (1.0, 1.0, 1.0)
            assert 0.97 <= candidate.gain <= 1.03
            assert candidate.crop == 0
            assert candidate.wave <= 0.02
            assert abs(candidate.turn) <= 4
            assert candidate.fold_shade <= 0.06


@pytest.mark.parametrize("aspect", [1.0, 1.5, 2.0, 28 / 11])
def test_an_uncropped_flag_lies_wholly_in_the_picture(aspect: float) -> None:
    u, v = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 21))
    for seed in range(150):
        scene = Scene.draw(seed, fragile=False)
        x, y = pose(scene, aspect, 256).to_picture(u, v)
        assert y.min() >= 0
        assert y.max() <= 256
        assert x.min() >= 0
        beyond = (x > 256).mean()
        assert beyond <= scene.crop + 0.006


def test_flag_and_picture_coordinates_are_inverse() -> None:
    u, v = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    for seed in range(40):
        where = pose(Scene.draw(seed, fragile=False), 1.5, 256)
        back_u, back_v = where.to_flag(*where.to_picture(u, v))
        np.testing.assert_allclose(back_u, u, atol=1e-9)
        np.testing.assert_allclose(back_v, v, atol=1e-9)


def test_a_flag_is_never_mirrored_nor_upended() -> None:
    for seed in range(100):
        where = pose(Scene.draw(seed, fragile=False), 1.5, 256)
        x, y = where.to_picture(np.array([0.1, 0.9, 0.5, 0.5]), np.array([0.5, 0.5, 0.1, 0.9]))
        assert x[0] < x[1]
        assert y[2] < y[3]


def test_a_varied_scene_shows_the_same_flag_before_the_same_backdrop() -> None:
    scene = Scene.draw(21, fragile=False)
    other = vary(scene, 5)
    assert (other.backdrop, other.support, other.texture_seed) == (
        scene.backdrop,
        scene.support,
        scene.texture_seed,
    )
    assert render("FR", other).tobytes() != render("FR", scene).tobytes()


def test_a_fragile_flag_refuses_a_free_scene() -> None:
    free = Scene.draw(1, fragile=False)
    with pytest.raises(InputError, match="TD differs from another only in shade"):
        render("TD", free)
    render("TD", Scene.draw(1, fragile=True), 64)


def test_bad_requests_are_refused() -> None:
    scene = Scene.draw(1, fragile=False)
    with pytest.raises(InputError, match="at least 64 pixels"):
        render("FR", scene, 32)
    with pytest.raises(InputError, match="'XX'"):
        render("XX", scene)


def test_encoding_keeps_the_picture_and_its_full_chroma() -> None:
    picture = render("ZA", Scene.draw(2, fragile=False))
    data = encode(picture)
    assert data == encode(picture)
    back = Image.open(io.BytesIO(data))
    assert back.format == "JPEG"
    assert back.size == picture.size
    layers = [component[1:3] for component in back.layer]  # type: ignore[attr-defined]
    assert layers == [(1, 1)] * 3
    difference = np.asarray(back.convert("RGB"), np.int16) - np.asarray(picture, np.int16)
    assert np.abs(difference).mean() < 3
