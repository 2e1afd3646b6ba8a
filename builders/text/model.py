"""A text model behind an endpoint, as a build uses it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.protocol import TextGenerator
from builders.text.settings import EndpointSettings

REQUESTS = "requests.sqlite"
"""File of the work folder that counts requests, over all workers and runs of a build."""


@dataclass(frozen=True)
class TextModel:
    """A model, where its answers are cached, and how much may be asked of it.

    Attributes:
        endpoint: Where it is asked.
        cache: The file of cached answers, or None for the user's cache folder.
        max_requests: Requests that the build may send in all, those for pictures among them.
    """

    endpoint: EndpointSettings
    cache: Path | None = None
    max_requests: int | None = None

    def open(self, work: Path, share: int) -> TextGenerator:
        """The generator of one of `share` workers."""
        from builders.text.endpoint import OpenAITextGenerator

        return OpenAITextGenerator(
            replace(self.endpoint, concurrency=max(1, self.endpoint.concurrency // share)),
            cache=AnswerCache(self.cache),
            budget=self.budget(work),
        )

    def budget(self, work: Path) -> RequestBudget:
        """The build's count of requests."""
        return RequestBudget(work / REQUESTS, self.max_requests)

    def describe(self) -> dict[str, Any]:
        """Model and temperature for the manifest; no address and no key."""
        return {"model": self.endpoint.model, "temperature": self.endpoint.temperature}
