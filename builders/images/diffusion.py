"""The generator that draws on this machine, with a text-to-image pipeline of `diffusers`."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builders.images.finish import finish
from builders.images.prompt import CANNOT_VARY, digest_of_prompt, prompt_for
from builders.images.protocol import ImageRequest, ImageResult
from schemas.errors import InputError
from schemas.images import EncodedImage, ImageError

_NAME = "diffusers"
_LOG = logging.getLogger(__name__)

_WITHHELD = "the pipeline's safety checker withheld the picture"


def require_package() -> None:
    """Finds out, without importing it, whether `diffusers` is installed.

    Raises:
        InputError: It is not.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise InputError('drawing on this machine needs diffusers: pip install "medit[diffusers]"')


class DiffusersGenerator:
    """Draws from phrases with a local pipeline. An `ImageGenerator`.

    The pipeline is loaded at first use, from safetensors files only and without code of the
    model's own. Each picture has its own random stream, seeded on the CPU by its request, so that
    neither its neighbours in a batch nor the device decide what it shows. (Kernels that add up in
    another order for another batch size may still move a level of a pixel by one.)

    Args:
        model: Folder of a pipeline, or its id on the Hub.
        device: "cuda", "mps", "cpu" and the like, or None for the best one at hand.
        steps: Denoising steps: about 30, or 1 to 4 for distilled models.
        guidance: Guidance scale, or None for the pipeline's own.
        side: Pixels per side of what is drawn, a multiple of 8.
        batch: Pictures drawn at a time.

    Raises:
        InputError: `diffusers` is not installed, or an argument cannot be used.
    """

    name = _NAME

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        steps: int = 30,
        guidance: float | None = None,
        side: int = 512,
        batch: int = 4,
    ) -> None:
        require_package()
        for argument, value in (("steps", steps), ("batch", batch), ("side", side)):
            if value < 1:
                raise InputError(f"expected {argument} of at least 1, found {value}")
        if side % 8:
            raise InputError(f"expected side to be a multiple of 8, found {side}")
        local = Path(model).is_dir()
        self._source = model
        # A folder's place on this machine has no business in a data set.
        self._model = Path(model).resolve().name if local else model
        self._device = device
        self._steps = steps
        self._guidance = guidance
        self._side = side
        self._batch = batch
        self._pipeline: Any = None
        self._drawing = threading.Lock()

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order.

        Raises:
            InputError: The pipeline cannot be loaded, or fails for a reason that is no picture's.
        """
        results: list[ImageResult | None] = [
            self._result(request, CANNOT_VARY) if request.kind == "image_augmented" else None
            for request in requests
        ]
        wanted = [i for i, result in enumerate(results) if result is None]
        with self._drawing:
            for start in range(0, len(wanted), self._batch):
                places = wanted[start : start + self._batch]
                drawn = self._draw([requests[i] for i in places])
                for i, outcome in zip(places, drawn, strict=True):
                    results[i] = self._result(requests[i], outcome)
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Gives the pipeline's memory back; the next use loads it again."""
        if self._pipeline is None:
            return
        import torch

        self._pipeline = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _result(self, request: ImageRequest, outcome: EncodedImage | str) -> ImageResult:
        image, error = (None, outcome) if isinstance(outcome, str) else (outcome, None)
        digest = digest_of_prompt(prompt_for(request.phrase))
        return ImageResult(image, error, self.name, self._model, digest, request.seed)

    def _draw(self, requests: Sequence[ImageRequest]) -> list[EncodedImage | str]:
        """A picture, or why there is none, for each of a batch of requests."""
        import torch

        pipeline = self._pipeline = self._pipeline or self._load()
        options = {} if self._guidance is None else {"guidance_scale": self._guidance}
        try:
            output = pipeline(
                prompt=[prompt_for(request.phrase) for request in requests],
                num_inference_steps=self._steps,
                height=self._side,
                width=self._side,
                generator=[torch.Generator("cpu").manual_seed(r.seed) for r in requests],
                output_type="pil",
                **options,
            )
        except torch.OutOfMemoryError:
            reason = f"has no memory for {len(requests)} pictures of {self._side} pixels a side"
        except Exception as error:  # any library below may fail in its own way
            reason = f"failed: {_line(error)}"
        else:
            withheld = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
            return [
                _WITHHELD if hidden else self._finished(picture)
                for picture, hidden in zip(output.images, withheld, strict=True)
            ]
        raise InputError(f"the text-to-image pipeline {self._model} {reason}")

    def _finished(self, picture: Any) -> EncodedImage | str:
        try:
            return finish(picture, self._side)
        except ImageError as error:
            return str(error)

    def _load(self) -> Any:
        import torch
        from diffusers import AutoPipelineForText2Image  # pyright: ignore[reportPrivateImportUsage]

        device = self._device or _best_device()
        try:
            dtype = _dtype_for(torch.device(device))
            pipeline = AutoPipelineForText2Image.from_pretrained(
                self._source, dtype=dtype, use_safetensors=True
            )
            pipeline = pipeline.to(device)
        except Exception as error:  # hub, file, format and device errors have no common type
            reason = _line(error)
        else:
            pipeline.set_progress_bar_config(disable=True)
            _LOG.info("%s draws on %s in %s", self._model, device, dtype)
            return pipeline
        raise InputError(f"the text-to-image pipeline {self._model} cannot be loaded: {reason}")


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype_for(device: Any) -> Any:
    """Half precision on GPUs: bfloat16 where it is native, since float16 overflows in some VAEs."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32


def _line(error: Exception) -> str:
    """An error's first line, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
