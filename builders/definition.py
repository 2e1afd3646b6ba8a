"""What defines a data set: its source, its recipe, and what its records promise."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from builders.seeds import digest
from builders.steps import Problem, Reject, Step
from schemas.arrow import Schema
from schemas.manifest import Manifest, Rules
from schemas.records import EditRecord

D = TypeVar("D")

PIPELINE_VERSION = 2
"""Raised when the same arguments give other bytes, so that no build resumes across the change."""

_LIBRARIES = (
    *("medit", "datasets", "mwparserfromhell", "mwxml", "numpy", "pillow", "pyarrow", "spacy"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source.

    Attributes:
        row: Its place in the source, counted from 0.
        id: The record's id: a content hash, or the source's own.
        fields: JSON values that the recipe understands.
    """

    row: int
    id: str
    fields: dict[str, Any]


class Source(Protocol):
    """Where rows come from; read once, in the main process."""

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The rows, streamed.

        Args:
            spool: A folder for files that belong to the rows, kept until the build is finished.

        Raises:
            InputError: If the source cannot be read at all.
        """
        ...

    def context(self) -> dict[str, Any]:
        """What all workers need to know of the whole source, as JSON; called after `ingest`.

        `counts`, an object of numbers, and `language`, a tag, go into manifest and card as well.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Name, title, licence, files with digests and so on, for manifest and card.

        `notes`, a list of sentences, says what users should know of its limits.
        """
        ...


class Recipe(Protocol[D]):
    """How rows become records; opened once in every worker."""

    @property
    def steps(self) -> Sequence[Step[D]]:
        """The steps, in order."""
        ...

    def draft(self, row: Row) -> D | Problem:
        """The first form of a record."""
        ...

    def record(self, draft: D) -> EditRecord:
        """The finished record."""
        ...

    def close(self) -> None:
        """Release what the recipe holds."""
        ...


OpenRecipe = Callable[[dict[str, Any], Path], Recipe[Any]]
"""Opens a recipe from the source's context and the work folder. Must be picklable."""


@dataclass(frozen=True)
class Build(Generic[D]):
    """All that defines a data set.

    Attributes:
        name: The data set's name.
        builder: The builder's name.
        schema: The schema of its records.
        split: The split's name.
        rules: What the records promise.
        source: Where rows come from.
        open_recipe: How rows become records.
        arguments: The arguments that shape the content; no secrets.
        generators: The generators with their models, for the manifest.
        card: Fills the data card.
        shard_rows: Source rows per shard.
        chunk_rows: Rows that go through the steps together.
    """

    name: str
    builder: str
    schema: Schema[Any]
    split: str
    rules: Rules
    source: Source
    open_recipe: OpenRecipe
    arguments: dict[str, Any]
    generators: dict[str, Any]
    card: Callable[[Manifest], str]
    shard_rows: int = 100
    chunk_rows: int = 25

    def fingerprint(self) -> str:
        """Digest of everything that shapes the bytes."""
        return digest(
            {
                "pipeline": PIPELINE_VERSION,
                "name": self.name,
                "builder": self.builder,
                "schema": [self.schema.name, self.schema.version],
                "split": self.split,
                "rules": asdict(self.rules),
                "source": self.source.describe(),
                "arguments": self.arguments,
                "generators": self.generators,
                "shard_rows": self.shard_rows,
                "versions": versions(),
            }
        )


@functools.cache
def versions() -> dict[str, str]:
    """Versions of medit and of the libraries that shape the bytes."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
