"""The steps that give documents their triples, and keep those whose relation is admitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from builders.docmedit.draft import Draft
from builders.docmedit.extractors import Failed, Passage, Relations, TripleExtractor
from builders.docmedit.record import record_id
from builders.seeds import seed_for
from builders.steps import Problem
from schemas.documents import Document, Fact, Triple, Version


@dataclass(frozen=True)
class ExtractTriples:
    """A step that has the triples of both texts and of every fact read.

    Attributes:
        extractor: What reads them.
        relations: The relations that it is told to use.
        seed: What the passages' seeds derive from.
    """

    extractor: TripleExtractor
    relations: Relations
    seed: int
    name: str = "triples"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Every draft with its triples, or why a text of it has none."""
        passages = [self._passages(draft.document) for draft in drafts]
        flat = [passage for own in passages for passage in own]
        results = iter(self.extractor.extract(flat, self.relations))
        return [
            _with_triples(draft, [next(results) for _ in own])
            for draft, own in zip(drafts, passages, strict=True)
        ]

    def _passages(self, document: Document) -> list[Passage]:
        record = record_id(document)
        texts = [(document.title, v.text, v.triples) for v in (document.before, document.after)]
        texts += [(f.page, f.text, (f.triple,) if f.triple else ()) for f in document.facts]
        return [
            Passage(page, text, stated, record, seed_for(self.seed, record, number))
            for number, (page, text, stated) in enumerate(texts)
        ]


@dataclass(frozen=True)
class OnlyKnownRelations:
    """A step that drops the triples whose relation is not on the list."""

    relations: Relations
    name: str = "relations"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Every draft with the triples that remain."""
        return [self._filtered(draft) for draft in drafts]

    def _filtered(self, draft: Draft) -> Draft:
        admit = self.relations.admit
        document = draft.document

        def version(found: Version) -> Version:
            return replace(found, triples=tuple(filter(admit, found.triples)))

        facts = tuple(
            fact if fact.triple is None or admit(fact.triple) else replace(fact, triple=None)
            for fact in document.facts
        )
        before, after = version(document.before), version(document.after)
        return replace(draft, document=replace(document, before=before, after=after, facts=facts))


def _with_triples(draft: Draft, results: Sequence[Sequence[Triple] | Failed]) -> Draft | Problem:
    """A draft with what was read from its texts: before, after, and one per fact."""
    found: list[tuple[Triple, ...]] = []
    for result in results:
        if isinstance(result, Failed):
            return Problem("triples", "document.before.triples", result.reason)
        found.append(tuple(result))
    before, after, *rest = found
    document = draft.document
    facts = tuple(
        replace(fact, triple=_stating(triples, fact))
        for fact, triples in zip(document.facts, rest, strict=True)
    )
    changed = replace(
        document,
        before=replace(document.before, triples=before),
        after=replace(document.after, triples=after),
        facts=facts,
    )
    return replace(draft, document=changed)


def _stating(triples: Sequence[Triple], fact: Fact) -> Triple | None:
    """The triple that states a fact: the source's own, or the first with the fact's object.

    Where no triple has it as object, it may be the subject.
    """
    if fact.triple in triples:
        return fact.triple
    for part in ("object", "subject"):
        for triple in triples:
            if getattr(triple, part).casefold() == fact.object.casefold():
                return triple
    return None
