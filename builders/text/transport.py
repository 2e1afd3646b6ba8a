"""The one layer that sends HTTP requests: concurrency, pauses, retries, budget, masking."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from builders.text.budget import RequestBudget
from builders.text.protocol import EndpointError
from builders.text.settings import EndpointSettings
from schemas.errors import InputError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

T = TypeVar("T")

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0
_TO_CONNECT = 10.0
_DEAD_AFTER = 5
"""Requests that fail one after another, with no success between, until the endpoint is given up."""

_UNREACHED = ("ConnectError", "ProxyError", "UnsupportedProtocol")
"""Names of the HTTP library's errors after which nobody was there to answer."""

_HTTP_LOGS = ("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpx2")

_REFUSALS = {
    401: "refused the API key",
    403: "does not allow this",
    404: "does not know this model or address",
}

_POLICY_CODE = re.compile(r"content_?(?:policy|filter)|moderation|ResponsibleAI", re.IGNORECASE)
_POLICY_WORDS = re.compile(
    r"safety system|content (?:policy|filter|management|moderation)", re.IGNORECASE
)


class CallFailed(Exception):  # noqa: N818
    """One request failed for good, others may succeed; the message is one clause.

    Attributes:
        status: The HTTP status, or None when nothing was answered.
        refused: Whether the server refused this content for what it says, so that the failure
            tells nothing of other requests.
    """

    def __init__(self, reason: str, status: int | None = None, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.refused = refused


@dataclass(frozen=True, slots=True)
class _Success(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    status: int | None = None
    again: bool = False
    fatal: bool = False
    refused: bool = False
    unreached: bool = False
    pause: float | None = None


class _Masking(logging.Filter):
    """Takes the key out of the HTTP library's log, where a server's headers may echo it."""

    def __init__(self, settings: EndpointSettings) -> None:
        super().__init__()
        self._settings = settings

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._settings.mask(record.getMessage()), ()
        return True


class Transport:
    """Sends calls of one `AsyncOpenAI` client, which itself retries nothing.

    A pause that the server asks for holds back every call, not only the one that was told. What
    makes the endpoint unusable is raised to all callers, now and later. Used inside one event loop.

    Args:
        settings: Endpoint, bounds and key.
        budget: Counts each HTTP request before it is sent, or None.
    """

    def __init__(self, settings: EndpointSettings, budget: RequestBudget | None) -> None:
        import openai

        settings.require_key()
        key = settings.api_key.reveal() if settings.api_key else "none"
        self.client: AsyncOpenAI = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=key,
            max_retries=0,
            timeout=openai.Timeout(settings.timeout, connect=min(settings.timeout, _TO_CONNECT)),
        )
        self.requests = 0
        self.retries = 0
        self._settings = settings
        self._budget = budget
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._random = random.Random(settings.seed)
        self._opens_at = 0.0
        self._answered_at = -math.inf
        self._failed_in_a_row = 0
        self._fatal: InputError | None = None
        self._stopped = asyncio.Event()
        self._masking = _Masking(settings)
        for name in _HTTP_LOGS:
            logging.getLogger(name).addFilter(self._masking)

    async def call(self, send: Callable[[AsyncOpenAI], Awaitable[T]]) -> T:
        """What `send` returns, after as many tries as it takes.

        Raises:
            CallFailed: This call failed for good.
            BudgetExhausted: No further request may be sent.
            EndpointError: The endpoint is unusable.
        """
        began = time.monotonic()
        tries = 0
        while True:
            async with self._slots:
                await self._gate()
                self._raise_fatal()
                self._spend()
                outcome = await self._try(send)
            if isinstance(outcome, _Success):
                self._failed_in_a_row = 0
                return outcome.value
            if outcome.fatal:
                self._stop(EndpointError(f"{self._settings.base_url} {outcome.reason}"))
            tries += 1
            if not outcome.again or tries > self._settings.max_retries:
                break
            await self._back_off(outcome, tries)
            self.retries += 1
        reason = outcome.reason if tries == 1 else f"{outcome.reason} ({tries} tries)"
        if outcome.unreached and self._answered_at < began:
            self._stop(EndpointError(f"cannot reach {self._settings.base_url}: {reason}"))
        raise CallFailed(reason, outcome.status, refused=outcome.refused)

    def give_up(self, failure: CallFailed) -> None:
        """Counts a request that failed; too many with no success between stop the build.

        A refusal of content does not count: the server works and read the request.

        Raises:
            EndpointError: This was one too many.
        """
        if failure.refused:
            self._failed_in_a_row = 0
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _DEAD_AFTER:
            self._stop(
                EndpointError(
                    f"{self._settings.base_url} failed {_DEAD_AFTER} requests in a row,"
                    f" the last one so: {failure}"
                )
            )

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.close()
        for name in _HTTP_LOGS:
            logging.getLogger(name).removeFilter(self._masking)

    async def _try(self, send: Callable[[AsyncOpenAI], Awaitable[T]]) -> _Success[T] | _Failure:
        # Failures are returned, and exceptions made of them outside of `except`: the library's own
        # exceptions hold the request with its headers, and must not travel on as a context.
        import openai

        self.requests += 1
        try:
            # The client's timeout is per read; this one also ends an answer that trickles.
            async with asyncio.timeout(self._settings.timeout):
                value = await send(self.client)
        except openai.APIStatusError as error:
            self._answered_at = time.monotonic()
            return self._refusal(error)
        except (openai.APITimeoutError, TimeoutError):
            seconds = f"{self._settings.timeout:g}"
            return _Failure(f"no answer within {seconds} seconds", again=True)
        except openai.APIConnectionError as error:
            cause = error.__cause__
            reason = self._settings.clean(str(cause or error)) or type(cause).__name__
            return _Failure(reason, again=True, unreached=type(cause).__name__ in _UNREACHED)
        except openai.OpenAIError as error:
            return _Failure(self._settings.clean(str(error)), again=False)
        self._answered_at = time.monotonic()
        return _Success(value)

    def _refusal(self, error: APIStatusError) -> _Failure:
        status = error.status_code
        body = error.body if isinstance(error.body, dict) else {}
        said = body.get("message") or body.get("detail") or error.response.text
        said = self._settings.clean(str(said))
        if body.get("param"):
            said = f"{said} (parameter {self._settings.clean(str(body['param']))})"
        text = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        if _refuses_content(status, body, said):
            return _Failure(f"the server refused the content ({text})", status, refused=True)
        if status in _REFUSALS:
            return _Failure(f"{_REFUSALS[status]} ({text})", status=status, fatal=True)
        if error.code == "insufficient_quota":
            return _Failure(f"has no quota left ({text})", status=status, fatal=True)
        again = status in (408, 409, 429) or status >= 500
        pause = retry_after(error.response.headers, datetime.now(UTC)) if again else None
        if pause is not None and pause > self._settings.max_wait:
            reason = f"asks to wait {pause:.0f} seconds, more than {self._settings.max_wait:g}"
            return _Failure(f"{reason} ({text})", status=status, fatal=True)
        return _Failure(text, status=status, again=again, pause=pause)

    async def _back_off(self, failure: _Failure, tries: int) -> None:
        longest = min(_LONGEST_BACKOFF, self._settings.max_wait)
        jitter = 0.5 + 0.5 * self._random.random()
        own = min(longest, _FIRST_BACKOFF * 2 ** (tries - 1)) * jitter
        if failure.pause is not None or failure.status == 429:
            pause = own if failure.pause is None else failure.pause
            self._opens_at = max(self._opens_at, time.monotonic() + pause)
        else:
            await self._sleep(own)

    async def _gate(self) -> None:
        while (wait := self._opens_at - time.monotonic()) > 0:
            # A little apart, so that the calls do not all arrive in the moment the pause ends.
            await self._sleep(wait + min(0.1 * wait, 0.5) * self._random.random())

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return
        self._raise_fatal()

    def _spend(self) -> None:
        if self._budget is None:
            return
        try:
            self._budget.take()
        except InputError as error:
            self._stop(error)

    def _stop(self, error: InputError) -> None:
        self._fatal = self._fatal or error
        self._stopped.set()
        self._raise_fatal()

    def _raise_fatal(self) -> None:
        if self._fatal is not None:
            raise type(self._fatal)(self._fatal.reason, file=self._fatal.file)


def _refuses_content(status: int, body: Mapping[str, object], said: str) -> bool:
    """Whether an error is about what the request says: a code of the error or of its cause.

    A 403 without such a code is about who asks, whatever its words.
    """
    if status not in (400, 403, 422):
        return False
    inner = body.get("inner_error") or body.get("innererror")
    codes = [body.get("code"), inner.get("code") if isinstance(inner, Mapping) else None]
    if any(_POLICY_CODE.search(str(code)) for code in codes):
        return True
    return status != 403 and _POLICY_WORDS.search(said) is not None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a server asks to wait, from `retry-after-ms` or `Retry-After`, or None.

    The second is a number of seconds or an HTTP date. What cannot be read counts as not said.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
