"""One HTML page that shows what is in a data set: pictures, edits, samples and probes.

The page is a single file that asks nothing of a network: pictures are inlined as thumbnails, each
once. It lies beside the data set's folder, not in it, so that the folder stays exactly what is
published. Cards are rendered as their records are read, so memory does not grow with the data set.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from builders.survey import open_shard, report_order, sample, survey
from schemas.arrow import schema_of
from schemas.documents import Document
from schemas.errors import InputError
from schemas.gallery import Gallery
from schemas.layout import Layout, atomic_write
from schemas.manifest import Manifest
from schemas.pages import asset, environment, flatten, policy_hash
from schemas.records import PROBE_KINDS, EditRecord, Probe


def write_preview(root: Path, out: Path | None = None, *, limit: int = 60, seed: int = 0) -> Path:
    """Write the preview page of the data set in `root` and return its path.

    Args:
        root: The data set's folder; an unfinished build will do as soon as it has shards.
        out: Where the page goes, outside of `root`. Default: `<root>.preview.html` beside it.
        limit: Records to show at most, spread evenly over scopes, edit types and shards.
        seed: Chooses among equally even spreads.

    Raises:
        InputError: If `root` holds no readable data set, or `out` is no place for the page.
    """
    if limit < 1:
        raise InputError(f"a preview shows at least one record, not {limit}", field="limit")
    home = root.resolve()
    out = (out or home.with_name(f"{home.name}.preview.html")).resolve()
    if out.is_relative_to(home):
        raise InputError(
            "is in the data set's folder, which holds only what is published; put the preview "
            "beside it",
            file=out,
        )
    if out.is_dir():
        raise InputError("is a folder; the preview is one file", file=out)
    layout = Layout(root)
    shards = layout.shards()
    manifest = Manifest.read(root) if layout.complete else None
    overview = survey(shards)
    rows = sample(overview.strata, limit, seed)
    script = asset("page.js") + asset("preview.js", "builders")
    style = asset("page.css") + asset("preview.css", "builders")
    templates = environment("builders")
    templates.globals["show"] = Gallery().show
    templates.globals["changes"] = _changes
    chunks = templates.get_template("preview.html.j2").generate(
        name=manifest.name if manifest else home.name,
        facts=_facts(manifest) if manifest else [],
        overview=overview,
        shown=len(rows),
        pictures=sum(kind.pictures for kind in overview.kinds),
        documents=any(kind.axis == "document" for kind in overview.kinds),
        seed=seed,
        cards=_cards(shards, rows),
        # Both are files of this package, and the policy admits no other script or style.
        script=Markup(script),  # noqa: S704
        style=Markup(style),  # noqa: S704
        script_hash=policy_hash(script),
        style_hash=policy_hash(style),
    )
    with atomic_write(out) as file:
        for chunk in chunks:
            file.write(chunk.encode())
    return out


@dataclass(frozen=True)
class _KindGroup:
    """Probes of one axis and kind."""

    kind: str
    probes: tuple[Probe, ...]

    @property
    def description(self) -> str:
        return PROBE_KINDS.get(self.kind, "")

    @property
    def expectation(self) -> str | None:
        """What all probes expect, or None where they differ."""
        found = {probe.expectation for probe in self.probes}
        return found.pop() if len(found) == 1 else None

    def tiled(self, edited: str) -> bool:
        """Whether this is one question, `edited`, about several pictures."""
        pictures = sum(len(probe.images) for probe in self.probes)
        return pictures > 1 and all(
            probe.images and probe.prompts == (edited,) for probe in self.probes
        )


@dataclass(frozen=True)
class _Card:
    """A record as the template needs it; `number` counts from 1 over all shards."""

    number: int
    record: EditRecord

    @property
    def axes(self) -> list[tuple[str, list[_KindGroup]]]:
        """Kinds of probes by axis, both in the order of reports."""
        by_kind: dict[tuple[str, str], list[Probe]] = {}
        for probe in self.record.probes:
            by_kind.setdefault((probe.axis, probe.kind), []).append(probe)
        axes: dict[str, list[_KindGroup]] = {}
        for axis, kind in sorted(by_kind, key=lambda pair: report_order(*pair)):
            axes.setdefault(axis, []).append(_KindGroup(kind, tuple(by_kind[axis, kind])))
        return list(axes.items())


def _cards(shards: list[Path], rows: list[int]) -> Iterator[_Card]:
    """The records at `rows`, which ascend; only row groups that hold one are read."""
    wanted = iter(rows)
    row = next(wanted, None)
    start = 0  # of the batch at hand, counted over all shards
    for path in shards:
        file = open_shard(path)
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if row is None or row >= end:
                start = end
                continue
            for batch in _batches(file, group, path):
                while row is not None and row < start + len(batch):
                    yield _Card(row + 1, _record(batch.slice(row - start, 1), path, row))
                    row = next(wanted, None)
                start += len(batch)


def _batches(file: pq.ParquetFile, group: int, path: Path) -> Iterator[pa.RecordBatch]:
    try:
        # Small batches: a record can hold megabytes of pictures.
        yield from file.iter_batches(batch_size=8, row_groups=[group])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read: {error}", file=path) from None


def _record(batch: pa.RecordBatch, path: Path, row: int) -> EditRecord:
    try:
        return next(schema_of(batch.schema).records(batch))
    except InputError as error:
        where = f"{row} of the data set"
        raise InputError(error.reason, file=path, row=where, field=error.field) from None


def _changes(document: Document, side: str) -> Iterator[tuple[bool, str]]:
    """The words of one version in runs, each with whether the other version lacks it.

    Args:
        document: The document.
        side: `old` for the version before, `new` for the one after.
    """
    before, after = (
        re.findall(r"\S+\s*", version.text) for version in (document.before, document.after)
    )
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        run = "".join(before[i:j] if side == "old" else after[k:m])
        if run:
            yield kind != "equal", run


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    """How the data set was made, as lines of a table."""
    lines = [
        ("builder", manifest.builder),
        ("schema", f"{manifest.schema}, version {manifest.schema_version}"),
        ("split", manifest.split),
        ("records left out", str(manifest.counts.rejects)),
        ("finished", manifest.finished),
    ]
    for name in ("source", "generators", "arguments", "versions"):
        lines.extend(flatten(name, getattr(manifest, name)))
    return lines
