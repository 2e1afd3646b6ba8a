"""Pages: where the changes are stated, with sentences about their own subjects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.atlas.facts import Atlas
from builders.docmedit.atlas.places import Country, article_of, currency, phrase
from builders.docmedit.atlas.things import Article, Ask, Page, Thing, title_of
from builders.docmedit.atlas.wordings import told

Draft = tuple[str, list[str], list[Ask]]
"""A page before anything is told on it: title, sentences, questions on them."""


@dataclass
class Shelf:
    """Pages while they are being written."""

    own: dict[str, tuple[tuple[str, ...], tuple[Ask, ...]]] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)

    def add(self, title: str, own: Iterable[str] = (), asks: Iterable[Ask] = ()) -> None:
        """Begin a page, unless there is one."""
        self.own.setdefault(title, (tuple(own), tuple(asks)))

    def tell(self, articles: Iterable[Article]) -> None:
        """State every change on the page that it is to be found on."""
        for article in articles:
            for item in article.items:
                if item.changed and item.evidence is not None:
                    self.add(item.evidence)
                    self.told.setdefault(item.evidence, []).append(told(article, item))

    def pages(self, articles: Iterable[str]) -> dict[str, Page]:
        """The finished pages by title, given the titles of all articles."""
        titles = set(articles)
        return {
            title: Page(title, own, tuple(self.told.get(title, ())), asks, title in titles)
            for title, (own, asks) in self.own.items()
        }


def currency_page(atlas: Atlas, code: str) -> Draft:
    """The page of a currency, given its code."""
    thing = currency(code)
    own, asks = [f"The {thing.name} is a currency."], []
    own.append(f"Its ISO 4217 code is {code[:3]}.")
    asks.append(Ask(f"What is the ISO 4217 code of the {thing.name}?", code[:3]))
    known = atlas.currencies.get(code)
    if known and known.bank_seat:
        seat = atlas.cities[known.bank_seat].name
        own.append(f"The bank that issues it has its seat in {seat}.")
        asks.append(Ask(f"In which city has the bank that issues the {thing.name} its seat?", seat))
    return title_of(thing.name), own, asks


def organisation_page(name: str, row: Mapping[str, Any]) -> Draft:
    """The page of an organisation, given its year and its seat."""
    named = phrase(Thing(name, article_of(name)))
    own, asks = [f"{title_of(named)} has many states as its members."], []
    if row["founded"]:
        own.append(f"It began in {row['founded']}.")
        asks.append(Ask(f"In which year did {named} begin?", row["founded"]))
    if row["seat"]:
        own.append(f"Its head office is in {row['seat']}.")
        asks.append(Ask(f"In which city is the head office of {named}?", row["seat"]))
    return name, own, asks


def city_page(title: str, country: Country, home: Thing) -> Draft:
    """The page of a city, given its country and how that is called at the later date."""
    own = [f"{title} is a city in {phrase(home)}."]
    asks = [Ask(f"In which country is {title}?", home.name)]
    if continent := country.facts.get("continent"):
        own.append(f"It lies in {continent}.")
        asks.append(Ask(f"On which continent does {title} lie?", continent))
    if code := country.facts.get("calling_code"):
        own.append(f"Phone numbers there begin with {code}.")
        asks.append(Ask(f"Which code do you dial to phone {title} from abroad?", code))
    return title, own, asks


def country_page(country: Country, home: Thing) -> Draft:
    """The page of a country, given how it is called at the later date."""
    named = title_of(phrase(home))
    own, asks = [f"{named} is a country."], []
    if continent := country.facts.get("continent"):
        own = [f"{named} is a country in {continent}."]
        asks.append(Ask(f"On which continent does {phrase(home)} lie?", continent))
    if code := country.facts.get("calling_code"):
        own.append(f"Its calling code is {code}.")
        asks.append(Ask(f"What is the calling code of {phrase(home)}?", code))
    return home.name, own, asks


def continent_page(name: str, rows: list[list[str]]) -> Draft:
    """The page of a continent, given sentences, each with a question and its answer."""
    own = [f"{name} is a continent.", *(sentence for sentence, _, _ in rows)]
    return name, own, [Ask(question, answer) for _, question, answer in rows]


def holder_page(name: str, days: Sequence[str | None]) -> Draft:
    """The page of somebody in office, given the first days of all terms; None: before the others.

    A page that told of some terms only would contradict what is stated on it of another one.
    """
    if None in days:
        return name, [f"{name} has held a high office."], []
    years = sorted({day[:4] for day in days if day is not None})
    return name, [f"{name} came to office in {' and in '.join(years)}."], []
