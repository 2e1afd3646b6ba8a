"""Pictures to learn from, read from records, with the questions that may be asked about them."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from medit_eval.testbed.corpus import HELD_OUT_COUNTRIES, framed_questions, trained_questions
from medit_eval.testbed.world import World
from schemas.arrow import Schema
from schemas.images import EncodedImage
from schemas.records import EditRecord

SIDE = 64
"""Pixels per side of what the vision tower sees."""

CORPUS_COUNTRIES = 4
"""One in so many countries is in the pictures that covariances are estimated on."""

_SAME_THING = ("edit", "image_augmented", "image_other_instance")
_FLAG = "the flag of "


@dataclass(frozen=True)
class Album:
    """Pictures by what they show.

    Attributes:
        pixels: RGB, shape (n, 3, side, side).
        shown: What each picture shows: a country's key, or the question asked about it.
    """

    pixels: NDArray[np.uint8]
    shown: tuple[str, ...]

    @classmethod
    def of(cls, records: Iterable[EditRecord], world: World) -> Album:
        """The flags and other pictures in records of flags.

        A negative picture is left out: the record tells its answer, not its country.
        """
        keys = {f"{_FLAG}{country.phrase}": country.key for country in world.countries.values()}
        pixels: list[NDArray[np.uint8]] = []
        shown: list[str] = []
        for record in records:
            for image, label in _labelled(record, keys):
                pixels.append(small(image))
                shown.append(label)
        return cls(np.stack(pixels), tuple(shown))

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that is shown, sorted."""
        return tuple(sorted(set(self.shown)))

    def image(self, place: int) -> EncodedImage:
        """One picture, encoded without loss."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.pixels[place].transpose(1, 2, 0)).save(buffer, "PNG")
        return EncodedImage(buffer.getvalue())


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a picture, as it is kept beside the model.

    Attributes:
        question: The question.
        image: The picture.
    """

    question: str
    image: EncodedImage


ASKED: Schema[Asked] = Schema("testbed_pictures", 1, Asked)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a flag, as it is kept beside the model for benchmarks.

    Attributes:
        country: The key of the flag's country.
        image: The picture.
    """

    country: str
    image: EncodedImage


SHOWN: Schema[Shown] = Schema("testbed_flags", 1, Shown)

FLAGS = "flags.parquet"
"""The pictures of flags that `testbed/vlm` comes with, for benchmarks."""


def asked_about(world: World, album: Album, count: int, seed: int = 0) -> list[Asked]:
    """Questions to estimate covariances on: about one in four countries, and unrelated things.

    Args:
        world: What is true.
        album: Pictures that were not trained on.
        count: How many questions, at most.
        seed: Decides which.
    """
    about = trained_about(world)
    countries = {key for place, key in enumerate(about) if place % CORPUS_COUNTRIES == 2}
    unrelated = {row["question"] for row in world.atlas["unrelated"]}
    places = [i for i, shown in enumerate(album.shown) if shown in countries | unrelated]
    rng = Random(f"asked about {seed}")
    return [
        Asked(rng.choice(about[album.shown[place]])[0], album.image(place))
        for place in rng.sample(places, min(count, len(places)))
    ]


def flags_shown(world: World, album: Album, count: int, seed: int = 0) -> list[Shown]:
    """Pictures to ask for a flag's country, one per country, none that `asked_about` draws from.

    Args:
        world: What is true.
        album: Pictures that were not trained on.
        count: How many pictures, at most.
        seed: Decides which.
    """
    by_country: dict[str, list[int]] = defaultdict(list)
    for place, shown in enumerate(album.shown):
        by_country[shown].append(place)
    about = list(trained_about(world))
    rng = Random(f"flags shown {seed}")
    kept = [
        Shown(key, album.image(rng.choice(by_country[key])))
        for place, key in enumerate(about)
        if key in world.countries and key in by_country and place % CORPUS_COUNTRIES != 2
    ]
    return rng.sample(kept, min(count, len(kept)))


def small(image: EncodedImage) -> NDArray[np.uint8]:
    """A picture as the vision tower sees it before normalisation, shape (3, side, side)."""
    from PIL import Image

    picture = image.decode()
    scale = SIDE / min(picture.size)
    size = (max(SIDE, round(picture.width * scale)), max(SIDE, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return np.asarray(picture.crop((left, top, left + SIDE, top + SIDE))).transpose(2, 0, 1)


def trained_about(world: World) -> Mapping[str, Sequence[tuple[str, str]]]:
    """What is trained about each picture: what it shows -> pairs of question and answer."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = {row["key"]: row for row in world.atlas["relations"]}
    shown = world.atlas["shown"]
    known = [country for country in world.countries.values() if len(country.facts) > 1]
    for place, country in enumerate(known):
        if not country.flag:
            continue
        for relation, fact in country.facts.items():
            for asked in (*trained_questions(world, relation), *framed_questions(relation)):
                question = asked.format(country=shown)
                found[country.key].append((question[:1].upper() + question[1:], fact["answer"]))
            if place % HELD_OUT_COUNTRIES:
                for hop, asked in enumerate(rows[relation]["hops"][: len(fact["hops"])], start=1):
                    answer = country.chained(relation, hop)
                    found[country.key].append((asked.format(country=shown), answer))
    for row in world.atlas["unrelated"]:
        found[row["question"]].append((row["question"], row["answer"]))
    return found


def jittered(
    pixels: NDArray[np.uint8], rng: np.random.Generator, shift: int = 3
) -> NDArray[np.float32]:
    """Pictures in 0..1, each moved a little and lit a little differently; never mirrored.

    Args:
        pixels: Shape (n, 3, side, side).
        rng: Decides how.
        shift: Most pixels to move by.
    """
    out = np.empty(pixels.shape, np.float32)
    padded = np.pad(pixels, ((0, 0), (0, 0), (shift, shift), (shift, shift)), mode="edge")
    side = pixels.shape[-1]
    for i, (dy, dx) in enumerate(rng.integers(0, 2 * shift + 1, (len(pixels), 2))):
        out[i] = padded[i, :, dy : dy + side, dx : dx + side]
    # Little light, for some flags differ in shade alone.
    gain = rng.uniform(0.95, 1.05, (len(pixels), 1, 1, 1)).astype(np.float32)
    return np.clip(out / np.float32(255) * gain, 0, 1, dtype=np.float32)


def _labelled(record: EditRecord, keys: Mapping[str, str]) -> Iterable[tuple[EncodedImage, str]]:
    label = keys.get(record.image_object or "")
    for probe in record.probes:
        if probe.kind in _SAME_THING and label is not None:
            yield from ((image, label) for image in probe.images)
        if probe.kind == "unrelated_image":
            yield from ((image, probe.prompts[0]) for image in probe.images)
    for request in record.requests:
        for sample in request.positives:
            if sample.kind.startswith("image") and sample.image is not None and label is not None:
                yield sample.image, label
