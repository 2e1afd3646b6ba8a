"""What is known of real places: countries with what holds there, and what changed when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from builders.atlas.facts import Atlas, load_atlas
from builders.docmedit.atlas.things import Thing, read_data, title_of

STATIC = ("capital", "currency", "language", "largest_city", "calling_code", "tld")
"""Relations of a country that the atlas knows."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country as of the last day; relation -> name of what holds, if that is clear.

    Attributes:
        key: ISO 3166-1 alpha-2 code.
        name: Short English name.
        article: `the`, or nothing.
        facts: Relation -> value; currencies by their code.
        exists: The day from which it is independent, where that is after `FIRST_DAY`.
    """

    key: str
    name: str
    article: str
    facts: Mapping[str, str]
    exists: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of one changing relation of a country or city."""

    relation: str
    timeline: list[list[Any]]

    @property
    def values(self) -> list[str]:
        """All that held at one time or another."""
        return [value for _, value in self.timeline if value is not None]


@lru_cache(maxsize=8)
def read_part(part: str) -> Mapping[str, Any]:
    """A part of `places.json`."""
    return read_data("places.json")[part]


def known_changes() -> Iterator[tuple[str, Change]]:
    """Every change with the country's code or the city's name that it is about."""
    data = read_data("changes.json")
    for row in data["timelines"]:
        yield row["subject"], Change(row["relation"], row["timeline"])
    for row in data["joined"]:
        for day, subjects in row["days"].items():
            for subject in subjects.split():
                timeline = [[day, row["value"]]]
                yield subject.replace("_", " "), Change(row["relation"], timeline)


def known_countries(atlas: Atlas) -> Iterator[Country]:
    """The countries of the atlas, and those beside them."""
    data = read_data("places.json")
    for key, country in atlas.countries.items():
        values = {
            "continent": country.continent and atlas.continents[country.continent].name,
            "capital": country.capital and atlas.cities[country.capital].name,
            "largest_city": country.largest_city and atlas.cities[country.largest_city].name,
            "language": country.language and atlas.languages[country.language].name,
            "currency": country.currency,
            "tld": country.tld,
            "calling_code": country.calling_code,
        }
        facts = {
            relation: value
            for relation, value in values.items()
            if value and relation not in data["unsettled"].get(key, ())
        }
        article = "the" if country.phrase.startswith("the ") else ""
        yield Country(key, country.name, article, facts, None)
    for row in data["countries"]:
        facts = {name: row[name] for name in (*STATIC, "continent") if row[name]}
        yield Country(row["key"], row["name"], "", facts, row.get("exists"))


def currency(code: str) -> Thing:
    """A currency by its code; one that kept its code and changed its name has a longer key."""
    known = load_atlas().currencies.get(code)
    name = known.name if known else read_part("currencies")[code]
    aliases = (*known.aliases, code) if known else (code[:3],)
    return Thing(name, "the", title_of(name), aliases, (code[:3],))


def titled(name: str) -> Thing:
    """A thing with a page of its own name."""
    return Thing(name, title=title_of(name))


def article_of(name: str) -> str:
    """The article that goes before a name in a sentence."""
    if read_part("organisations").get(name, {}).get("the"):
        return "the"
    return read_part("with_article").get(name, "")


def phrase(thing: Thing) -> str:
    """A thing's name with its article."""
    return f"{thing.article} {thing.name}".strip()
