"""The facts behind an updated introduction, and how each is put as a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from builders.docmedit.draft import Asked
from builders.docmedit.mediawiki.article import Changed
from builders.docmedit.mediawiki.asking import bare, contains, wordings
from builders.docmedit.mediawiki.elsewhere import Sighting
from builders.docmedit.mediawiki.sentences import Change, Sentence, counterpart
from builders.docmedit.mediawiki.wikitext import INTRODUCTION
from schemas.documents import Fact, Mention, Triple
from schemas.rules import normalised

Wanted = Literal["other_page", "any"]
"""Which evidence counts: sentences on other pages alone, or the article's own where those lack."""


def facts(
    title: str,
    changed: Changed,
    sightings: Sequence[Sighting],
    triples: Sequence[Triple],
    wanted: Wanted,
    limit: int,
) -> list[tuple[Fact, Asked]]:
    """One fact for every entity that was added, in the order of the text.

    A sentence elsewhere counts for an entity if it stands on that entity's page or links to it,
    as FRUIT has it (arXiv 2112.08634), and names it. No two facts have the same prompt.

    Args:
        title: The article.
        changed: Its introduction.
        sightings: Sentences elsewhere that newly link to the article.
        triples: What the article's boxes and tables say afterwards.
        wanted: Which evidence counts.
        limit: The most facts; those with evidence elsewhere come first.
    """
    found: list[tuple[int, Fact, list[Asked]]] = []
    for order, mention in enumerate(changed.added):
        change = next((c for c in changed.alignment.changes if _holds(c.new, mention)), None)
        if change is None:
            continue
        evidence = _evidence(mention, sightings)
        if evidence is None and wanted == "other_page":
            continue
        triple = _triple(mention, triples) or _told(title, mention, evidence)
        fact = _fact(title, changed, change, mention, evidence, triple)
        local = _within(change.new, mention)
        asked = list(wordings(title, change.new, local, fact.triple, triples))
        found.append((order, fact, asked))
    chosen: list[tuple[int, Fact, Asked]] = []
    taken: set[str] = set()
    for order, fact, ways in sorted(found, key=lambda f: (f[1].evidence != "other_page", f[0])):
        # One prompt has one answer; a fact that cannot be asked for in its own way is none here.
        asked = next((way for way in ways if normalised(way.prompt) not in taken), None)
        if asked is not None and len(chosen) < limit:
            taken.add(normalised(asked.prompt))
            chosen.append((order, fact, asked))
    chosen.sort(key=lambda f: f[0])
    return [(replace(fact, id=f"fact-{n}"), asked) for n, (_, fact, asked) in enumerate(chosen)]


def _evidence(mention: Mention, sightings: Sequence[Sighting]) -> Sighting | None:
    """The sentence elsewhere that says what an entity has to do with the article.

    It names the entity as the article does, or stands on the entity's page.
    """
    own = [s for s in sightings if s.page == mention.entity]
    third = [s for s in sightings if mention.entity in s.links and s.page != mention.entity]
    said = (s for s in own + third if contains(f"{s.text}\n{s.page}", mention.text))
    return next(said, None)


def _triple(mention: Mention, triples: Sequence[Triple]) -> Triple | None:
    """The triple that leads to an entity."""
    names = {normalised(mention.text), normalised(mention.entity)}
    return next((triple for triple in triples if normalised(triple.object) in names), None)


def _told(title: str, mention: Mention, evidence: Sighting | None) -> Triple | None:
    """What a row of a table elsewhere says of the article and an entity."""
    names = {normalised(title), normalised(bare(title))}
    stated = evidence.triples if evidence is not None else ()
    return _triple(mention, [t for t in stated if normalised(t.subject) in names])


def _fact(
    title: str,
    changed: Changed,
    change: Change,
    mention: Mention,
    evidence: Sighting | None,
    triple: Triple | None,
) -> Fact:
    sentence, old = change.new, change.old
    dropped = old.text if old and old.text not in changed.after.text else None
    start = changed.after.text.rfind("\n", 0, sentence.start) + 1
    end = changed.after.text.find("\n", sentence.start)
    passage = changed.after.text[start : end if end >= 0 else None]
    return Fact(
        id="",
        text=evidence.text if evidence else sentence.text,
        page=evidence.page if evidence else title,
        section=evidence.section if evidence else INTRODUCTION,
        evidence="other_page" if evidence else "same_document",
        passage=evidence.passage if evidence else passage,
        start=evidence.start if evidence else sentence.start - start,
        object=mention.text,
        object_old=_replaced(changed, change, mention) if dropped else None,
        triple=triple,
        statement_old=dropped,
    )


def _replaced(changed: Changed, change: Change, mention: Mention) -> str | None:
    """The entity that an added one takes the place of, where there is just one of each."""
    place = counterpart(change, _within(change.new, mention))
    if place is None or change.old is None:
        return None
    old_start, old_end, new_start, new_end = place
    added = {m.entity for m in changed.added}
    linked = {m.entity for m in changed.after.mentions}
    fresh = [
        m
        for m in change.new.mentions
        if m.start < new_end and m.end > new_start and m.entity in added
    ]
    gone = [
        m
        for m in change.old.mentions
        if m.start < old_end and m.end > old_start
        if m.entity not in linked and not contains(changed.after.text, m.text)
    ]
    return gone[0].text if len(gone) == 1 and len(fresh) == 1 else None


def _holds(sentence: Sentence, mention: Mention) -> bool:
    start = sentence.start
    return start <= mention.start and mention.end <= start + len(sentence.text)


def _within(sentence: Sentence, mention: Mention) -> Mention:
    """A mention, counted from the beginning of the sentence that holds it."""
    start = sentence.start
    return replace(mention, start=mention.start - start, end=mention.end - start)
