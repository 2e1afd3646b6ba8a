"""Drawn pictures on disk, so that no picture is paid for twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from builders.text.database import Database

_LAYOUT = "CREATE TABLE IF NOT EXISTS pictures (key TEXT PRIMARY KEY, jpeg BLOB NOT NULL)"


class PictureCache:
    """Finished pictures by request key, in one sqlite file for any number of processes.

    It holds pictures and digests; never a header, a key or a prompt.

    Args:
        path: The file. None takes `pictures.sqlite` in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = Database(
            path or default_cache_path(), what="picture cache", version=1, layout=_LAYOUT
        )

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that have a picture, with its JPEG bytes."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT key, jpeg FROM pictures WHERE key IN (SELECT value FROM json_each(?))",
                [json.dumps(list(keys))],
            )
            return dict(rows)

    def put(self, key: str, jpeg: bytes) -> None:
        """Keeps a picture; it is on disk when this returns."""
        with self._database.use() as connection:
            connection.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?)", (key, jpeg))

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def default_cache_path() -> Path:
    """`pictures.sqlite` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "pictures.sqlite"
