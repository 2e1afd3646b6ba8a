"""Tasks, requests and settings that the tests of text generators share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from builders.text.cache import AnswerCache
from builders.text.endpoint import OpenAITextGenerator
from builders.text.protocol import InputValue, TextRequest, TextResult, TextTask
from builders.text.settings import EndpointSettings, Secret

KEY = "sk-very-secret-0123456789"


class Reply(BaseModel):
    text: str = Field(min_length=1, description="the sentence")


def _not_banned(inputs: Mapping[str, Any], output: Reply) -> str | None:
    return "the text is banned" if output.text == inputs.get("banned") else None


ECHO: TextTask[Reply] = TextTask("echo", "You repeat.", "Say {what}.", Reply, _not_banned)


def request(what: InputValue = "hello", *, seed: int = 1, record: str = "r1", **more: InputValue):
    return TextRequest(ECHO, {"what": what, **more}, seed, record)


def requests(count: int) -> list[TextRequest[Reply]]:
    return [request(f"word {i}", seed=i, record=f"r{i}") for i in range(count)]


def settings(url: str, **changes: Any) -> EndpointSettings:
    given = {
        "model": "stub",
        "base_url": url,
        "api_key": Secret(KEY),
        "concurrency": 4,
        "timeout": 5.0,
        "max_wait": 2.0,
    }
    return EndpointSettings(**{**given, **changes})


def generator(url: str, folder: Path, **changes: Any) -> OpenAITextGenerator:
    return OpenAITextGenerator(settings(url, **changes), cache=AnswerCache(folder / "cache.sqlite"))


class StandIn:
    """Answers everything by itself, or fails everything."""

    name = "offline"

    def __init__(self, error: str | None = None) -> None:
        self.error = error
        self.asked: list[TextRequest[Any]] = []
        self.closed = False

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        self.asked += requests
        output = None if self.error else Reply(text="stand-in")
        return [
            TextResult(output, self.error, "offline", None, r.prompt_digest, r.seed)
            for r in requests
        ]

    def close(self) -> None:
        self.closed = True
