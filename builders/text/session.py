"""What lives in one process while it asks an endpoint: event loop, connections, work in flight."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from builders.text.budget import RequestBudget
from builders.text.settings import EndpointSettings
from builders.text.transport import CallFailed, Transport

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_LOG = logging.getLogger(__name__)


class Dialect(Protocol):
    """The part of an API that a server understands."""

    def adapt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body of the widest dialect, in this one."""
        ...

    def conceding(self, message: str) -> Self | None:
        """The dialect without what an error names, or None when it names nothing of ours."""
        ...


class Ask(Protocol):
    """Something to be asked."""

    @property
    def key(self) -> str:
        """Digest of all that the answer depends on."""
        ...


A = TypeVar("A", bound=Ask)
R = TypeVar("R")
T = TypeVar("T")


class Session(ABC, Generic[A, R]):
    """One process's event loop, in a thread of its own, and all that lives in it.

    Args:
        settings: Endpoint and how to ask it.
        budget: Counts requests before they are sent, or None.
        path: Where bodies are posted: "/chat/completions".
        dialect: The widest dialect, tried first.
        thread: The thread's name.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        budget: RequestBudget | None,
        *,
        path: str,
        dialect: Dialect,
        thread: str,
    ) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._path = path
        self._dialect = dialect
        self._in_flight: dict[str, asyncio.Future[R | Exception]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=thread, daemon=True)
        self._thread.start()
        self.transport = self.run(self._connect(budget))

    @abstractmethod
    async def answer(self, ask: A) -> R:
        """The answer to one ask, which the cache does not hold."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives, run in the loop; the caller's thread waits for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # after Ctrl-C nothing more is sent
            raise

    def close(self) -> None:
        """Closes connections and ends the thread."""
        if self._loop.is_closed():
            return
        self.run(self.transport.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def ask_all(self, asks: Collection[A]) -> dict[str, R]:
        """Answers by key, each asked once, also where several threads ask at a time.

        Raises:
            Exception: The first one that an answer raised; what was under way is waited for.
        """
        results: dict[str, R] = {}
        errors: list[Exception] = []

        async def work(waiting: Iterator[A]) -> None:
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

    async def post(self, body: Mapping[str, Any]) -> bytes:
        """The answer's body, asked in the widest dialect that the server understands.

        Raises:
            CallFailed: This call failed for good.
            BudgetExhausted: No further request may be sent.
            EndpointError: The endpoint is unusable.
        """
        while True:
            dialect = self._dialect
            adapted = dialect.adapt(body)

            async def send(client: AsyncOpenAI, body: dict[str, Any] = adapted) -> bytes:
                # The client's own routes build typed answers that would be taken apart again
                # here, at three times the processor time of this one.
                return await client.post(self._path, cast_to=bytes, body=body)

            try:
                return await self.transport.call(send)
            except CallFailed as error:
                may_concede = error.status in (400, 422) and not error.refused
                narrower = dialect.conceding(str(error)) if may_concede else None
                if narrower is None:
                    raise
                # Others in flight meet the same refusal: only the first of them narrows.
                if self._dialect == dialect:
                    self._dialect = narrower
                    _LOG.info("the endpoint is asked in a narrower way: %s", error)

    async def _connect(self, budget: RequestBudget | None) -> Transport:
        return Transport(self._settings, budget)

    async def _ask_once(self, ask: A) -> R | Exception:
        running = self._in_flight.get(ask.key)
        if running is not None:
            return await asyncio.shield(running)
        future = self._in_flight[ask.key] = self._loop.create_future()
        outcome: R | Exception = RuntimeError("the request was cancelled")
        try:
            outcome = await self.answer(ask)
        except Exception as error:
            outcome = error
        finally:
            del self._in_flight[ask.key]
            future.set_result(outcome)
        return outcome


S = TypeVar("S", bound=Session[Any, Any])


class PerProcess(Generic[S]):
    """A session that is opened at first use, and anew in a child process after a fork.

    Args:
        open_session: Opens it.
    """

    def __init__(self, open_session: Callable[[], S]) -> None:
        self._open = open_session
        self._opening = threading.Lock()
        self.latest: S | None = None

    def current(self) -> S:
        """This process's session."""
        with self._opening:
            if self.latest is None or self.latest.pid != os.getpid():
                self.latest = self._open()
            return self.latest

    def close(self) -> None:
        """Closes this process's session, if it has one."""
        if self.latest is not None and self.latest.pid == os.getpid():
            self.latest.close()
