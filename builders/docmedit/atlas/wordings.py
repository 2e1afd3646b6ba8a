"""How what is told of an article's subject is put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from builders.docmedit.atlas.things import Article, ArticleKind, Item, Thing, indefinite, read_data
from schemas.documents import Mention

_SLOT = re.compile(r"\{(\w+)\}")
_PRONOUNS: Mapping[ArticleKind, Mapping[str, str]] = MappingProxyType(
    {
        "person": {"s": "They", "p": "Their", "was": "were", "has": "have", "is": "are"},
        **{
            kind: {"s": "It", "p": "Its", "was": "was", "has": "has", "is": "is"}
            for kind in ("country", "city", "company")
        },
    }
)


@dataclass(frozen=True, slots=True)
class Wording:
    """The wordings of one relation; `wordings.json` explains the slots.

    Attributes:
        label: The relation's name in triples.
        sentences: Sentences of an introduction.
        fact: The sentence of an evidence page.
        prompt: A text that the object continues.
        questions: Questions whose answer is the object, or texts that it continues.
        rephrasings: The same in other words.
        hops: Questions one and two facts on.
    """

    label: str
    sentences: tuple[str, ...]
    fact: str
    prompt: str
    questions: tuple[str, ...]
    rephrasings: tuple[str, ...]
    hops: tuple[str, ...]

    def usable(self, item: Item) -> tuple[str, ...]:
        """The sentences that need nothing that is not known."""
        return tuple(s for s in self.sentences if item.year is not None or "{year}" not in s)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with the entities in it, whose offsets count from its beginning."""

    text: str
    mentions: tuple[Mention, ...]


@lru_cache(maxsize=1)
def load_wordings() -> Mapping[tuple[str, str], Wording]:
    """The wordings by kind of article and relation."""
    data = read_data("wordings.json")
    found: dict[tuple[str, str], Wording] = {}
    for kind in ("person", "company", "country", "city"):
        for relation, row in data[kind].items():
            found[kind, relation] = _wording(row, data)
    return MappingProxyType(found)


def _wording(row: Mapping[str, Any], data: Mapping[str, Any]) -> Wording:
    slots = {name: row[name] for name in ("noun", "joins", "hosts") if name in row}
    shared = data["joining"] if "joins" in row else data["hosting"] if "hosts" in row else {}
    full = {**shared, **row}
    lists = {name: list(full[name]) for name in ("sentences", "questions", "rephrasings", "hops")}
    if "noun" in row:
        lists["questions"] += data["frames"]["who" if row.get("who") else "questions"]
        lists["rephrasings"] += data["frames"][
            "who_rephrasings" if row.get("who") else "rephrasings"
        ]
    for texts in lists.values():
        texts[:] = dict.fromkeys(_fill(text, slots) for text in texts)
    asked = set(lists["questions"])
    return Wording(
        label=full["label"],
        sentences=tuple(lists["sentences"]),
        fact=_fill(full["fact"], slots),
        prompt=_fill(full["prompt"], slots),
        questions=tuple(lists["questions"][:3]),
        rephrasings=tuple(text for text in lists["rephrasings"] if text not in asked),
        hops=tuple(lists["hops"]),
    )


def told(article: Article, item: Item) -> str:
    """The fact as a sentence that stands on its own, with the article's later name."""
    fact = load_wordings()[article.kind, item.relation].fact
    return _capital(_fill(fact, _slots(article, item, item.after)))


def asked(article: Article, item: Item, thing: Thing, wording: str) -> str:
    """A question or a text to complete; such a text ends with the object's article, if any."""
    text = _capital(_fill(wording, _slots(article, item, thing)))
    if not text.endswith(("?", ".")) and thing.article == "the" and not text.endswith(" the"):
        text += " the"
    return text


def sentence(
    article: Article, item: Item, thing: Thing, template: str, name: Thing | None
) -> Sentence:
    """A sentence of an introduction.

    Args:
        article: Whom it is about.
        item: What it tells.
        thing: The object, at the text's date.
        template: One of the relation's sentences.
        name: The subject as it is named here, or None where a pronoun stands for it.
    """
    slots = {**_slots(article, item, thing), **_PRONOUNS[article.kind]}
    named: dict[str, tuple[str, str, str]] = {}
    if name is not None:
        slots.update({"was": "was", "has": "has", "is": "is"})
        named["s"] = (_spaced(name.article), name.name, "")
        named["p"] = (_spaced(name.article), name.name, "'s")
    entities = {"s": article.title, "p": article.title, "answer": thing.title, "bare": thing.title}
    named["answer"] = (_spaced(thing.article), thing.name, "")
    named["bare"] = ("", thing.name, "")
    text, mentions, last = "", [], 0
    for slot in _SLOT.finditer(template):
        text += template[last : slot.start()]
        last = slot.end()
        if slot[1] not in named:
            text += slots[slot[1]]
            continue
        lead, words, tail = named[slot[1]]
        text += lead
        entity = entities[slot[1]]
        if entity is not None:
            mentions.append(Mention(len(text), len(text) + len(words), words, entity))
        text += words + tail
    text += template[last:]
    return Sentence(_capital(text), tuple(mentions))


def _slots(article: Article, item: Item, thing: Thing) -> dict[str, str]:
    return {
        "name": _spaced(article.after.article) + article.after.name,
        "old": _spaced(article.before.article) + article.before.name,
        "answer": _spaced(thing.article) + thing.name,
        "bare": thing.name,
        "a": indefinite(thing.name),
        "year": "" if item.year is None else str(item.year),
    }


def _spaced(article: str) -> str:
    return f"{article} " if article else ""


def _fill(text: str, slots: Mapping[str, str]) -> str:
    """The text with known slots filled; unknown ones stay."""
    return _SLOT.sub(lambda slot: slots.get(slot[1], slot[0]), text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
