"""Two snapshots of one wiki: checked, read and joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from builders.docmedit.mediawiki import files
from builders.docmedit.mediawiki.dump import Page, Site, opened
from builders.docmedit.mediawiki.store import AFTER, BEFORE, Side, Store
from builders.docmedit.mediawiki.titles import Titles
from builders.steps import Reject
from schemas.errors import InputError
from schemas.layout import sha256_of


@dataclass(frozen=True)
class Snapshot:
    """The files of one export.

    Attributes:
        path: The file or folder as it was given.
        parts: The files.
        date: The date in their names, or None.
    """

    path: Path
    parts: tuple[Path, ...]
    date: str | None

    @classmethod
    def of(cls, path: Path) -> Snapshot:
        """The snapshot at a path.

        Raises:
            InputError: If there is none.
        """
        parts = tuple(files.parts(path))
        dates = {date for part in parts if (date := files.date_in_name(part))}
        if len(dates) > 1:
            raise InputError(
                f"holds files of several dates ({', '.join(sorted(dates))}): give one folder each",
                file=path,
            )
        return cls(path, parts, dates.pop() if dates else files.date_in_name(path))

    @property
    def name(self) -> str:
        """Its date, or the name of its file or folder."""
        return self.date or self.path.name

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The SHA-256 of every part, read once."""
        return tuple(sha256_of(part) for part in self.parts)


@dataclass(frozen=True)
class Pair:
    """Two snapshots.

    Attributes:
        before: The first one.
        after: The second one.
    """

    before: Snapshot
    after: Snapshot

    @classmethod
    def of(cls, before: Path, after: Path) -> Pair:
        """Two snapshots, as far as they can be told apart without reading them.

        Raises:
            InputError: If they are the same or in the wrong order.
        """
        pair = cls(Snapshot.of(before), Snapshot.of(after))
        first, second = pair.before.date, pair.after.date
        if before.resolve() == after.resolve():
            raise _same(after)
        if first and second:
            if first == second:
                raise _same(after)
            _ordered(first, second, after)
        if pair.before.digests == pair.after.digests:
            raise _same(after)
        return pair


@dataclass(frozen=True)
class Read:
    """What is known once both snapshots are read.

    Attributes:
        language: Its language.
        titles: Its naming rules.
        before: The first date.
        after: The second one.
        pages: Pages of the second snapshot, of whatever kind.
    """

    language: str
    titles: Titles
    before: str
    after: str
    pages: int


def load(
    pair: Pair, store: Store, counts: Counter[str], language: str | None = None
) -> Generator[Reject, None, Read]:
    """Read both snapshots into a store, and join them.

    Args:
        pair: The snapshots.
        store: Where pages go.
        counts: Takes up how many pages went which way.
        language: What the wiki's language must be, or None for any.

    Yields:
        Pages that cannot be compared, as rejects.

    Raises:
        InputError: If an export cannot be read, or the two are not of one wiki, or in the wrong
            order, or the same.
    """
    site = _same_wiki(pair)
    if language and site.language and language != site.language:
        raise InputError(f"is in {site.language!r}, not {language!r}", file=pair.before.path)
    reading = _Reading(store, counts)
    yield from reading.read(BEFORE, pair.before)
    yield from reading.read(AFTER, pair.after)
    newest_before, newest_after = reading.newest
    first = pair.before.date or newest_before[:10]
    second = pair.after.date or newest_after[:10]
    if not (reading.articles[BEFORE] and reading.articles[AFTER]):
        empty = pair.before if not reading.articles[BEFORE] else pair.after
        raise InputError("holds no article (namespace 0, no redirect)", file=empty.path)
    if newest_before and newest_after:
        _ordered(newest_before, newest_after, pair.after.path)
    if counts["unchanged"] == reading.articles[BEFORE] == reading.articles[AFTER]:
        raise _same(pair.after.path)
    store.index()
    for side, position, title in store.close_chains():
        counts["redirect_loop"] += 1
        if side == AFTER:
            yield Reject(position, None, "ingest", "redirect_loop", "redirect",
                         f"leads from {title!r} into a circle")  # fmt: skip
    yield from _unpaired(store, counts, reading.pages[AFTER])
    return Read(
        site.language or language or "en",
        site.titles,
        first,
        second,
        reading.pages[AFTER],
    )


class _Reading:
    """Takes pages into a store and counts them."""

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        self._store = store
        self._counts = counts
        self.pages = [0, 0]
        self.articles = [0, 0]
        self.newest = ["", ""]

    def read(self, side: Side, snapshot: Snapshot) -> Iterator[Reject]:
        name = ("before", "after")[side]
        for part in snapshot.parts:
            with opened(part, self.pages[side]) as export:
                for page in export.pages:
                    position = self.pages[side]
                    self.pages[side] += 1
                    self.newest[side] = max(self.newest[side], page.timestamp)
                    problem = self._take(side, page, position, name)
                    if problem and side == AFTER:
                        yield Reject(position, None, "ingest", "no_text", "text", problem)
        self._store.flush()
        self._counts[f"pages_{name}"] = self.pages[side]
        self._counts[f"articles_{name}"] = self.articles[side]

    def _take(self, side: Side, page: Page, position: int, name: str) -> str | None:
        counts = self._counts
        if page.namespace != 0:
            counts[f"other_namespace_{name}"] += 1
        elif page.redirect is not None:
            counts[f"redirects_{name}"] += 1
            self._store.add_redirect(side, page, position)
        elif not page.wikitext:
            counts[f"no_wikitext_{name}"] += 1
        elif not page.text.strip():
            counts[f"no_text_{name}"] += 1
            self._store.add(side, page, position, state="unusable")
            return "has no text"
        else:
            self.articles[side] += 1
            known = self._store.by_id(BEFORE, page.id) if side == AFTER else None
            if self._store.add(side, page, position, known):
                counts["unchanged"] += 1
        return None


def _unpaired(store: Store, counts: Counter[str], pages: int) -> Iterator[Reject]:
    """Articles that only one of the snapshots has."""
    kinds: tuple[tuple[Side, Side, str, str, str], ...] = (
        (AFTER, BEFORE, "created", "was no article at the first date", "the first date"),
        (BEFORE, AFTER, "deleted", "is no article at the second date", "the second date"),
    )
    for side, other, rule, why, when in kinds:
        for entry in store.unpaired(side):
            if side == AFTER and entry.state == "unusable":
                continue  # without text, which was said when it was read
            same = store.by_title(other, entry.title)
            if same is None:
                kind, reason = rule, why
                if (target := store.resolve(other, entry.title)) != entry.title:
                    reason = f"{why}, but a redirect to {target!r}"
            elif side == BEFORE and same.state != "unusable" and not store.by_id(side, same.id):
                continue  # said of the page that has the title now
            else:
                kind = "page_id_changed"
                reason = f"is page {entry.id}, but page {same.id} has the title at {when}"
            counts[kind] += 1
            row = entry.position if side == AFTER else pages + entry.position
            yield Reject(row, None, "ingest", kind, "page_id", f"{entry.title!r} {reason}")


def _same_wiki(pair: Pair) -> Site:
    """The wiki that all files are of."""
    sites: list[tuple[Path, Site]] = []
    for part in (*pair.before.parts, *pair.after.parts):
        with opened(part) as export:
            sites.append((part, export.site))
    first = sites[0][1]
    for path, site in sites[1:]:
        for what, mine, other in (
            ("wiki", first.dbname, site.dbname),
            ("language", first.language, site.language),
        ):
            if mine and other and mine != other:
                raise InputError(
                    f"is of another {what} than {sites[0][0].name}: {other!r}, not {mine!r}",
                    file=path,
                )
    return sites[-1][1]


def _ordered(first: str, second: str, path: Path) -> None:
    if first > second:
        raise InputError(
            f"is older ({second}) than the snapshot before ({first}): exchange the two", file=path
        )


def _same(path: Path) -> InputError:
    return InputError("is the same snapshot as the one before: give two dates", file=path)
