"""Photographs slightly changed: the same picture as somebody else might have taken or stored it."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from builders.images.protocol import Aspect, ImageRequest, ImageResult
from schemas.images import EncodedImage, ImageError

Change = Callable[[Image.Image, random.Random], Image.Image]


@dataclass(frozen=True)
class Operation:
    """One kind of change.

    Attributes:
        name: Short name.
        touches: The aspects that it could spoil.
        change: What it does.
    """

    name: str
    touches: frozenset[Aspect]
    change: Change


def _crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Four fifths to nine tenths of either side, anywhere."""
    width, height = picture.size
    share = rng.uniform(0.80, 0.92)
    w, h = max(1, round(width * share)), max(1, round(height * share))
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    return picture.crop((left, top, left + w, top + h))


def _mirror(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageOps.mirror(picture)


def _saturation(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Color(picture).enhance(rng.choice((0.55, 0.7, 1.4, 1.7)))


def _hue(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A turn of the colour wheel by 8 to 14 of 256 steps."""
    hue, saturation, value = picture.convert("HSV").split()
    turn = rng.choice((-1, 1)) * rng.randint(8, 14)
    turned = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _perspective(picture: Image.Image, rng: random.Random) -> Image.Image:
    """One side of the picture moves a little away; no corner leaves the frame's far half."""
    width, height = picture.size
    depth = rng.uniform(0.05, 0.10)
    dx, dy = width * depth, height * depth
    corners = [(0.0, 0.0), (0.0, height), (float(width), height), (float(width), 0.0)]
    moved = rng.choice(
        (
            [(dx, dy), (dx, height - dy), corners[2], corners[3]],
            [corners[0], corners[1], (width - dx, height - dy), (width - dx, dy)],
        )
    )
    quad = tuple(value for corner in moved for value in corner)
    return picture.transform(
        picture.size, Image.Transform.QUAD, quad, resample=Image.Resampling.BICUBIC
    )


def _blur(picture: Image.Image, rng: random.Random) -> Image.Image:
    radius = rng.uniform(0.004, 0.008) * min(picture.size)
    return picture.filter(ImageFilter.GaussianBlur(radius))


def _rotate(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Two to five degrees; the corners that come free show the picture's mean colour."""
    angle = rng.choice((-1, 1)) * rng.uniform(2, 5)
    return picture.rotate(
        angle, Image.Resampling.BICUBIC, expand=True, fillcolor=_mean_colour(picture)
    )


def _brightness(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(rng.choice((0.82, 0.88, 1.12, 1.18)))


def _contrast(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(rng.choice((0.8, 0.87, 1.15, 1.25)))


def _frame(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A margin on all sides in the picture's mean colour, as if taken from further away."""
    width, height = picture.size
    x, y = (round(side * rng.uniform(0.06, 0.14)) for side in (width, height))
    framed = Image.new("RGB", (width + 2 * x, height + 2 * y), _mean_colour(picture))
    framed.paste(picture, (x, y))
    return framed


OPERATIONS: tuple[Operation, ...] = (
    Operation("crop", frozenset({"count", "side", "text"}), _crop),
    Operation("mirror", frozenset({"side", "text"}), _mirror),
    Operation("saturation", frozenset({"colour"}), _saturation),
    Operation("hue", frozenset({"colour"}), _hue),
    Operation("perspective", frozenset({"side", "text", "count"}), _perspective),
    Operation("blur", frozenset({"text", "count"}), _blur),
    Operation("rotation", frozenset({"side"}), _rotate),
    Operation("brightness", frozenset({"colour"}), _brightness),
    Operation("contrast", frozenset({"colour"}), _contrast),
    Operation("frame", frozenset(), _frame),
)
"""All kinds of change. A frame touches nothing, so every picture can be changed."""


class PhotoAugmenter:
    """Changes the edited picture without touching what its question asks about.

    Only `image_augmented` can be made this way; the other kinds need another picture.

    Args:
        long_side: Pixels of the longer side at most.
        quality: JPEG quality.
    """

    name = "augment"

    def __init__(self, long_side: int = 512, quality: int = 92) -> None:
        self._long_side = long_side
        self._quality = quality

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order."""
        return [self._one(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""

    def _one(self, request: ImageRequest) -> ImageResult:
        image, error = None, None
        if request.kind != "image_augmented" or request.reference is None:
            error = f"no model is at hand to draw {request.kind}"
        else:
            try:
                image = self._change(request.reference, request.protects, request.seed)
            except ImageError as reason:
                error = str(reason)
        return ImageResult(image, error, self.name, None, None, request.seed)

    def _change(
        self, reference: EncodedImage, protects: frozenset[Aspect], seed: int
    ) -> EncodedImage:
        rng = random.Random(seed)
        picture = reference.decode()
        picture.thumbnail((self._long_side, self._long_side), Image.Resampling.LANCZOS)
        allowed = [op for op in OPERATIONS if not op.touches & protects]
        chosen = rng.sample(allowed, min(len(allowed), rng.randint(2, 3)))
        for operation in sorted(chosen, key=OPERATIONS.index):
            picture = operation.change(picture, rng)
        picture.thumbnail((self._long_side, self._long_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=self._quality, subsampling=0)
        return EncodedImage(buffer.getvalue(), None)


def _mean_colour(picture: Image.Image) -> tuple[int, ...]:
    pixel = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel
