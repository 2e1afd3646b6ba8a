"""What holds of real countries and cities at two dates: what they are called, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from builders.atlas.facts import load_atlas
from builders.docmedit.atlas.places import (
    Change,
    Country,
    article_of,
    currency,
    known_changes,
    known_countries,
    read_part,
    titled,
)
from builders.docmedit.atlas.things import Item, Thing, at, read_data, title_of

HOLDERS = frozenset(
    (
        *("monarch", "emperor", "grand_duke", "prince", "sultan", "emir", "president"),
        *("chancellor", "prime_minister", "mayor", "governor"),
    )
)
"""Relations whose objects are people in office."""

_NAMELESS = frozenset(
    ("tld", "calling_code", "currency_code", "driving_side", "status", "official_name")
)
"""Relations whose objects have no page."""


@dataclass(frozen=True)
class Dated:
    """Countries, cities and their changes, as of two dates.

    Attributes:
        before: The first date.
        after: The second one.
    """

    before: str
    after: str

    @cached_property
    def countries(self) -> Mapping[str, Country]:
        """Countries by their key."""
        return {country.key: country for country in known_countries(load_atlas())}

    @cached_property
    def changes(self) -> Mapping[str, tuple[Change, ...]]:
        """All changes by the country's key or the city's name."""
        found: dict[str, list[Change]] = {}
        for subject, change in known_changes():
            found.setdefault(subject, []).append(change)
        return {subject: tuple(changes) for subject, changes in found.items()}

    @cached_property
    def cities(self) -> tuple[tuple[str, str], ...]:
        """Cities with the key of their country, each name once."""
        found: dict[str, str] = {}
        for country in self.countries.values():
            for relation in ("capital", "largest_city"):
                if relation in country.facts:
                    found.setdefault(country.facts[relation], country.key)
        for key, names in read_data("places.json")["cities"].items():
            found.update((name, key) for name in names)
        for subject, changes in self.changes.items():
            if subject in self.countries:
                for change in (c for c in changes if c.relation == "capital"):
                    found.update((value, subject) for value in change.values)
        # One place under two names has one article, and a city that shares its country's name none.
        taken = {country.name for country in self.countries.values()}
        for subject, changes in self.changes.items():
            for change in (c for c in changes if c.relation == "name"):
                taken.update(value for value in change.values if value != subject)
        return tuple((name, key) for name, key in sorted(found.items()) if name not in taken)

    @cached_property
    def capitals(self) -> set[str]:
        """Cities that were a capital for a part of the time; some are younger than the world."""
        changes = (c for found in self.changes.values() for c in found)
        return {value for c in changes if c.relation == "capital" for value in c.values}

    def change(self, subject: str, relation: str) -> Change | None:
        """How a relation of a country or city changed, if it did."""
        changes = self.changes.get(subject, ())
        return next((c for c in changes if c.relation == relation), None)

    def _name(self, subject: str, name: str, article: str, day: str) -> Thing:
        change = self.change(subject, "name")
        if change is not None:
            name = at(change.timeline, day)[0] or name
            article = article_of(name)
        return Thing(name, article, name)

    def city_name(self, name: str, day: str) -> Thing:
        """A city under its name on a day."""
        return self._name(name, name, "", day)

    def country_name(self, key: str, day: str) -> Thing:
        """A country under its name on a day; its page has the later date's."""
        country = self.countries[key]
        thing = self._name(key, country.name, country.article, day)
        return replace(thing, title=self._name(key, country.name, "", self.after).name)

    def item(self, subject: str, relation: str) -> Item | None:
        """A changing relation at the two dates; None where nothing holds at the second one."""
        change = self.change(subject, relation)
        if change is None:
            return None
        old, _ = at(change.timeline, self.before)
        new, year = at(change.timeline, self.after)
        if new is None:
            return None
        before = None if old is None else self.thing(relation, old)
        after = self.thing(relation, new)
        return Item(relation, before, after, year, self._evidence(subject, relation, after))

    def _evidence(self, subject: str, relation: str, after: Thing) -> str:
        if after.title is not None and relation != "government":
            return after.title
        if subject in self.countries:
            return self.home_page(self.countries[subject])
        return self.country_name(dict(self.cities)[subject], self.after).name

    def home_page(self, country: Country) -> str:
        """The page that tells of a country what has no page of its own."""
        facts = country.facts
        known = facts.get("capital") or facts.get("largest_city")
        if known is None or known == country.name:
            return title_of(self.thing("currency", facts["currency"]).name)
        return self.city_name(known, self.after).name

    def thing(self, relation: str, value: str) -> Thing:
        """The object of a relation."""
        if relation == "currency":
            return currency(value)
        if relation in ("capital", "largest_city"):
            return self.city_thing(value)
        if relation in _NAMELESS:
            return Thing(value, article_of(value))
        if relation == "government":
            return Thing(value, title=title_of(value))
        if relation in ("language", "continent", "new_language") or relation in HOLDERS:
            return titled(value)
        seat = read_part("organisations").get(value, {}).get("seat")
        return Thing(value, article_of(value), value, hops=() if seat is None else (seat,))

    def city_thing(self, name: str) -> Thing:
        """A city under its name at the later date; hops: country, currency."""
        key = dict(self.cities).get(name)
        title = self.city_name(name, self.after).name
        if key is None:
            return Thing(name, title=title)
        home, money = self.country_name(key, self.after), self.item(key, "currency")
        code = self.countries[key].facts.get("currency")
        paid = money.after if money else None if code is None else currency(code)
        hops = (home.name, None if paid is None else paid.name)
        return Thing(name, title=title, hops=hops)
