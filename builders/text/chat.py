"""Chat completion bodies: how a request is written and how an answer is read.

The live endpoint and the Batch API share this: same body, same cache key, same validation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from builders.text.protocol import Out, TextRequest, digest_of
from builders.text.settings import EndpointSettings, ResponseFormat

_MAX_STARTS = 64
"""How many opening braces of an answer are tried: garbage of braces must not take minutes."""


class Unusable(Exception):  # noqa: N818
    """An answer or a request that cannot be used; the message is one clause."""


@dataclass(frozen=True)
class Completion:
    """What a server answered, not yet validated.

    Attributes:
        content: The answer's text; empty where `problem` is set.
        problem: Why there is nothing to validate, or None.
        cut: Whether the answer ended at the token limit.
        model: The model as the server reports it, or None.
        prompt_tokens: As billed, 0 when unknown.
        completion_tokens: As billed, 0 when unknown.
    """

    content: str
    problem: str | None
    cut: bool
    model: str | None
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Dialect:
    """The part of the chat API that a server understands.

    Servers differ in structured outputs, in the name of the token limit and in sampling options.
    The widest dialect is tried first, and `conceding` gives up what an error names.

    Attributes:
        response_format: How the schema is sent; unless "json_schema", it is put into the prompt.
        new_limit: Whether the limit on tokens goes by its newer name, `max_completion_tokens`.
        omit: Fields that are left out.
    """

    response_format: ResponseFormat = "json_schema"
    new_limit: bool = False
    omit: frozenset[str] = frozenset()

    def adapt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body of `chat_body` in this dialect."""
        adapted = {key: value for key, value in body.items() if key not in self.omit}
        if self.new_limit:
            adapted["max_completion_tokens"] = adapted.pop("max_tokens")
        if self.response_format != "json_schema":
            schema = adapted.pop("response_format")["json_schema"]["schema"]
            if self.response_format == "json_object":
                adapted["response_format"] = {"type": "json_object"}
            first, *others = adapted["messages"]
            asked = f"Answer with one JSON object that matches this schema: {json.dumps(schema)}"
            content = f"{first['content']}\n\n{asked}"
            adapted["messages"] = [{**first, "content": content}, *others]
        return adapted

    def conceding(self, message: str) -> Dialect | None:
        """The dialect without what a 400 error names, or None when it names nothing of ours."""
        message = message.lower()
        if "max_completion_tokens" in message and not self.new_limit:
            return replace(self, new_limit=True)
        formats: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "none")
        step = formats.index(self.response_format)
        words = ("response_format", "json_schema", "json_object", "structured output")
        if step < 2 and any(word in message for word in words):
            return replace(self, response_format=formats[step + 1])
        if "support" in message or "unrecognized" in message or "unknown" in message:
            for field in ("temperature", "seed"):
                if field in message and field not in self.omit:
                    return replace(self, omit=self.omit | {field})
        return None


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of an attempt: a number of 31 bits, since servers differ in what they take."""
    digest = hashlib.blake2b(f"{seed}:{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def cache_key(request: TextRequest[Any], settings: EndpointSettings) -> str:
    """Digest of all that an answer depends on: endpoint, model, prompt, schema, seed, sampling.

    Inputs count even where the template leaves them out, since the check sees them. The attempt
    does not count: an answer serves the request whichever attempt gave it.
    """
    return digest_of(
        [
            settings.base_url,
            settings.model,
            request.prompt_digest,
            dict(request.inputs),
            request.seed,
            settings.temperature,
            settings.max_tokens,
        ]
    )


def chat_body(
    request: TextRequest[Any], settings: EndpointSettings, attempt: int
) -> dict[str, Any]:
    """The JSON body of one attempt, in the widest dialect.

    Raises:
        Unusable: The prompt holds characters that JSON in UTF-8 cannot carry.
    """
    try:
        for message in request.messages:
            message["content"].encode()
    except UnicodeEncodeError:
        lone_surrogate = True
    else:
        lone_surrogate = False
    if lone_surrogate:
        raise Unusable("the prompt holds half a surrogate pair")
    return {
        "model": settings.model,
        "messages": request.messages,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": request.task.name,
                "strict": True,
                "schema": request.task.schema,
            },
        },
        "seed": attempt_seed(request.seed, attempt),
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
    }


def read_completion(body: bytes | str) -> Completion:
    """The first choice of a chat completion, whatever the body turns out to be."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return _nothing("the answer is not JSON")
    if not isinstance(parsed, dict):
        return _nothing("the answer is not a JSON object")
    usage = parsed.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = parsed.get("model")
    content, problem, cut = _first_choice(parsed)
    return Completion(
        content=content,
        problem=problem,
        cut=cut,
        model=model if isinstance(model, str) else None,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def validate(request: TextRequest[Out], content: str, *, cut: bool = False) -> tuple[Out, str]:
    """The output in an answer's text, and the JSON in which it stood.

    Code fences and text around the JSON are ignored. An object that is cut off is never replaced
    by a smaller one inside it.

    Raises:
        Unusable: There is no complete JSON object, it does not fit, or the task's check refuses.
    """
    reason = "the answer is cut off" if cut else "the answer holds no JSON object"
    for found in _objects(content):
        if found is None:
            reason = "the answer is cut off"
            break
        try:
            output = request.task.output.model_validate_json(found)
        except ValidationError as error:
            reason = _first_error(error)
            continue
        except UnicodeEncodeError:
            reason = "the answer holds half a surrogate pair"
            continue
        refused = request.task.check(request.inputs, output)
        if refused is None:
            return output, found
        reason = refused
        break
    raise Unusable(reason)


def _nothing(problem: str) -> Completion:
    return Completion("", problem, cut=False, model=None, prompt_tokens=0, completion_tokens=0)


def _first_choice(parsed: dict[str, Any]) -> tuple[str, str | None, bool]:
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        error = parsed.get("error")
        if isinstance(error, dict):
            error = error.get("message")
        return "", f"the server answered: {error}" if error else "the answer has no choices", False
    message = choices[0].get("message")
    message = message if isinstance(message, dict) else {}
    finish = choices[0].get("finish_reason")
    content = message.get("content")
    if isinstance(content, list):  # some servers answer in parts
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(part for part in parts if isinstance(part, str))
    if message.get("refusal"):
        return "", f"the model refused: {message['refusal']}", False
    if finish == "content_filter":
        return "", "the server's content filter stopped the answer", False
    if not isinstance(content, str) or not content.strip():
        return "", "the answer is empty", finish == "length"
    return content, None, finish == "length"


def _objects(text: str) -> Iterator[str | None]:
    """The JSON objects in a text, from left to right; None where one is cut off."""
    decoder = json.JSONDecoder()
    end = len(text.rstrip())
    position = 0
    for _ in range(_MAX_STARTS):
        position = text.find("{", position)
        if position < 0:
            return
        try:
            _, stop = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            if error.pos >= end or error.msg.startswith("Unterminated string"):
                yield None
                return
            # Past the error, not just past the brace: what lies between is part of a broken whole.
            position = max(error.pos, position + 1)
        except RecursionError:
            return
        else:
            yield text[position:stop]
            position = stop


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"field {place!r}: {first['msg']}" if place else str(first["msg"])


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
