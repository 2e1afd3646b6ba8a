from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.text.chat import (
    Dialect,
    Unusable,
    attempt_seed,
    cache_key,
    chat_body,
    read_completion,
    validate,
)
from builders.text.transport import retry_after
from tests.builders.text.support import request, settings

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    "content",
    [
        '{"text": "yes"}',
        '  \n{"text": "yes"}\n',
        '```json\n{"text": "yes"}\n```',
        'Sure! Here it is:\n{"text": "yes"}\nAnything else?',
        'With {braces} and {"other": 1} before: {"text": "yes"}',
        '{"text": "yes"} and then a half {"text": "n',
        '<think>{"text": 3}</think>{"text": "yes"}',
    ],
)
def test_json_is_found(content: str) -> None:
    output, text = validate(request(), content)
    assert output.text == "yes"
    assert json.loads(text) == {"text": "yes"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no json here", "holds no JSON object"),
        ('{"text": "it was', "cut off"),
        ('{"text": ', "cut off"),
        ('{"items": [{"text": "inner"}, {"text": "in', "cut off"),
        ('{"text": "inner"', "cut off"),
        ('{"text": 3}', "field 'text'"),
        ('{"text": ""}', "field 'text'"),
        ('{"words": 1}', "field 'text'"),
        ('["text"]', "holds no JSON object"),
        ("{" * 100_000, "holds no JSON object"),
        ('{"a":' * 100_000, "JSON|cut"),
        ('{"text": "\\ud800"}', "."),
        ('{"text": "\ud800"}', "."),
    ],
)
def test_unusable_answers_say_why(content: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        validate(request(), content)


def test_the_tasks_check_decides() -> None:
    with pytest.raises(Unusable, match="the text is banned"):
        validate(request(banned="yes"), '{"text": "yes"}')


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": [3]}', "no choices"),
        (b'{"choices": [{"message": null}]}', "empty"),
        (b'{"choices": [{"message": {"content": "  "}}]}', "empty"),
        (b'{"choices": [{"message": {"content": "", "refusal": "never"}}]}', "refused: never"),
        (b'{"choices": [{"message": {}, "finish_reason": "content_filter"}]}', "content filter"),
        (b'{"error": {"message": "overloaded"}}', "overloaded"),
    ],
)
def test_bodies_without_an_answer_say_why(body: bytes, problem: str) -> None:
    assert problem in (read_completion(body).problem or "")


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body: dict[str, Any] = {"choices": [{"message": {"content": parts}}], "usage": None}
    assert read_completion(json.dumps(body)).content == "ab"


def test_the_cache_key_covers_all_that_an_answer_depends_on() -> None:
    base = cache_key(request(), settings(URL))
    others = [
        cache_key(request("other"), settings(URL)),
        cache_key(request(seed=2), settings(URL)),
        cache_key(request(banned="x"), settings(URL)),
        cache_key(request(), settings(URL, model="other")),
        cache_key(request(), settings("http://127.0.0.1:2/v1")),
        cache_key(request(), settings(URL, temperature=0.1)),
        cache_key(request(), settings(URL, max_tokens=7)),
    ]
    assert len({base, *others}) == 8
    same = settings(URL, api_key=None, concurrency=9, timeout=1.0, max_attempts=9)
    assert cache_key(request(record="r2"), same) == base


def test_attempts_have_seeds_of_their_own() -> None:
    seeds = [attempt_seed(seed, attempt) for seed in range(50) for attempt in range(4)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_prompt_that_cannot_be_sent_is_said_so() -> None:
    with pytest.raises(Unusable, match="surrogate"):
        chat_body(request("\ud800"), settings(URL), 0)


def test_dialects_give_up_what_an_error_names() -> None:
    body = chat_body(request(), settings(URL), 0)
    dialect = Dialect()
    assert dialect.adapt(body) == body
    for message, field in [
        ("Unsupported parameter: 'max_tokens', use 'max_completion_tokens'", "max_tokens"),
        ("response_format type json_schema is unknown", ""),
        ("response_format is not supported", "response_format"),
        ("temperature does not support 0.7", "temperature"),
        ("unknown field seed", "seed"),
    ]:
        narrower = dialect.conceding(message)
        assert narrower is not None, message
        dialect = narrower
        assert field not in dialect.adapt(body)
    adapted = dialect.adapt(body)
    assert adapted["max_completion_tokens"] == body["max_tokens"]
    assert '"text"' in adapted["messages"][0]["content"]
    assert body["messages"][0]["content"] == "You repeat."
    assert dialect.conceding("response_format, seed and temperature are unsupported") is None
    assert Dialect().conceding("this model's maximum context length is 10 tokens") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds
