"""Pictures, requests and settings that the tests of image generators share."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from builders.images.endpoint import OpenAIImageGenerator
from builders.images.protocol import Aspect, ImageKind, ImageRequest
from builders.text.settings import EndpointSettings, Secret
from schemas.images import EncodedImage

KEY = "sk-very-secret-0123456789"


def encode(picture: Image.Image, format: str = "PNG", **options: Any) -> EncodedImage:  # noqa: A002
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return EncodedImage(buffer.getvalue(), None)


def scene(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """Soft light with a few patches: like a photograph in what counts here."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    light = 60 + 120 * (x / width + y / height) / 2
    pixels = np.stack([light, light * 0.8, light * 0.6], axis=-1)
    for _ in range(4):
        left, top = rng.integers(0, width * 3 // 4), rng.integers(0, height * 3 // 4)
        pixels[top : top + height // 4, left : left + width // 4] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def request(
    phrase: str = "a red bus",
    *,
    kind: ImageKind = "negative",
    seed: int = 1,
    reference: EncodedImage | None = None,
    protects: Iterable[Aspect] = (),
    record: str = "r1",
) -> ImageRequest:
    return ImageRequest(record, kind, phrase, seed, reference, frozenset(protects))


def requests(count: int) -> list[ImageRequest]:
    return [request(f"thing {i}", seed=i, record=f"r{i}") for i in range(count)]


def settings(url: str, **changes: Any) -> EndpointSettings:
    given = {
        "model": "painter",
        "base_url": url,
        "api_key": Secret(KEY),
        "concurrency": 4,
        "timeout": 5.0,
        "max_wait": 2.0,
    }
    return EndpointSettings(**{**given, **changes})


def generator(url: str, folder: Path, **changes: Any) -> OpenAIImageGenerator:
    return OpenAIImageGenerator(settings(url, **changes), cache_path=folder / "pictures.sqlite")
