"""A text-to-image model and an offline generator side by side, each for what it can do."""

from __future__ import annotations

from collections.abc import Sequence

from builders.images.protocol import ImageGenerator, ImageRequest, ImageResult


class DrawnBeside:
    """A text-to-image model for new pictures, the offline generator for changes to given ones.

    Args:
        model: Draws other instances and negatives.
        offline: Varies the edited picture, which no text-to-image model can.
    """

    def __init__(self, model: ImageGenerator, offline: ImageGenerator) -> None:
        self._model = model
        self._offline = offline

    @property
    def name(self) -> str:
        """The model's name; each result names who really made it."""
        return self._model.name

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order."""
        varied = [i for i, r in enumerate(requests) if r.kind == "image_augmented"]
        drawn = [i for i, r in enumerate(requests) if r.kind != "image_augmented"]
        results: dict[int, ImageResult] = {}
        for generator, chosen in ((self._offline, varied), (self._model, drawn)):
            if chosen:
                made = generator.generate([requests[i] for i in chosen])
                results.update(zip(chosen, made, strict=True))
        return [results[i] for i in range(len(requests))]

    def close(self) -> None:
        """Close both generators."""
        self._model.close()
        self._offline.close()
