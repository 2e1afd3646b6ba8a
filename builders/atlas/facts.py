"""What the atlas knows: countries, and the facts that follow from each answer about them.

Every relation leads from a country to an entity that has facts of its own, so that an edit ("the
capital of Chad is Bucharest") has consequences to ask about. A relation without one clear answer,
for a country with two capitals say, is left out for that country.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, TypeVar

from builders.atlas.entities import (
    RELATION_KEYS,
    SHOWN_COUNTRY,
    Answer,
    City,
    Continent,
    Country,
    Currency,
    Hop,
    Language,
    Relation,
    RelationKey,
    Trivia,
)
from schemas.errors import InputError

_T = TypeVar("_T")

#: The day on which the facts are meant to hold.
AS_OF = "2026-01-01"

#: Where each kind of fact can be looked up: (source, what it backs).
SOURCES: tuple[tuple[str, str], ...] = (
    ("ISO 3166-1", "country keys and names"),
    ("ISO 4217", "currency codes and names"),
    ("ISO 639", "language keys and names"),
    ("IANA Root Zone Database", "country-code top-level domains"),
    ("IANA Time Zone Database", "UTC offsets without daylight saving time"),
    ("ITU-T Recommendation E.164", "calling codes and world numbering zones"),
    ("CIA World Factbook", "capitals, official languages, largest cities"),
    ("UN Statistics Division, standard M49", "continents"),
    ("UN World Population Prospects", "the most populous country of each continent"),
    ("Ethnologue", "the country with the most native speakers of each language"),
    ("Statutes of the central banks", "the city of each bank's seat"),
    ("Flag laws and the flag manuals of Olympic organisers", "construction and colours of flags"),
)

#: World numbering zones of E.164: first digit -> the part of the world, canonical name first.
ZONES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "1": ("North America", "North America and the Caribbean", "the North American area"),
        "2": ("Africa",),
        "3": ("Europe",),
        "4": ("Europe",),
        "5": ("Latin America", "Central and South America", "South America", "the Americas"),
        "6": ("Southeast Asia and Oceania", "Southeast Asia", "Oceania", "the Pacific"),
        "7": ("Russia and Kazakhstan", "Russia", "the former Soviet Union"),
        "8": ("East Asia", "Asia", "Eastern Asia"),
        "9": ("Western and Southern Asia", "Asia", "the Middle East", "Western Asia"),
    }
)


@dataclass(frozen=True, eq=False)  # equal only to itself, so that methods can be cached
class Atlas:
    """The embedded world. Load it with `load_atlas`."""

    countries: Mapping[str, Country]
    cities: Mapping[str, City]
    currencies: Mapping[str, Currency]
    languages: Mapping[str, Language]
    continents: Mapping[str, Continent]
    relations: Mapping[RelationKey, Relation]
    trivia: tuple[Trivia, ...]

    @property
    def flag_keys(self) -> tuple[str, ...]:
        """Keys of the countries whose flag is drawn, sorted."""
        return tuple(sorted(key for key, country in self.countries.items() if country.flag))

    def country(self, key: str) -> Country:
        """The country with this ISO 3166-1 alpha-2 code.

        Raises:
            InputError: If the atlas does not hold it.
        """
        return _lookup(self.countries, key, "country")

    def relation(self, key: RelationKey) -> Relation:
        """The relation with this key.

        Raises:
            InputError: If there is no such relation.
        """
        return _lookup(self.relations, key, "relation")

    @cache  # noqa: B019  there is one atlas
    def answers(self, relation: RelationKey, country_key: str) -> Answer | None:
        """The true answer for a country, None where the atlas gives none.

        Raises:
            InputError: If the relation or the country is unknown.
        """
        self.relation(relation)
        country = self.country(country_key)
        key = country.key if relation == "country" else getattr(country, relation)
        return None if key is None else self._answer(relation, key)

    @cache  # noqa: B019  there is one atlas
    def pool(self, relation: RelationKey) -> tuple[Answer, ...]:
        """The distinct answers over all drawn countries that have both hops, sorted by key.

        Counterfactual answers are drawn from here, so that each has consequences to ask about.

        Raises:
            InputError: If the relation is unknown.
        """
        return self._pools[self.relation(relation).key]

    @cached_property
    def _pools(self) -> Mapping[RelationKey, tuple[Answer, ...]]:
        pools: dict[RelationKey, tuple[Answer, ...]] = {}
        for relation in self.relations:
            answers = (self.answers(relation, key) for key in self.flag_keys)
            found = {a.key: a for a in answers if a is not None and self.hops(relation, a.key)}
            pools[relation] = tuple(found[key] for key in sorted(found))
        return MappingProxyType(pools)

    @cache  # noqa: B019  there is one atlas
    def counterfactuals(self, relation: RelationKey, country_key: str) -> tuple[Answer, ...]:
        """The pool's answers that can be edited in for a country, sorted by key.

        Each is false, changes both hop answers, neither contains the true answer nor is contained
        in it ("Guinea" and "Guinea-Bissau"), and is not given away, nor are its hop answers, by
        the country's name in a question. Empty where the true answer is unknown or has no hops:
        nothing to compare with.

        Raises:
            InputError: If the relation or the country is unknown.
        """
        truth = self.answers(relation, country_key)
        before = () if truth is None else self.hops(relation, truth.key)
        if truth is None or not before:
            return ()
        named = "" if relation == "country" else self.country(country_key).phrase

        def usable(answer: Answer) -> bool:
            after = self.hops(relation, answer.key)
            told = (answer.accepted, *(hop.answers for hop in after))
            return (
                not _overlap(truth.accepted, answer.accepted)
                and all(_disjoint(a.answers, b.answers) for a, b in zip(before, after, strict=True))
                and not any(_says(named, name) for names in told for name in names)
            )

        return tuple(answer for answer in self.pool(relation) if usable(answer))

    @cache  # noqa: B019  there is one atlas
    def hops(self, relation: RelationKey, answer_key: str) -> tuple[Hop, ...]:
        """The one-hop and the two-hop question behind an answer, or nothing if either is unclear.

        Raises:
            InputError: If the relation is unknown, or the key names no entity of its kind.
        """
        wording = self.relation(relation)
        self._answer(relation, answer_key)
        one, two = _FOLLOW[relation](self, answer_key)
        if one is None or two is None:
            return ()
        return (
            Hop(1, wording.hops[0], one, wording.needs_picture),
            Hop(2, wording.hops[1], two, wording.needs_picture),
        )

    def _answer(self, relation: RelationKey, key: str) -> Answer:
        kind = self.relation(relation).answer_kind
        if kind == "country":
            country = self.country(key)
            return Answer(key, country.name, country.aliases, country.phrase)
        if kind == "currency":
            currency = _lookup(self.currencies, key, "currency")
            return Answer(key, currency.name, (*currency.aliases, key), f"the {currency.name}")
        if kind == "tld":
            _known(key, {c.tld for c in self.countries.values()}, kind)
            return Answer(key, key, (key[1:],), key)
        if kind == "calling_code":
            _known(key, {c.calling_code for c in self.countries.values()}, kind)
            plain = key.replace("-", "")
            spellings = (key.replace("-", " "), plain, key[1:], plain[1:], f"00{plain[1:]}")
            return Answer(key, key, tuple(dict.fromkeys(s for s in spellings if s != key)), key)
        table: Mapping[str, City | Language | Continent] = {
            "city": self.cities,
            "language": self.languages,
            "continent": self.continents,
        }[kind]
        entity = _lookup(table, key, kind)
        return Answer(key, entity.name, entity.aliases, entity.name)


#: Accepted answers to the one-hop and the two-hop question, None for one that is unclear.
_Two = tuple[tuple[str, ...] | None, tuple[str, ...] | None]
_Follow = Callable[[Atlas, str], _Two]


def _lookup(table: Mapping[Any, _T], key: str, kind: str) -> _T:
    try:
        return table[key]
    except KeyError:
        raise InputError(f"the atlas has no {kind} with the key {key!r}") from None


def _known(key: str, keys: set[str] | set[str | None], kind: str) -> None:
    if key not in keys:
        raise InputError(f"the atlas has no {kind} with the key {key!r}")


def _disjoint(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return not {a.casefold() for a in first} & {b.casefold() for b in second}


def _says(text: str, name: str) -> bool:
    """Whether the text contains the name as whole words."""
    found = text.casefold().find(name.casefold())
    return found >= 0 and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I) is not None


def _overlap(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return any(_says(a, b) or _says(b, a) for a in first for b in second)


def _names(entity: Country | City | Language | Continent | None) -> tuple[str, ...] | None:
    if entity is None:
        return None
    phrases = (entity.phrase,) if isinstance(entity, Country) else ()
    return tuple(dict.fromkeys((entity.name, *phrases, *entity.aliases)))


def _capital_names(atlas: Atlas, country_key: str | None) -> tuple[str, ...] | None:
    if country_key is None:
        return None
    capital = atlas.countries[country_key].capital
    return None if capital is None else _names(atlas.cities[capital])


def _from_country(atlas: Atlas, key: str) -> _Two:
    code = atlas.countries[key].currency
    return _capital_names(atlas, key), None if code is None else (code,)


def _from_capital(atlas: Atlas, key: str) -> _Two:
    continent = atlas.cities[key].continent
    if continent is None:
        return None, None
    entity = atlas.continents[continent]
    return _names(entity), _names(atlas.countries[entity.most_populous])


def _from_currency(atlas: Atlas, key: str) -> _Two:
    seat = atlas.currencies[key].bank_seat
    return (key,), None if seat is None else _names(atlas.cities[seat])


def _from_language(atlas: Atlas, key: str) -> _Two:
    home = atlas.languages[key].most_native_speakers
    if home is None:
        return None, None
    return _names(atlas.countries[home]), _capital_names(atlas, home)


def _from_continent(atlas: Atlas, key: str) -> _Two:
    country = atlas.continents[key].most_populous
    return _names(atlas.countries[country]), _capital_names(atlas, country)


def _from_largest_city(atlas: Atlas, key: str) -> _Two:
    minutes = atlas.cities[key].utc_offset
    return (None, None) if minutes is None else (utc_spellings(minutes), clock_spellings(minutes))


def _from_tld(atlas: Atlas, key: str) -> _Two:
    country = atlas.countries.get(key[1:].upper())  # None for .uk, whose ISO code is GB.
    if country is None:
        return None, None
    return _names(country), _capital_names(atlas, country.key)


def _from_calling_code(atlas: Atlas, key: str) -> _Two:
    return (key[1],), ZONES[key[1]]


_FOLLOW: Mapping[RelationKey, _Follow] = MappingProxyType(
    {
        "country": _from_country,
        "capital": _from_capital,
        "currency": _from_currency,
        "language": _from_language,
        "continent": _from_continent,
        "largest_city": _from_largest_city,
        "tld": _from_tld,
        "calling_code": _from_calling_code,
    }
)


def utc_spellings(minutes: int) -> tuple[str, ...]:
    """Ways to write a UTC offset: 330 gives "UTC+5:30", "UTC+05:30", "GMT+5:30", ..."""
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    short = f"{sign}{hours}:{rest:02}" if rest else f"{sign}{hours}"
    full = f"{sign}{hours:02}:{rest:02}"
    spellings = (f"UTC{short}", f"UTC{full}", f"GMT{short}", f"GMT{full}", short, full)
    return spellings if minutes else (*spellings, "UTC", "GMT", "UTC±0", "0")


def clock_spellings(minutes: int) -> tuple[str, ...]:
    """Ways to write the local time at 12:00 in Honolulu (UTC-10): 330 gives "03:30", "3:30 am".

    A clock on UTC would put the answer for places on UTC into the question.
    """
    hour, minute = divmod((22 * 60 + minutes) % (24 * 60), 60)
    half, twelve = ("am" if hour < 12 else "pm"), (hour % 12) or 12
    spellings = [f"{hour:02}:{minute:02}", f"{hour}:{minute:02}", f"{twelve}:{minute:02} {half}"]
    if minute == 0:
        spellings.append(f"{twelve} {half}")
    if (hour, minute) == (0, 0):
        spellings += ["midnight", "24:00"]
    return tuple(dict.fromkeys(spellings))


def _minutes(offset: str | None) -> int | None:
    """Minutes of "+5:30" or "-4"."""
    if offset is None:
        return None
    hours, _, rest = offset[1:].partition(":")
    total = int(hours) * 60 + int(rest or 0)
    return -total if offset[0] == "-" else total


def _rows(name: str) -> list[dict[str, Any]]:
    """The records of a packaged JSON file, lists as tuples."""
    text = files("builders.atlas").joinpath(name).read_text(encoding="utf-8")
    return [
        {field: tuple(value) if isinstance(value, list) else value for field, value in row.items()}
        for row in json.loads(text)
    ]


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """The atlas, read once from the package's data files."""
    cities = [
        City(**{**row, "utc_offset": _minutes(row["utc_offset"])}) for row in _rows("cities.json")
    ]
    relations = {row["key"]: Relation(**row) for row in _rows("relations.json")}
    return Atlas(
        countries=MappingProxyType({r["key"]: Country(**r) for r in _rows("countries.json")}),
        cities=MappingProxyType({city.key: city for city in cities}),
        currencies=MappingProxyType({r["key"]: Currency(**r) for r in _rows("currencies.json")}),
        languages=MappingProxyType({r["key"]: Language(**r) for r in _rows("languages.json")}),
        continents=MappingProxyType({r["key"]: Continent(**r) for r in _rows("continents.json")}),
        relations=MappingProxyType({key: relations[key] for key in RELATION_KEYS}),
        trivia=tuple(Trivia(**row) for row in _rows("trivia.json")),
    )


__all__ = [
    "AS_OF",
    "RELATION_KEYS",
    "SHOWN_COUNTRY",
    "SOURCES",
    "ZONES",
    "Answer",
    "Atlas",
    "City",
    "Continent",
    "Country",
    "Currency",
    "Hop",
    "Language",
    "Relation",
    "RelationKey",
    "Trivia",
    "clock_spellings",
    "load_atlas",
    "utc_spellings",
]
