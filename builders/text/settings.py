"""Where and how text is asked for, from arguments or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from schemas.errors import InputError

OPENAI_URL = "https://api.openai.com/v1"

ResponseFormat = Literal["json_schema", "json_object", "none"]


class Secret:
    """A string that shows itself only through `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself: for the request's header and nothing else."""
        return self._value

    def mask(self, text: str) -> str:
        """The text without the secret.

        Keys of under four characters are placeholders ("x") for servers that want none, and
        masking them would only make text unreadable.
        """
        return text.replace(self._value, "***") if len(self._value) >= 4 else text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@dataclass(frozen=True)
class EndpointSettings:
    """An OpenAI-compatible endpoint and how to ask it. Made by `resolve`.

    Attributes:
        model: Model name, as the endpoint knows it.
        base_url: Root of the API, ending in `/v1` as a rule; no credentials in it.
        api_key: Key, or None for a server that wants none.
        temperature: Sampling temperature.
        max_tokens: Upper bound on one answer, in tokens.
        concurrency: Requests in flight at a time.
        timeout: Seconds that one HTTP request may take from start to end.
        max_attempts: How often an unusable answer is asked again, the first time included.
        max_retries: How often one HTTP request is repeated after 408, 409, 429, 5xx, timeouts
            and connection errors.
        max_wait: Longest pause in seconds; a server that asks for a longer one stops the build.
        response_format: What is asked of the server first. "json_schema" steps down by itself
            when refused; choose "none" for a server that silently ignores it, so that the schema
            is written into the prompt instead.
        seed: Seed of the jitter in pauses; never part of a request.
    """

    model: str
    base_url: str = OPENAI_URL
    api_key: Secret | None = None
    temperature: float = 0.7
    max_tokens: int = 1024
    concurrency: int = 16
    timeout: float = 120.0
    max_attempts: int = 3
    max_retries: int = 5
    max_wait: float = 120.0
    response_format: ResponseFormat = "json_schema"
    seed: int = 0

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InputError("the endpoint's URL must be of the form https://host/v1")
        if "@" in url.netloc or url.query or url.fragment:
            # Such a URL may hold a password, so it is not repeated here.
            raise InputError("the endpoint's URL must hold no user name, password, query or '#'")
        if self.api_key is not None:
            key = self.api_key.reveal()
            # HTTP libraries put a header they cannot encode into their error messages.
            if not key.isascii() or not key.isprintable() or " " in key:
                raise InputError("the API key holds a space or a character that is not plain ASCII")
        at_least = {"max_tokens": 1, "concurrency": 1, "max_attempts": 1, "max_retries": 0}
        for name, bound in at_least.items():
            if getattr(self, name) < bound:
                raise InputError(
                    f"expected {name} of at least {bound}, found {getattr(self, name)}"
                )
        if not self.timeout > 0:
            raise InputError(f"expected a timeout above 0 seconds, found {self.timeout}")

    @classmethod
    def resolve(
        cls,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        concurrency: int = 16,
        timeout: float = 120.0,
        max_attempts: int = 3,
        max_retries: int = 5,
        max_wait: float = 120.0,
        response_format: ResponseFormat = "json_schema",
        seed: int = 0,
        environ: Mapping[str, str] | None = None,
    ) -> EndpointSettings:
        """Settings from arguments, then MEDIT_MODEL, OPENAI_BASE_URL and OPENAI_API_KEY.

        Raises:
            InputError: No model is named, or a value cannot be used.
        """
        environ = os.environ if environ is None else environ
        model = (model or environ.get("MEDIT_MODEL") or "").strip()
        if not model:
            raise InputError("no model is named: pass --model or set MEDIT_MODEL")
        base_url = (base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL).strip()
        key = (api_key or environ.get("OPENAI_API_KEY") or "").strip()
        return cls(
            model=model,
            base_url=base_url.rstrip("/"),
            api_key=Secret(key) if key else None,
            temperature=temperature,
            max_tokens=max_tokens,
            concurrency=concurrency,
            timeout=timeout,
            max_attempts=max_attempts,
            max_retries=max_retries,
            max_wait=max_wait,
            response_format=response_format,
            seed=seed,
        )

    def require_key(self) -> None:
        """Refuses to ask api.openai.com without a key; other servers may want none.

        Raises:
            InputError: The key is missing.
        """
        if self.api_key is None and urlsplit(self.base_url).hostname == "api.openai.com":
            raise InputError("no API key: set OPENAI_API_KEY, or pass the URL of a local server")

    def mask(self, text: str) -> str:
        """The text without the API key."""
        return self.api_key.mask(text) if self.api_key else text

    def clean(self, text: str) -> str:
        """A server's words made fit for a message: no key, one line, at most 300 characters."""
        line = " ".join(self.mask(text).split())[:300]
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
