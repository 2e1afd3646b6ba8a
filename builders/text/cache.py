"""Answers on disk, so that no answer is paid for twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from builders.text.database import Database

_LAYOUT = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, task TEXT NOT NULL, content TEXT NOT NULL, model TEXT NOT NULL,
  attempt INTEGER NOT NULL, seed INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer that was valid when it came.

    Attributes:
        content: The JSON text that validated.
        model: The model as the server reported it.
        attempt: Which attempt gave it, from 0.
        seed: The seed of that attempt.
        prompt_tokens: Tokens of the prompt, as billed; 0 when the server did not say.
        completion_tokens: Tokens of the answer, likewise.
    """

    content: str
    model: str
    attempt: int
    seed: int
    prompt_tokens: int
    completion_tokens: int


class AnswerCache:
    """Valid answers by request key, in one sqlite file for any number of processes.

    It holds prompts' digests and answers; never a header, a key or a prompt.

    Args:
        path: The file. None takes `text-answers.sqlite` in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = Database(
            path or default_cache_path(), what="answer cache", version=1, layout=_LAYOUT
        )

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def get(self, keys: Iterable[str]) -> dict[str, CachedAnswer]:
        """Those of the keys that have an answer."""
        with self._database.use() as connection:
            rows = connection.execute(
                "SELECT key, content, model, attempt, seed, prompt_tokens, completion_tokens"
                " FROM answers WHERE key IN (SELECT value FROM json_each(?))",
                [json.dumps(list(keys))],
            )
            return {key: CachedAnswer(*rest) for key, *rest in rows}

    def put(self, key: str, task: str, answer: CachedAnswer) -> None:
        """Keeps an answer; it is on disk when this returns."""
        with self._database.use() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?,?,?)",
                (
                    key,
                    task,
                    answer.content,
                    answer.model,
                    answer.attempt,
                    answer.seed,
                    answer.prompt_tokens,
                    answer.completion_tokens,
                ),
            )

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def default_cache_path() -> Path:
    """`text-answers.sqlite` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "text-answers.sqlite"
