"""Articles at two dates: their introductions, and what was added to them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

from builders.docmedit.mediawiki import wikitext
from builders.docmedit.mediawiki.marked import Marked, stacked
from builders.docmedit.mediawiki.names import Candidates, Recogniser
from builders.docmedit.mediawiki.sentences import Alignment, Sentence, align, split
from builders.docmedit.mediawiki.store import AFTER, BEFORE, Entry, Side, Store
from builders.docmedit.mediawiki.templates import WikitextError, reading
from builders.docmedit.mediawiki.titles import Titles
from builders.steps import Problem
from schemas.documents import Mention

MAX_PAGE = 2 * 1024 * 1024
"""Bytes of a page: MediaWiki saves no longer ones."""

MAX_INTRODUCTION = 8_000
"""Characters of an introduction as plain text: it stands before questions, and is an answer."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An introduction at two dates.

    Attributes:
        before: The first one.
        after: The second one.
        alignment: Their sentences side by side.
        added: The first mention of every entity that was added.
    """

    before: Marked
    after: Marked
    alignment: Alignment
    added: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Steady:
    """An introduction that says the same as before.

    Attributes:
        text: What it is now.
        kept: Its sentences that were there before.
    """

    text: str
    kept: tuple[Sentence, ...]


@dataclass(frozen=True)
class Reader:
    """Reads pages of a store.

    Attributes:
        store: The pages.
        titles: The wiki's naming rules.
        language: Their language.
        recogniser: Finds names without a link by more than their form, if anything does.
    """

    store: Store
    titles: Titles
    language: str
    recogniser: Recogniser | None = None
    _is_list: functools._lru_cache_wrapper[bool] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_is_list", functools.lru_cache(maxsize=50_000)(self._find_list))

    def raw(self, entry: Entry) -> str:
        """A page's wikitext.

        Raises:
            WikitextError: If it is longer than any page of MediaWiki's.
        """
        if entry.size > MAX_PAGE:
            raise WikitextError(
                f"has {entry.size:,} bytes, more than the {MAX_PAGE:,} that MediaWiki saves"
            )
        return self.store.text(entry)

    def section(self, raw: str, side: Side, own: str) -> list[Marked]:
        """The paragraphs of a section as plain text, links resolved.

        Raises:
            WikitextError: If it cannot be read.
        """
        paragraphs = (
            self._resolved(wikitext.plain(paragraph, self.titles, own), side, own)
            for paragraph in wikitext.prose(raw)
        )
        return [p for p in paragraphs if any(map(str.isalnum, p.text))]

    def row(self, raw: str, side: Side, own: str) -> Marked:
        """A row of a table as plain text, links resolved.

        Args:
            raw: The text of one of `tables.rows`.
            side: The snapshot.
            own: The page's title.
        """
        return self._resolved(wikitext.plain(raw, self.titles, own), side, own)

    def introduction(self, raw: str, side: Side, own: str) -> Marked:
        """The introduction of a page as plain text, paragraphs on lines of their own.

        Raises:
            WikitextError: If it cannot be read, or is far too long.
        """
        marked = stacked(self.section(wikitext.introduction(raw), side, own))
        if len(marked.text) > MAX_INTRODUCTION:
            raise WikitextError(
                f"has an introduction of {len(marked.text):,} characters, "
                f"more than {MAX_INTRODUCTION:,}"
            )
        return marked

    def sentences(self, marked: Marked) -> list[Sentence]:
        """The sentences of a text."""
        return split(marked, self.language)

    def compare(self, old: Entry, new: Entry) -> Changed | Problem | None:
        """What changed in an introduction; None where nothing did."""
        try:
            with reading():
                return self._compared(old, new)
        except WikitextError as error:
            return Problem("unreadable", "text", str(error))

    def steady(self, entry: Entry) -> Steady | None:
        """An introduction that did not change in what it says, as it is now; None for others."""
        if entry.state not in ("same", "introduction_same", "style_only"):
            return None
        try:
            with reading():
                return self._unchanged(entry)
        except WikitextError:
            return None

    def _compared(self, old: Entry, new: Entry) -> Changed | Problem | None:
        raw_before, raw_after = self.raw(old), self.raw(new)
        if wikitext.is_disambiguation(new.title, raw_after) or wikitext.is_disambiguation(
            old.title, raw_before
        ):
            return Problem("disambiguation", "title", "is a list of pages with the same name")
        first, second = wikitext.introduction(raw_before), wikitext.introduction(raw_after)
        if first == second:
            return None
        before = self.introduction(raw_before, BEFORE, old.title)
        after = self.introduction(raw_after, AFTER, new.title)
        if before.text == after.text:
            return None
        for name, marked in (("before", before), ("after", after)):
            if not marked.text:
                return Problem("no_text", name, "has no text in its introduction")
        before, after = self._with_names(before, after, {old.title, new.title})
        alignment = align(self.sentences(before), self.sentences(after))
        return Changed(before, after, alignment, self._added(before, after))

    def _unchanged(self, entry: Entry) -> Steady | None:
        raw = self.raw(entry)
        if wikitext.is_disambiguation(entry.title, raw):
            return None
        marked = self.introduction(raw, AFTER, entry.title)
        kept = self.sentences(marked)
        if entry.state == "style_only":
            old = self.store.by_id(BEFORE, entry.id)
            assert old is not None
            before = self.introduction(self.raw(old), BEFORE, old.title)
            kept = list(align(self.sentences(before), kept).kept)
        return Steady(marked.text, tuple(kept)) if marked.text else None

    def _resolved(self, marked: Marked, side: Side, own: str) -> Marked:
        resolve = functools.partial(self.store.resolve, side)
        mentions = (replace(m, entity=resolve(m.entity)) for m in marked.mentions)
        return Marked(marked.text, tuple(m for m in mentions if m.entity != own))

    def _added(self, before: Marked, after: Marked) -> tuple[Mention, ...]:
        """Entities that were neither linked nor named before."""
        linked = {m.entity for m in before.mentions}
        pages = {self._number(BEFORE, title) for title in linked} - {None}
        found: dict[str, Mention] = {}
        for mention in after.mentions:
            entity = mention.entity
            if entity in linked or entity in found or mention.text in before.text:
                continue
            # A page that got another title is the same page.
            if pages and self._number(AFTER, entity) in pages:
                continue
            found[entity] = mention
        return tuple(found.values())

    def _with_names(self, before: Marked, after: Marked, own: set[str]) -> tuple[Marked, Marked]:
        """Both texts with mentions of what they name without a link; never the page itself."""
        first = Candidates.of(before, self.language, self.recogniser)
        second = Candidates.of(after, self.language, self.recogniser)
        linked = {m.entity for marked in (before, after) for m in marked.mentions}
        names = first.names | second.names
        old, new = self.store.leads(BEFORE, names), self.store.leads(AFTER, names)

        def is_clear(name: str) -> bool:
            pages = old.get(name), new.get(name)
            return own.isdisjoint(pages) and self._is_one_article(*pages)

        # Also pages that only the other snapshot has, and linked ones that neither does.
        red = {title: title for title in linked}
        linked |= own
        return (
            first.named({**red, **new, **old}, linked, is_clear),
            second.named({**red, **old, **new}, linked, is_clear),
        )

    def _is_one_article(self, old: str | None, new: str | None) -> bool:
        """Whether what a name leads to at both dates is the same page, and no list of namesakes."""
        if old is not None and new is not None and old != new:
            number = self._number(BEFORE, old)  # a page that got another title is the same page
            if number is None or number != self._number(AFTER, new):
                return False
        return not any(self._is_list(title) for title in {old, new} if title is not None)

    def _find_list(self, title: str) -> bool:
        entry = self.store.by_title(AFTER, title) or self.store.by_title(BEFORE, title)
        if entry is None or entry.size > MAX_PAGE:
            return title.endswith("(disambiguation)")
        return wikitext.is_disambiguation(title, self.store.text(entry))

    def _number(self, side: Side, title: str) -> int | None:
        entry = self.store.by_title(side, title)
        return entry.id if entry else None
