"""What is known of two snapshots, on disk: an SQLite index beside a file of packed texts.

Memory does not grow with the wiki. The index holds about 100 bytes per page; texts are packed one
by one and appended, those of the first snapshot all, those of the second where they differ.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Literal

import pyarrow as pa

from builders.docmedit.mediawiki.dump import Page

Side = Literal[0, 1]
"""0 the snapshot before, 1 the one after."""

BEFORE: Side = 0
AFTER: Side = 1

State = Literal["same", "introduction_same", "style_only", "updated", "unusable"]
"""What became of a page: `same` and `introduction_same` have an introduction that did not change;
`unusable` covers all that gives no text to read."""

_BATCH = 1_000

_TABLES = """
CREATE TABLE page (
    side INTEGER, id INTEGER, position INTEGER, title TEXT, digest BLOB, start INTEGER,
    packed INTEGER, size INTEGER, revision TEXT, timestamp TEXT, state TEXT,
    PRIMARY KEY (side, id)
) WITHOUT ROWID;
CREATE TABLE redirect (
    side INTEGER, source TEXT, target TEXT, position INTEGER, PRIMARY KEY (side, source)
) WITHOUT ROWID;
CREATE TABLE wanted (title TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE sentence (number INTEGER PRIMARY KEY, fields TEXT);
CREATE TABLE link (target TEXT, number INTEGER, new INTEGER, PRIMARY KEY (target, number))
    WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the index.

    Attributes:
        id: The page's number.
        position: Its place in the snapshot, counted from 0.
        title: Its title.
        digest: That of its text.
        start: Where its packed text begins.
        packed: How long that is.
        size: How long the text is, in bytes.
        revision: The revision's number.
        timestamp: When that was saved.
        state: What became of it; None before anybody looked.
    """

    id: int
    position: int
    title: str
    digest: bytes
    start: int
    packed: int
    size: int
    revision: str
    timestamp: str
    state: State | None


_COLUMNS = "id, position, title, digest, start, packed, size, revision, timestamp, state"


class Store:
    """Pages, redirects and sentences of two snapshots.

    Args:
        folder: Where its files are; those of an earlier run are replaced.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / "snapshots.sqlite", folder / "texts.bin"]
        self._delete()
        self._database = sqlite3.connect(self._paths[0], isolation_level=None)
        # A run that dies begins anew, so nothing needs to survive it.
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;"
            "PRAGMA temp_store = FILE;" + _TABLES
        )
        self._database.execute("BEGIN")
        self._texts = self._paths[1].open("w+b")
        self._end = 0
        self._codec = pa.Codec("zstd", compression_level=1)
        self._pending: list[tuple[object, ...]] = []
        self.resolve = lru_cache(maxsize=50_000)(self._resolve)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.resolve.cache_clear()
        self._database.close()
        self._texts.close()
        self._delete()

    def add(
        self,
        side: Side,
        page: Page,
        position: int,
        known: Entry | None = None,
        state: State | None = None,
    ) -> bool:
        """Keep a page.

        Args:
            side: Its snapshot.
            page: The page.
            position: Its place in the snapshot.
            known: The same page in the other snapshot: an equal text is not kept twice.
            state: What is known of it already.

        Returns:
            Whether its text is that of `known`.
        """
        raw = page.text.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        same = known is not None and known.digest == digest
        if known is not None and same:
            place = (known.start, known.packed, known.size)
        else:
            packed = self._codec.compress(raw, asbytes=True)
            self._texts.write(packed)
            place = (self._end, len(packed), len(raw))
            self._end += len(packed)
        if same and known is not None and known.title == page.title:
            state = "same"
        about = (page.revision, page.timestamp, state)
        self._pending.append((side, page.id, position, page.title, digest, *place, *about))
        if len(self._pending) >= _BATCH:
            self.flush()
        return same

    def add_redirect(self, side: Side, page: Page, position: int) -> None:
        """Keep where a page leads to."""
        self._database.execute(
            "INSERT OR REPLACE INTO redirect VALUES (?, ?, ?, ?)",
            (side, page.title, page.redirect, position),
        )

    def flush(self) -> None:
        """Write what was added."""
        marks = ", ".join("?" * 11)
        self._database.executemany(f"INSERT OR REPLACE INTO page VALUES ({marks})", self._pending)  # noqa: S608
        self._pending.clear()

    def index(self) -> None:
        """Make pages findable by title; call it once, when both snapshots are in."""
        self.flush()
        self._texts.flush()
        self._database.execute("CREATE INDEX by_title ON page (side, title, position)")
        self._database.execute("CREATE INDEX by_position ON page (side, position)")

    def close_chains(self) -> Iterator[tuple[Side, int, str]]:
        """Let redirects to redirects lead to the last page at once.

        Yields:
            Side, position and title of redirects that lead into a circle; they lead to themselves
            from now on.
        """
        chains = self._database.execute(
            "SELECT a.side, a.source, a.position FROM redirect a JOIN redirect b "
            "ON a.side = b.side AND a.target = b.source ORDER BY a.side, a.position"
        ).fetchall()
        for side, source, position in chains:
            seen, at = {source}, source
            while (found := self._lead(side, at)) is not None and found not in seen:
                seen.add(found)
                at = found
            looped = found is not None
            if looped:
                yield side, position, source
            self._database.execute(
                "UPDATE redirect SET target = ? WHERE side = ? AND source = ?",
                (source if looped else at, side, source),
            )

    def _lead(self, side: Side, title: str) -> str | None:
        row = self._database.execute(
            "SELECT target FROM redirect WHERE side = ? AND source = ?", (side, title)
        ).fetchone()
        return row[0] if row else None

    def _resolve(self, side: Side, title: str) -> str:
        """The title of the page that a title leads to."""
        return self._lead(side, title) or title

    def leads(self, side: Side, names: Collection[str]) -> dict[str, str]:
        """The page that each of some titles leads to, without those that nothing has."""
        found: dict[str, str] = {}
        # The indexes are named: one look-up per title, however many pages there are.
        queries = (
            "SELECT title, title FROM page INDEXED BY by_title WHERE side = ? AND title IN ",
            "SELECT source, target FROM redirect WHERE side = ? AND source IN ",
        )
        wanted = sorted(names)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            marks = f"({', '.join('?' * len(batch))})"
            for query in queries:
                found.update(self._database.execute(query + marks, (side, *batch)))
        return found

    def by_id(self, side: Side, number: int) -> Entry | None:
        """A page by its number."""
        return self._one("side = ? AND id = ?", side, number)

    def by_title(self, side: Side, title: str) -> Entry | None:
        """A page by its title; no redirect."""
        where = "side = ? AND title = ? ORDER BY position LIMIT 1"
        return self._one(where, side, title, index="by_title")

    def by_position(self, side: Side, position: int) -> Entry | None:
        """A page by its place in the snapshot; None for what is no article there."""
        return self._one("side = ? AND position = ?", side, position, index="by_position")

    def _one(self, where: str, *values: object, index: str = "") -> Entry | None:
        # The index is named: left alone, SQLite may walk through the pages in order instead.
        by = f"INDEXED BY {index}" if index else ""
        query = f"SELECT {_COLUMNS} FROM page {by} WHERE {where}"  # noqa: S608 - fixed texts
        row = self._database.execute(query, values).fetchone()
        return Entry(*row) if row else None

    def positions(self, side: Side, state: State | None) -> Iterator[Entry]:
        """Pages with a state, or those without, in the snapshot's order."""
        return self._entries(side, "state IS ?", state)

    def unpaired(self, side: Side) -> Iterator[Entry]:
        """Pages that the other snapshot lacks."""
        other = "SELECT 1 FROM page other WHERE other.side = ? AND other.id = page.id"
        return self._entries(side, f"NOT EXISTS ({other})", 1 - side)

    def changed(self) -> Iterator[Entry]:
        """Pages of the second snapshot that are new or have another text than before."""
        return self._entries(
            AFTER,
            "(state IS NULL OR state IN ('introduction_same', 'style_only', 'updated', ?))",
            "",
        )

    def _entries(self, side: Side, where: str, value: object) -> Iterator[Entry]:
        query = (
            f"SELECT {_COLUMNS} FROM page INDEXED BY by_position "  # noqa: S608 - fixed texts
            f"WHERE {where} AND side = ? AND position > ? ORDER BY position LIMIT ?"
        )
        at = -1
        while True:  # in batches, since the table changes while they are handled
            rows = self._database.execute(query, (value, side, at, _BATCH)).fetchall()
            if not rows:
                return
            for row in rows:
                yield Entry(*row)
            at = rows[-1][1]

    def text(self, entry: Entry) -> str:
        """The wikitext of a page."""
        self._texts.seek(entry.start)
        packed = self._texts.read(entry.packed)
        raw = self._codec.decompress(packed, decompressed_size=entry.size, asbytes=True)
        return raw.decode("utf-8", "surrogatepass")

    def mark(self, side: Side, number: int, state: State) -> None:
        """Note what became of a page."""
        self._database.execute(
            "UPDATE page SET state = ? WHERE side = ? AND id = ?", (state, side, number)
        )

    def want(self, titles: Iterable[str]) -> None:
        """Note pages whose links from elsewhere matter."""
        self._database.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?)", [(title,) for title in titles]
        )

    def wanted(self, title: str) -> bool:
        """Whether links to a page matter."""
        query = "SELECT 1 FROM wanted WHERE title = ?"
        return self._database.execute(query, (title,)).fetchone() is not None

    def add_sentence(self, fields: object, targets: dict[str, bool]) -> None:
        """Keep a sentence, findable by what it links to, and whether that link is new there."""
        cursor = self._database.execute(
            "INSERT INTO sentence (fields) VALUES (?)", (json.dumps(fields),)
        )
        self._database.executemany(
            "INSERT OR IGNORE INTO link VALUES (?, ?, ?)",
            [(title, cursor.lastrowid, new) for title, new in targets.items()],
        )

    def sentences(self, target: str, limit: int) -> list[tuple[int, bool, object]]:
        """Sentences that link to a page: number, whether that is new, and fields; in order."""
        rows = self._database.execute(
            "SELECT number, new, fields FROM link JOIN sentence USING (number) WHERE target = ? "
            "ORDER BY number LIMIT ?",
            (target, limit),
        )
        return [(number, bool(new), json.loads(fields)) for number, new, fields in rows]

    def _delete(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)
