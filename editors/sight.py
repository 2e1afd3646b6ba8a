"""Recognising pictures by how a vision-language model sees them.

A picture's key is the mean of the hidden states of its tokens before one block of the decoder: as
they enter it, by default. That is what every family has, whatever its eyes are made of.

How alike two pictures of the same thing are differs between models and kinds of pictures. So every
request sets its own threshold: half-way between the least similar of its positive pictures (1 where
it has none) and the most similar of its negative ones. A request without negative pictures has the
threshold that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editors.lm import LM
from editors.prompts import Query
from editors.trace import traced
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRequest, Sample


@dataclass(frozen=True)
class Picture:
    """What a picture is recognised by.

    Attributes:
        key: A unit vector, shape (hidden,).
        threshold: The cosine from which another picture is like it.
    """

    key: Tensor
    threshold: float


_KEPT = 4096
"""Pictures whose keys are kept."""


class Sight:
    """Makes keys and thresholds of pictures with one model, whose weights stay what they are."""

    def __init__(self, lm: LM, layer: int, threshold: float) -> None:
        """Choose where to look.

        Args:
            lm: The model; a text model refuses pictures when it is given one.
            layer: The block before which the picture's tokens are looked at.
            threshold: For requests without negative pictures.

        Raises:
            InputError: If the model has no such block.
        """
        lm.anatomy.require_layers([layer])
        self._lm = lm
        self._block = lm.anatomy.blocks[layer]
        self._threshold = threshold
        self._known: dict[bytes, Tensor] = {}

    def of_requests(self, requests: Sequence[EditRequest]) -> list[Picture | None]:
        """What each request's picture is recognised by, or None where it has none.

        Raises:
            InputError: If a text model is given pictures, or one cannot be decoded.
        """
        images = {
            image.bytes: image
            for request in requests
            if request.image is not None
            for image in (
                request.image,
                *_others(request, request.positives),
                *_others(request, request.negatives),
            )
        }
        keys = dict(zip(images, self.keys(list(images.values())), strict=True))
        return [self._picture(request, keys) for request in requests]

    def _picture(self, request: EditRequest, keys: dict[bytes, Tensor]) -> Picture | None:
        if request.image is None:
            return None
        own = keys[request.image.bytes]
        alike, other = (
            [float(own @ keys[image.bytes]) for image in _others(request, samples)]
            for samples in (request.positives, request.negatives)
        )
        near, far = min(alike, default=1.0), max(other, default=None)
        if far is None:
            return Picture(own, self._threshold)
        # Where a negative picture is the more similar one, the positive ones are given up.
        return Picture(own, (near + far) / 2 if far < near else (1 + far) / 2)

    @torch.no_grad()
    def keys(self, images: Sequence[EncodedImage]) -> list[Tensor]:
        """Unit vectors of pictures, shape (hidden,) each, on the processor.

        Raises:
            InputError: If a text model is given pictures, or one cannot be decoded.
        """
        if images and not self._lm.sees:
            raise InputError("a text model cannot be asked about a picture")
        if len(self._known) > _KEPT:
            self._known.clear()
        unique = {image.bytes: image for image in images if image.bytes not in self._known}

        def run(chosen: list[EncodedImage]) -> list[Tensor]:
            batch = self._lm.encode([Query("", image) for image in chosen])
            with traced({"x": self._block}, stop_at=self._block) as trace:
                self._lm.forward(batch, keep=1)
            hidden = trace.inputs["x"].float()
            mask = batch.image_mask.to(hidden.device, hidden.dtype)[..., None]
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            return list(torch.nn.functional.normalize(pooled, dim=-1).cpu())

        found = self._lm.in_batches(list(unique.values()), run, size=lambda _: (True,))
        self._known.update(zip(unique, found, strict=True))
        return [self._known[image.bytes] for image in images]


def _others(request: EditRequest, samples: Sequence[Sample]) -> list[EncodedImage]:
    """The pictures of samples that are other files than the request's own."""
    own = request.image.bytes if request.image is not None else b""
    return [s.image for s in samples if s.image is not None and s.image.bytes != own]
