"""The generator that asks an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from builders.text.answers import GENERATOR, failed_result, kept_result, receive
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.chat import Dialect, Unusable, cache_key, chat_body
from builders.text.protocol import TextRequest, TextResult
from builders.text.settings import EndpointSettings
from builders.text.transport import CallFailed, Transport

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

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
        self._settings = settings
        self._cache = cache or AnswerCache()
        self._budget = budget
        self._session: _Session | None = None
        self._opening = threading.Lock()

    @property
    def usage(self) -> Usage:
        """What this generator did so far, in this process."""
        return self._session.usage if self._session else Usage()

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        """See `TextGenerator.generate`. Equal requests are asked once, also across threads."""
        if not requests:
            return []
        with self._opening:
            if self._session is None or self._session.pid != os.getpid():
                self._session = _Session(self._settings, self._cache, self._budget)
            session = self._session
        return session.run(session.generate(requests))

    def close(self) -> None:
        """Closes connections and files. Usage stays readable."""
        if self._session is not None and self._session.pid == os.getpid():
            self._session.close()
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


class _Session:
    """One process's event loop, in a thread of its own, and all that lives in it."""

    def __init__(
        self, settings: EndpointSettings, cache: AnswerCache, budget: RequestBudget | None
    ) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._cache = cache
        self._dialect = Dialect(settings.response_format)
        self._in_flight: dict[str, asyncio.Future[TextResult[Any] | Exception]] = {}
        self._cached = self._asked_again = self._prompt_tokens = self._completion_tokens = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="medit-text", daemon=True
        )
        self._thread.start()
        self._transport = self.run(self._connect(budget))

    @property
    def usage(self) -> Usage:
        return Usage(
            self._transport.requests,
            self._transport.retries,
            self._asked_again,
            self._cached,
            self._prompt_tokens,
            self._completion_tokens,
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # after Ctrl-C nothing more is sent
            raise

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self.run(self._transport.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self, budget: RequestBudget | None) -> Transport:
        return Transport(self._settings, budget)

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
            results |= await self._ask_all(asks.values())
        return [results[key] for key in keys]

    async def _ask_all(self, asks: Collection[_Ask]) -> dict[str, TextResult[Any]]:
        results: dict[str, TextResult[Any]] = {}
        errors: list[Exception] = []

        async def work(waiting: Iterator[_Ask]) -> None:
            for ask in waiting:
                outcome = await self._ask_once(ask)
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                else:
                    results[ask.key] = outcome
                if errors:
                    return

        waiting = iter(asks)
        # Workers end one by one: what is already under way when one of them meets the end of the
        # budget still comes back and is kept.
        workers = min(self._settings.concurrency, len(asks))
        await asyncio.gather(*(work(waiting) for _ in range(workers)))
        if errors:
            raise errors[0]
        return results

    async def _ask_once(self, ask: _Ask) -> TextResult[Any] | Exception:
        running = self._in_flight.get(ask.key)
        if running is not None:
            return await asyncio.shield(running)
        future = self._in_flight[ask.key] = self._loop.create_future()
        outcome: TextResult[Any] | Exception = RuntimeError("the request was cancelled")
        try:
            outcome = await self._ask(ask)
        except Exception as error:
            outcome = error
        finally:
            del self._in_flight[ask.key]
            future.set_result(outcome)
        return outcome

    async def _ask(self, ask: _Ask) -> TextResult[Any]:
        request, reason = ask.request, ""
        for attempt in range(ask.first, ask.first + self._settings.max_attempts):
            try:
                body = await self._post(chat_body(request, self._settings, attempt))
            except (Unusable, CallFailed) as error:
                if isinstance(error, CallFailed):
                    self._transport.give_up(error)
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

    async def _post(self, body: dict[str, Any]) -> bytes:
        while True:
            dialect = self._dialect
            adapted = dialect.adapt(body)

            async def send(client: AsyncOpenAI, body: dict[str, Any] = adapted) -> bytes:
                # The client's own route to `chat.completions` builds a typed answer that would be
                # taken apart again here, at three times the processor time of this one.
                return await client.post("/chat/completions", cast_to=bytes, body=body)

            try:
                return await self._transport.call(send)
            except CallFailed as error:
                narrower = dialect.conceding(str(error)) if error.status in (400, 422) else None
                if narrower is None:
                    raise
                # Others in flight meet the same refusal: only the first of them narrows.
                if self._dialect == dialect:
                    self._dialect = narrower
                    _LOG.info("the endpoint is asked in a narrower way: %s", error)
