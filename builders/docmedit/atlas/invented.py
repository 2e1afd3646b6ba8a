"""The invented part of the embedded world: people, and the companies that they have to do with.

It comes in blocks. What a block holds depends on the seed and its number alone, and nothing in it
refers to another block, so a data set of any size begins with the same blocks. Nobody in it exists;
cities and countries do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from random import Random
from typing import Any

from builders.docmedit.atlas.pages import Shelf
from builders.docmedit.atlas.things import Article, ArticleKind, Ask, Item, Page, Thing, read_data
from builders.seeds import seed_for

PEOPLE, COMPANIES, QUIET = 6, 2, 1
"""Articles of a block that change: people and companies; and of each kind some that do not."""

WORDS = 31
"""Invented words that a block may use; prime, so that blocks do not repeat each other's endings."""

_COUNTS = (1, 2, 2, 3, 3, 4, 4, 5, 6, 6)
"""How many facts change, as often as they stand here."""

_REPLACED = ("employer", "profession", "residence", "spouse", "instrument", "office")
_ADDED = ("university", "award")
_MAY_BE_NEW = frozenset({"spouse", "instrument", "office"})
_MAX_NEW = 4


@dataclass(frozen=True, slots=True)
class Block:
    """Some people and companies, and all pages about them.

    Attributes:
        articles: Those that change, and those that do not.
        pages: Pages by title.
    """

    articles: tuple[Article, ...]
    pages: Mapping[str, Page]


def blocks() -> int:
    """How many blocks there are before the invented words run out."""
    return _words() // WORDS


def draw_block(seed: int, number: int, cities: Sequence[Thing], years: tuple[int, int]) -> Block:
    """The block of a number.

    Args:
        seed: The world's seed.
        number: Less than `blocks()`.
        cities: Where people live and companies are.
        years: The first and the last year in which something may change.
    """
    return _Drawing(seed, number, cities, years).block()


class _Drawing:
    """A block while it is being drawn."""

    def __init__(
        self, seed: int, number: int, cities: Sequence[Thing], years: tuple[int, int]
    ) -> None:
        self._rng = Random(seed_for("docmedit atlas", seed, number))
        self._names = read_data("names.json")
        self._words = _invented(seed, number, self._names)
        self._cities, self._years, self._key = cities, years, number
        self._shelf = Shelf()

    def block(self) -> Block:
        """Everything, in a fixed order, since one generator decides it all."""
        kinds = self._rng.sample(self._names["companies"], 8)
        self._companies = [self._based(f"{next(self._words)} {kind}") for kind in kinds[:5]]
        self._universities = [
            self._place(f"{next(self._words)} {kind}", "university", "is", "in")
            for kind in self._rng.sample(self._names["universities"], 3)
        ]
        self._orchestras = [
            self._place(f"{next(self._words)} Orchestra", "orchestra", "plays", "in", "the")
            for _ in range(2)
        ]
        self._societies = [
            self._place(f"{next(self._words)} Society", "society", "meets", "in", "the")
            for _ in range(2)
        ]
        self._awards = [
            self._place(f"{next(self._words)} Prize", "prize", "is handed out", "in", "the")
            for _ in range(2)
        ]
        self._others = [self._somebody() for _ in range(6)]
        articles = [self._person(changes=place < PEOPLE) for place in range(PEOPLE + QUIET)]
        articles += [
            self._company(f"{next(self._words)} {kinds[5 + place]}", changes=place < COMPANIES)
            for place in range(COMPANIES + QUIET)
        ]
        self._shelf.tell(articles)
        pages = self._shelf.pages(article.title for article in articles)
        return Block(tuple(articles), pages)

    # Pages ----------------------------------------------------------------------------------

    def _based(self, name: str) -> Thing:
        city = self._rng.choice(self._cities)
        country = city.hops[0] or ""
        own = [f"{name} has its head office in {city.name}."]
        asks = [
            Ask(f"In which city is {name} based?", city.name),
            Ask(f"In which country is {name} based?", country),
        ]
        self._shelf.add(name, own, asks)
        return Thing(name, "", name, (), (city.name, country))

    def _place(self, name: str, kind: str, verb: str, joint: str, article: str = "") -> Thing:
        city = self._rng.choice(self._cities)
        country = city.hops[0] or ""
        phrase = f"{article} {name}".strip()
        own = [f"{phrase[:1].upper()}{phrase[1:]} {verb} {joint} {city.name}."]
        asks = [
            Ask(f"Which city is home to {phrase}?", city.name),
            Ask(f"Which country is home to {phrase}?", country),
        ]
        self._shelf.add(name, own, asks)
        return Thing(name, article, name, (), (city.name, country))

    def _somebody(self) -> Thing:
        name, city = self._full_name(), self._rng.choice(self._cities)
        instrument = self._rng.choice(self._known("families"))[0]
        own = [f"{name} was born in {city.name}.", f"{name} plays the {instrument}."]
        asks = [
            Ask(f"In which city was {name} born?", city.name),
            Ask(f"Which instrument does {name} play?", instrument),
        ]
        self._shelf.add(name, own, asks)
        return Thing(name, "", name, (), (city.name, city.hops[0]))

    def _full_name(self) -> str:
        return f"{self._rng.choice(self._names['first'])} {next(self._words)}"

    def _known(self, table: str) -> list[tuple[str, str]]:
        """Members of a table of kinds, each with its kind."""
        return [(m, kind) for kind, members in self._names[table].items() for m in members]

    # Articles -------------------------------------------------------------------------------

    def _person(self, *, changes: bool) -> Article:
        rng, name = self._rng, Thing(self._full_name())
        name = replace(name, title=name.name)
        born, *homes = rng.sample(self._cities, 3)
        jobs = [Thing(m, hops=(kind,)) for m, kind in rng.sample(self._known("fields"), 2)]
        played = [
            Thing(member, "the", member[:1].upper() + member[1:], (), (kind,))
            for member, kind in rng.sample(self._known("families"), 2)
        ]
        pairs: dict[str, list[Thing]] = {
            "employer": rng.sample(self._companies, 2),
            "profession": jobs,
            "residence": list(homes),
            "spouse": rng.sample(self._others, 2),
            "instrument": played,
            "office": rng.sample(self._societies, 2),
            "university": rng.sample(self._universities, 2),
            "award": rng.sample(self._awards, 2),
        }
        count = rng.choice(_COUNTS) if changes else 0
        changed = set(rng.sample([*_REPLACED, *_ADDED], count))
        workplace = pairs["employer"][1 if "employer" in changed else 0]
        pages = {relation: things[1].title for relation, things in pairs.items()}
        pages["profession"] = workplace.title
        pages["residence"] = pairs["spouse"][1].title if "spouse" in changed else workplace.title
        pages["instrument"] = rng.choice(self._orchestras).title
        items = [Item("birthplace", born, born)]
        new = len(changed & set(_ADDED))
        for relation, (old, after) in pairs.items():
            if relation not in changed:
                if relation not in _ADDED and relation != "spouse":
                    items.append(Item(relation, old, old))
                continue
            added = relation in _ADDED or (relation in _MAY_BE_NEW and rng.random() < 0.3)
            if added and relation not in _ADDED:
                added = new < _MAX_NEW
                new += added
            before = None if added else old
            items.append(Item(relation, before, after, self._year(), pages[relation]))
        return self._article("person", name, items)

    def _company(self, title: str, *, changes: bool) -> Article:
        rng, name = self._rng, Thing(title, title=title)
        relations = ("head_office", "chief_executive", "owner", "product", "supplier")
        owners, suppliers = self._companies[:3], self._companies[3:]
        pairs = {
            "head_office": rng.sample(self._cities, 2),
            "chief_executive": rng.sample(self._others, 2),
            "owner": rng.sample(owners, 2),
            "product": [Thing(p) for p in rng.sample(self._names["products"], 2)],
            "supplier": rng.sample(suppliers, 2),
        }
        count = rng.choice(_COUNTS) if changes else 0
        changed = set(rng.sample([*relations, "sponsorship"], count))

        def current(relation: str) -> str | None:
            return pairs[relation][1 if relation in changed else 0].title

        pages = {
            "head_office": current("owner"),
            "chief_executive": current("chief_executive"),
            "owner": current("owner"),
            "product": current("chief_executive"),
            "supplier": current("supplier"),
        }
        founded = Thing(str(rng.randint(1880, self._years[0] - 5)))
        items = [Item("founded", founded, founded)]
        for relation, (old, after) in pairs.items():
            if relation in changed:
                items.append(Item(relation, old, after, self._year(), pages[relation]))
            else:
                items.append(Item(relation, old, old))
        if "sponsorship" in changed:
            orchestra = rng.choice(self._orchestras)
            items.append(Item("sponsorship", None, orchestra, self._year(), orchestra.title))
        return self._article("company", name, items)

    def _article(self, kind: ArticleKind, name: Thing, items: Sequence[Item]) -> Article:
        return Article(kind, f"{kind}-{self._key}-{name.name}", name, name, tuple(items))

    def _year(self) -> int:
        first, last = self._years
        return self._rng.randint(min(first + 1, last), last)


def _words() -> int:
    names = read_data("names.json")
    return len(names["starts"]) * len(names["middles"]) * len(names["ends"])


def _invented(seed: int, number: int, names: Mapping[str, Any]) -> Iterator[str]:
    """The words of a block, put together from syllables; no two blocks share one."""
    total = _words()
    rng = Random(seed_for("docmedit atlas words", seed))
    offset, step = rng.randrange(total), rng.randrange(1, total)
    while gcd(step, total) != 1:
        step += 1
    for place in range(number * WORDS, (number + 1) * WORDS):
        rest, end = divmod((offset + place * step) % total, len(names["ends"]))
        start, middle = divmod(rest, len(names["middles"]))
        yield names["starts"][start] + names["middles"][middle] + names["ends"][end]
