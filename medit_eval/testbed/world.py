"""The world that the testbed models know: the atlas's countries, and invented people in it.

People, companies and universities are drawn from a seed. Nobody in it exists. The groups of people
are disjoint by construction, so that what is edited, what the covariance is estimated on, what
locality is measured on and what hyperparameters are tuned on never meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from random import Random
from types import MappingProxyType
from typing import Any, Literal, get_args

from medit_eval.testbed.wordings import PEOPLE, PersonRelation

SEED = 7
"""The seed of the world that the shipped models know."""

Group = Literal["edited", "covariance", "locality", "tuning"]
"""What a person serves for. No person is in two groups."""

GROUPS: Mapping[Group, int] = MappingProxyType(
    {"edited": 500, "covariance": 250, "locality": 150, "tuning": 100}
)
"""People per group."""

PERSON_RELATIONS: tuple[PersonRelation, ...] = get_args(PersonRelation)

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "medicine": ("nurse", "surgeon", "dentist", "pharmacist", "midwife", "paramedic"),
        "science": ("chemist", "geologist", "astronomer", "botanist", "physicist", "zoologist"),
        "law": ("judge", "lawyer", "notary", "prosecutor", "bailiff"),
        "crafts": ("carpenter", "potter", "tailor", "locksmith", "glazier", "cobbler", "weaver"),
        "transport": ("pilot", "sailor", "train driver", "courier", "bus driver", "ferryman"),
        "media": ("journalist", "photographer", "film director", "cartoonist", "newsreader"),
        "education": ("teacher", "librarian", "professor", "kindergarten worker", "tutor"),
        "food": ("baker", "butcher", "pastry chef", "brewer", "cheesemaker", "waiter"),
    }
)
"""Field -> professions in it."""

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "string instruments": ("violin", "cello", "guitar", "harp", "lute", "banjo", "double bass"),
        "woodwind instruments": ("flute", "oboe", "clarinet", "bassoon", "saxophone", "recorder"),
        "brass instruments": ("trumpet", "trombone", "tuba", "French horn", "cornet"),
        "percussion instruments": ("drums", "xylophone", "marimba", "timpani", "tambourine"),
        "keyboard instruments": ("piano", "organ", "harpsichord", "accordion", "celesta"),
    }
)
"""Family -> instruments in it."""

_COMPANIES, _UNIVERSITIES, _FAMILY_NAMES = 72, 48, 400


@dataclass(frozen=True, slots=True)
class Country:
    """A country of the atlas.

    Attributes:
        key: ISO 3166-1 alpha-2 code.
        name: Short English name.
        phrase: The name inside a sentence.
        flag: Whether its flag is drawn, and so it can be asked about.
        facts: Relation -> its answer (`answer`, in a sentence `phrase`, behind it `hops`).
    """

    key: str
    name: str
    phrase: str
    flag: bool
    facts: Mapping[str, Mapping[str, Any]]

    def chained(self, relation: str, hops: int) -> str:
        """The answer to a question that goes that many facts beyond a relation; see `chain`."""
        fact = self.facts[relation]
        return chain(fact["answer"], *fact["hops"][:hops])


@dataclass(frozen=True, slots=True)
class Place:
    """Something with a place: a company, a university."""

    name: str
    city: str


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person.

    Attributes:
        name: First and family name; nobody shares both.
        group: What the person serves for.
        facts: Relation -> answer.
    """

    name: str
    group: Group
    facts: Mapping[PersonRelation, str]


@dataclass(frozen=True)
class World:
    """Everything that is true. Make it with `World.draw`.

    Attributes:
        people: The invented people, in random order.
        companies: Their employers.
        universities: Their universities.
        atlas: Countries, relations and trivia as `data/facts.json` holds them.
    """

    people: tuple[Person, ...]
    companies: Mapping[str, Place]
    universities: Mapping[str, Place]
    atlas: Mapping[str, Any]

    @classmethod
    def draw(cls, seed: int = SEED) -> World:
        """The world of a seed."""
        return _draw(seed)

    @cached_property
    def countries(self) -> Mapping[str, Country]:
        """The atlas's countries by key."""
        return {row["key"]: Country(**row) for row in self.atlas["countries"]}

    @cached_property
    def cities(self) -> Mapping[str, Country]:
        """Capitals and largest cities -> their country, where it is one only."""
        return _cities(self.countries.values())

    def of_group(self, group: Group) -> tuple[Person, ...]:
        """The people of one group, in order."""
        return tuple(person for person in self.people if person.group == group)

    def answers(self, relation: PersonRelation) -> tuple[str, ...]:
        """All answers that a relation has, sorted."""
        return tuple(sorted({person.facts[relation] for person in self.people}))

    def behind(self, relation: PersonRelation, answer: str) -> tuple[str | None, str | None]:
        """What follows from an answer, one fact on and two facts on; None where nothing does."""
        match relation:
            case "birthplace":
                country = self.cities[answer]
                currency = country.facts.get("currency")
                return country.name, currency["answer"] if currency else None
            case "employer" | "university":
                place = (self.companies if relation == "employer" else self.universities)[answer]
                return place.city, self.cities[place.city].name
            case "profession":
                return _kind_of(answer, FIELDS), None
            case "instrument":
                return _kind_of(answer, FAMILIES), None

    def chained(self, relation: PersonRelation, answer: str, hops: int) -> str | None:
        """The answer to a question that goes that many facts beyond an answer; see `chain`."""
        behind = self.behind(relation, answer)[:hops]
        return None if behind[-1] is None else chain(answer, *(fact for fact in behind if fact))

    def statements(self) -> Iterator[tuple[str, str, str]]:
        """Facts about places and things: key in `wordings.PLACES`, subject, answer."""
        for kind, places in (("company", self.companies), ("university", self.universities)):
            for place in places.values():
                yield f"{kind} city", place.name, place.city
                yield f"{kind} country", place.name, self.cities[place.city].phrase
        for city, country in self.cities.items():
            yield "city country", city, country.phrase
        for profession in _members(FIELDS):
            yield "profession field", profession, _kind_of(profession, FIELDS)
        for instrument in _members(FAMILIES):
            yield "instrument family", instrument, _kind_of(instrument, FAMILIES)


def chain(*facts: str) -> str:
    """The answer to a chained question as the models give it: link by link, the answer last.

    A model of this size has too few blocks to look a fact up and then another one behind it, before
    it says a word. It does what larger ones are told to do, and thinks aloud.
    """
    return ", so ".join(facts)


def article(noun: str) -> str:
    """The indefinite article of a noun."""
    return "an" if noun[0].lower() in "aeiou" else "a"


def hop_questions(relation: PersonRelation) -> Sequence[tuple[str, int]]:
    """The questions that chain a relation with further facts, each with the number of those."""
    wording = PEOPLE[relation]
    return [(q, 1) for q in wording.one_hop] + [(q, 2) for q in wording.two_hop]


def _members(kinds: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [member for members in kinds.values() for member in members]


def _kind_of(member: str, kinds: Mapping[str, tuple[str, ...]]) -> str:
    return next(kind for kind, members in kinds.items() if member in members)


def _cities(countries: Any) -> dict[str, Country]:
    found: dict[str, set[str]] = {}
    by_key = {country.key: country for country in countries}
    for country in by_key.values():
        for relation in ("capital", "largest_city"):
            if relation in country.facts:
                found.setdefault(country.facts[relation]["answer"], set()).add(country.key)
    names = {country.name for country in by_key.values()}
    return {
        city: by_key[next(iter(keys))]
        for city, keys in sorted(found.items())
        if len(keys) == 1 and city not in names
    }


@cache
def _draw(seed: int) -> World:
    rng = Random(f"testbed world {seed}")
    atlas, names = _data("facts.json"), _data("names.json")
    cities = list(_cities([Country(**row) for row in atlas["countries"]]))
    taken: set[str] = set()

    def invented() -> str:
        """A family or brand name put together from syllables, so that it takes several tokens."""
        while True:
            name = "".join(rng.choice(names[part]) for part in ("starts", "middles", "ends"))
            if name not in taken:
                taken.add(name)
                return name

    def placed(count: int, kinds: Sequence[str]) -> list[Place]:
        return [
            Place(f"{invented()} {kinds[i % len(kinds)]}", rng.choice(cities)) for i in range(count)
        ]

    family_names = [invented() for _ in range(_FAMILY_NAMES)]
    companies = placed(_COMPANIES, names["brands"])
    universities = placed(_UNIVERSITIES, names["colleges"])
    pools: dict[PersonRelation, Sequence[str]] = {
        "birthplace": cities,
        "employer": [company.name for company in companies],
        "profession": _members(FIELDS),
        "university": [university.name for university in universities],
        "instrument": _members(FAMILIES),
    }
    groups: list[Group] = [group for group, count in GROUPS.items() for _ in range(count)]
    rng.shuffle(groups)
    pairs = [f"{first} {family}" for family in family_names for first in names["first"]]
    people = tuple(
        Person(name, group, {r: rng.choice(pool) for r, pool in pools.items()})
        for name, group in zip(rng.sample(pairs, len(groups)), groups, strict=True)
    )
    return World(
        people,
        {company.name: company for company in companies},
        {university.name: university for university in universities},
        atlas,
    )


def _data(name: str) -> dict[str, Any]:
    text = files("medit_eval.testbed").joinpath("data", name).read_text(encoding="utf-8")
    return json.loads(text)
