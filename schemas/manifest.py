"""The manifest: what a finished data set holds, how it was made, and that it is complete."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.arrow import from_row
from schemas.errors import InputError
from schemas.layout import Layout, read_json, write_json


@dataclass(frozen=True)
class Rules:
    """What a data set promises about its records; validation holds it to that.

    Attributes:
        rephrasings: Exact number of rephrasings in each `rephrase` probe, or None for any.
        images: Whether every request has an image.
        kinds: Probe kinds that every record has.
    """

    rephrasings: int | None = None
    images: bool = False
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardEntry:
    """One shard: path relative to the data set, records, bytes and SHA-256 of the file."""

    path: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Counts:
    """How much a data set holds.

    Attributes:
        records: Records written.
        rejects: Records left out.
        rejects_by_rule: Rejects by the rule that left them out.
        probes_by_kind: `axis/kind` to [probes, queries]; a query is one prompt with one image.
        scopes: Records by scope.
        edit_types: Records by edit type.
        images: Images in all, repeated ones counted each time.
        fallbacks: Fields made by a fallback generator.
    """

    records: int
    rejects: int
    rejects_by_rule: dict[str, int]
    probes_by_kind: dict[str, tuple[int, int]]
    scopes: dict[str, int]
    edit_types: dict[str, int]
    images: int
    fallbacks: int


@dataclass(frozen=True)
class Manifest:
    """What a data set's folder holds.

    Attributes:
        name: The data set's name, for example `FlagEdit`.
        builder: The builder that made it, for example `okedit`.
        schema: Schema name.
        schema_version: Schema version.
        split: The split's name.
        source: Facts about the source: name, files with digests, licence, as-of date...
        arguments: The arguments that shaped the content; no secrets, no paths of a machine.
        generators: Text and image generators with their models.
        rules: What the records promise.
        counts: How much there is.
        shards: The shards, in order.
        files: SHA-256 of the other files in the folder, by name.
        versions: Versions of medit and of the libraries that shape the bytes.
        started: ISO 8601 time at which the build began.
        finished: ISO 8601 time at which it ended.
    """

    name: str
    builder: str
    schema: str
    schema_version: int
    split: str
    source: dict[str, Any]
    arguments: dict[str, Any]
    generators: dict[str, Any]
    rules: Rules
    counts: Counts
    shards: tuple[ShardEntry, ...]
    files: dict[str, str]
    versions: dict[str, str]
    started: str
    finished: str
    notes: tuple[str, ...] = field(default=())

    def write(self, root: Path) -> None:
        """Write `manifest.json`, the last step of a build."""
        write_json(Layout(root).manifest, dataclasses.asdict(self))

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """The manifest of a finished data set.

        Raises:
            InputError: If there is none, or a field is missing or of another type.
        """
        path = Layout(root).manifest
        if not path.is_file():
            raise InputError("has no manifest.json, so no finished build is here", file=root)
        fields = read_json(path)
        if not isinstance(fields, dict):
            raise InputError("is not a JSON object", file=path)
        try:
            return from_row(cls, fields)
        except InputError as error:
            raise InputError(error.reason, file=path, field=error.field) from None
