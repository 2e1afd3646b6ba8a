"""The recipe of document edits: its steps as one readable list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from builders.definition import Row
from builders.docmedit.draft import Draft
from builders.docmedit.record import assemble, record_id
from builders.docmedit.triples import ExtractTriples, OnlyKnownRelations, Relations
from builders.seeds import content_id
from builders.steps import Filter, Problem, Step
from builders.text.protocol import TextGenerator
from schemas.arrow import from_row
from schemas.documents import DocumentRecord


@dataclass(frozen=True)
class DocmeditRecipe:
    """How a row becomes a record.

    Attributes:
        source: The source's name, for provenance.
        text: Reads triples from texts, or None where those of the source stand.
        relations: The relations that triples may have.
        seed: What requests' seeds derive from.
    """

    source: str
    text: TextGenerator | None
    relations: Relations
    seed: int

    @property
    def steps(self) -> Sequence[Step[Draft]]:
        """The steps, in order."""
        extract: list[Step[Draft]] = []
        if self.text is not None:
            extract.append(ExtractTriples(self.text, self.relations, self.seed))
        return [
            Filter("facts", _has_facts),
            *extract,
            OnlyKnownRelations(self.relations),
        ]

    def draft(self, row: Row) -> Draft | Problem:
        """The draft that the source made."""
        return from_row(Draft, row.fields)

    def record(self, draft: Draft) -> DocumentRecord:
        """The finished record."""
        triples = "source" if self.text is None else self.text.name
        made = (("document", "source"), ("document.triples", triples), ("probes", "source"))
        return assemble(_with_unique_facts(draft), self.source, made)

    def close(self) -> None:
        """Close the generator."""
        if self.text is not None:
            self.text.close()


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
