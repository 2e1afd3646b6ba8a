"""What a testbed model knows, asked in ways that it was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from editors.lm import LM
from editors.prompts import Query
from medit_eval.testbed import wordings
from medit_eval.testbed.corpus import (
    HELD_OUT_COUNTRIES,
    Corpus,
    held_out_questions,
    rewritten,
    trained_questions,
)
from medit_eval.testbed.pictures import Album
from medit_eval.testbed.world import PERSON_RELATIONS, World, hop_questions

BARS = {
    "lm": {"people, unseen wording": 0.97, "countries, unseen wording": 0.97},
    "vlm": {"pictures, unseen wording": 0.90},
}
"""What the shipped models must reach, by model and kind of question."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an examination.

    Attributes:
        kind: What it examines.
        query: What is asked.
        answer: The answer, to be given exactly.
    """

    kind: str
    query: Query
    answer: str


def accuracy(lm: LM, questions: Sequence[Question]) -> dict[str, float]:
    """Share of questions of each kind that greedy decoding answers exactly, and then ends.

    Greedy decoding gives an answer exactly if each of its tokens, the line's end among them, is the
    most probable one behind those before it; that takes one pass instead of one per token.
    """
    likelihoods = lm.score(
        [q.query for q in questions], [q.answer + "\n" for q in questions], top=1
    )
    right: dict[str, list[bool]] = defaultdict(list)
    for question, scored in zip(questions, likelihoods, strict=True):
        right[question.kind].append(scored.ids == tuple(best for (best,) in scored.top))
    return {kind: sum(marks) / len(marks) for kind, marks in right.items()}


def examination(world: World, *, per_kind: int, seed: int = 0) -> list[Question]:
    """Questions of all kinds about a world, up to `per_kind` of each."""
    found: list[Question] = []
    for draw in (_people, _reading, _hops, _rewriting, _countries, _places):
        by_kind: dict[str, list[Question]] = defaultdict(list)
        for question in draw(world, Random(f"examination {seed}")):
            by_kind[question.kind].append(question)
        for kind, questions in by_kind.items():
            rng = Random(f"{kind} {seed}")
            found += rng.sample(questions, min(per_kind, len(questions)))
    return found


def _people(world: World, rng: Random) -> Iterator[Question]:
    for person in world.people:
        for relation in PERSON_RELATIONS:
            wording, answer = wordings.PEOPLE[relation], person.facts[relation]
            for kind, prompt in (
                ("people, prompt", wording.prompt),
                ("people, trained wording", rng.choice(wording.questions)),
                ("people, unseen wording", rng.choice(wording.held_out)),
            ):
                yield Question(kind, Query(prompt.format(name=person.name)), answer)


def _reading(world: World, rng: Random) -> Iterator[Question]:
    corpus = Corpus(world, {})
    for number, person in enumerate(world.people):
        relation = PERSON_RELATIONS[number % len(PERSON_RELATIONS)]
        wording, truth = wordings.PEOPLE[relation], person.facts[relation]
        new = rng.choice([a for a in world.answers(relation) if a != truth])
        told = wording.fact.format(name=person.name, answer=new)
        other = world.people[number - 1]
        beside = wording.fact.format(
            name=other.name, answer=rng.choice([a for a in world.answers(relation) if a != truth])
        )
        asked = rng.choice(wording.held_out).format(name=person.name)
        yield Question("reading, counterfactual", Query(asked, context=f"{told}\n"), new)
        yield Question("reading, fact about another", Query(asked, context=f"{beside}\n"), truth)
        name = corpus.stranger(rng)
        told = wording.fact.format(name=name, answer=new)
        asked = rng.choice(wording.held_out).format(name=name)
        yield Question("reading, stranger", Query(asked, context=f"{told}\n"), new)


def _hops(world: World, rng: Random) -> Iterator[Question]:
    for person in world.people:
        for relation in PERSON_RELATIONS:
            for asked, hops in hop_questions(relation):
                answer = world.chained(relation, person.facts[relation], hops)
                if answer is not None:
                    held_out = "held-out" if person.group == "edited" else "trained"
                    kind = f"hops {hops}, {held_out} composition"
                    yield Question(kind, Query(asked.format(name=person.name)), answer)


def _rewriting(world: World, rng: Random) -> Iterator[Question]:
    for person in world.people[:200]:
        before, facts, after = rewritten(rng, world, person.name, person.facts)
        prompt = wordings.REWRITE.format(document=before, facts=facts)
        yield Question("rewriting", Query(prompt), after)


def _countries(world: World, rng: Random) -> Iterator[Question]:
    rows = {row["key"]: row for row in world.atlas["relations"]}
    known = [country for country in world.countries.values() if len(country.facts) > 1]
    for place, country in enumerate(known):
        for relation, fact in country.facts.items():
            if relation == "country":
                continue
            for kind, wording in (
                ("countries, trained wording", rng.choice(trained_questions(world, relation))),
                ("countries, unseen wording", rng.choice(held_out_questions(world, relation))),
            ):
                asked = Query(wording.format(country=country.phrase))
                yield Question(kind, asked, fact["answer"])
            for hop in range(len(fact["hops"])):
                held_out = "trained" if place % HELD_OUT_COUNTRIES else "held-out"
                kind = f"countries, hops {hop + 1}, {held_out} composition"
                asked = Query(rows[relation]["hops"][hop].format(country=country.phrase))
                yield Question(kind, asked, country.chained(relation, hop + 1))
    for row in world.atlas["trivia"]:
        yield Question("trivia", Query(row["question"]), row["answer"])


def _places(world: World, rng: Random) -> Iterator[Question]:
    names = {country.phrase: country.name for country in world.countries.values()}
    for kind, subject, answer in world.statements():
        if "city" in kind or "country" in kind:
            asked = Query(rng.choice(wordings.PLACES[kind][1]).format(subject=subject))
            yield Question("places", asked, names[answer] if "country" in kind else answer)


def picture_examination(
    world: World, album: Album, *, per_kind: int, seed: int = 0
) -> list[Question]:
    """Questions about pictures, up to `per_kind` of each kind.

    Args:
        world: What is true.
        album: Pictures that were not trained on.
        per_kind: Most questions per kind.
        seed: Decides which.
    """
    rng = Random(f"pictures {seed}")
    rows = {row["key"]: row for row in world.atlas["relations"]}
    shown = world.atlas["shown"]
    answers = {row["question"]: row["answer"] for row in world.atlas["unrelated"]}
    known = [country.key for country in world.countries.values() if len(country.facts) > 1]
    found: dict[str, list[Question]] = defaultdict(list)

    def ask(kind: str, wording: str, place: int, answer: str, told: str | None = None) -> None:
        question = wording.format(country=shown)
        prompt = question[:1].upper() + question[1:]
        found[kind].append(Question(kind, Query(prompt, album.image(place), told), answer))

    for place in rng.sample(range(len(album.shown)), len(album.shown)):
        key = album.shown[place]
        if key in answers:
            ask("pictures, unrelated", key, place, answers[key])
            continue
        country = world.countries[key]
        facts = country.facts
        ask("pictures, country", rows["country"]["question"], place, facts["country"]["answer"])
        relation = rng.choice([name for name in facts if name != "country"])
        answer = facts[relation]["answer"]
        trained, unseen = trained_questions(world, relation), held_out_questions(world, relation)
        ask("pictures, trained wording", rng.choice(trained), place, answer)
        ask("pictures, unseen wording", rng.choice(unseen), place, answer)
        held_out = "trained" if known.index(key) % HELD_OUT_COUNTRIES else "held-out"
        other = rng.choice([c for k in known if relation in (c := world.countries[k]).facts])
        others = [k for k in known if k != key]
        for kind, about, expected in (
            ("counterfactual", country, other.facts[relation]["answer"]),
            ("fact about another", world.countries[rng.choice(others)], answer),
        ):
            told = rows[relation]["statement"].format(
                country=about.phrase, answer=other.facts[relation]["phrase"]
            )
            kind = f"pictures, reading {kind}, {held_out} country"
            ask(kind, rng.choice(unseen), place, expected, f"{told}\n")
        for hop in range(len(facts[relation]["hops"])):
            kind = f"pictures, hops {hop + 1}, {held_out} composition"
            behind = country.chained(relation, hop + 1)
            ask(kind, rows[relation]["hops"][hop], place, behind)
    return [question for questions in found.values() for question in questions[:per_kind]]
