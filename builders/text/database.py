"""Small sqlite files that several processes share and that survive being killed."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import InputError

_BUSY_SECONDS = 30.0


class Database:
    """A sqlite file in WAL mode, opened at first use and once per process.

    Every statement commits at once. With WAL and `synchronous=NORMAL` a commit is a write without
    an fsync: what was committed survives the death of the process, not the loss of power. Keep the
    file on a local disk, since WAL needs memory shared between its users.

    Args:
        path: The file; its folder is made when missing.
        what: What the file is, for messages: "answer cache".
        version: Version of the layout, checked against the file.
        layout: Statements that make missing tables.
    """

    def __init__(self, path: Path, *, what: str, version: int, layout: str) -> None:
        self.path = path
        self._what = what
        self._version = version
        self._layout = layout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._pid = -1

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time.

        Raises:
            InputError: The file is damaged, of another version, locked or cannot be written.
        """
        try:
            with self._lock:
                if self._connection is None or self._pid != os.getpid():
                    # A connection must not cross a fork. The parent's is not even closed here: it
                    # would tidy up a file that the parent still writes.
                    self._inherited = self._connection
                    self._connection, self._pid = self._open(), os.getpid()
                yield self._connection
            return
        except sqlite3.OperationalError as error:
            reason = f"the {self._what} cannot be used now: {error}"
        except sqlite3.DatabaseError as error:
            reason = f"the {self._what} is damaged ({error}); move it away and run again"
        except OSError as error:
            reason = f"the {self._what} cannot be opened: {error.strerror or error}"
        raise InputError(reason, file=self.path)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection inside one write transaction: all of it is kept or none."""
        with self.use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Closes this process's connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _use_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, self._version):
                reason = f"the {self._what} is of version {found}, expected {self._version}"
                raise InputError(reason, file=self.path)
            if found == 0:
                connection.executescript(f"BEGIN IMMEDIATE;{self._layout};COMMIT;")
                connection.execute(f"PRAGMA user_version={self._version}")
        except BaseException:
            connection.close()
            raise
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # The switch to WAL does not wait for a process that makes the same switch, so wait here.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
