"""The generator that asks an OpenAI-compatible endpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any

from builders.text.answers import GENERATOR, failed_result, kept_result, receive
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.chat import Dialect, Unusable, cache_key, chat_body
from builders.text.protocol import TextRequest, TextResult
from builders.text.session import PerProcess, Session
from builders.text.settings import EndpointSettings
from builders.text.transport import CallFailed

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """What a generator did.

    Attributes:
        requests: HTTP requests sent, retries included.
        retries: Those that repeated one that failed on the way.
        asked_again: Answers that were unusable and led to another attempt.
        cached: Results that came from the cache.
        prompt_tokens: Tokens of prompts as billed, of unusable answers too, without the cache.
        completion_tokens: Tokens of answers, likewise.
    """

    requests: int = 0
    retries: int = 0
    asked_again: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """The sum, for several workers."""
        names = [field.name for field in fields(self)]
        return Usage(*(getattr(self, name) + getattr(other, name) for name in names))


class OpenAITextGenerator:
    """Answers requests from the cache or an endpoint. A `TextGenerator` and a context manager.

    Thread, client and files are opened at first use and belong to one process: after a fork the
    child opens its own. `generate` may be called from several threads at a time.

    Args:
        settings: Endpoint and how to ask it.
        cache: Where answers are kept. None takes the user's cache folder.
        budget: Limit on requests, shared with other processes of the build. None sets no limit.

    Raises:
        InputError: The endpoint wants an API key and there is none.
    """

    name = GENERATOR

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        cache: AnswerCache | None = None,
        budget: RequestBudget | None = None,
    ) -> None:
        settings.require_key()
        self._cache = cache or AnswerCache()
        self._budget = budget
        self._sessions = PerProcess(lambda: _Session(settings, self._cache, budget))

    @property
    def usage(self) -> Usage:
        """What this generator did so far, in this process."""
        return self._sessions.latest.usage if self._sessions.latest else Usage()

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        """See `TextGenerator.generate`. Equal requests are asked once, also across threads."""
        if not requests:
            return []
        session = self._sessions.current()
        return session.run(session.generate(requests))

    def close(self) -> None:
        """Closes connections and files. Usage stays readable."""
        self._sessions.close()
        self._cache.close()
        if self._budget is not None:
            self._budget.close()

    def __enter__(self) -> OpenAITextGenerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Ask:
    request: TextRequest[Any]
    key: str
    first: int


class _Session(Session[_Ask, TextResult[Any]]):
    """One process's cache lookups and chat requests."""

    def __init__(
        self, settings: EndpointSettings, cache: AnswerCache, budget: RequestBudget | None
    ) -> None:
        super().__init__(
            settings,
            budget,
            path="/chat/completions",
            dialect=Dialect(settings.response_format),
            thread="medit-text",
        )
        self._cache = cache
        self._cached = self._asked_again = self._prompt_tokens = self._completion_tokens = 0

    @property
    def usage(self) -> Usage:
        return Usage(
            self.transport.requests,
            self.transport.retries,
            self._asked_again,
            self._cached,
            self._prompt_tokens,
            self._completion_tokens,
        )

    async def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        keys = [cache_key(request, self._settings) for request in requests]
        kept = self._cache.get(sorted(set(keys)))
        results: dict[str, TextResult[Any]] = {}
        asks: dict[str, _Ask] = {}
        for request, key in zip(requests, keys, strict=True):
            if key in results or key in asks:
                continue
            result = kept_result(request, kept[key]) if key in kept else None
            if result is not None:
                results[key] = result
                self._cached += 1
            else:
                # An answer that today's check refuses is asked again with the seed after its own.
                asks[key] = _Ask(request, key, kept[key].attempt + 1 if key in kept else 0)
        if asks:
            results |= await self.ask_all(asks.values())
        return [results[key] for key in keys]

    async def answer(self, ask: _Ask) -> TextResult[Any]:
        """The first usable answer of a few attempts, kept in the cache, or why there is none."""
        request, reason = ask.request, ""
        for attempt in range(ask.first, ask.first + self._settings.max_attempts):
            try:
                body = await self.post(chat_body(request, self._settings, attempt))
            except (Unusable, CallFailed) as error:
                if isinstance(error, CallFailed):
                    self.transport.give_up(error)
                return failed_result(request, str(error), self._settings)
            received = receive(request, ask.key, attempt, body, self._settings, self._cache)
            self._prompt_tokens += received.prompt_tokens
            self._completion_tokens += received.completion_tokens
            if received.result is not None:
                return received.result
            reason = received.reason
            self._asked_again += attempt + 1 < ask.first + self._settings.max_attempts
            _LOG.debug("%s for %s: %s", request.task.name, request.record_id, reason)
        reason = f"{reason} (asked {self._settings.max_attempts} times)"
        return failed_result(request, reason, self._settings)
