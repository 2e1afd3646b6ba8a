"""Triples: those that a source gives, or a model reads from the texts; relations from a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from builders.docmedit.draft import Draft
from builders.docmedit.record import record_id
from builders.seeds import seed_for
from builders.steps import Problem
from builders.text.protocol import TextGenerator, TextRequest, TextResult, TextTask
from schemas.documents import Document, Fact, Triple, Version
from schemas.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExtractedTriple(_Strict):
    """One relation between two things."""

    subject: str
    relation: str
    object: str


class ExtractedTriples(_Strict):
    """What a text says."""

    triples: list[ExtractedTriple]


def _check(inputs: Mapping[str, Any], output: ExtractedTriples) -> str | None:
    text = f"{inputs['title']}\n{inputs['text']}".casefold()
    for triple in output.triples:
        if not (triple.subject.strip() and triple.relation.strip() and triple.object.strip()):
            return "leaves a part of a triple empty"
        if triple.object.strip().casefold() not in text:
            return f"names {triple.object!r}, which the text does not hold"
    return None


EXTRACT: TextTask[ExtractedTriples] = TextTask(
    name="extract_triples",
    system=(
        "You read short passages of an encyclopedia and write down what they say as triples of "
        "subject, relation and object. Reply with one JSON object of the required form and with "
        "nothing else."
    ),
    template=(
        "List the facts that the passage states. Write subjects and objects as they stand in the "
        "passage, with full names for subjects, and relations as short phrases such as `capital` "
        "or `head of government`.{relations}\nPage: {title}\nPassage: {text}"
    ),
    output=ExtractedTriples,
    check=_check,
)
"""What a model is asked for each text."""


@dataclass(frozen=True)
class Relations:
    """The relations that triples may have; an empty list admits all.

    Attributes:
        names: The names.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Relations:
        """A list of relations: one per line, what follows a tab is left out.

        Raises:
            InputError: If the file cannot be read or names none.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", file=path) from None
        names = [line.partition("\t")[0].strip() for line in lines]
        names = [name for name in names if name and not name.startswith("#")]
        if not names:
            raise InputError("names no relation", file=path)
        return cls(tuple(dict.fromkeys(names)))

    def admit(self, triple: Triple) -> bool:
        """Whether a triple has a relation of the list; case and underscores do not matter."""
        return not self.names or _key(triple.relation) in self._keys

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(map(_key, self.names))


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


@dataclass(frozen=True)
class ExtractTriples:
    """A step that has a model read the triples of both texts and of every fact.

    Attributes:
        text: The model.
        relations: The relations that it is told to use.
        seed: What the requests' seeds derive from.
    """

    text: TextGenerator
    relations: Relations
    seed: int
    name: str = "triples"

    def __call__(self, drafts: Sequence[Draft]) -> list[Draft | Problem]:
        """Every draft with new triples, or what the model failed at."""
        requests = [r for draft in drafts for r in self._requests(draft.document)]
        results = iter(self.text.generate(requests))
        made: list[Draft | Problem] = []
        for draft in drafts:
            document = draft.document
            own = [next(results) for _ in range(2 + len(document.facts))]
            failed = next((r.error for r in own if r.error is not None), None)
            if failed is not None:
                made.append(Problem("triples", "document.before.triples", f"the model {failed}"))
                continue
            before, after, *rest = (_triples(result) for result in own)
            facts = tuple(
                replace(fact, triple=_stating(found, fact))
                for fact, found in zip(document.facts, rest, strict=True)
            )
            changed = replace(
                document,
                before=replace(document.before, triples=before),
                after=replace(document.after, triples=after),
                facts=facts,
            )
            made.append(replace(draft, document=changed))
        return made

    def _requests(self, document: Document) -> list[TextRequest[ExtractedTriples]]:
        known = "".join(f"\n- {name}" for name in self.relations.names)
        relations = f" Use these relations only:{known}" if known else ""
        texts = [(document.title, document.before.text), (document.title, document.after.text)]
        texts += [(fact.page, fact.text) for fact in document.facts]
        record = record_id(document)
        return [
            TextRequest(
                task=EXTRACT,
                inputs={"title": title, "text": text, "relations": relations},
                seed=seed_for(self.seed, record, number),
                record_id=record,
            )
            for number, (title, text) in enumerate(texts)
        ]


def _triples(result: TextResult[ExtractedTriples]) -> tuple[Triple, ...]:
    assert result.output is not None
    found = (
        Triple(t.subject.strip(), t.relation.strip(), t.object.strip())
        for t in result.output.triples
    )
    return tuple(dict.fromkeys(found))


def _stating(triples: Sequence[Triple], fact: Fact) -> Triple | None:
    """The triple that states a fact: the first whose object, or else subject, is the fact's."""
    for part in ("object", "subject"):
        for triple in triples:
            if getattr(triple, part).casefold() == fact.object.casefold():
                return triple
    return None


def _key(relation: str) -> str:
    return " ".join(relation.replace("_", " ").casefold().split())
