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
from builders.docmedit.atlas.places import (
    STATIC,
    Change,
    Country,
    article_of,
    currency,
    known_changes,
    known_countries,
    read_part,
    titled,
)
from builders.docmedit.atlas.things import Article, Item, Page, Thing, at, read_data, title_of
from schemas.errors import InputError

FIRST_DAY, LAST_DAY = "2004-01-01", "2026-01-01"
"""The days between which `changes.json` is complete for what it lists."""

_OF_CITY = ("continent", "language", "calling_code", "tld")
_NAMELESS = frozenset(
    ("tld", "calling_code", "currency_code", "driving_side", "status", "official_name")
)
"""Relations whose objects have no page."""
_HOLDERS = frozenset(
    (
        *("monarch", "emperor", "grand_duke", "prince", "sultan", "emir", "president"),
        *("chancellor", "prime_minister", "mayor", "governor"),
    )
)
"""Relations whose objects are people in office."""


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
    def articles(self) -> tuple[Article, ...]:
        """All countries and cities of which something is told, changed or not."""
        countries = (self._country(country) for country in self._countries.values())
        cities = (self._city(name, key) for name, key in self._cities)
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
        moved |= self._capitals
        found = (self._city_thing(name) for name, _ in self._cities)
        return tuple(city for city in found if city.hops[0] and city.name not in moved)

    @cached_property
    def _countries(self) -> Mapping[str, Country]:
        return {country.key: country for country in known_countries(load_atlas())}

    @cached_property
    def _changes(self) -> Mapping[str, tuple[Change, ...]]:
        found: dict[str, list[Change]] = {}
        for subject, change in known_changes():
            found.setdefault(subject, []).append(change)
        return {subject: tuple(changes) for subject, changes in found.items()}

    @cached_property
    def _cities(self) -> tuple[tuple[str, str], ...]:
        """Cities with the key of their country, each name once."""
        found: dict[str, str] = {}
        for country in self._countries.values():
            for relation in ("capital", "largest_city"):
                if relation in country.facts:
                    found.setdefault(country.facts[relation], country.key)
        for key, names in read_data("places.json")["cities"].items():
            found.update((name, key) for name in names)
        for subject, changes in self._changes.items():
            if subject in self._countries:
                for change in (c for c in changes if c.relation == "capital"):
                    found.update((value, subject) for value in change.values)
        # One place under two names has one article, and a city that shares its country's name none.
        taken = {country.name for country in self._countries.values()}
        for subject, changes in self._changes.items():
            for change in (c for c in changes if c.relation == "name"):
                taken.update(value for value in change.values if value != subject)
        return tuple((name, key) for name, key in sorted(found.items()) if name not in taken)

    @cached_property
    def _capitals(self) -> set[str]:
        """Cities that were a capital for a part of the time; some are younger than the world."""
        changes = (c for found in self._changes.values() for c in found)
        return {value for c in changes if c.relation == "capital" for value in c.values}

    def _change(self, subject: str, relation: str) -> Change | None:
        changes = self._changes.get(subject, ())
        return next((c for c in changes if c.relation == relation), None)

    def _name(self, subject: str, name: str, article: str, day: str) -> Thing:
        change = self._change(subject, "name")
        if change is not None:
            name = at(change.timeline, day)[0] or name
            article = article_of(name)
        return Thing(name, article, name)

    def _country_name(self, key: str, day: str) -> Thing:
        country = self._countries[key]
        thing = self._name(key, country.name, country.article, day)
        return replace(thing, title=self._name(key, country.name, "", self.after).name)

    def _country(self, country: Country) -> Article | None:
        if country.exists is not None and country.exists > self.before:
            return None
        old, new = (self._country_name(country.key, day) for day in (self.before, self.after))
        continent = country.facts.get("continent")
        opening = Thing("country") if continent is None else titled(continent)
        items = [Item("kind" if continent is None else "continent", opening, opening)]
        items += self._items(country.key, country)
        if old.name != new.name:
            items.append(self._renaming(country.key, old, new, self._home_page(country)))
        return Article("country", country.key, old, new, tuple(items))

    def _city(self, name: str, key: str) -> Article | None:
        country = self._countries[key]
        if country.exists is not None and country.exists > self.before:
            return None
        if name in self._capitals and name not in self._changes:
            return None
        home = self._country_name(key, self.after)
        then = self._country_name(key, self.before)
        old, new = (self._name(name, name, "", day) for day in (self.before, self.after))
        renamed = self._change(key, "name")
        year = None if renamed is None else at(renamed.timeline, self.after)[1]
        items = [Item("country", then, home, year, home.name)]
        items += self._items(name, country)
        if (money := self._item(key, "currency")) is not None:
            items.append(replace(money, evidence=home.name))
        elif "currency" in country.facts:
            thing = self._thing("currency", country.facts["currency"], self.after)
            items.append(Item("currency", thing, thing))
        if old.name != new.name:
            items.append(self._renaming(name, old, new, home.name))
        return Article("city", name, old, replace(new, title=new.name), tuple(items))

    def _renaming(self, subject: str, old: Thing, new: Thing, page: str) -> Item:
        change = self._change(subject, "name")
        assert change is not None
        return Item("name", old, new, at(change.timeline, self.after)[1], page)

    def _items(self, subject: str, country: Country) -> Iterator[Item]:
        """What is told of a country or of a city in it, changes first."""
        changing = {change.relation for change in self._changes.get(subject, ())}
        for relation in sorted(changing - {"name"}):
            item = self._item(subject, relation)
            if item is not None:
                yield item
        of_city = subject not in self._countries
        # Beside a country's own language, a region may have another one.
        chief = subject in (country.facts.get("capital"), country.facts.get("largest_city"))
        for relation in _OF_CITY if of_city else STATIC:
            if relation == "language" and of_city and not chief:
                continue
            if relation in country.facts and relation not in changing:
                thing = self._thing(relation, country.facts[relation], self.after)
                yield Item(relation, thing, thing)

    def _item(self, subject: str, relation: str) -> Item | None:
        """A changing relation at the two dates; None where nothing holds at the second one."""
        change = self._change(subject, relation)
        if change is None:
            return None
        old, _ = at(change.timeline, self.before)
        new, year = at(change.timeline, self.after)
        if new is None:
            return None
        before = None if old is None else self._thing(relation, old, self.before)
        after = self._thing(relation, new, self.after)
        return Item(relation, before, after, year, self._evidence(subject, relation, after))

    def _evidence(self, subject: str, relation: str, after: Thing) -> str:
        if after.title is not None and relation != "government":
            return after.title
        if subject in self._countries:
            return self._home_page(self._countries[subject])
        return self._country_name(dict(self._cities)[subject], self.after).name

    def _home_page(self, country: Country) -> str:
        """The page that tells of a country what has no page of its own."""
        facts = country.facts
        known = facts.get("capital") or facts.get("largest_city")
        if known is None or known == country.name:
            return title_of(self._thing("currency", facts["currency"], self.after).name)
        return self._name(known, known, "", self.after).name

    def _thing(self, relation: str, value: str, day: str) -> Thing:
        if relation == "currency":
            return currency(value)
        if relation in ("capital", "largest_city"):
            return self._city_thing(value)
        if relation in _NAMELESS:
            return Thing(value, article_of(value))
        if relation == "government":
            return Thing(value, title=title_of(value))
        if relation in ("language", "continent", "new_language") or relation in _HOLDERS:
            return titled(value)
        seat = read_part("organisations").get(value, {}).get("seat")
        return Thing(value, article_of(value), value, hops=() if seat is None else (seat,))

    def _city_thing(self, name: str) -> Thing:
        """A city under its name at the later date; hops: country, currency."""
        key = dict(self._cities).get(name)
        title = self._name(name, name, "", self.after).name
        if key is None:
            return Thing(name, title=title)
        home, money = self._country_name(key, self.after), self._item(key, "currency")
        code = self._countries[key].facts.get("currency")
        paid = money.after if money else None if code is None else currency(code)
        hops = (home.name, None if paid is None else paid.name)
        return Thing(name, title=title, hops=hops)

    def _own_pages(self) -> Iterator[pages.Draft]:
        """The pages of things, before anything is told on them."""
        atlas = load_atlas()
        for name, key in self._cities:
            title = self._name(name, name, "", self.after).name
            home = self._country_name(key, self.after)
            yield pages.city_page(title, self._countries[key], home)
        for country in self._countries.values():
            yield pages.country_page(country, self._country_name(country.key, self.after))
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
        for changes in self._changes.values():
            for change in (c for c in changes if c.relation in _HOLDERS):
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
