"""A language model as judge, behind any OpenAI-compatible endpoint: metric `judged`.

Each question is put three times, each time with another seed, and the majority decides. Verdicts
are kept in a database by the digest of all that was asked, so that judging again costs nothing.
The key is read from the environment (`OPENAI_API_KEY`) and written nowhere.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medit_eval.metrics.core import Metric, Unscorable
from medit_eval.predictions import Prediction
from schemas.digest import digest128
from schemas.errors import InputError

NAME = "judged"

VOTES = 3
"""Times that each question is put; odd, so that there is a majority."""

_RULES = (
    "You grade short answers. Reply with one word: CORRECT or INCORRECT. "
    "Wording, case and extra words do not matter; the meaning does. An answer that names several "
    "different things, or that goes on to contradict itself, is INCORRECT."
)
_TARGET = "Question: {prompt}\nAccepted answers: {answers}\nGiven answer: {given}"
_UNCHANGED = (
    "Question: {prompt}\nAnswer A: {before}\nAnswer B: {given}\n"
    "Reply CORRECT if both answers say the same, INCORRECT if they do not."
)


@dataclass(frozen=True)
class Judge:
    """How to reach the judging model.

    Attributes:
        model: Its name at the endpoint.
        base_url: The endpoint; `OPENAI_BASE_URL` or OpenAI's own by default.
        workers: Questions that are in flight at once.
        timeout: Seconds after which a request has failed.
        retries: How often a failed request is tried again.
        cache: The database of verdicts; in the user's cache folder by default.
    """

    model: str
    base_url: str | None = None
    workers: int = 8
    timeout: float = 60.0
    retries: int = 4
    cache: Path | None = None

    def metric(
        self, predictions: Sequence[Prediction], tick: Callable[[int], None] = lambda done: None
    ) -> Metric:
        """The metric `judged` for these predictions, all of which are judged here and now.

        A question without three votes is unscorable, with the endpoint's word as the reason.
        """
        messages = {message for p in predictions if (message := _message(p)) is not None}
        verdicts = self._verdicts(sorted(messages), tick)

        def judged(prediction: Prediction) -> float:
            """A judging model, asked three times, calls the edited model's free answer right."""
            message = _message(prediction)
            if message is None:
                raise Unscorable("there is no answer to compare with")
            verdict = verdicts[message]
            if isinstance(verdict, str):
                raise Unscorable(verdict)
            return float(verdict)

        return Metric(NAME, judged, way="judge")

    def _verdicts(
        self, messages: Sequence[str], tick: Callable[[int], None]
    ) -> Mapping[str, bool | str]:
        """For each message the majority's verdict, or why there is none."""
        path = self.cache or _default_cache()
        path.parent.mkdir(parents=True, exist_ok=True)
        asked = [(message, vote) for message in messages for vote in range(VOTES)]
        votes: dict[tuple[str, int], bool | str] = {}
        with sqlite3.connect(path, timeout=60) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS votes (key TEXT PRIMARY KEY, yes INTEGER)")
            keys = {ask: self._key(*ask) for ask in asked}
            for ask, key in keys.items():
                row = database.execute("SELECT yes FROM votes WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    votes[ask] = bool(row[0])
            todo = [ask for ask in asked if ask not in votes]
            tick(len(asked) - len(todo))
            if todo:
                client = self._client()
                with ThreadPoolExecutor(self.workers) as pool:
                    for ask, vote in zip(
                        todo, pool.map(lambda ask: self._vote(client, *ask), todo), strict=True
                    ):
                        votes[ask] = vote
                        if isinstance(vote, bool):
                            database.execute(
                                "INSERT OR REPLACE INTO votes VALUES (?, ?)", (keys[ask], vote)
                            )
                            database.commit()
                        tick(1)
        database.close()
        return {m: _majority([votes[m, vote] for vote in range(VOTES)]) for m in messages}

    def _vote(self, client: Any, message: str, vote: int) -> bool | str:
        import openai

        try:
            reply = client.chat.completions.create(**self._request(message, vote))
            text = reply.choices[0].message.content or ""
        except openai.OpenAIError as error:
            return f"the judge could not be asked: {type(error).__name__}"
        except (AttributeError, IndexError, TypeError, ValueError):  # no JSON is a ValueError
            return "the judge's reply has no text"
        words = text.upper().replace(".", " ").split()
        if "INCORRECT" in words:
            return False
        return True if "CORRECT" in words else "the judge's reply is no verdict"

    def _request(self, message: str, vote: int) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": _RULES},
                {"role": "user", "content": message},
            ],
            "temperature": 0.7,
            "seed": vote,
            "max_tokens": 16,
        }

    def _key(self, message: str, vote: int) -> str:
        request = [self.base_url or "", self._request(message, vote)]
        return digest128(json.dumps(request))

    def _client(self) -> Any:
        import openai

        key = os.environ.get("OPENAI_API_KEY")
        if not key:
            raise InputError("the judge needs a key in the environment variable OPENAI_API_KEY")
        return openai.OpenAI(
            api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=self.retries
        )


def _message(prediction: Prediction) -> str | None:
    """What the judge reads, or None where there is nothing to judge."""
    if prediction.post is None or prediction.failure is not None:
        return None
    given = prediction.post.generation
    if prediction.expectation == "target":
        if not prediction.answers:
            return None
        answers = "; ".join(prediction.answers)
        return _TARGET.format(prompt=prediction.prompt, answers=answers, given=given)
    if prediction.pre is None:
        return None
    return _UNCHANGED.format(
        prompt=prediction.prompt, before=prediction.pre.generation, given=given
    )


def _majority(votes: Iterable[bool | str]) -> bool | str:
    votes = list(votes)
    for vote in votes:
        if isinstance(vote, str):
            return vote
    return Counter(votes).most_common(1)[0][0]


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "verdicts.sqlite"
