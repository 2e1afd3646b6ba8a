"""The facts behind an updated introduction, and how each is put as a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from builders.docmedit.draft import Asked
from builders.docmedit.mediawiki.article import Changed
from builders.docmedit.mediawiki.elsewhere import Sighting
from builders.docmedit.mediawiki.sentences import Change, Sentence, counterpart
from builders.docmedit.mediawiki.wikitext import INTRODUCTION
from schemas.documents import Fact, Mention, Triple

Wanted = Literal["other_page", "any"]
"""Which evidence counts: sentences on other pages alone, or the article's own where those lack."""

MIN_WORDS = 3
"""Words of a prompt; a shorter one says too little for anybody to go on with it."""

_BRACKETS = re.compile(r" \([^()]*\)$")


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
    as FRUIT has it (arXiv 2112.08634).

    Args:
        title: The article.
        changed: Its introduction.
        sightings: Sentences elsewhere that newly link to the article.
        triples: What the article's box says afterwards.
        wanted: Which evidence counts.
        limit: The most facts; those with evidence elsewhere come first.
    """
    found: list[tuple[int, Fact, Asked]] = []
    for order, mention in enumerate(changed.added):
        change = next((c for c in changed.alignment.changes if _holds(c.new, mention)), None)
        if change is None:
            continue
        sentence = change.new
        asked = cloze(title, sentence, mention.text)
        if asked is None:
            continue
        own = [s for s in sightings if s.page == mention.entity]
        third = [s for s in sightings if mention.entity in s.links and s.page != mention.entity]
        evidence = next(iter(own + third), None)
        if evidence is None and wanted == "other_page":
            continue
        found.append((order, _fact(title, changed, change, mention, evidence, triples), asked))
    best = sorted(found, key=lambda f: (f[1].evidence != "other_page", f[0]))[:limit]
    chosen = sorted(best, key=lambda f: f[0])
    return [(_numbered(fact, n), asked) for n, (_, fact, asked) in enumerate(chosen)]


def cloze(title: str, sentence: Sentence, answer: str) -> Asked | None:
    """A sentence up to an answer as a prompt; None where the answer stands before itself."""
    found = re.search(rf"(?<!\w){re.escape(answer)}", sentence.text)
    if found is None:
        return None
    prompt = sentence.text[: found.start()].strip()
    alone = prompt
    if len(prompt.split()) < MIN_WORDS:
        prompt = f"{title}: {prompt}".strip()
    if contains(prompt, answer):
        return None
    named = _BRACKETS.sub("", title)
    subject = next((name for name in (title, named) if contains(prompt, name)), None)
    questions = () if prompt != alone else (f"{title}: {prompt}",)
    return Asked(
        prompt=prompt,
        subject=subject,
        questions=tuple(q for q in questions if not contains(q, answer)),
        rephrasings=tuple(
            text
            for text in (
                f"According to the article on {title}: {alone}".strip(),
                f'The article "{title}" says: {alone}'.strip(),
                f"From the article about {title}: {alone}".strip(),
                f'In the encyclopedia, under "{title}": {alone}'.strip(),
            )
            if not contains(text, answer)
        ),
    )


def contains(text: str, name: str) -> bool:
    """Whether a text holds a name as whole words."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I) is not None


def _fact(
    title: str,
    changed: Changed,
    change: Change,
    mention: Mention,
    evidence: Sighting | None,
    triples: Sequence[Triple],
) -> Fact:
    sentence, old = change.new, change.old
    dropped = old.text if old and old.text not in changed.after.text else None
    triple = next((t for t in triples if contains(t.object, mention.text)), None)
    if triple is None:
        triple = next((t for t in triples if contains(t.object, mention.entity)), None)
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
    local = next(m for m in change.new.mentions if m.start + change.new.start == mention.start)
    place = counterpart(change, local)
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


def _numbered(fact: Fact, number: int) -> Fact:
    return replace(fact, id=f"fact-{number}")
