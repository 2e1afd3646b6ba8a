from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.endpoint import OpenAITextGenerator, Usage
from builders.text.protocol import BudgetExhausted, EndpointError
from schemas.errors import InputError
from tests.builders.text.support import ECHO, KEY, generator, request, requests, settings
from tests.stubs.openai_server import (
    OpenAIStub,
    Reply,
    completion,
    error,
    garbage,
    half,
    hang,
    hang_up,
    key_echo,
    rate_limited,
    refusal,
    server_error,
    wrong_schema,
)


def repeat(body: dict[str, Any]) -> str:
    said = body["messages"][1]["content"].removeprefix("Say ").removesuffix(".")
    return f'{{"text": "{said}"}}'


@pytest.fixture
def server() -> Iterator[OpenAIStub]:
    with OpenAIStub(repeat) as stub:
        yield stub


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff without its waits, for tests of what happens after them."""
    monkeypatch.setattr("builders.text.transport._FIRST_BACKOFF", 0.01)


def test_results_come_in_request_order(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda body: (
        Reply(delay=0.2, body=completion(repeat(body)).body) if "word 0" in str(body) else None
    )
    with generator(server.url, tmp_path) as text:
        results = text.generate(requests(20))
        assert text.generate([]) == []
    assert [r.output and r.output.text for r in results] == [f"word {i}" for i in range(20)]
    assert {(r.error, r.generator, r.model, r.fallback) for r in results} == {
        (None, "openai", "stub-model-1", False)
    }
    assert results[3].prompt_digest == requests(20)[3].prompt_digest
    assert text.usage == Usage(requests=20, prompt_tokens=220, completion_tokens=140)


def test_a_request_carries_schema_seed_and_key(server: OpenAIStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path, temperature=0.3, max_tokens=99) as text:
        (result,) = text.generate([request()])
    (sent,) = server.chats
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body["messages"] == request().messages
    assert sent.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "echo", "strict": True, "schema": ECHO.schema},
    }
    assert (sent.body["temperature"], sent.body["max_tokens"]) == (0.3, 99)
    assert sent.body["seed"] == result.seed


def test_concurrency_is_bounded_and_used(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda body: replace(completion(repeat(body)), delay=0.05)
    with generator(server.url, tmp_path, concurrency=5) as text:
        threads = [
            threading.Thread(target=text.generate, args=(requests(20)[i::2],)) for i in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.busiest == 5
    assert len(server.chats) == 20


def test_equal_requests_are_asked_once(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda body: replace(completion(repeat(body)), delay=0.2)
    with generator(server.url, tmp_path) as text:
        found: list[Any] = []
        ask = [request(record=f"r{i}") for i in range(5)]
        threads = [
            threading.Thread(target=lambda: found.extend(text.generate(ask))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.chats) == 1
    assert len(found) == 15
    assert {r.output.text for r in found} == {"hello"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (garbage(), "the answer is not JSON"),
        (half(), "the answer is cut off"),
        (refusal(), "the model refused: I cannot help with that"),
        (wrong_schema(), "field 'text': Field required"),
        (completion(""), "the answer is empty"),
        (completion("no json"), "the answer holds no JSON object"),
        (completion('{"text": "bad word"}'), "the text is banned"),
    ],
)
def test_unusable_answers_are_asked_again(
    server: OpenAIStub, tmp_path: Path, reply: Reply, reason: str
) -> None:
    ask = [request(banned="bad word")]
    with generator(server.url, tmp_path) as text:
        server.script(reply, reply)
        (result,) = text.generate(ask)
        assert result.output is not None
        assert result.output.text == "hello"
        seeds = [chat.body["seed"] for chat in server.chats]
        assert len(set(seeds)) == 3
        assert result.seed == seeds[2]
        assert text.usage.asked_again == 2

        server.script(reply, reply, reply)
        (failed,) = text.generate([replace(ask[0], seed=2)])
        assert failed.output is None
        assert failed.error == f"{reason} (asked 3 times)"
        assert len(server.chats) == 6


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "reply",
    [server_error(500), server_error(503), error(408), error(409), rate_limited(), hang_up()],
)
def test_transient_errors_are_retried(server: OpenAIStub, tmp_path: Path, reply: Reply) -> None:
    server.script(reply, reply)
    with generator(server.url, tmp_path) as text:
        (result,) = text.generate([request()])
    assert result.error is None
    assert len(server.chats) == 3
    assert len({chat.body["seed"] for chat in server.chats}) == 1
    assert text.usage.retries == 2


@pytest.mark.usefixtures("fast")
def test_one_request_that_always_fails_is_a_result(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda body: server_error() if "word 2" in str(body) else None
    with generator(server.url, tmp_path, max_retries=2) as text:
        results = text.generate(requests(5))
    assert [r.error for r in results] == [
        None,
        None,
        "HTTP 500: out of order (3 tries)",
        None,
        None,
    ]


@pytest.mark.parametrize("reply", [rate_limited("0.6"), rate_limited(retry_after_ms="600")])
def test_a_pause_holds_back_every_request(server: OpenAIStub, tmp_path: Path, reply: Reply) -> None:
    with generator(server.url, tmp_path, concurrency=4) as text:
        text.generate([request("first")])
        server.script(reply)
        text.generate(requests(40))
    start = server.chats[1].at
    early = [chat for chat in server.chats[1:] if chat.at - start < 0.55]
    assert len(server.chats) == 42
    # The other three may be on their way, and some more before the 429 is read; then it is quiet.
    assert len(early) < 20
    gap = max(b.at - a.at for a, b in zip(server.chats, server.chats[1:], strict=False))
    assert 0.4 < gap < 1.5


def test_a_pause_beyond_the_bound_stops_the_build(server: OpenAIStub, tmp_path: Path) -> None:
    server.script(rate_limited("3600"))
    with (
        generator(server.url, tmp_path) as text,
        pytest.raises(EndpointError, match="asks to wait 3600 seconds, more than 2"),
    ):
        text.generate([request()])
    assert len(server.chats) == 1


@pytest.mark.usefixtures("fast")
def test_a_hanging_endpoint_ends_in_a_clear_error(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda _: hang(10)
    began = time.monotonic()
    with generator(server.url, tmp_path, timeout=0.2, max_retries=1, concurrency=8) as text:
        (result,) = text.generate([request()])
        assert result.error == "no answer within 0.2 seconds (2 tries)"
        with pytest.raises(EndpointError, match=r"failed 5 requests in a row.*no answer within"):
            text.generate(requests(20))
    assert time.monotonic() - began < 5


def test_an_answer_that_trickles_runs_into_the_timeout(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.05)
            except OSError:
                return

        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with generator(url, tmp_path, timeout=0.4, max_retries=0) as text:
            (result,) = text.generate([request()])
    assert result.error == "no answer within 0.4 seconds"


@pytest.mark.usefixtures("fast")
def test_an_unreachable_endpoint_stops_the_build(tmp_path: Path) -> None:
    with (
        generator("http://127.0.0.1:9/v1", tmp_path, max_retries=1) as text,
        pytest.raises(EndpointError, match=r"^cannot reach http://127.0.0.1:9/v1: .*\(2 tries\)$"),
    ):
        text.generate(requests(3))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (error(401, "bad key"), r"refused the API key \(HTTP 401: bad key\)"),
        (error(403, "not you"), r"does not allow this \(HTTP 403: not you\)"),
        (error(404, "no model x"), r"does not know this model or address \(HTTP 404: no model x\)"),
        (error(429, "pay first", code="insufficient_quota"), "has no quota left"),
    ],
)
def test_refusals_stop_at_once_and_keep_what_came_back(
    server: OpenAIStub, tmp_path: Path, reply: Reply, words: str
) -> None:
    cache = AnswerCache(tmp_path / "cache.sqlite")
    slow = {"word 0", "word 1"}
    server.rule = lambda body: (
        replace(completion(repeat(body)), delay=0.3)
        if any(word in str(body) for word in slow)
        else reply
    )
    text = OpenAITextGenerator(settings(server.url, concurrency=3), cache=cache)
    with text, pytest.raises(EndpointError, match=words):
        text.generate(requests(30))
    # Two were under way when the third was refused; they came back and are kept.
    assert len(server.chats) == 3
    with generator(server.url, tmp_path) as again:
        assert [r.error for r in again.generate(requests(2))] == [None, None]
    assert len(server.chats) == 3


@pytest.mark.usefixtures("fast")
def test_a_response_format_that_is_refused_is_dropped_for_good(
    server: OpenAIStub, tmp_path: Path
) -> None:
    def strict(body: dict[str, Any]) -> Reply | None:
        kind = body.get("response_format", {}).get("type", "none")
        return None if kind == "none" else error(400, f"response_format {kind} is not supported")

    server.rule = strict
    with generator(server.url, tmp_path, concurrency=8) as text:
        results = text.generate(requests(20))
        assert {r.error for r in results} == {None}
        before = len(server.chats)
        text.generate([request()])
        assert len(server.chats) == before + 1
    assert "JSON object" in server.chats[-1].body["messages"][0]["content"]


def test_every_request_refused_as_bad_stops_the_build(server: OpenAIStub, tmp_path: Path) -> None:
    server.rule = lambda _: error(400, "the prompt is too long")
    with generator(server.url, tmp_path) as text:
        (result,) = text.generate([request()])
        assert result.error == "HTTP 400: the prompt is too long"
        with pytest.raises(EndpointError, match="failed 5 requests in a row"):
            text.generate(requests(20))


def test_answers_come_from_the_cache(server: OpenAIStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as text:
        first = text.generate(requests(5))
    with generator(server.url, tmp_path) as text:
        assert text.generate(requests(6))[:5] == first
        assert (text.usage.cached, text.usage.requests) == (5, 1)
    assert len(server.chats) == 6


def test_a_cached_answer_must_pass_todays_check(server: OpenAIStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as text:
        (first,) = text.generate([request()])
    strict = replace(ECHO, check=lambda _, out: "too short" if out.text == "hello" else None)
    server.script(completion('{"text": "hello there"}'))
    with generator(server.url, tmp_path) as text:
        (second,) = text.generate([replace(request(), task=strict)])
    assert second.output is not None
    assert second.output.text == "hello there"
    assert second.seed != first.seed


def test_a_damaged_cache_is_named(server: OpenAIStub, tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"this is no database, but long enough to be read as one" * 100)
    with (
        generator(server.url, tmp_path) as text,
        pytest.raises(InputError, match=r"cache\.sqlite: the answer cache is damaged"),
    ):
        text.generate([request()])
    assert server.chats == []


def test_a_cache_damaged_in_the_middle_is_named(server: OpenAIStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as text:
        text.generate(requests(200))
    file = tmp_path / "cache.sqlite"
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    with generator(server.url, tmp_path) as text, pytest.raises(InputError, match=r"cache\.sqlite"):
        text.generate(requests(200))


def test_the_budget_stops_after_keeping_what_came(server: OpenAIStub, tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "cache.sqlite")
    budget = RequestBudget(tmp_path / "sent.sqlite", 7)
    text = OpenAITextGenerator(settings(server.url), cache=cache, budget=budget)
    with text, pytest.raises(BudgetExhausted) as caught:
        text.generate(requests(20))
    message = str(caught.value)
    assert "limit of 7 requests is reached: 7 were sent" in message
    assert "--max-requests" in message
    assert "kept" in message
    assert len(server.chats) == 7
    more = RequestBudget(tmp_path / "sent.sqlite", 20)
    with OpenAITextGenerator(settings(server.url), cache=cache, budget=more) as text:
        assert {r.error for r in text.generate(requests(20))} == {None}
    assert len(server.chats) == 20
    assert more.sent == 20


def test_retries_count_towards_the_budget(server: OpenAIStub, tmp_path: Path, fast: None) -> None:
    server.rule = lambda _: server_error()
    text = OpenAITextGenerator(
        settings(server.url),
        cache=AnswerCache(tmp_path / "c.sqlite"),
        budget=RequestBudget(tmp_path / "sent.sqlite", 3),
    )
    with text, pytest.raises(BudgetExhausted):
        text.generate([request()])
    assert len(server.chats) == 3


def test_a_defect_in_a_check_is_raised_and_stops_the_rest(
    server: OpenAIStub, tmp_path: Path
) -> None:
    def broken(_: object, __: object) -> str | None:
        raise ZeroDivisionError("a defect")

    asks = [replace(r, task=replace(ECHO, check=broken)) for r in requests(50)]
    with generator(server.url, tmp_path) as text, pytest.raises(ZeroDivisionError):
        text.generate(asks)
    assert len(server.chats) <= 8


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "replies",
    [
        [key_echo(KEY)],
        [key_echo(KEY, 400)] * 9,
        [key_echo(KEY, 500)] * 9,
        [error(429, KEY, headers={"X-Key": KEY})] * 9,
        [Reply(400, f"<p>{KEY}</p>".encode())] * 9,
        [completion(KEY)] * 9,
        [completion(None, refusal=KEY)] * 9,
        [completion(f'{{"text": "the key is {KEY}"}}')] * 9,
        [Reply(401, b'"' + b"x" * 290 + KEY.encode() + b'"')],
    ],
)
def test_the_key_gets_nowhere(
    server: OpenAIStub,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    replies: list[Reply],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2", "asyncio", "builders"):
        caplog.set_level(logging.DEBUG, logger=name)
    server.script(*replies)
    seen: list[str] = []
    with generator(server.url, tmp_path, max_retries=1) as text:
        seen.append(repr(text))
        try:
            seen.append(repr(text.generate([request()])))
        except InputError as caught:
            seen.append("".join(traceback.format_exception(caught)))
            seen.append(repr((caught.__cause__, caught.__context__)))
    assert len(server.chats) >= 1
    seen += [record.getMessage() + str(record.args) for record in caplog.records]
    assert caplog.records
    secrets = [KEY, KEY[:12]]
    assert not [line for line in seen if any(secret in line for secret in secrets)]
    for file in tmp_path.rglob("*"):
        assert KEY.encode() not in file.read_bytes(), file


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}),
        Reply(302, headers={"Location": "/v1/chat/completions"}),
        Reply(204),
        Reply(418, b"\xff\xfe\x1b[31m"),
    ],
)
def test_strange_replies_are_results(server: OpenAIStub, tmp_path: Path, reply: Reply) -> None:
    server.rule = lambda body: reply if "word 1" in str(body) else None
    with generator(server.url, tmp_path, concurrency=1, max_retries=1) as text:
        one, two, three = text.generate(requests(3))
    assert one.error is None
    assert three.error is None
    assert two.error
    assert two.error.isprintable()


def test_usage_adds_up() -> None:
    assert Usage(1, 2, 3, 4, 5, 6) + Usage(1, 1, 1, 1, 1, 1) == Usage(2, 3, 4, 5, 6, 7)


def test_closing_twice_and_before_use_is_harmless(tmp_path: Path) -> None:
    text = generator("http://127.0.0.1:9/v1", tmp_path)
    assert text.usage == Usage()
    text.close()
    text.close()
    assert not [t for t in threading.enumerate() if t.name == "medit-text"]
