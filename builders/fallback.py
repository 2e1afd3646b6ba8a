"""One generator stepping in for another, for text and pictures alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

Request = TypeVar("Request", contravariant=True)
Result = TypeVar("Result", bound=Any)
"""A frozen dataclass with `error`, `generator` and `fallback`."""


class Generator(Protocol[Request, Result]):
    """What text and image generators have in common."""

    @property
    def name(self) -> str:
        """Short name for provenance."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Result]:
        """One result per request, in order."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


class WithFallback(Generator[Request, Result]):
    """Requests that fail in a first generator are answered by a second one.

    Args:
        primary: Asked first.
        secondary: Asked for what the first could not do; its results carry `fallback=True`.
    """

    def __init__(
        self, primary: Generator[Request, Result], secondary: Generator[Request, Result]
    ) -> None:
        self._primary = primary
        self._secondary = secondary

    @property
    def name(self) -> str:
        """The first generator's name; each result names who really answered."""
        return self._primary.name

    def generate(self, requests: Sequence[Request]) -> list[Result]:
        """One result per request, in order."""
        results = list(self._primary.generate(requests))
        failed = [i for i, result in enumerate(results) if result.error is not None]
        if not failed:
            return results
        seconds = self._secondary.generate([requests[i] for i in failed])
        for i, second in zip(failed, seconds, strict=True):
            error = second.error and f"{results[i].error}; then {second.generator}: {second.error}"
            results[i] = replace(second, error=error, fallback=True)
        return results

    def close(self) -> None:
        """Closes both generators."""
        try:
            self._primary.close()
        finally:
            self._secondary.close()
