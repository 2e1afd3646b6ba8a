"""Document edits from two snapshots of a wiki."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from builders.definition import Row
from builders.docmedit.draft import Draft
from builders.docmedit.mediawiki import elsewhere, infobox, tables, wikitext
from builders.docmedit.mediawiki.article import Changed, Reader
from builders.docmedit.mediawiki.facts import Wanted, facts
from builders.docmedit.mediawiki.names import SpacyRecogniser
from builders.docmedit.mediawiki.snapshots import Pair, Read, load
from builders.docmedit.mediawiki.store import AFTER, BEFORE, Entry, Store
from builders.docmedit.mediawiki.templates import WikitextError, reading
from builders.docmedit.mediawiki.untouched import Surroundings
from builders.docmedit.record import record_id
from builders.steps import Problem, Reject
from schemas.arrow import to_row
from schemas.documents import Document, Triple, Version

MAX_ROWS = 200
"""Rows of an introduction's tables that triples are read from: what comes after them is a list."""

MAX_RETRIEVED = 20
"""Sentences that are given as what a search would find."""

_OR_RECOGNISED = ", or if the spaCy pipeline takes them for named entities"


@dataclass(frozen=True)
class DumpSource:
    """Articles whose introductions changed between two MediaWiki exports of the same wiki.

    Attributes:
        before: The export of the first date: a file, or a folder of its parts.
        after: That of the second one.
        language: The wiki's language, or None to take what the files say.
        limit: Document edits to give, or None for all.
        seed: The build's seed.
        evidence: `other_page` for facts that another page states, as FRUIT has them; `any` to
            fall back on the article's own new sentences.
        max_facts: The most facts of a document.
        recogniser: A trained spaCy pipeline that finds names without a link as well, or None.
    """

    before: Path
    after: Path
    language: str | None = None
    limit: int | None = None
    seed: int = 0
    evidence: Wanted = "any"
    max_facts: int = 16
    recogniser: SpacyRecogniser | None = None
    _counts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _languages: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """Document edits and rejected pages, in the order of the second snapshot.

        Texts are kept on the disk, in `spool`, until the last row is given.

        Raises:
            InputError: If the exports cannot be read, or are no two snapshots of one wiki.
        """
        self._counts.clear()
        pair = self._pair
        with Store(spool) as store:
            read = yield from load(pair, store, self._counts, self.language)
            self._languages[:] = [read.language]
            if self.recogniser is not None:
                self.recogniser.check(read.language)
            reader = Reader(store, read.titles, read.language, self.recogniser)
            yield from self._sort(reader)
            self._collect(reader)
            surroundings = Surroundings(reader, read.pages, self.seed)
            given = 0
            for entry in store.positions(AFTER, "updated"):
                if given == self.limit:
                    return
                first = store.by_title(AFTER, entry.title)
                if first is not None and first.id != entry.id:
                    reason = "is that of an earlier page as well"
                    yield self._reject(entry.position, Problem("duplicate", "title", reason))
                    continue
                made = self._draft(reader, surroundings, read, entry)
                if isinstance(made, Problem):
                    yield self._reject(entry.position, made)
                else:
                    given += 1
                    self._counts["document_edits"] += 1
                    yield made

    def context(self) -> dict[str, Any]:
        """How many pages went which way, and the language they are in."""
        return {
            "counts": dict(sorted(self._counts.items())),
            "language": next(iter(self._languages), None),
        }

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card."""
        return {
            "name": "dumps",
            "title": "Two MediaWiki snapshots",
            "url": "https://dumps.wikimedia.org",
            "licence": "that of the wiki; Wikipedia's text: CC BY-SA",
            "files": self._digests,
            "snapshots": [self._pair.before.name, self._pair.after.name],
            **({} if self.recogniser is None else {"recogniser": self.recogniser.describe()}),
            "notes": [
                "Entities are links, redirects resolved, and names without a link that are a title "
                "or a redirect: any with two capitalised words, shorter ones if the same "
                "introduction links to that page at either date"
                f"{_OR_RECOGNISED if self.recogniser else ''}.",
                "Templates are left out of the text, except a few that only format words.",
            ],
        }

    @cached_property
    def _pair(self) -> Pair:
        return Pair.of(self.before, self.after)

    @cached_property
    def _digests(self) -> dict[str, str]:
        # Both snapshots' files may have the same names: what tells them apart stands in front.
        return {
            f"{side}/{path.name}": digest
            for side, snapshot in (("before", self._pair.before), ("after", self._pair.after))
            for path, digest in zip(snapshot.parts, snapshot.digests, strict=True)
        }

    def _sort(self, reader: Reader) -> Iterator[Reject]:
        """Look at all pages that differ, and note what became of each."""
        store = reader.store
        for entry in store.positions(AFTER, None):
            old = store.by_id(BEFORE, entry.id)
            if old is None:
                continue
            if old.title != entry.title:
                problem = Problem("moved", "title", f"was {old.title!r} before")
                store.mark(AFTER, entry.id, "unusable")
                yield self._reject(entry.position, problem)
                continue
            changed = reader.compare(old, entry)
            if isinstance(changed, Problem):
                store.mark(AFTER, entry.id, "unusable")
                yield self._reject(entry.position, changed)
            elif changed is None:
                self._counts["introduction_unchanged"] += 1
                store.mark(AFTER, entry.id, "introduction_same")
            else:
                self._counts["introduction_changed"] += 1
                if changed.added:
                    self._counts["updated"] += 1
                    store.mark(AFTER, entry.id, "updated")
                    store.want([entry.title, *(m.entity for m in changed.added)])
                else:
                    store.mark(AFTER, entry.id, "style_only")
                    reason = "changed, but no entity was added"
                    yield self._reject(entry.position, Problem("style_only", "after", reason))

    def _collect(self, reader: Reader) -> None:
        """Keep what other pages newly say of the updated ones."""
        store = reader.store
        for entry in store.changed():
            if not elsewhere.collect(reader, store.by_id(BEFORE, entry.id), entry):
                self._counts["unreadable_as_evidence"] += 1

    def _draft(
        self,
        reader: Reader,
        surroundings: Surroundings,
        read: Read,
        entry: Entry,
    ) -> Row | Problem:
        store = reader.store
        old = store.by_id(BEFORE, entry.id)
        assert old is not None
        changed = reader.compare(old, entry)
        assert isinstance(changed, Changed)
        try:
            with reading():
                before, after = self._triples(reader, old), self._triples(reader, entry)
        except WikitextError as error:
            return Problem("unreadable", "text", str(error))
        sightings = [
            s for s in elsewhere.newly_linking(store, entry.title) if s.page != entry.title
        ]
        found = facts(entry.title, changed, sightings, after, self.evidence, self.max_facts)
        if not found:
            reason = "has no new sentence with evidence that can be put as a question"
            return Problem("no_evidence", "facts", reason)
        titles = [entry.title, *(m.entity for m in changed.added)]
        retrieved = elsewhere.linking(store, titles, MAX_RETRIEVED)
        document = Document(
            title=entry.title,
            page_id=str(entry.id),
            language=reader.language,
            snapshot_before=read.before,
            snapshot_after=read.after,
            before=_version(changed.before.text, changed.before.mentions, before, old),
            after=_version(changed.after.text, changed.after.mentions, after, entry),
            facts=tuple(fact for fact, _ in found),
            retrieved=tuple(dict.fromkeys(s.text for s in retrieved if s.page != entry.title)),
        )
        row_id = record_id(document)
        kept, others = surroundings.of(
            entry, row_id, changed, [fact.object for fact in document.facts]
        )
        draft = Draft(document, tuple(asked for _, asked in found), kept, others)
        return Row(entry.position, row_id, to_row(draft))

    @staticmethod
    def _triples(reader: Reader, entry: Entry) -> tuple[Triple, ...]:
        raw = wikitext.introduction(reader.raw(entry))
        stated = infobox.triples(raw, entry.title, reader.titles)
        rows = tables.rows(raw)[:MAX_ROWS]
        return tuple(dict.fromkeys(stated + tables.triples(rows, reader.titles)))

    def _reject(self, position: int, problem: Problem) -> Reject:
        self._counts[problem.rule] += 1
        return Reject(position, None, "ingest", problem.rule, problem.column, problem.reason)


def _version(text: str, mentions: Any, triples: tuple[Triple, ...], entry: Entry) -> Version:
    return Version(text, mentions, triples, entry.revision, entry.timestamp or None)
