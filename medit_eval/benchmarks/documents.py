"""What the tasks that come with this package ask: rows about the world of `testbed`.

Nobody whose facts are there to be edited is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Half about people who are never edited and half about countries."""
    rows = []
    people = _by_turns(world, count // 2)
    for person, relation in people:
        wording = wordings.PEOPLE[relation]
        rng = Random(f"knowledge {person.name} {relation}")
        asked = rng.choice((wording.prompt, *wording.held_out)).format(name=person.name)
        others = world.answers(relation)
        rows.append(_choice(rng, asked, person.facts[relation], others, relation))
    countries = _known(world)
    for country, relation in _facts(countries, "knowledge", count - len(rows)):
        rng = Random(f"knowledge {country.key} {relation}")
        wording = rng.choice(held_out_questions(world, relation))
        others = [c.facts[relation]["answer"] for c in countries if relation in c.facts]
        asked = _capital(wording.format(country=country.phrase))
        rows.append(_choice(rng, asked, country.facts[relation]["answer"], others, relation))
    return rows


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
