"""The folder of an unfinished build: its plan, its input shards and the marks of finished ones.

```
OUT/.work/lock            held by the running process
OUT/.work/plan.json       what is being built; written when the input is split
OUT/.work/rejects/        rows that the source left out, in parts
OUT/.work/input/N.jsonl   the rows of shard N
OUT/.work/spool/          files that belong to the rows
OUT/.work/stats/N.parquet statistics of shard N's records
OUT/.work/done/N.json     shard N is finished; written after its files
```

A process killed at any moment leaves whole files or none, so the next run takes up what is marked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.layout import atomic_write, read_json, write_json


@dataclass(frozen=True)
class WorkDir:
    """Paths and marks of an unfinished build.

    Attributes:
        root: The folder, `OUT/.work`.
    """

    root: Path

    @property
    def plan_path(self) -> Path:
        """Where the plan is."""
        return self.root / "plan.json"

    @property
    def spool(self) -> Path:
        """Where files that belong to the rows are."""
        return self.root / "spool"

    @property
    def rejects(self) -> Path:
        """Where the rows are that the source left out."""
        return self.root / "rejects"

    def stats(self, shard: int) -> Path:
        """Where a shard's statistics are."""
        return self.root / "stats" / f"{shard:05d}.parquet"

    def input(self, shard: int) -> Path:
        """Where a shard's rows are."""
        return self.root / "input" / f"{shard:05d}.jsonl"

    @property
    def _lock(self) -> Path:
        return self.root / "lock"

    def _mark(self, shard: int) -> Path:
        return self.root / "done" / f"{shard:05d}.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the build, so that no second process works on the same output.

        The lock is the kernel's, so it ends with the process, however that ends.

        Raises:
            InputError: If another process holds it.
        """
        while True:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._lock.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    reason = "another build is writing here"
                    raise InputError(reason, file=self.root.parent) from None
                # The holder before may have removed the folder between opening and locking.
                if self._lock.exists() and os.path.samestat(
                    os.fstat(file.fileno()), self._lock.stat()
                ):
                    yield
                    return

    def write_rows(self, shard: int, rows: list[dict[str, Any]]) -> None:
        """Spool the rows of a shard."""
        with atomic_write(self.input(shard)) as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=True).encode() + b"\n")

    def read_rows(self, shard: int) -> list[dict[str, Any]]:
        """The rows of a shard."""
        with self.input(shard).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def mark_done(self, shard: int, summary: dict[str, Any]) -> None:
        """Mark a shard as finished, after its files are in place."""
        write_json(self._mark(shard), summary)

    def done(self, shard: int) -> dict[str, Any] | None:
        """The summary of a finished shard, or None."""
        mark = self._mark(shard)
        return read_json(mark) if mark.is_file() else None

    def clear(self) -> None:
        """Delete all but the lock, the plan first: without it, marks mean nothing."""
        self.plan_path.unlink(missing_ok=True)
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self._lock:
                path.unlink()

    def remove(self) -> None:
        """Delete the folder; call it while the lock is held."""
        shutil.rmtree(self.root, ignore_errors=True)
