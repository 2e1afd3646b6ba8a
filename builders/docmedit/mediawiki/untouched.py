"""What an edit must leave alone: the article's other sentences, and other articles."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from builders.docmedit.draft import Elsewhere, Kept
from builders.docmedit.mediawiki.article import Changed, Reader, Steady
from builders.docmedit.mediawiki.asking import cloze, contains
from builders.docmedit.mediawiki.sentences import Sentence
from builders.docmedit.mediawiki.store import AFTER, Entry
from builders.seeds import seed_for

Other = Literal["related_document", "random_document"]

OWN = 3
"""Statements of the article itself."""

OTHERS = 2
"""Statements of another article."""

TRIES = 60
"""Pages to look at for one that can be used."""


@dataclass(frozen=True)
class Surroundings:
    """Finds articles that did not change in what they say.

    Attributes:
        reader: Reads pages.
        pages: Pages of the second snapshot, of whatever kind.
        seed: The build's seed.
    """

    reader: Reader
    pages: int
    seed: int
    _steady: functools._lru_cache_wrapper[Steady | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_steady", functools.lru_cache(maxsize=256)(self.reader.steady))

    def of(
        self, entry: Entry, row_id: str, changed: Changed, objects: Sequence[str]
    ) -> tuple[tuple[Kept, ...], tuple[Elsewhere, ...]]:
        """What must not change when an article is edited.

        Args:
            entry: The article.
            row_id: The id of its row; what is drawn depends on it and the seed.
            changed: Its introduction.
            objects: What is new in it: no answer may be one of these.
        """
        kept = [
            Kept("unchanged_sentence", entry.title, prompt, answer)
            for prompt, answer in _clozes(entry.title, changed.alignment.kept, objects, OWN)
        ]
        elsewhere: list[Elsewhere] = []
        linked = dict.fromkeys(m.entity for m in changed.after.mentions)
        related = self._related(entry, list(linked), row_id)
        unrelated = self._random(entry, set(linked), row_id)
        sources: tuple[tuple[Other, Iterator[Entry]], ...] = (
            ("related_document", related),
            ("random_document", unrelated),
        )
        for kind, candidates in sources:
            statements, texts = self._from(kind, candidates, objects)
            kept += statements
            elsewhere += texts
        return tuple(kept), tuple(elsewhere)

    def _from(
        self,
        kind: Other,
        candidates: Iterator[Entry],
        objects: Sequence[str],
    ) -> tuple[list[Kept], list[Elsewhere]]:
        kept: list[Kept] = []
        texts: list[Elsewhere] = []
        for other in candidates:
            steady = self._steady(other)
            if steady is None:
                continue
            if not texts:
                texts.append(Elsewhere(kind, other.title, steady.text))
            clozes = _clozes(other.title, steady.kept, objects, OTHERS - len(kept))
            kept += [Kept(kind, other.title, prompt, answer) for prompt, answer in clozes]
            if len(kept) == OTHERS:
                break
        return kept, texts

    def _related(self, entry: Entry, linked: list[str], row_id: str) -> Iterator[Entry]:
        """Articles that the edited one links to, in an order of its own."""
        random.Random(seed_for(self.seed, row_id, "related")).shuffle(linked)
        for title in linked[:TRIES]:
            other = self.reader.store.by_title(AFTER, title)
            if other is not None and other.id != entry.id:
                yield other

    def _random(self, entry: Entry, linked: set[str], row_id: str) -> Iterator[Entry]:
        """Articles that have nothing to do with the edited one."""
        drawn: set[int] = set()
        for number in range(TRIES):
            position = seed_for(self.seed, row_id, "random", number) % max(self.pages, 1)
            other = self.reader.store.by_position(AFTER, position)
            if other is None or other.id == entry.id or position in drawn:
                continue
            drawn.add(position)
            if other.title not in linked:
                yield other


def _clozes(
    title: str, sentences: Sequence[Sentence], objects: Sequence[str], limit: int
) -> list[tuple[str, str]]:
    """Sentences up to a linked entity, with that entity, one of each sentence."""
    found: list[tuple[str, str]] = []
    for sentence in sentences:
        if len(found) >= limit:
            break
        for mention in sentence.mentions:
            if len(sentence.text[: mention.start].split()) < 3:
                continue
            if any(contains(mention.text, o) or contains(o, mention.text) for o in objects):
                continue
            asked = cloze(title, sentence, mention)
            if asked is not None and not any(contains(asked.prompt, o) for o in objects):
                found.append((asked.prompt, mention.text))
                break
    return found
