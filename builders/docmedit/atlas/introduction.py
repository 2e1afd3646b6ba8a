"""The introductions of an article at two dates: what is told, in which order and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from builders.docmedit.atlas.things import Article, Item
from builders.docmedit.atlas.wordings import Sentence, load_wordings, sentence
from schemas.documents import Triple, Version

MAX_FACTS, MAX_SENTENCES, MIN_SENTENCES = 6, 7, 3
"""Facts of a document, and sentences of an introduction."""

RESTYLED = 0.12
"""Share of the documents in which an unchanged sentence is reworded as well."""

_FEWER = 0.4
"""Share of the countries and cities of which not every change is told."""

_RENAMED = "renamed to"


@dataclass(frozen=True, slots=True)
class Introduction:
    """Both introductions of an article, and what was chosen to be told.

    Attributes:
        before: The text at the first date.
        after: The text at the second one.
        told: Items with their sentence at the two dates, in the order of the text; a sentence is
            None where nothing is said, and the opening one stands for a change of the name too.
    """

    before: Version
    after: Version
    told: tuple[tuple[Item, Sentence | None, Sentence | None], ...]

    @property
    def changed(self) -> list[tuple[Item, Sentence | None]]:
        """The items that changed, each with the sentence that was true before."""
        return [(item, old) for item, old, _ in self.told if item.changed]


def introduce(article: Article, rng: Random, before: str, after: str) -> Introduction:
    """The introductions of an article; of one that nothing happens to, in other words."""
    wordings = load_wordings()
    items = _choose(article, rng)
    static = [item for item in items[1:] if not item.changed]
    restyled = None
    if static and (not article.changes or rng.random() < RESTYLED):
        restyled = next((i for i in static if len(_usable(article, i)) > 1), None)
    rows: list[tuple[Item, Sentence | None, Sentence | None]] = []
    for place, item in enumerate(items):
        if item.relation == "name":
            continue
        templates = _usable(article, item)
        template = rng.choice(templates)
        other = template
        if item is restyled:
            other = rng.choice([t for t in templates if t != template])
        names = (article.before, article.after) if place == 0 else (None, None)
        things = (item.before, item.after)
        old, new = (
            None if thing is None else sentence(article, item, thing, t, name)
            for thing, t, name in zip(things, (template, other), names, strict=True)
        )
        rows.append((item, old, new))
    if article.before.name != article.after.name:
        renamed = next(item for item in items if item.relation == "name")
        rows.insert(1, (renamed, rows[0][1], rows[0][2]))
    shown = [row for row in rows if row[0].relation != "name"]
    old_triples = tuple(
        Triple(article.before.name, wordings[article.kind, i.relation].label, i.before.name)
        for i, _, _ in shown
        if i.before is not None
    )
    new_triples = tuple(triple(article, item) for item, _, _ in rows)
    return Introduction(
        _version([old for _, old, _ in shown], old_triples, before),
        _version([new for _, _, new in shown], new_triples, after),
        tuple(rows),
    )


def _choose(article: Article, rng: Random) -> list[Item]:
    """What is told, the opening item first, the others in an order of its own."""
    opening, *rest = article.items
    forced = [item for item in rest if item.relation == "name"]
    known = [item for item in rest if item.relation != "name"]
    changed = [item for item in known if item.changed]
    rng.shuffle(changed)
    room = MAX_FACTS - len(forced) - opening.changed
    least = 0 if len(forced) + opening.changed else 1
    count = min(len(changed), room)
    if article.kind in ("country", "city") and count > least and rng.random() < _FEWER:
        count = max(rng.randint(max(least, 1), count), rng.randint(max(least, 1), count))
    changed = changed[:count]
    static = [item for item in known if not item.changed]
    rng.shuffle(static)
    spare = 0 if opening.changed or _is_silent(article, opening) else 1
    while True:
        replaced = sum(item.before is not None for item in changed)
        fewest = max(MIN_SENTENCES - 1 - replaced, 1 - spare)
        most = MAX_SENTENCES - 1 - len(changed)
        if fewest <= most or not any(item.before is None for item in changed):
            break
        changed.remove(next(item for item in changed if item.before is None))
    wanted = rng.randint(fewest, max(fewest, min(most, 3)))
    told_of = {item.after.name for item in changed}
    told_of |= {item.before.name for item in changed if item.before is not None}
    told_of |= {opening.after.name, article.title}
    chosen: list[Item] = []
    for item in static:
        # A name that a fact is about must not stand in the text for another reason.
        if len(chosen) < wanted and item.after.name not in told_of:
            chosen.append(item)
            told_of.add(item.after.name)
    told_items = [*changed, *chosen]
    rng.shuffle(told_items)
    return [opening, *forced, *told_items]


def _is_silent(article: Article, item: Item) -> bool:
    """Whether nothing can be asked about an item."""
    return not load_wordings()[article.kind, item.relation].prompt


def _usable(article: Article, item: Item) -> tuple[str, ...]:
    return load_wordings()[article.kind, item.relation].usable(item)


def _version(
    sentences: Sequence[Sentence | None], triples: tuple[Triple, ...], day: str
) -> Version:
    text, mentions = "", []
    for part in sentences:
        if part is None:
            continue
        text += " " if text else ""
        for mention in part.mentions:
            start, end = mention.start + len(text), mention.end + len(text)
            mentions.append(replace(mention, start=start, end=end))
        text += part.text
    return Version(text, tuple(mentions), triples, timestamp=f"{day}T00:00:00Z")


def triple(article: Article, item: Item) -> Triple:
    """What an item says at the second date."""
    if item.relation == "name":
        return Triple(article.before.name, _RENAMED, article.after.name)
    label = load_wordings()[article.kind, item.relation].label
    return Triple(article.after.name, label, item.after.name)
