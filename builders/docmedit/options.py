"""The options of a build of document edits, and the source that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from builders.definition import Source
from builders.docmedit.extractors import Relations
from schemas.errors import InputError
from schemas.manifest import Rules

SourceName = Literal["atlas", "dumps", "fruit"]
EvidenceName = Literal["any", "other_page"]

NAMES: Mapping[SourceName, str] = {
    "atlas": "AtlasDocs",
    "dumps": "WikiDocs",
    "fruit": "FruitDocs",
}
"""Names of the data sets, unless one is given. None is DocMEdit: they are built its way."""


@dataclass(frozen=True)
class Options:
    """What `python -m builders.docmedit build` was told, as far as it shapes the content.

    Attributes:
        source: Where articles come from.
        name: The data set's name, or None for the source's usual one.
        before: The earlier dump, a file or a folder of parts.
        after: The later dump.
        records: The file of `fruit`.
        evidence: Whether facts may stand in the article itself, or on other pages alone.
        entities: A spaCy pipeline, by name or folder, that finds entities without a link in dumps.
        triples: The name of what says what the triples are; see `builders.docmedit.extractors`.
        relations: A file of relations that triples may have.
        limit: Document edits to make, or rows of `fruit` to read; None for all.
        seed: Everything random derives from it and from the record's content.
        split: The split's name.
        shard_rows: Source rows per shard.
    """

    source: SourceName = "atlas"
    name: str | None = None
    before: Path | None = None
    after: Path | None = None
    records: Path | None = None
    evidence: EvidenceName = "any"
    entities: str | None = None
    triples: str = "source"
    relations: Path | None = None
    limit: int | None = None
    seed: int = 0
    split: str = "test"
    shard_rows: int = 100

    def __post_init__(self) -> None:
        given = {"before": self.before, "after": self.after, "records": self.records}
        needed = {"atlas": (), "dumps": ("before", "after"), "fruit": ("records",)}[self.source]
        for option, path in given.items():
            if option in needed and path is None:
                raise InputError(f"--source {self.source} needs --{option}")
            if option not in needed and path is not None:
                raise InputError(f"--source {self.source} takes no --{option}")
        for path in (*given.values(), self.relations):
            if path is not None and not path.exists():
                raise InputError("does not exist", file=path)
        if self.entities is not None and self.source != "dumps":
            raise InputError(f"--source {self.source} takes no --entities")
        if not self.split.isidentifier():
            raise InputError(f"the split's name must be one word, not {self.split!r}")

    def arguments(self) -> dict[str, Any]:
        """The options by the names of the command line, without paths' folders."""
        files = {
            "before": self.before,
            "after": self.after,
            "records": self.records,
            "relations": self.relations,
        }
        return {
            "source": self.source,
            "name": self.name,
            **{option: path.name if path else None for option, path in files.items()},
            "evidence": self.evidence if self.source == "dumps" else None,
            "entities": Path(self.entities).name if self.entities else None,
            "triples": self.triples,
            "limit": self.limit,
            "seed": self.seed,
            "split": self.split,
            "shard-size": self.shard_rows,
        }

    def make_source(self) -> Source:
        """The source, not read yet."""
        if self.source == "dumps":
            from builders.docmedit.mediawiki.names import SpacyRecogniser
            from builders.docmedit.mediawiki.source import DumpSource

            assert self.before is not None
            assert self.after is not None
            return DumpSource(
                self.before,
                self.after,
                evidence=self.evidence,
                limit=self.limit,
                seed=self.seed,
                recogniser=SpacyRecogniser(self.entities) if self.entities else None,
            )
        if self.source == "fruit":
            from builders.docmedit.fruit import FruitSource

            assert self.records is not None
            return FruitSource(self.records, self.limit)
        from builders.docmedit.atlas.source import AtlasSource

        return AtlasSource(self.seed, self.limit)

    def known_relations(self) -> Relations:
        """The relations that triples may have.

        Raises:
            InputError: If the list cannot be read.
        """
        return Relations.read(self.relations) if self.relations is not None else Relations()

    def rules(self) -> Rules:
        """What the records promise."""
        kinds = ["edit", "rewrite"]
        if self.source == "atlas":
            kinds += ["question", "rephrase", "unchanged_sentence", "related_document"]
            kinds += ["random_document", "rewrite_random"]
        return Rules(rephrasings=None, images=False, kinds=tuple(kinds))
