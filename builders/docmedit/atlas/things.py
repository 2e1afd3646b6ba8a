"""What articles of the embedded world are made of: things, what is told of them, and pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

INTRODUCTION, DETAILS = "INTRODUCTION", "Details"
"""Sections of a page. A page whose introduction is itself an edited article keeps what is told of
others in its details."""

PARAGRAPH = 8
"""The most facts about others that stand together in a paragraph."""

ArticleKind = Literal["country", "city", "person", "company"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, or a text to complete, with its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is no article of its own, at the later date.

    Attributes:
        title: Its title.
        own: Sentences about its subject.
        told: Sentences that state facts about others.
        asks: Questions on its own sentences.
        article: Whether an article of the data set has the same title.
    """

    title: str
    own: tuple[str, ...]
    told: tuple[str, ...] = ()
    asks: tuple[Ask, ...] = ()
    article: bool = False

    @property
    def section(self) -> str:
        """The section that states facts about others."""
        return DETAILS if self.article else INTRODUCTION

    @property
    def paragraphs(self) -> tuple[tuple[str, ...], ...]:
        """The sentences of that section; a long list of facts has paragraphs of its own."""
        own = () if self.article else self.own
        if len(self.told) <= PARAGRAPH:
            return ((*own, *self.told),)
        starts = range(0, len(self.told), PARAGRAPH)
        lists = tuple(self.told[start : start + PARAGRAPH] for start in starts)
        return (own, *lists) if own else lists

    def paragraph(self, sentence: str) -> tuple[str, ...]:
        """The paragraph that holds a sentence.

        Raises:
            StopIteration: If there is none.
        """
        return next(part for part in self.paragraphs if sentence in part)


@dataclass(frozen=True, slots=True)
class Thing:
    """An answer: what a relation leads to.

    Attributes:
        name: As it stands in a text, without article.
        article: `the` or `a`, which goes before it in a sentence, or nothing.
        title: The title of its page, or None where it has none.
        aliases: Other accepted names.
        hops: What follows from it, one fact on, two facts on; None where nothing does.
    """

    name: str
    article: str = ""
    title: str | None = None
    aliases: tuple[str, ...] = ()
    hops: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One relation of an article's subject at two dates.

    Attributes:
        relation: Its key in the wordings of the article's kind.
        before: What held at the first date, or None.
        after: What holds at the second one.
        year: The year of the last change, where there is one.
        evidence: The title of the page that states it, where it changed.
    """

    relation: str
    before: Thing | None
    after: Thing
    year: int | None = None
    evidence: str | None = None

    @property
    def changed(self) -> bool:
        """Whether it differs between the dates."""
        return self.before is None or self.before.name != self.after.name


@dataclass(frozen=True, slots=True)
class Article:
    """Somebody or something that an introduction is written about.

    Attributes:
        kind: What it is.
        key: Its id in this world.
        before: Its name at the first date.
        after: Its name at the second one, which is the title.
        items: What is told of it; the first one opens every text.
    """

    kind: ArticleKind
    key: str
    before: Thing
    after: Thing
    items: tuple[Item, ...]

    @property
    def title(self) -> str:
        """Its title."""
        return self.after.name

    @property
    def changes(self) -> bool:
        """Whether anything told of it changed."""
        return any(item.changed for item in self.items)


def title_of(name: str) -> str:
    """A page's title: the name with a capital."""
    return name[:1].upper() + name[1:]


def indefinite(noun: str) -> str:
    """The indefinite article of a noun."""
    return "an" if noun[:1].lower() in "aeiou" else "a"


def at(timeline: list[list[Any]], day: str) -> tuple[str | None, int | None]:
    """What a timeline says for a day, and the year from which that holds.

    Args:
        timeline: (day or None, value or None) in order; a value holds from its day on.
        day: In ISO 8601.
    """
    held: tuple[str | None, int | None] = (None, None)
    for since, value in timeline:
        if since is None:
            held = (value, None)
        elif since <= day:
            held = (value, int(since[:4]))
    return held


def read_data(name: str) -> Mapping[str, Any]:
    """A packaged JSON object."""
    text = files("builders.docmedit.atlas").joinpath(name).read_text(encoding="utf-8")
    return json.loads(text)
