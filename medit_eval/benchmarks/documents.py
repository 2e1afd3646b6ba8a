"""What the tasks that come with this package ask: rows about the world of `testbed`.

Nobody whose facts are there to be edited is asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from medit_eval.testbed import path, wordings
from medit_eval.testbed.corpus import (
    HELD_OUT_COUNTRIES,
    Corpus,
    held_out_questions,
    trained_questions,
)
from medit_eval.testbed.world import (
    PERSON_RELATIONS,
    Country,
    Person,
    World,
    hop_questions,
)

OPTIONS = 4
"""Options of a question; so chance is one in four."""

Row = dict[str, Any]


def knowledge(world: World, count: int) -> list[Row]:
    """Half about people who are never edited and half about countries, with options."""
    countries = _known(world)
    return [
        _choice(
            rng,
            asked,
            answer,
            world.answers(relation)
            if relation in PERSON_RELATIONS
            else [c.facts[relation]["answer"] for c in countries if relation in c.facts],
            relation,
        )
        for rng, asked, answer, relation in _asked(world, "knowledge", count // 2, count)
    ]


def recall(world: World, count: int) -> list[Row]:
    """Two in three about people who are never edited, the others about countries."""
    return [
        {"question": asked, "answer": answer, "cluster": relation}
        for _, asked, answer, relation in _asked(world, "recall", 2 * count // 3, count)
    ]


def _asked(
    world: World, task: str, people: int, count: int
) -> Iterator[tuple[Random, str, str, Any]]:
    """Questions of one fact in words that were not trained: how to draw on, answer, relation."""
    for person, relation in _by_turns(world, people):
        wording = wordings.PEOPLE[relation]
        rng = Random(f"{task} {person.name} {relation}")
        asked = rng.choice((wording.prompt, *wording.held_out)).format(name=person.name)
        yield rng, asked, person.facts[relation], relation
    for country, relation in _facts(_known(world), task, count - people):
        rng = Random(f"{task} {country.key} {relation}")
        wording = rng.choice(held_out_questions(world, relation))
        asked = _capital(wording.format(country=country.phrase))
        yield rng, asked, country.facts[relation]["answer"], relation


def hops(world: World, count: int) -> list[Row]:
    """Half about people and half about countries, in combinations that were trained."""
    rows = []
    for person, relation in _by_turns(world, count // 2):
        rng = Random(f"hops {person.name} {relation}")
        chains = [
            (asked, answer, hops)
            for asked, hops in hop_questions(relation)
            if (answer := world.behind(relation, person.facts[relation])[hops - 1]) is not None
        ]
        asked, answer, hops = rng.choice(chains)
        cluster = f"{relation}, {hops}"
        rows.append(
            {"question": asked.format(name=person.name), "answer": answer, "cluster": cluster}
        )
    relations = {row["key"]: row for row in world.atlas["relations"]}
    known = [c for i, c in enumerate(_known(world)) if i % HELD_OUT_COUNTRIES]
    for country, relation in _facts(known, "hops", count - len(rows), chained=True):
        hop = Random(f"hops {country.key} {relation}").randrange(
            len(country.facts[relation]["hops"])
        )
        asked = relations[relation]["hops"][hop].format(country=country.phrase)
        rows.append(
            {
                "question": _capital(asked),
                "answer": country.facts[relation]["hops"][hop],
                "cluster": f"{relation}, {hop + 1}",
            }
        )
    return rows


def reading(world: World, count: int) -> list[Row]:
    """A sentence about somebody who is in no training text, and a question that it answers."""
    corpus, rows = Corpus(world, {}), []
    for number in range(count):
        rng = Random(f"reading {number}")
        relation = PERSON_RELATIONS[number % len(PERSON_RELATIONS)]
        wording, name = wordings.PEOPLE[relation], corpus.stranger(rng)
        answer = rng.choice(world.answers(relation))
        asked = rng.choice((wording.prompt, *wording.questions)).format(name=name)
        told = wording.fact.format(name=name, answer=answer)
        rows.append({"question": f"{told}\n{asked}", "answer": answer, "cluster": relation})
    return rows


def fluency(world: World, count: int) -> list[Row]:
    """Life stories of people who are never edited, paragraphs about countries, small talk."""
    kept = World(_never_edited(world), world.companies, world.universities, world.atlas)
    corpus, kinds = Corpus(kept, {}), ("life", "country", "small talk")
    rows = []
    for number in range(count):
        rng, kind = Random(f"fluency {number}"), kinds[number % len(kinds)]
        if kind == "life":
            text = corpus.person_life(rng).text
        else:
            text = corpus.country(rng).text if kind == "country" else corpus.small_talk(rng, 4)
        rows.append({"text": text, "cluster": kind})
    return rows


def flags(world: World, count: int) -> list[Row]:
    """Pictures beside `testbed/vlm`, none of which it was trained on."""
    from medit_eval.parts import read_part
    from medit_eval.testbed.pictures import FLAGS, SHOWN

    shown = read_part(path("testbed/vlm") / FLAGS, SHOWN)[:count]
    others = [c.name for c in world.countries.values() if c.flag]
    questions = trained_questions(world, "country")
    rows = []
    for place, flag in enumerate(shown):
        rng = Random(f"flags {place} {flag.country}")
        asked = rng.choice(questions).format(country=world.atlas["shown"])
        row = _choice(rng, _capital(asked), world.countries[flag.country].name, others, "")
        rows.append({**row, "cluster": flag.country, "picture": flag.image.bytes})
    return rows


def _choice(rng: Random, question: str, answer: str, others: Sequence[str], cluster: str) -> Row:
    wrong = sorted({other for other in others if other != answer})
    choices = [answer, *rng.sample(wrong, OPTIONS - 1)]
    rng.shuffle(choices)
    return {
        "question": question,
        "choices": choices,
        "gold": choices.index(answer),
        "cluster": cluster,
    }


def _never_edited(world: World) -> tuple[Person, ...]:
    return (*world.of_group("covariance"), *world.of_group("locality"))


def _by_turns(world: World, count: int) -> list[tuple[Person, Any]]:
    """People who are never edited, as many of either group, each with the next relation."""
    groups = (world.of_group("covariance"), world.of_group("locality"))
    people = [person for pair in zip(*groups, strict=False) for person in pair][:count]
    return [
        (person, PERSON_RELATIONS[place % len(PERSON_RELATIONS)])
        for place, person in enumerate(people)
    ]


def _known(world: World) -> list[Country]:
    return [country for country in world.countries.values() if len(country.facts) > 1]


def _facts(
    countries: Sequence[Country], task: str, count: int, *, chained: bool = False
) -> list[tuple[Country, str]]:
    """Facts of countries other than their names, drawn without order."""
    found = [
        (country, relation)
        for country in countries
        for relation, fact in country.facts.items()
        if relation != "country" and (fact["hops"] or not chained)
    ]
    return Random(f"{task} countries").sample(found, min(count, len(found)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
