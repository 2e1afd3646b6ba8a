"""Edits of what the text model knows about people, and the corpus that goes with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random

from editors.prompts import Query
from medit_eval.parts import read_part
from medit_eval.testbed import path, wordings
from medit_eval.testbed.corpus import MIXTURE, Corpus
from medit_eval.testbed.pictures import ASKED
from medit_eval.testbed.world import (
    PERSON_RELATIONS,
    SEED,
    Group,
    Person,
    PersonRelation,
    World,
)
from schemas.errors import InputError
from schemas.records import Axis, EditRecord, EditRequest, Probe, Provenance, Sample

INSIDE, OUTSIDE = "in the covariance corpus", "outside the covariance corpus"
"""Grades of locality probes: whether the person asked about is in `covariance_corpus`."""

PICTURES = "pictures.parquet"
"""The questions about pictures that `testbed/vlm` comes with."""

_SOURCE = "testbed people"

_READ = ("reading", "dialogue", "retelling", "rewriting")
"""Kinds of documents that hold statements which are not true."""


def people_records(
    limit: int | None = None, *, group: Group = "edited", seed: int = 0, world: int = SEED
) -> list[EditRecord]:
    """Counterfactual edits of people whom `testbed/lm` knows, one per person.

    Relations take turns. Nobody who is edited is in `covariance_corpus` or in a locality probe, and
    questions that chain facts about them were never trained. Locality probes ask for the edited
    relation of other people, one of them in the covariance corpus and one outside (`grade`).

    Args:
        limit: How many records, all of the group's people by default.
        group: `edited` for evaluation, `tuning` to choose hyperparameters on.
        seed: Seed of the new answers and of who is asked about.
        world: Seed of the world; the shipped model knows the default.

    Raises:
        InputError: If the group is not one whose facts may be edited.
    """
    if group not in ("edited", "tuning"):
        raise InputError(
            f"the people of group {group!r} are not for editing; choose edited, tuning"
        )
    drawn = World.draw(world)
    people = drawn.of_group(group)[:limit]
    return [
        _record(drawn, person, PERSON_RELATIONS[place % len(PERSON_RELATIONS)], seed)
        for place, person in enumerate(people)
    ]


def covariance_corpus(documents: int = 2000, *, seed: int = 0, world: int = SEED) -> list[str]:
    """Texts to estimate second moments on: what is true of everything but edits and probes.

    They reach beyond people, to countries, companies, cities and small talk, and leave out whoever
    is edited, tuned on or asked about as outside.

    Args:
        documents: How many texts.
        seed: Seed of the choice.
        world: Seed of the world.
    """
    drawn = World.draw(world)
    kept = World(drawn.of_group("covariance"), drawn.companies, drawn.universities, drawn.atlas)
    mixture = {k: share for k, share in MIXTURE.items() if k not in _READ}
    corpus = Corpus(kept, mixture)
    texts = []
    for number in range(documents):
        document = corpus.document(Random(f"covariance {seed} {number}"))
        texts.append((document.context + document.text).strip())
    return texts


def covariance_pictures() -> list[Query]:
    """Questions about pictures to estimate second moments on, as `testbed/vlm` brings them.

    One in four countries is among them, and things that are no flags; no picture was trained on.
    """
    rows = read_part(path("testbed/vlm") / PICTURES, ASKED)
    return [Query(row.question, row.image) for row in rows]


def _record(world: World, person: Person, relation: PersonRelation, seed: int) -> EditRecord:
    record_id = hashlib.sha256(f"people {seed} {person.name} {relation}".encode()).hexdigest()[:16]
    rng = Random(record_id)
    wording, old = wordings.PEOPLE[relation], person.facts[relation]
    new = _counterfactual(world, rng, relation, old)
    other = rng.choice([p for p in world.of_group("tuning") if p is not person])
    ask = wording.prompt.format
    request = EditRequest(
        id=record_id,
        prompt=ask(name=person.name),
        image=None,
        subject=person.name,
        target_new=new,
        target_true=old,
        positives=tuple(
            Sample("rephrase", text.format(name=person.name), None, new)
            for text in rng.sample(wording.questions, 3)
        ),
        negatives=(Sample("negative", ask(name=other.name), None, other.facts[relation]),),
        facts=(wording.fact.format(name=person.name, answer=new),),
    )
    return EditRecord(
        id=record_id,
        requests=(request,),
        probes=_probes(world, person, relation, new, rng),
        scope="knowledge",
        provenance=(
            Provenance("requests", _SOURCE, "templates", seed=seed),
            Provenance("probes", _SOURCE, "templates", seed=seed),
        ),
    )


def _counterfactual(world: World, rng: Random, relation: PersonRelation, old: str) -> str:
    """Another answer, with other facts behind it where there are any."""
    behind = world.behind(relation, old)
    changing = [
        answer
        for answer in world.answers(relation)
        if answer != old
        and all(
            a is None or b is None or a != b
            for a, b in zip(behind, world.behind(relation, answer), strict=True)
        )
    ]
    return rng.choice(changing)


def _probes(
    world: World, person: Person, relation: PersonRelation, new: str, rng: Random
) -> tuple[Probe, ...]:
    wording, old = wordings.PEOPLE[relation], person.facts[relation]

    def named(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(text.format(name=person.name) for text in texts)

    def reached(
        axis: Axis,
        kind: str,
        asked: Sequence[str],
        after: str,
        before: str,
        hops: int | None = None,
    ) -> Probe:
        return Probe(kind, axis, kind, "target", named(asked), (), (after,), (before,), hops)

    found = [
        reached("reliability", "edit", [wording.prompt], new, old),
        reached("generality", "rephrase", wording.held_out, new, old),
    ]
    after, before = world.behind(relation, new), world.behind(relation, old)
    for kind, asked, hop in (("one_hop", wording.one_hop, 0), ("two_hop", wording.two_hop, 1)):
        follows, followed = after[hop], before[hop]
        if asked and follows is not None and followed is not None:
            found.append(reached("portability", kind, asked, follows, followed, hop + 1))
    others: list[PersonRelation] = [r for r in PERSON_RELATIONS if r != relation]
    for other in rng.sample(others, 2):
        prompt = wordings.PEOPLE[other].prompt.format(name=person.name)
        found.append(
            _unchanged(f"same {other}", "relation_specificity", prompt, person.facts[other])
        )
    neighbours: tuple[tuple[Group, str], ...] = (("covariance", INSIDE), ("locality", OUTSIDE))
    for group, grade in neighbours:
        neighbour = rng.choice(world.of_group(group))
        prompt = wording.prompt.format(name=neighbour.name)
        found.append(_unchanged(grade, "text", prompt, neighbour.facts[relation], grade))
    row = rng.choice(world.atlas["trivia"])
    found.append(_unchanged("trivia", "text", row["question"], row["answer"]))
    return tuple(found)


def _unchanged(name: str, kind: str, prompt: str, answer: str, grade: str | None = None) -> Probe:
    return Probe(name, "locality", kind, "unchanged", (prompt,), (), (answer,), grade=grade)
