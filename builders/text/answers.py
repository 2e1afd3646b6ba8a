"""What becomes of an answer: validated and kept, or said to be unusable.

Shared by the live endpoint, the Batch API and the pass that only looks into the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from builders.text.cache import AnswerCache, CachedAnswer
from builders.text.chat import Unusable, attempt_seed, read_completion, validate
from builders.text.protocol import TextRequest, TextResult
from builders.text.settings import EndpointSettings

GENERATOR = "openai"
"""The name that results of an endpoint carry, however they came."""


@dataclass(frozen=True)
class Received:
    """An answer after it was looked at.

    Attributes:
        result: The result, already in the cache, or None.
        reason: Why there is none; empty otherwise.
        prompt_tokens: As billed, 0 when unknown.
        completion_tokens: As billed, 0 when unknown.
    """

    result: TextResult[Any] | None
    reason: str
    prompt_tokens: int
    completion_tokens: int


def receive(
    request: TextRequest[Any],
    key: str,
    attempt: int,
    body: bytes | str,
    settings: EndpointSettings,
    cache: AnswerCache,
) -> Received:
    """Reads the body of a chat completion, validates it and keeps what is valid."""
    completion = read_completion(body)
    # A server may echo anything, also the key: it must reach neither cache nor message.
    content = settings.mask(completion.content)
    model = settings.mask(completion.model or settings.model)
    prompt_tokens, completion_tokens = completion.prompt_tokens, completion.completion_tokens
    try:
        if completion.problem is not None:
            raise Unusable(completion.problem)
        output, text = validate(request, content, cut=completion.cut)
    except Unusable as error:
        return Received(None, settings.clean(str(error)), prompt_tokens, completion_tokens)
    seed = attempt_seed(request.seed, attempt)
    answer = CachedAnswer(text, model, attempt, seed, prompt_tokens, completion_tokens)
    cache.put(key, request.task.name, answer)
    result = TextResult(output, None, GENERATOR, model, request.prompt_digest, seed)
    return Received(result, "", prompt_tokens, completion_tokens)


def kept_result(request: TextRequest[Any], answer: CachedAnswer) -> TextResult[Any] | None:
    """The result that an answer in the cache gives, or None when today's check refuses it."""
    try:
        output, _ = validate(request, answer.content)
    except Unusable:
        return None
    return TextResult(output, None, GENERATOR, answer.model, request.prompt_digest, answer.seed)


def failed_result(
    request: TextRequest[Any], reason: str, settings: EndpointSettings
) -> TextResult[Any]:
    """A result without an output."""
    return TextResult(None, reason, GENERATOR, settings.model, request.prompt_digest, request.seed)
