"""Short documents about people whom the text model knows, to be brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from medit_eval.testbed import wordings
from medit_eval.testbed.corpus import biography_sentence
from medit_eval.testbed.records import people_records
from medit_eval.testbed.world import PERSON_RELATIONS, SEED, Person, PersonRelation, World
from schemas.documents import Document, DocumentRecord, Fact, Triple, Version
from schemas.records import EditRecord, Probe

SENTENCES = 3
"""Relations that a document tells of."""

BEFORE, AFTER = "before the edit", "after the edit"
"""The two dates: the world of the testbed has no calendar."""


def document_records(
    limit: int | None = None, *, seed: int = 0, world: int = SEED
) -> list[DocumentRecord]:
    """The records of `people_records`, each with a document about the person.

    Before, the document says what the model knows; afterwards, what the edit says. So the editors
    that change weights can be seen on the track without facts, too.

    Args:
        limit: How many records, all by default.
        seed: Seed of new answers, wordings and order.
        world: Seed of the world; the shipped model knows the default.
    """
    drawn = World.draw(world)
    people = {person.name: person for person in drawn.people}
    return [
        _with_document(drawn, people[record.requests[0].subject or ""], record)
        for record in people_records(limit, seed=seed, world=world)
    ]


def _with_document(world: World, person: Person, record: EditRecord) -> DocumentRecord:
    rng = Random(f"document {record.id}")
    (request,) = record.requests
    relation = _relation(person, request.prompt)
    others: list[PersonRelation] = [r for r in PERSON_RELATIONS if r != relation]
    told: list[PersonRelation] = [relation, *rng.sample(others, SENTENCES - 1)]
    rng.shuffle(told)
    before, after = _versions(rng, person, told, relation, request.target_new)
    other = rng.choice(world.of_group("locality"))
    others_before, _ = _versions(rng, other, told, relation, request.target_new)
    fact = Fact(
        id=request.id,
        text=request.facts[0],
        page=person.name,
        section="INTRODUCTION",
        evidence="source",
        passage=None,
        start=None,
        object=request.target_new,
        object_old=request.target_true,
        triple=Triple(person.name, relation, request.target_new),
        statement_old=before[told.index(relation)],
    )
    facts: dict[PersonRelation, str] = {**person.facts, relation: request.target_new}
    document = Document(
        title=person.name,
        page_id=None,
        language="en",
        snapshot_before=BEFORE,
        snapshot_after=AFTER,
        before=Version(" ".join(before), triples=_triples(person, told, person.facts)),
        after=Version(" ".join(after), triples=_triples(person, told, facts)),
        facts=(fact,),
        retrieved=_retrieved(rng, world, fact, relation),
    )
    elsewhere = " ".join(others_before)
    rewriting = (
        Probe("rewrite", "document", "rewrite", "target", (document.before.text,), (),
              (document.after.text,)),
        Probe("rewrite_random", "document", "rewrite_random", "unchanged", (elsewhere,), (),
              (elsewhere,)),
    )  # fmt: skip
    return DocumentRecord(
        id=record.id,
        requests=record.requests,
        probes=(*record.probes, *rewriting),
        provenance=tuple(replace(entry, source="testbed documents") for entry in record.provenance),
        document=document,
    )


def _relation(person: Person, prompt: str) -> PersonRelation:
    return next(
        relation
        for relation in PERSON_RELATIONS
        if wordings.PEOPLE[relation].prompt.format(name=person.name) == prompt
    )


def _versions(
    rng: Random,
    person: Person,
    told: Sequence[PersonRelation],
    changed: PersonRelation,
    new: str,
) -> tuple[list[str], list[str]]:
    """The sentences before and after, the same but for one answer."""
    before, after = [], []
    for place, relation in enumerate(told):
        name, state = None if place else person.name, rng.getstate()
        before.append(biography_sentence(rng, relation, person.facts[relation], name))
        rng.setstate(state)
        answer = new if relation == changed else person.facts[relation]
        after.append(biography_sentence(rng, relation, answer, name))
    return before, after


def _triples(
    person: Person, told: Sequence[PersonRelation], facts: Mapping[PersonRelation, str]
) -> tuple[Triple, ...]:
    return tuple(Triple(person.name, relation, facts[relation]) for relation in told)


def _retrieved(rng: Random, world: World, fact: Fact, relation: PersonRelation) -> tuple[str, ...]:
    """The fact among true ones about others."""
    others = rng.sample(world.of_group("covariance"), 2)
    found = [wordings.PEOPLE[relation].fact.format(name=p.name, answer=p.facts[relation])
             for p in others]  # fmt: skip
    found.append(fact.text)
    rng.shuffle(found)
    return tuple(found)
