"""What an image generator is: typed requests in, encoded pictures or one-clause errors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.images import EncodedImage

ImageKind = Literal["image_augmented", "image_other_instance", "negative"]
"""Separate kinds of pictures, never pooled: the same picture slightly changed, another picture of
the same thing, a picture of something else."""

Aspect = Literal["colour", "side", "text", "count"]
"""What a question may ask about, and a change to its picture must not touch."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One picture to be made.

    Attributes:
        record_id: The record that it is for.
        kind: What it is for.
        phrase: What it must show.
        seed: Seed of everything random in it.
        reference: The picture to vary, for `image_augmented`.
        protects: What the question asks about.
        entity: Key of what it shows, in the source's own world.
    """

    record_id: str
    kind: ImageKind
    phrase: str
    seed: int
    reference: EncodedImage | None
    protects: frozenset[Aspect]
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The answer to one request.

    Attributes:
        image: The picture, or None where `error` says why there is none.
        error: One clause, or None.
        generator: Who made it.
        model: The model behind the generator, or None.
        prompt_digest: Digest of the prompt that the model was given, or None.
        seed: The seed it was made with.
        fallback: Whether a second generator stepped in for a first one that failed.
    """

    image: EncodedImage | None
    error: str | None
    generator: str
    model: str | None
    prompt_digest: str | None
    seed: int
    fallback: bool = False


class ImageGenerator(Protocol):
    """Whatever makes pictures."""

    @property
    def name(self) -> str:
        """Short name for provenance."""
        ...

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in their order; a request that fails gives an `error`."""
        ...

    def close(self) -> None:
        """Gives connections and memory back; the generator is not used again."""
        ...
