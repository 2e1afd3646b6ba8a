"""Photographs slightly changed: the same picture as somebody else might have taken or stored it."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from builders.images.finish import LONG_SIDE, finish
from builders.images.protocol import Aspect, ImageRequest, ImageResult
from schemas.images import EncodedImage, ImageError, fingerprint

Change = Callable[[Image.Image, random.Random], Image.Image]

_ATTEMPTS = 8
"""Draws of changes until one of them shows. A frame alone nearly always does."""


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
    """Keeps 84 to 93 hundredths of either side, anywhere."""
    width, height = picture.size
    share = rng.uniform(0.84, 0.93)
    w, h = max(1, round(width * share)), max(1, round(height * share))
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    return picture.crop((left, top, left + w, top + h))


def _mirror(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageOps.mirror(picture)


def _perspective(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Brings one side of the picture a little nearer; its two corners leave the frame."""
    width, height = picture.size
    depth = rng.uniform(0.05, 0.10)
    dx, dy = width * depth, height * depth
    if rng.random() < 0.5:
        quad = (dx, dy, dx, height - dy, width, height, width, 0)
    else:
        quad = (0, 0, 0, height, width - dx, height - dy, width - dx, dy)
    return picture.transform(
        picture.size, Image.Transform.QUAD, quad, resample=Image.Resampling.BICUBIC
    )


def _rotate(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Turns by two to five degrees; nothing leaves the frame, and edges run on into its corners."""
    angle = rng.choice((-1, 1)) * rng.uniform(2, 5)
    width, height = picture.size
    # On a wide margin that repeats the edge, so that the corners that come free are not empty.
    x, y = 2 + math.ceil(0.1 * height), 2 + math.ceil(0.1 * width)
    wide = np.pad(np.asarray(picture), ((y, y), (x, x), (0, 0)), mode="edge")
    turned = Image.fromarray(wide).rotate(angle, Image.Resampling.BICUBIC)
    lean = math.sin(math.radians(abs(angle))) / 2
    left, top = x - math.ceil(lean * height), y - math.ceil(lean * width)
    return turned.crop((left, top, turned.width - left, turned.height - top))


def _hue(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Turns the colour wheel by 5 to 8 of 256 steps, as another white balance would."""
    hue, saturation, value = picture.convert("HSV").split()
    turn = rng.choice((-1, 1)) * rng.randint(5, 8)
    turned = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _saturation(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Color(picture).enhance(rng.choice((0.55, 0.7, 1.4, 1.7)))


def _light(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(rng.choice((0.78, 0.84, 1.12, 1.17)))


def _contrast(picture: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(rng.choice((0.78, 0.85, 1.18, 1.28)))


def _blur(picture: Image.Image, rng: random.Random) -> Image.Image:
    radius = rng.uniform(0.003, 0.006) * min(picture.size)
    return picture.filter(ImageFilter.GaussianBlur(radius))


def _rescale(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Loses fine detail, as a picture does that was stored at half its size and enlarged again."""
    share = rng.uniform(0.4, 0.6)
    small = tuple(max(1, round(side * share)) for side in picture.size)
    return picture.resize((small[0], small[1]), Image.Resampling.BOX).resize(
        picture.size, Image.Resampling.BICUBIC
    )


def _compression(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Shows the blocks of a strongly compressed JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=rng.randint(18, 35), subsampling=0)
    return Image.open(buffer).convert("RGB")


def _exposure(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A tenth more or less light at most: no colour gets another name by it."""
    change = rng.choice((-1, 1)) * rng.uniform(0.06, 0.10)
    return ImageEnhance.Brightness(picture).enhance(1 + change)


def _frame(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Steps back: a margin as of a print, white or grey, and equal on opposite sides."""
    width, height = picture.size
    x, y = (max(1, round(side * rng.uniform(0.06, 0.14))) for side in (width, height))
    level = rng.choice((250, 225, 140))
    framed = Image.new("RGB", (width + 2 * x, height + 2 * y), (level, level, level))
    framed.paste(picture, (x, y))
    return framed


OPERATIONS: tuple[Operation, ...] = (
    Operation("crop", frozenset({"count", "side", "text"}), _crop),
    Operation("mirror", frozenset({"side", "text"}), _mirror),
    Operation("perspective", frozenset({"count", "side", "text"}), _perspective),
    Operation("rotation", frozenset({"side"}), _rotate),
    Operation("hue", frozenset({"colour"}), _hue),
    Operation("saturation", frozenset({"colour"}), _saturation),
    Operation("light", frozenset({"colour"}), _light),
    Operation("contrast", frozenset({"colour"}), _contrast),
    Operation("blur", frozenset({"count", "text"}), _blur),
    Operation("rescale", frozenset({"count", "text"}), _rescale),
    Operation("compression", frozenset({"text"}), _compression),
    Operation("exposure", frozenset(), _exposure),
    Operation("frame", frozenset(), _frame),
)
"""All kinds of change, in the order in which they are applied. The last two touch nothing, so every
picture can be changed."""


def operations_for(protects: frozenset[Aspect]) -> tuple[Operation, ...]:
    """The operations that touch none of the protected aspects."""
    return tuple(op for op in OPERATIONS if not op.touches & protects)


class PhotoAugmenter:
    """Changes the edited picture without touching what its question asks about.

    Only `image_augmented` can be made this way; the other kinds need another picture. The result
    depends on the reference's bytes, the protected aspects and the seed, and on nothing else. It
    never is a near-duplicate of the reference (`Fingerprint.near_duplicate`), and never blank.

    Args:
        long_side: Pixels of the longer side at most.
    """

    name = "augment"

    def __init__(self, long_side: int = LONG_SIDE) -> None:
        self._long_side = long_side

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order."""
        return [self._one(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""

    def _one(self, request: ImageRequest) -> ImageResult:
        image, error = None, None
        if request.kind != "image_augmented":
            error = f"changing a photograph cannot give another picture ({request.kind})"
        elif request.reference is None:
            error = "there is no picture to change"
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
        original = reference.decode()
        original.thumbnail((self._long_side, self._long_side), Image.Resampling.LANCZOS)
        before = fingerprint(finish(original, self._long_side).bytes)
        allowed = operations_for(protects)
        for _ in range(_ATTEMPTS):
            chosen = rng.sample(allowed, min(len(allowed), rng.randint(2, 3)))
            picture = original
            for operation in sorted(chosen, key=OPERATIONS.index):
                picture = operation.change(picture, rng)
            changed = finish(picture, self._long_side)
            if not fingerprint(changed.bytes).near_duplicate(before):
                return changed
        raise ImageError("no change that keeps what the question asks about can be seen in it")
