"""Sentences that were inserted on other pages and link to the articles that changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from builders.docmedit.mediawiki import tables, wikitext
from builders.docmedit.mediawiki.article import Reader
from builders.docmedit.mediawiki.marked import Marked, stacked
from builders.docmedit.mediawiki.sentences import Change, Sentence, align
from builders.docmedit.mediawiki.store import AFTER, BEFORE, Entry, Store
from builders.docmedit.mediawiki.tables import Row
from builders.docmedit.mediawiki.templates import WikitextError, reading
from schemas.arrow import from_row, to_row
from schemas.documents import Triple

MIN_WORDS = 4
"""Words of a sentence; shorter ones are list entries and captions."""

MAX_ROWS = 500
"""Rows of a section that are compared."""

_LINK = re.compile(r"\[\[([^\[\]|]{1,300})")

MAX_PASSAGE = 10_000
"""Characters of a paragraph that is kept as evidence."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sentence elsewhere that was inserted or reworded.

    Attributes:
        page: The title of its page.
        section: The heading that it stands under.
        text: The sentence.
        passage: Its paragraph.
        start: Where it begins there.
        links: The articles that it links to.
        triples: What it states, where it is a row of a table.
    """

    page: str
    section: str
    text: str
    passage: str
    start: int
    links: tuple[str, ...]
    triples: tuple[Triple, ...] = ()


def collect(reader: Reader, old: Entry | None, new: Entry) -> bool:
    """Keep a page's new sentences that link to pages that matter.

    Rows of tables count as sentences, as FRUIT has it. Only sections with new lines that hold such
    a link are parsed at all.

    Args:
        reader: Reads and keeps.
        old: The page before, or None where it is a new one.
        new: The page afterwards.

    Returns:
        Whether it could be read. Where not, it is no use as evidence; its introduction may be.
    """
    try:
        with reading():
            before = reader.raw(old) if old else ""
            after = reader.raw(new)
            if wikitext.is_disambiguation(new.title, after):
                return True
            for sighting, targets in _sightings(reader, before, after, new.title):
                reader.store.add_sentence(to_row(sighting), targets)
    except WikitextError:
        return False
    return True


def newly_linking(store: Store, title: str, limit: int = 200) -> list[Sighting]:
    """Sentences elsewhere that link to a page and did not before, in the dump's order."""
    found = store.sentences(title, limit)
    return [_sighting(fields) for _, new, fields in found if new]


def linking(store: Store, titles: list[str], limit: int) -> list[Sighting]:
    """New sentences elsewhere that link to any of some pages, in the dump's order."""
    found = {
        number: fields for title in titles for number, _, fields in store.sentences(title, limit)
    }
    return [_sighting(found[number]) for number in sorted(found)[:limit]]


def _sighting(fields: object) -> Sighting:
    assert isinstance(fields, dict)
    return from_row(Sighting, fields)


Found = tuple[Sighting, dict[str, bool]]
"""A sentence, and the pages that matter among those it links to: whether each link is new."""


def _sightings(reader: Reader, before: str, after: str, own: str) -> Iterator[Found]:
    known = set(wikitext.without_comments(before).split("\n"))
    old_sections = dict(_numbered(before))
    old_rows: set[str] | None = None
    for key, raw in _numbered(after):
        fresh = [line for line in raw.split("\n") if line not in known]
        if not any(_leads_somewhere(reader, line) for line in fresh):
            continue
        paragraphs = reader.section(raw, AFTER, own)
        if key in old_sections:
            old = reader.section(old_sections[key], BEFORE, own)
        else:  # the heading is new; the lines below it need not be
            lines = (line for line in raw.split("\n") if line in known)
            old = reader.section("\n".join(lines), BEFORE, own)
        yield from _changes(reader, key[0], own, old, paragraphs)
        if rows := tables.rows(raw):
            if old_rows is None:  # of the whole page: tables move
                texts = old_sections.values()
                old_rows = {row.text for text in texts for row in tables.rows(text)}
            yield from _row_changes(reader, key[0], own, old_rows, rows)


def _changes(
    reader: Reader, section: str, own: str, old: list[Marked], new: list[Marked]
) -> Iterator[Found]:
    whole = stacked(new)
    alignment = align(reader.sentences(stacked(old)), reader.sentences(whole))
    for change in alignment.changes:
        start = whole.text.rfind("\n", 0, change.new.start) + 1
        end = whole.text.find("\n", change.new.start)
        passage = whole.text[start : end if end >= 0 else None]
        place = change.new.start - start
        yield from _sighted(reader, section, own, change, passage, place)


def _row_changes(
    reader: Reader, section: str, own: str, old: set[str], new: list[Row]
) -> Iterator[Found]:
    """Rows that a page did not have, each with the one that it takes the place of."""
    here = {row.text for row in new}
    gone = sorted(row for row in old if row not in here)[:MAX_ROWS]
    fresh = [row for row in new if row.text not in old][:MAX_ROWS]
    if not any(_leads_somewhere(reader, row.text) for row in fresh):
        return
    before = [reader.row(row, BEFORE, own) for row in gone]
    after = [reader.row(row.text, AFTER, own) for row in fresh]
    rows = {marked.text: row for marked, row in zip(after, fresh, strict=True)}
    alignment = align(
        *([Sentence(0, row.text, row.mentions) for row in side] for side in (before, after))
    )
    for change in alignment.changes:
        for sighting, targets in _sighted(reader, section, own, change, change.new.text, 0):
            stated = tables.triples([rows[sighting.text]], reader.titles)
            yield replace(sighting, triples=stated), targets


def _sighted(
    reader: Reader, section: str, own: str, change: Change, passage: str, start: int
) -> Iterator[Found]:
    """A changed sentence, if it links to a page that matters."""
    sentence = change.new
    linked_before = {m.entity for m in change.old.mentions} if change.old else set[str]()
    links = tuple(dict.fromkeys(m.entity for m in sentence.mentions))
    targets = {title: title not in linked_before for title in links if reader.store.wanted(title)}
    if targets and len(sentence.text.split()) >= MIN_WORDS and len(passage) <= MAX_PASSAGE:
        yield Sighting(own, section, sentence.text, passage, start, links), targets


def _numbered(raw: str) -> Iterator[tuple[tuple[str, int], str]]:
    """Sections by heading and how often that heading came before."""
    seen: dict[str, int] = {}
    for section in wikitext.sections(raw):
        count = seen.get(section.heading, 0)
        seen[section.heading] = count + 1
        yield (section.heading, count), section.raw


def _leads_somewhere(reader: Reader, line: str) -> bool:
    """Whether a line of wikitext links to a page that matters."""
    for found in _LINK.finditer(line):
        kind, title = reader.titles.target(found[1])
        if kind == "article" and reader.store.wanted(reader.store.resolve(AFTER, title)):
            return True
    return False
