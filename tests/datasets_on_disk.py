"""Small finished data sets on disk, for tests of whatever reads one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from schemas import OKEDIT, EditRecord, EditRequest, EncodedImage, Probe, Provenance, Sample
from schemas.findings import Report
from schemas.layout import Layout, sha256_of, write_json, write_parquet, write_text
from schemas.manifest import Counts, Manifest, Rules, ShardEntry

CARD = """---
license: cc0-1.0
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*
---
# Stripes
"""


def make_dataset(
    root: Path, records: int = 5, shards: int = 2, *, card: str = CARD, split: str = "test"
) -> Manifest:
    """A finished, validated data set of `records` records in `shards` shards under `root`.

    Equal arguments give equal bytes. Every record has images in its request, in a sample and in
    two probes; the first has none of what may be null.
    """
    layout = Layout(root)
    rows = [stripes_record(number) for number in range(records)]
    size = -(-records // shards)
    entries = []
    for index in range(shards):
        path = layout.shard(split, index, shards)
        part = rows[index * size : (index + 1) * size]
        write_parquet(path, OKEDIT.table(part))
        entry = ShardEntry(f"data/{path.name}", len(part), path.stat().st_size, sha256_of(path))
        entries.append(entry)
    rejects = {"id": ["x1", "x2"], "rule": ["duplicate", "no_answer"], "reason": ["twice", "empty"]}
    write_parquet(layout.rejects, pa.table(rejects))
    write_json(layout.validation, Report(records=records).to_json())
    write_text(layout.card, card)
    files = (layout.rejects, layout.validation, layout.card)
    manifest = Manifest(
        name="Stripes",
        builder="okedit",
        schema=OKEDIT.name,
        schema_version=OKEDIT.version,
        split=split,
        source={
            "name": "stripes",
            "title": "Drawn stripes",
            "licence": "CC0-1.0",
            "as_of": "2024-05-01",
            "sources": ["Drawn by the tests"],
            "files": {"stripes.json": "ab" * 32},
        },
        arguments={"source": "stripes", "seed": 7, "limit": None},
        generators={"text": {"name": "templates", "model": None}},
        rules=Rules(images=True, kinds=("edit", "negative")),
        counts=_counts(rows),
        shards=tuple(entries),
        files={path.name: sha256_of(path) for path in files},
        versions={"medit": "0.1.0"},
        started="2031-03-04T05:06:07+00:00",
        finished="2031-03-04T05:06:09+00:00",
    )
    manifest.write(root)
    return manifest


def stripes_record(number: int) -> EditRecord:
    """A record about a drawing of stripes; equal numbers give equal records."""
    drawing = _stripes(number)
    question = "How many stripes are there?"
    request = EditRequest(
        id=f"r{number}",
        prompt=question,
        image=drawing,
        subject=f"drawing {number}" if number else None,
        target_new=str(number + 1),
        target_true=str(number) if number else None,
        positives=(Sample("rephrase", "Count the stripes.", drawing, str(number + 1)),),
        negatives=(Sample("negative", question, _stripes(number + 3), "none", distance=0.5),),
        facts=(f"The drawing has {number + 1} stripes.",),
    )
    answers = (request.target_new,)
    other = _stripes(number + 5)
    probes = (
        Probe("p0", "reliability", "edit", "target", (question,), (drawing,), answers),
        Probe("p1", "generality", "rephrase", "target", ("a?", "b?"), (drawing,), answers),
        Probe("p2", "locality", "negative", "unchanged", (question,), (other, drawing), ("none",)),
        Probe("p3", "locality", "text", "unchanged", ("What is 1 + 1?",), (), ("2",)),
    )
    provenance = (Provenance("requests.target_new", "stripes", "templates", seed=number),)
    return EditRecord(f"record-{number}", (request,), probes, provenance=provenance)


def _stripes(number: int) -> EncodedImage:
    picture = Image.new("RGB", (16, 16), (40 * number % 256, 90, 200))
    picture.paste((250, 250, 90), (0, number % 12, 16, number % 12 + 3))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), f"stripes-{number}.png")


def _counts(rows: Sequence[EditRecord]) -> Counts:
    kinds: dict[str, tuple[int, int]] = {}
    for probe in (probe for row in rows for probe in row.probes):
        probes, queries = kinds.get(f"{probe.axis}/{probe.kind}", (0, 0))
        kinds[f"{probe.axis}/{probe.kind}"] = (probes + 1, queries + len(list(probe.queries())))
    return Counts(
        records=len(rows),
        rejects=2,
        rejects_by_rule={"duplicate": 1, "no_answer": 1},
        probes_by_kind=kinds,
        scopes={"recognition": len(rows)},
        edit_types={"image_text": len(rows)},
        images=7 * len(rows),
        fallbacks=0,
    )
