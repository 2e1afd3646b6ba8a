"""The real part of the embedded world: countries and cities at two dates, and pages about them.

What does not change comes from `builders.atlas` and `places.json`, what does from `changes.json`,
where each change has its day and its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from builders.atlas.facts import load_atlas
from builders.docmedit.atlas import pages
from builders.docmedit.atlas.dated import HOLDERS, Dated
from builders.docmedit.atlas.places import (
    STATIC,
    Country,
    read_part,
    titled,
)
from builders.docmedit.atlas.things import Article, Item, Page, Thing, at
from schemas.errors import InputError

FIRST_DAY, LAST_DAY = "2004-01-01", "2026-01-01"
"""The days between which `changes.json` is complete for what it lists."""

_OF_CITY = ("continent", "language", "calling_code", "tld")


@dataclass(frozen=True)
class World:
    """The real countries and cities at two dates. Get it with `load_world`.

    Attributes:
        before: The first date.
        after: The second one.
    """

    before: str
    after: str

    @cached_property
    def _dated(self) -> Dated:
        return Dated(self.before, self.after)

    @cached_property
    def articles(self) -> tuple[Article, ...]:
        """All countries and cities of which something is told, changed or not."""
        countries = (self._country(country) for country in self._dated.countries.values())
        cities = (self._city(name, key) for name, key in self._dated.cities)
        return tuple(a for a in (*countries, *cities) if a is not None)

    @cached_property
    def pages(self) -> Mapping[str, Page]:
        """The pages that state the changes, and those of what is told beside them."""
        shelf = pages.Shelf()
        for title, own, asks in self._own_pages():
            shelf.add(title, own, asks)
        shelf.tell(self.articles)
        return shelf.pages(article.title for article in self.articles if article.changes)

    @cached_property
    def cities(self) -> tuple[Thing, ...]:
        """Cities without changes of their own, with their country and its currency."""
        moved = {article.after.name for article in self.articles if article.changes}
        moved |= self._dated.capitals
        found = (self._dated.city_thing(name) for name, _ in self._dated.cities)
        return tuple(city for city in found if city.hops[0] and city.name not in moved)

    def _country(self, country: Country) -> Article | None:
        if country.exists is not None and country.exists > self.before:
            return None
        old, new = (self._dated.country_name(country.key, day) for day in (self.before, self.after))
        continent = country.facts.get("continent")
        opening = Thing("country") if continent is None else titled(continent)
        items = [Item("kind" if continent is None else "continent", opening, opening)]
        items += self._items(country.key, country)
        if old.name != new.name:
            items.append(self._renaming(country.key, old, new, self._dated.home_page(country)))
        return Article("country", country.key, old, new, tuple(items))

    def _city(self, name: str, key: str) -> Article | None:
        country = self._dated.countries[key]
        if country.exists is not None and country.exists > self.before:
            return None
        if name in self._dated.capitals and name not in self._dated.changes:
            return None
        home = self._dated.country_name(key, self.after)
        then = self._dated.country_name(key, self.before)
        old, new = (self._dated.city_name(name, day) for day in (self.before, self.after))
        renamed = self._dated.change(key, "name")
        year = None if renamed is None else at(renamed.timeline, self.after)[1]
        items = [Item("country", then, home, year, home.name)]
        items += self._items(name, country)
        if (money := self._dated.item(key, "currency")) is not None:
            items.append(replace(money, evidence=home.name))
        elif "currency" in country.facts:
            thing = self._dated.thing("currency", country.facts["currency"])
            items.append(Item("currency", thing, thing))
        if old.name != new.name:
            items.append(self._renaming(name, old, new, home.name))
        return Article("city", name, old, replace(new, title=new.name), tuple(items))

    def _renaming(self, subject: str, old: Thing, new: Thing, page: str) -> Item:
        change = self._dated.change(subject, "name")
        assert change is not None
        return Item("name", old, new, at(change.timeline, self.after)[1], page)

    def _items(self, subject: str, country: Country) -> Iterator[Item]:
        """What is told of a country or of a city in it, changes first."""
        changing = {change.relation for change in self._dated.changes.get(subject, ())}
        for relation in sorted(changing - {"name"}):
            item = self._dated.item(subject, relation)
            if item is not None:
                yield item
        of_city = subject not in self._dated.countries
        # Beside a country's own language, a region may have another one.
        chief = subject in (country.facts.get("capital"), country.facts.get("largest_city"))
        for relation in _OF_CITY if of_city else STATIC:
            if relation == "language" and of_city and not chief:
                continue
            if relation in country.facts and relation not in changing:
                thing = self._dated.thing(relation, country.facts[relation])
                yield Item(relation, thing, thing)

    def _own_pages(self) -> Iterator[pages.Draft]:
        """The pages of things, before anything is told on them."""
        atlas = load_atlas()
        for name, key in self._dated.cities:
            title = self._dated.city_name(name, self.after).name
            home = self._dated.country_name(key, self.after)
            yield pages.city_page(title, self._dated.countries[key], home)
        for country in self._dated.countries.values():
            yield pages.country_page(country, self._dated.country_name(country.key, self.after))
        for code in dict.fromkeys([*atlas.currencies, *read_part("currencies")]):
            yield pages.currency_page(atlas, code)
        for name, row in read_part("organisations").items():
            yield pages.organisation_page(name, row)
        for name, rows in read_part("continents").items():
            yield pages.continent_page(name, rows)
        for name, about in read_part("events").items():
            yield name, [about], []
        for name, days in self._terms().items():
            yield pages.holder_page(name, days)

    def _terms(self) -> Mapping[str, list[str | None]]:
        """Who has been in office by the later date, with the first day of each term."""
        terms: dict[str, list[str | None]] = {}
        for changes in self._dated.changes.values():
            for change in (c for c in changes if c.relation in HOLDERS):
                for since, name in change.timeline:
                    if name is not None and (since is None or since <= self.after):
                        terms.setdefault(name, []).append(since)
        return terms


@lru_cache(maxsize=4)
def load_world(before: str, after: str) -> World:
    """The world at two dates.

    Raises:
        InputError: If the dates are not in order or outside of what the data covers.
    """
    if not FIRST_DAY <= before < after <= LAST_DAY:
        raise InputError(
            f"the atlas knows two dates in order from {FIRST_DAY} to {LAST_DAY}, "
            f"not {before} and {after}"
        )
    return World(before, after)
