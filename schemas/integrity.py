"""Whether the files of a data set are those that its manifest speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from schemas.errors import InputError
from schemas.findings import Finding
from schemas.layout import SHARD_NAME, sha256_of
from schemas.manifest import Manifest

CHECKS = ("files_match_manifest", "shards_match_manifest", "counts_match_manifest")
"""The rules that a data set with a manifest is held to."""


def check_files(root: Path, manifest: Manifest, rows: Mapping[str, int | None]) -> list[Finding]:
    """Differences between a manifest and the files beside it.

    Args:
        root: The data set's folder.
        manifest: Its manifest.
        rows: The rows of every shard that is there, by path relative to `root`; None where the
            shard cannot be read.
    """
    return [
        Finding("dataset", rule, None, "", reason, file)
        for rule, file, reason in _differences(root, manifest, rows)
    ]


def check_shard_names(names: list[str]) -> list[Finding]:
    """Shards that are missing, going by the names of those that are there."""
    series = {(m["split"], int(m["count"])) for n in names if (m := SHARD_NAME.fullmatch(n))}
    expected = {
        f"{split}-{index:05d}-of-{count:05d}.parquet"
        for split, count in series
        for index in range(count)
    }
    return [
        Finding("dataset", "shards_are_all_there", None, "", "is missing", f"data/{name}")
        for name in sorted(expected - set(names))
    ]


def _differences(
    root: Path, manifest: Manifest, rows: Mapping[str, int | None]
) -> Iterator[tuple[str, str, str]]:
    for entry in manifest.shards:
        for reason in _changes(root, entry.path, entry.sha256):
            yield "shards_match_manifest", entry.path, reason
        found = rows.get(entry.path)
        if found is not None and found != entry.records:
            reason = f"has {found:,} records, the manifest says {entry.records:,}"
            yield "counts_match_manifest", entry.path, reason
    for path in sorted(rows.keys() - {entry.path for entry in manifest.shards}):
        yield "shards_match_manifest", path, "is not in the manifest"
    for path, digest in manifest.files.items():
        for reason in _changes(root, path, digest):
            yield "files_match_manifest", path, reason
    total = sum(entry.records for entry in manifest.shards)
    if total != manifest.counts.records:
        reason = f"counts {manifest.counts.records:,} records, its shards have {total:,}"
        yield "counts_match_manifest", "manifest.json", reason


def _changes(root: Path, path: str, digest: str) -> Iterator[str]:
    file = root / path
    if not file.resolve().is_relative_to(root.resolve()):
        yield "lies outside the data set's folder"
    elif not file.is_file():
        yield "is missing"
    else:
        try:
            if sha256_of(file) != digest:
                yield "has another SHA-256 than the manifest says: it was changed or damaged"
        except OSError as error:
            yield f"cannot be read: {error.strerror or error}"


def read_manifest(root: Path) -> tuple[Manifest | None, list[Finding]]:
    """The manifest, if there is one that can be used, and what is wrong with it otherwise."""
    try:
        return Manifest.read(root), []
    except InputError as error:
        reason = error.reason if error.field is None else f"field {error.field!r} {error.reason}"
        finding = Finding("dataset", "manifest_is_readable", None, "", reason, "manifest.json")
        return None, [finding]
