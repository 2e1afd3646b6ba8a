"""Small valid records, for tests to break in one place at a time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from schemas.arrow import OKEDIT
from schemas.images import EncodedImage
from schemas.layout import Layout, sha256_of, write_parquet, write_text
from schemas.manifest import Counts, Manifest, Rules, ShardEntry
from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample

RULES = Rules(rephrasings=2, images=True, kinds=("edit", "rephrase", "negative"))
"""What `make_record` keeps by default."""


def encode(picture: Image.Image, format: str = "PNG", path: str | None = None) -> EncodedImage:  # noqa: A002
    """A picture as stored in records."""
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return EncodedImage(buffer.getvalue(), path)


def make_image(seed: int = 0, size: int = 48, format: str = "PNG") -> EncodedImage:  # noqa: A002
    """Soft coloured clouds; another seed gives a picture that looks different."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
    return encode(picture, format, f"clouds-{seed}.{format.lower()}")


def make_stripes(*colours: str, size: int = 48) -> EncodedImage:
    """A flag of vertical stripes."""
    picture = Image.new("RGB", (size, size))
    width = size // len(colours)
    for i, colour in enumerate(colours):
        picture.paste(colour, (i * width, 0, (i + 1) * width, size))
    return encode(picture)


def make_request(number: int = 0, **overrides: Any) -> EditRequest:
    """A request about picture `10 * number`, with one sample to reach and one not to."""
    request = EditRequest(
        id=f"request-{number}",
        prompt="Which country's flag is this?",
        image=make_image(10 * number),
        subject=None,
        target_new=f"Newland {number}",
        target_true=f"Oldland {number}",
        target_new_aliases=(f"the new land {number}",),
        positives=(
            Sample(
                "rephrase", "What state flies this?", make_image(10 * number), f"Newland {number}"
            ),
        ),
        negatives=(
            Sample(
                "negative",
                "Which country's flag is this?",
                make_image(10 * number + 1),
                "Farland",
                distance=0.5,
            ),
        ),
        facts=(f"This is the flag of Newland {number}.",),
    )
    return dataclasses.replace(request, **overrides)


def make_probe(**overrides: Any) -> Probe:
    """A text-only portability probe, the kind that most edits have none of."""
    probe = Probe(
        id="hop",
        axis="portability",
        kind="one_hop",
        expectation="target",
        prompts=("What is the capital of the country with this flag?",),
        images=(),
        answers=("New City",),
        hops=1,
    )
    return dataclasses.replace(probe, **overrides)


def make_probes(number: int = 0) -> tuple[Probe, ...]:
    """The edited question, two rephrasings, another picture, and a negative."""
    image, answers = make_image(10 * number), (f"Newland {number}",)
    question = "Which country's flag is this?"
    return (
        Probe("edit", "reliability", "edit", "target", (question,), (image,), answers),
        Probe(
            "rephrase",
            "generality",
            "rephrase",
            "target",
            ("Whose flag is shown?", "This flag belongs to which country?"),
            (image,),
            answers,
        ),
        Probe(
            "other",
            "generality",
            "image_other_instance",
            "target",
            (question,),
            (make_image(10 * number + 2),),
            answers,
        ),
        Probe(
            "negative",
            "locality",
            "negative",
            "unchanged",
            (question,),
            (make_image(10 * number + 3),),
            (),
            distance=0.25,
            grade="confusable",
        ),
    )


def make_record(number: int = 0, **overrides: Any) -> EditRecord:
    """A valid record (`RULES`); other numbers give other ids, answers and pictures."""
    record = EditRecord(
        id=f"record-{number}",
        requests=(make_request(number),),
        probes=make_probes(number),
        scope="recognition",
        edit_type="image_text",
        third_answer="Thirdland",
        provenance=(Provenance("requests.target_new", "flags", "source"),),
    )
    return dataclasses.replace(record, **overrides)


def make_full_record() -> EditRecord:
    """A record in which no field that may be null is."""
    probe = make_probe(
        images=(make_image(7),),
        answers_pre_edit=("Old City",),
        distance=1.5,
        grade="far",
    )
    provenance = Provenance("probes", "flags", "llm", "some-model", "ab12", 3, fallback=True)
    return make_record(
        requests=(make_request(subject="flag"),),
        probes=(*make_probes(), probe),
        edit_type_votes=("image_text", "text", "image_text"),
        edit_type_reason="The flag must be seen.",
        image_object="a flag",
        third_object="another flag",
        provenance=(provenance,),
        extra='{"case_id": 7}',
    )


def make_bare_record() -> EditRecord:
    """A record in which every field that may be null is, and every list that may be empty."""
    request = EditRequest("r", "Who wrote it?", None, None, "Ann", None)
    probe = Probe("p", "reliability", "edit", "target", ("Who wrote it?",), (), ("Ann",))
    return EditRecord("bare", (request,), (probe,))


def write_dataset(
    root: Path, records: Sequence[EditRecord], shards: int = 1, rules: Rules = RULES
) -> Manifest:
    """A finished data set of these records, as a builder would leave it."""
    layout = Layout(root)
    size = -(-len(records) // shards)
    entries = []
    for index in range(shards):
        path, part = layout.shard("test", index, shards), records[index * size : (index + 1) * size]
        write_parquet(path, OKEDIT.table(part))
        entries.append(
            ShardEntry(f"data/{path.name}", len(part), path.stat().st_size, sha256_of(path))
        )
    write_text(layout.card, "# Flags\n")
    manifest = Manifest(
        name="Flags",
        builder="okedit",
        schema=OKEDIT.name,
        schema_version=OKEDIT.version,
        split="test",
        source={"name": "flags"},
        arguments={"seed": 0},
        generators={},
        rules=rules,
        counts=Counts(len(records), 0, {}, {"reliability/edit": (1, 1)}, {}, {}, 0, 0),
        shards=tuple(entries),
        files={layout.card.name: sha256_of(layout.card)},
        versions={},
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:00:01Z",
    )
    manifest.write(root)
    return manifest
