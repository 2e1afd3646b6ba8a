"""The models behind the generators: from the command line and the environment to open clients."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builders.images.beside import DrawnBeside
from builders.images.protocol import ImageGenerator
from builders.okedit.options import Options
from builders.text.budget import RequestBudget
from builders.text.model import REQUESTS, TextModel
from builders.text.protocol import TextGenerator
from builders.text.settings import EndpointSettings
from schemas.errors import InputError

IMAGE_TIMEOUT = 300.0
"""Seconds that one picture may take: hosted models need up to two minutes, local ones longer."""


@dataclass(frozen=True)
class Models:
    """The models behind the generators; none for a build that is offline throughout.

    Attributes:
        text: The endpoint that writes text.
        images: The endpoint that draws pictures.
        diffusers: Folder or Hub id of a local text-to-image pipeline.
        cache: The file of cached answers, with `.images.sqlite` beside it for pictures, or None
            for the user's cache folder.
        max_requests: Text and image requests that the build may send in all.
    """

    text: EndpointSettings | None = None
    images: EndpointSettings | None = None
    diffusers: str | None = None
    cache: Path | None = None
    max_requests: int | None = None

    @classmethod
    def resolve(
        cls,
        options: Options,
        *,
        model: str | None,
        image_model: str | None,
        base_url: str | None,
        api_key: str | None,
        concurrency: int,
        cache: Path | None,
        max_requests: int | None,
    ) -> Models:
        """The models that the options call for, from arguments and the environment.

        Raises:
            InputError: If one is called for and not named.
        """
        text = images = diffusers = None
        if options.text == "openai":
            text = EndpointSettings.resolve(
                model=model, base_url=base_url, api_key=api_key, concurrency=concurrency
            )
        if options.images != "offline":
            named = image_model or os.environ.get("MEDIT_IMAGE_MODEL")
            if not named:
                raise InputError(
                    "no image model is named: pass --image-model or set MEDIT_IMAGE_MODEL"
                )
            if options.images == "diffusers":
                diffusers = named
            else:
                images = EndpointSettings.resolve(
                    model=named,
                    base_url=base_url,
                    api_key=api_key,
                    concurrency=concurrency,
                    timeout=IMAGE_TIMEOUT,
                )
        return cls(text, images, diffusers, cache, max_requests)

    def describe(self, options: Options) -> dict[str, Any]:
        """Generators and models for the manifest; no addresses and no keys."""
        described: dict[str, Any] = {
            "text": {"generator": options.text},
            "images": {"generator": options.images},
        }
        if self.text_model is not None:
            described["text"] |= self.text_model.describe()
        if self.images is not None:
            described["images"]["model"] = self.images.model
        if self.diffusers is not None:
            described["images"]["model"] = _public_name(self.diffusers)
        return described

    def check(self) -> None:
        """Find out early, before anything is written, whether the models can be asked.

        Raises:
            InputError: If a key or a package is missing.
        """
        for endpoint in (self.text, self.images):
            if endpoint is not None:
                endpoint.require_key()
        if self.diffusers is not None:
            from builders.images.diffusion import require_package

            require_package()

    def open_text(self, offline: TextGenerator, work: Path, share: int) -> TextGenerator:
        """The text generator of one of `share` workers; `offline` where no model is called for."""
        model = self.text_model
        return offline if model is None else model.open(work, share)

    @property
    def text_model(self) -> TextModel | None:
        """The model that writes text, or None where rules do."""
        return self.text and TextModel(self.text, self.cache, self.max_requests)

    def open_images(self, offline: ImageGenerator, work: Path, share: int) -> ImageGenerator:
        """The image generator of one of `share` workers; `offline` varies pictures in any case."""
        if self.images is not None:
            from builders.images.endpoint import OpenAIImageGenerator

            endpoint = OpenAIImageGenerator(
                replace(self.images, concurrency=max(1, self.images.concurrency // share)),
                cache_path=self.cache and self.cache.with_suffix(".images.sqlite"),
                budget=RequestBudget(work / REQUESTS, self.max_requests),
            )
            return DrawnBeside(endpoint, offline)
        if self.diffusers is not None:
            from builders.images.diffusion import DiffusersGenerator

            return DrawnBeside(DiffusersGenerator(self.diffusers), offline)
        return offline


def _public_name(model: str) -> str:
    """A Hub id whole, and of a folder its name alone: where it lies is the user's own business."""
    path = Path(model)
    folder = path.is_absolute() or model[0] in ".~" or len(path.parts) > 2 or path.exists()
    return path.resolve().name if folder else model
