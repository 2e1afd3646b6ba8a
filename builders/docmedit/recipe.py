"""The recipe of document edits: its steps as one readable list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from builders.definition import Row
from builders.docmedit.draft import Draft
from builders.docmedit.extractors import Relations, TripleExtractor
from builders.docmedit.record import assemble, record_id
from builders.docmedit.triples import ExtractTriples, OnlyKnownRelations
from builders.seeds import content_id
from builders.steps import Filter, Problem, Step
from schemas.arrow import from_row
from schemas.documents import DocumentRecord


@dataclass(frozen=True)
class DocmeditRecipe:
    """How a row becomes a record.

    Attributes:
        source: The source's name, for provenance.
        extractor: Says what the triples are.
        relations: The relations that triples may have.
        seed: What passages' seeds derive from.
    """

    source: str
    extractor: TripleExtractor
    relations: Relations
    seed: int

    @property
    def steps(self) -> Sequence[Step[Draft]]:
        """The steps, in order."""
        return [
            Filter("facts", _has_facts),
            ExtractTriples(self.extractor, self.relations, self.seed),
            OnlyKnownRelations(self.relations),
        ]

    def draft(self, row: Row) -> Draft | Problem:
        """The draft that the source made."""
        return from_row(Draft, row.fields)

    def record(self, draft: Draft) -> DocumentRecord:
        """The finished record."""
        read = ("document.triples", self.extractor.name)
        made = (("document", "source"), read, ("probes", "source"))
        return assemble(_with_unique_facts(draft), self.source, made)

    def close(self) -> None:
        """Close the extractor."""
        self.extractor.close()


def _has_facts(draft: Draft) -> Problem | None:
    if not draft.document.facts:
        return Problem("no_facts", "document.facts", "nothing explains the change")
    return None


def _with_unique_facts(draft: Draft) -> Draft:
    """The draft with ids of facts that no other record has."""
    document, whole = draft.document, record_id(draft.document)
    facts = tuple(
        replace(fact, id=content_id(whole, number)) for number, fact in enumerate(document.facts)
    )
    return replace(draft, document=replace(document, facts=facts))
