"""Requests that wait to be asked in a batch, in one sqlite file for all workers of a build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.text.chat import Dialect
from builders.text.database import Database
from builders.text.settings import ResponseFormat
from builders.text.summary import Summary, TaskSummary

_LAYOUT = """
CREATE TABLE IF NOT EXISTS pending (
  key TEXT PRIMARY KEY, task TEXT NOT NULL, record_id TEXT NOT NULL, inputs TEXT NOT NULL,
  seed INTEGER NOT NULL, attempt INTEGER NOT NULL, body TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_bound INTEGER NOT NULL,
  speculative INTEGER NOT NULL, part INTEGER);
CREATE INDEX IF NOT EXISTS by_part ON pending (part);
CREATE TABLE IF NOT EXISTS waiting (record_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS cached (task TEXT PRIMARY KEY, results INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failures (
  key TEXT PRIMARY KEY, attempts INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
  part INTEGER PRIMARY KEY, file TEXT NOT NULL, file_id TEXT, batch_id TEXT);
CREATE TABLE IF NOT EXISTS dialect (
  one INTEGER PRIMARY KEY CHECK (one = 1), response_format TEXT, new_limit INTEGER, omit TEXT)
"""
_COLUMNS = (
    "key, task, record_id, inputs, seed, attempt, body, prompt_tokens, completion_bound,"
    " speculative"
)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that is still to be asked.

    Attributes:
        key: Its cache key.
        task: Its task's name.
        record_id: The first record that it is for.
        inputs: Its inputs as JSON.
        seed: Its seed.
        attempt: The attempt that this would be, from 0.
        body: The chat body as JSON, in the widest dialect.
        prompt_tokens: Estimate.
        completion_bound: The most that the answer may take.
        speculative: Whether its prompt may hold text that only stands in for an answer; then it
            is counted but not asked yet.
    """

    key: str
    task: str
    record_id: str
    inputs: str
    seed: int
    attempt: int
    body: str
    prompt_tokens: int
    completion_bound: int
    speculative: bool

    @property
    def custom_id(self) -> str:
        """Its name in a batch."""
        return f"{self.key}-{self.attempt}"

    def line(self, dialect: Dialect) -> bytes:
        """Its line in the input file of a batch."""
        row = {
            "custom_id": self.custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": dialect.adapt(json.loads(self.body)),
        }
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: its input file and how far it got.

    Attributes:
        number: From 1.
        file: Name of the input file in the work folder.
        file_id: The file's id once it is uploaded.
        batch_id: The batch's id once it is made.
    """

    number: int
    file: str
    file_id: str | None
    batch_id: str | None


class PendingRequests:
    """The requests of one collecting pass, and what became of them in batches.

    Args:
        path: The file; every worker of the build names the same one.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, what="list of requests", version=1, layout=_LAYOUT)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def clear(self) -> None:
        """Forgets the requests of the last pass, but not which ones failed."""
        with self._database.transaction() as connection:
            for table in ("pending", "waiting", "cached", "parts"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from above

    def add(self, requests: Iterable[PendingRequest]) -> None:
        """Adds requests, each once, however many records and workers want it."""
        with self._database.transaction() as connection:
            for r in requests:
                values = (
                    r.key,
                    r.task,
                    r.record_id,
                    r.inputs,
                    r.seed,
                    r.attempt,
                    r.body,
                    r.prompt_tokens,
                    r.completion_bound,
                    r.speculative,
                )
                connection.execute(
                    f"INSERT INTO pending ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
                    " ON CONFLICT (key) DO UPDATE"
                    " SET speculative = min(speculative, excluded.speculative)",
                    values,
                )

    def count_cached(self, task: str, results: int) -> None:
        """Counts results that were in the cache, for the summary."""
        with self._database.use() as connection:
            connection.execute(
                "INSERT INTO cached VALUES (?, ?)"
                " ON CONFLICT (task) DO UPDATE SET results = results + excluded.results",
                (task, results),
            )

    def waiting(self, record_ids: Iterable[str]) -> set[str]:
        """Those of the records that have a request waiting."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT record_id FROM waiting WHERE record_id IN (SELECT value FROM json_each(?))",
                [json.dumps(sorted(set(record_ids)))],
            )
            return {record_id for (record_id,) in rows}

    def wait_for(self, record_ids: Iterable[str]) -> None:
        """Notes that these records have a request waiting."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO waiting VALUES (?)", ((r,) for r in record_ids)
            )

    def failures(self, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Attempts that failed in batches and the last reason, of those keys that have any."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT key, attempts, reason FROM failures"
                " WHERE key IN (SELECT value FROM json_each(?))",
                [json.dumps(list(keys))],
            )
            return {key: (attempts, reason) for key, attempts, reason in rows}

    def add_failure(self, request: PendingRequest, reason: str) -> None:
        """Notes that this attempt of a request failed."""
        with self._database.use() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)",
                (request.key, request.attempt + 1, reason),
            )

    def __len__(self) -> int:
        """Requests that can be asked now."""
        with self._database.use() as connection:
            rows = connection.execute("SELECT count(*) FROM pending WHERE NOT speculative")
            return rows.fetchall()[0][0]

    def askable(self) -> Iterator[PendingRequest]:
        """Requests that can be asked now, by key, so that the order of workers plays no part."""
        return self._select("NOT speculative")

    def of_part(self, number: int) -> Iterator[PendingRequest]:
        """The requests of one batch, by key."""
        return self._select("part = ?", number)

    def get(self, key: str) -> PendingRequest | None:
        """The request of a key, or None."""
        return next(self._select("key = ?", key), None)

    def write_jsonl(self, path: Path, response_format: ResponseFormat = "json_schema") -> int:
        """Writes the requests that can be asked now as Batch API lines; returns their number."""
        count = 0
        temporary = path.with_name(f"{path.name}.tmp")
        with temporary.open("wb") as file:
            dialect = self.dialect(response_format)
            for count, request in enumerate(self.askable(), 1):  # noqa: B007 - used after
                file.write(request.line(dialect))
        temporary.replace(path)
        return count

    def summary(self) -> Summary:
        """What is to be asked, by task."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT task, sum(cached), sum(requests), sum(later), sum(prompt), sum(bound)"
                " FROM ("
                " SELECT task, 0 AS cached, NOT speculative AS requests, speculative AS later,"
                " prompt_tokens AS prompt, completion_bound AS bound FROM pending"
                " UNION ALL SELECT task, results, 0, 0, 0, 0 FROM cached) GROUP BY task"
                " ORDER BY task"
            )
            return Summary(tuple(TaskSummary(*row) for row in rows))

    def parts(self) -> list[Part]:
        """The batches that are not settled yet."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT part, file, file_id, batch_id FROM parts ORDER BY part"
            )
            return [Part(*row) for row in rows]

    def set_parts(self, parts: Iterable[tuple[str, list[str]]]) -> None:
        """Notes the names of input files and the keys in each, all at once."""
        with self._database.transaction() as connection:
            for number, (file, keys) in enumerate(parts, 1):
                connection.execute("INSERT INTO parts (part, file) VALUES (?, ?)", (number, file))
                connection.executemany(
                    "UPDATE pending SET part = ? WHERE key = ?", ((number, key) for key in keys)
                )

    def update_part(self, number: int, *, file_id: str | None, batch_id: str | None) -> None:
        """Notes how far a batch got."""
        with self._database.use() as connection:
            connection.execute(
                "UPDATE parts SET file_id = ?, batch_id = ? WHERE part = ?",
                (file_id, batch_id, number),
            )

    def settle_part(self, number: int) -> None:
        """Forgets a batch whose answers were all taken over, and the requests in it."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM pending WHERE part = ?", (number,))
            connection.execute("DELETE FROM parts WHERE part = ?", (number,))

    def dialect(self, response_format: ResponseFormat = "json_schema") -> Dialect:
        """What the endpoint understands, as far as batches have shown.

        Args:
            response_format: Where to start when no batch has shown anything yet.
        """
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT response_format, new_limit, omit FROM dialect"
            ).fetchall()
        if not rows:
            return Dialect(response_format)
        response_format, new_limit, omit = rows[0]
        return Dialect(response_format, bool(new_limit), frozenset(json.loads(omit)))

    def set_dialect(self, dialect: Dialect) -> None:
        """Keeps what the endpoint understands for later batches."""
        with self._database.use() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO dialect VALUES (1, ?, ?, ?)",
                (dialect.response_format, dialect.new_limit, json.dumps(sorted(dialect.omit))),
            )

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _select(self, where: str, *values: Any) -> Iterator[PendingRequest]:
        # In pages, so that neither memory nor a long read grows with the build.
        last = ""
        while True:
            with self._database.use() as connection:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM pending WHERE {where} AND key > ?"  # noqa: S608
                    " ORDER BY key LIMIT 500",
                    (*values, last),
                ).fetchall()
            if not rows:
                return
            for row in rows:
                yield PendingRequest(*row[:-1], speculative=bool(row[-1]))
            last = rows[-1][0]
