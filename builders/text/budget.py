"""A hard limit on the requests that one build sends, over all its processes and runs."""

from __future__ import annotations

from pathlib import Path

from builders.text.database import Database
from builders.text.protocol import BudgetExhausted

_LAYOUT = """
CREATE TABLE IF NOT EXISTS requests (one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER);
INSERT OR IGNORE INTO requests VALUES (1, 0)
"""


class RequestBudget:
    """A counter in a file, raised before each HTTP request is sent.

    A request counts even if it fails or the process dies before the answer: the limit is a promise
    about what is sent, not about what comes back.

    Args:
        path: The counter's file; every process of the build names the same one.
        limit: Requests that may be sent in all, or None to count only.
    """

    def __init__(self, path: Path, limit: int | None) -> None:
        self.limit = limit
        self._database = Database(path, what="request counter", version=1, layout=_LAYOUT)

    @property
    def sent(self) -> int:
        """Requests sent so far, by all processes and earlier runs."""
        with self._database.use() as connection:
            return connection.execute("SELECT sent FROM requests").fetchone()[0]

    def take(self, count: int = 1) -> None:
        """Counts requests that are about to be sent: all of them or, beyond the limit, none.

        Raises:
            BudgetExhausted: They would exceed the limit.
        """
        with self._database.use() as connection:
            taken = connection.execute(
                "UPDATE requests SET sent = sent + :count WHERE :bound IS NULL"
                " OR sent + :count <= :bound RETURNING sent",
                {"count": count, "bound": self.limit},
            ).fetchall()  # to the end, or the statement stays open and locks the file
        if not taken:
            short = "" if count == 1 else f" and {count} more are needed"
            raise BudgetExhausted(
                f"the limit of {self.limit} requests is reached: {self.sent} were sent{short};"
                " everything answered so far is kept, so run the same command again with a higher"
                " --max-requests to continue"
            )

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
