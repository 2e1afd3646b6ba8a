from __future__ import annotations

import colorsys
import io
import itertools
import random
import re
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from builders.images.photo import OPERATIONS, Operation, PhotoAugmenter, operations_for
from builders.images.protocol import Aspect, ImageKind, ImageRequest, ImageResult
from schemas.images import EncodedImage, fingerprint
from tests.builders.images.support import encode, request

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
SUBSETS: list[frozenset[Aspect]] = [
    frozenset(chosen) for n in range(5) for chosen in itertools.combinations(ASPECTS, n)
]
RED, GREEN, BLUE, GREY = (200, 40, 40), (40, 160, 60), (50, 70, 200), (150, 150, 145)
SEEDS = range(12)


def scene() -> Image.Image:
    """A red disc on the left, a blue one on the right, and a green one between them, lower."""
    picture = Image.new("RGB", (320, 240), GREY)
    draw = ImageDraw.Draw(picture)
    for (x, y), colour in (((80, 90), RED), ((160, 160), GREEN), ((240, 90), BLUE)):
        draw.ellipse((x - 28, y - 28, x + 28, y + 28), fill=colour)
    return picture


def lettering() -> Image.Image:
    """Rows of bars three pixels wide, as fine as small print."""
    levels = np.full((240, 320, 3), 235, dtype=np.uint8)
    for top in (60, 110, 160):
        for left in range(60, 260, 6):
            levels[top : top + 20, left : left + 3] = 25
    return Image.fromarray(levels)


def vary(
    reference: EncodedImage | None,
    protects: frozenset[Aspect] = frozenset(),
    seed: int = 1,
    kind: ImageKind = "image_augmented",
) -> ImageRequest:
    return request(kind=kind, seed=seed, reference=reference, protects=protects)


def change(
    picture: Image.Image, protects: frozenset[Aspect] = frozenset(), seed: int = 1
) -> ImageResult:
    (result,) = PhotoAugmenter().generate([vary(encode(picture), protects, seed)])
    return result


def changed(
    picture: Image.Image, protects: frozenset[Aspect], seeds: Sequence[int] = SEEDS
) -> list[Image.Image]:
    """What the whole generator makes of a picture, seed by seed."""
    made = []
    for seed in seeds:
        result = change(picture, protects, seed)
        assert result.image is not None, result.error
        made.append(result.image.decode())
    return made


def applied(operation: Operation, picture: Image.Image) -> list[Image.Image]:
    return [operation.change(picture, random.Random(seed)) for seed in SEEDS]


def places(picture: Image.Image) -> dict[tuple[int, int, int], tuple[float, float]]:
    """Centre of each disc, as shares of width and height: pixels nearest to it in colour."""
    levels = np.asarray(picture, dtype=float)
    palette = np.array([RED, GREEN, BLUE, GREY], dtype=float)
    nearest = np.linalg.norm(levels[:, :, None, :] - palette, axis=3).argmin(axis=2)
    found = {}
    for i, colour in enumerate((RED, GREEN, BLUE)):
        ys, xs = np.nonzero(nearest == i)
        assert len(xs) > 400, "a disc is gone"
        found[colour] = (float(xs.mean()) / picture.width, float(ys.mean()) / picture.height)
    return found


def hue(picture: Image.Image, at: tuple[float, float]) -> float:
    """Hue in degrees of a small patch."""
    x, y = round(at[0] * picture.width), round(at[1] * picture.height)
    patch = np.asarray(picture.crop((x - 6, y - 6, x + 6, y + 6)), dtype=float)
    r, g, b = patch.reshape(-1, 3).mean(axis=0) / 255
    return 360 * colorsys.rgb_to_hsv(r, g, b)[0]


def apart(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


# What an operation may touch is said beside it. These tests look whether it is true.


@pytest.mark.parametrize(
    "operation", operations_for(frozenset({"side"})), ids=lambda operation: operation.name
)
def test_what_does_not_touch_sides_keeps_everything_in_place(operation: Operation) -> None:
    before = places(scene())
    pictures = applied(operation, scene())
    for picture in pictures if "colour" not in operation.touches else []:
        after = places(picture)
        assert after[RED][0] < after[GREEN][0] < after[BLUE][0]
        for colour, (x, y) in before.items():
            assert after[colour] == pytest.approx((x, y), abs=0.06)
    # A margin of equal widths aside, the shape stays as it is.
    grown = {p.size for p in pictures} - {scene().size}
    assert not grown or operation.name == "frame"


@pytest.mark.parametrize(
    "operation", operations_for(frozenset({"colour"})), ids=lambda operation: operation.name
)
def test_what_does_not_touch_colours_keeps_every_hue(operation: Operation) -> None:
    before = {colour: hue(scene(), at) for colour, at in places(scene()).items()}
    for picture in applied(operation, scene()):
        for colour, at in places(picture).items():
            assert apart(hue(picture, at), before[colour]) < 4


@pytest.mark.parametrize(
    "operation", operations_for(frozenset({"text"})), ids=lambda operation: operation.name
)
def test_what_does_not_touch_writing_keeps_fine_print(operation: Operation) -> None:
    def contrast(picture: Image.Image) -> float:
        grey = np.asarray(picture.convert("L"), dtype=float)
        return float(np.abs(np.diff(grey, axis=1)).max(axis=1).mean())

    before = contrast(lettering())
    for picture in applied(operation, lettering()):
        assert contrast(picture) > 0.5 * before


@pytest.mark.parametrize(
    "operation", operations_for(frozenset({"count"})), ids=lambda operation: operation.name
)
def test_what_does_not_touch_numbers_keeps_what_is_at_the_edge(operation: Operation) -> None:
    picture = Image.new("RGB", (320, 240), GREY)
    draw = ImageDraw.Draw(picture)
    corners = [(4, 4), (4, 226), (306, 4), (306, 226)]
    for x, y in corners:
        draw.rectangle((x, y, x + 9, y + 9), fill=(10, 10, 10))
    for made in applied(operation, picture):
        dark = np.asarray(made.convert("L")) < 90
        halves = [dark[: made.height // 2], dark[made.height // 2 :]]
        quarters = [half[:, part] for half in halves for part in _halves(made.width)]
        assert all(quarter.sum() > 40 for quarter in quarters)


def _halves(width: int) -> tuple[slice, slice]:
    return slice(0, width // 2), slice(width // 2, width)


@pytest.mark.parametrize("protects", SUBSETS, ids=lambda s: "+".join(sorted(s)) or "nothing")
def test_no_operation_touches_a_protected_aspect_and_some_are_left(
    protects: frozenset[Aspect],
) -> None:
    chosen = operations_for(protects)
    assert len(chosen) >= 2
    assert not any(operation.touches & protects for operation in chosen)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_aspect_can_be_spoilt_so_it_must_be_named(aspect: Aspect) -> None:
    assert any(aspect in operation.touches for operation in OPERATIONS)


# The generator as a whole.


def test_left_stays_left_only_where_the_question_asks_for_it() -> None:
    for picture in changed(scene(), frozenset({"side", "colour"})):
        after = places(picture)
        assert after[RED][0] < after[GREEN][0] < after[BLUE][0]
    mirrored = [places(p) for p in changed(scene(), frozenset({"colour"}), range(20))]
    assert any(after[RED][0] > after[BLUE][0] for after in mirrored)


def test_colours_stay_only_where_the_question_asks_for_them() -> None:
    before = {colour: hue(scene(), at) for colour, at in places(scene()).items()}

    def turns(protects: frozenset[Aspect]) -> list[float]:
        return [
            apart(hue(picture, at), before[colour])
            for picture in changed(scene(), protects, range(16))
            for colour, at in places(picture).items()
        ]

    assert max(turns(frozenset({"colour"}))) < 5
    assert max(turns(frozenset({"side", "count"}))) > 8


@pytest.mark.parametrize("protects", SUBSETS, ids=lambda s: "+".join(sorted(s)) or "nothing")
def test_a_change_can_be_seen_and_leaves_a_picture(protects: frozenset[Aspect]) -> None:
    before = fingerprint(encode(scene()).bytes)
    for seed in range(4):
        result = change(scene(), protects, seed)
        assert result.image is not None, result.error
        after = fingerprint(result.image.bytes)
        assert not after.near_duplicate(before)
        assert not after.blank


def test_a_crop_keeps_most_of_the_picture() -> None:
    (crop,) = (operation for operation in OPERATIONS if operation.name == "crop")
    for picture in applied(crop, scene()):
        assert 0.7 < picture.width * picture.height / (320 * 240) < 0.9


def test_seed_reference_and_protection_decide_the_bytes() -> None:
    everything = [vary(encode(scene()), s, seed) for s in SUBSETS[:6] for seed in (1, 2)]
    together = PhotoAugmenter().generate(everything)
    backwards = [PhotoAugmenter().generate([r])[0] for r in reversed(everything)]
    assert together == backwards[::-1]
    assert len({r.image.bytes for r in together if r.image}) >= len(everything) - 2
    assert change(scene(), seed=-5) == change(scene(), seed=-5)


def test_results_say_who_made_them() -> None:
    result = change(scene(), seed=42)
    assert (result.generator, result.model, result.prompt_digest) == ("augment", None, None)
    assert (result.seed, result.fallback, result.error) == (42, False, None)


def test_large_pictures_become_small_jpegs() -> None:
    large = scene().resize((1600, 1200))
    for seed in range(4):
        reference = encode(large, "JPEG", quality=95)
        (result,) = PhotoAugmenter(200).generate([vary(reference, seed=seed)])
        assert result.image is not None
        picture = Image.open(io.BytesIO(result.image.bytes))
        assert picture.format == "JPEG"
        assert 100 < max(picture.size) <= 200


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_all_kinds_of_pixels_can_be_changed(mode: str) -> None:
    if mode == "I;16":
        grey = np.asarray(scene().convert("L"), dtype=np.uint16) << 8
        reference = encode(Image.fromarray(grey))
    else:
        reference = encode(scene().convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    results = PhotoAugmenter().generate([vary(reference, seed=seed) for seed in range(4)])
    assert [result.error for result in results] == [None] * 4


@pytest.mark.parametrize("size", [(40, 4), (4, 40), (9, 9), (1200, 30)])
def test_odd_shapes_give_a_picture_or_a_reason(size: tuple[int, int]) -> None:
    for protects in (SUBSETS[0], SUBSETS[-1]):
        for seed in range(4):
            result = change(scene().resize(size), protects, seed)
            assert (result.image is None) == (result.error is not None)


def test_a_photo_taken_sideways_is_changed_as_people_see_it() -> None:
    sideways = scene().rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    reference = encode(sideways, "JPEG", quality=95, exif=exif)
    (result,) = PhotoAugmenter().generate([vary(reference, frozenset(ASPECTS))])
    assert result.image is not None
    after = places(result.image.decode())
    assert after[RED][0] < after[GREEN][0] < after[BLUE][0]
    assert after[GREEN][1] > after[RED][1]


@pytest.mark.parametrize(
    ("reference", "kind", "reason"),
    [
        (encode(scene()), "image_other_instance", "another picture"),
        (encode(scene()), "negative", "another picture"),
        (None, "image_augmented", "no picture to change"),
        (EncodedImage(b""), "image_augmented", "empty"),
        (EncodedImage(b"GIF89a nonsense"), "image_augmented", "not an image|decoded"),
        (EncodedImage(encode(scene()).bytes[:900]), "image_augmented", "decoded"),
        (encode(Image.new("RGB", (64, 64), RED)), "image_augmented", "blank"),
    ],
)
def test_what_cannot_be_changed_is_said_and_stops_nothing(
    reference: EncodedImage | None, kind: ImageKind, reason: str
) -> None:
    bad, good = PhotoAugmenter().generate([vary(reference, kind=kind), vary(encode(scene()))])
    assert bad.image is None
    assert bad.error is not None
    assert re.search(reason, bad.error)
    assert good.image is not None
