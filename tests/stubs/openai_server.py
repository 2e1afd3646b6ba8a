"""An OpenAI-compatible server on loopback whose misbehaviour a test scripts.

with OpenAIStub(answer=lambda body: '{"text": "hello"}') as server:
    server.script(rate_limited("0.1"), hang(5))
    ...  # ask server.url
    assert len(server.chats) == 3
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    Attributes:
        status: HTTP status.
        body: Body as it goes over the wire.
        headers: Further headers.
        delay: Seconds before it answers.
        close: Close the connection without an answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    close: bool = False


@dataclass(frozen=True)
class Logged:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


def completion(content: object, *, finish: str = "stop", **message: object) -> Reply:
    """A chat completion with this text, or with other fields in its message."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content, **message},
    }
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "stub-model-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }
    return Reply(body=json.dumps(body).encode())


def error(
    status: int,
    message: str = "no",
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    body = {"error": {"message": message, "type": "stub", "param": param, "code": code}}
    return Reply(status, json.dumps(body).encode(), headers or {})


def rate_limited(retry_after: str | None = None, **headers: str) -> Reply:
    said = {"Retry-After": retry_after} if retry_after is not None else {}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    return error(429, "slow down", headers=said)


def server_error(status: int = 500) -> Reply:
    return error(status, "out of order")


def garbage() -> Reply:
    return Reply(body=b"<html>a proxy says hello</html>")


def half() -> Reply:
    return completion('{"text": "it was the best of', finish="length")


def refusal() -> Reply:
    return completion(None, refusal="I cannot help with that")


def wrong_schema() -> Reply:
    return completion('{"words": 3}')


def hang(seconds: float = 5.0) -> Reply:
    return Reply(delay=seconds, close=True)


def hang_up() -> Reply:
    return Reply(close=True)


def key_echo(key: str, status: int = 401) -> Reply:
    return error(status, f"Incorrect API key provided: {key}. Header was: Bearer {key}")


class OpenAIStub:
    """The server. Use it as a context manager.

    Args:
        answer: Text of the answer to a chat body.

    Attributes:
        rule: Asked before the script; a reply from it goes out, None leaves it to the script.
        polls_until_done: How often a batch is looked at before it has ended.
        batch_status: How batches end.
        skip_row: Says of a chat body in a batch that its row is never run.
        requests: Everything that was asked.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str] = lambda _: '{"text": "hello"}'):
        self.answer = answer
        self.rule: Callable[[dict[str, Any]], Reply | None] = lambda _: None
        self.polls_until_done = 1
        self.batch_status = "completed"
        self.batch_errors: list[str] = []
        self.skip_row: Callable[[dict[str, Any]], bool] = lambda _: False
        self.requests: list[Logged] = []
        self.busiest = 0
        self._busy = 0
        self._script: deque[Reply] = deque()
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._polls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._open = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                stub._handle(self, b"")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else self._chunks()
                stub._handle(self, body)

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                return body

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that give up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()  # ends whatever hangs
        self._server.shutdown()
        self._server.server_close()

    def script(self, *replies: Reply) -> None:
        """The next chat requests get these replies, one each."""
        self._script.extend(replies)

    @property
    def chats(self) -> list[Logged]:
        """The chat requests so far."""
        return [r for r in self.requests if r.path.endswith("/chat/completions")]

    def posts(self, path: str) -> list[Logged]:
        return [r for r in self.requests if r.method == "POST" and r.path.endswith(path)]

    def _handle(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        path = handler.path.partition("?")[0]
        body: Any = raw
        if "json" in (handler.headers.get("Content-Type") or ""):
            body = json.loads(raw)
        with self._lock:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.requests.append(Logged(handler.command, path, headers, body, time.monotonic()))
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            reply = self._reply(handler.command, path.removeprefix("/v1"), body)
            if reply.delay:
                self._open.wait(reply.delay)
        finally:
            with self._lock:
                self._busy -= 1
        if reply.close:
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)

    def _reply(self, method: str, path: str, body: Any) -> Reply:
        if (method, path) == ("POST", "/chat/completions"):
            return self._chat(body)
        with self._lock:
            if (method, path) == ("POST", "/files"):
                return self._json(self._store(_file_in(body)))
            if content := re.fullmatch(r"/files/([\w-]+)/content", path):
                return Reply(body=self._files[content[1]])
            if (method, path) == ("POST", "/batches"):
                return self._json(self._create_batch(body))
            if (method, path) == ("GET", "/batches"):
                data = list(self._batches.values())
                return self._json({"object": "list", "data": data, "has_more": False})
            if poll := re.fullmatch(r"/batches/([\w-]+)", path):
                return self._json(self._poll(poll[1]))
        return error(404, f"nothing at {path}")

    def _chat(self, body: dict[str, Any]) -> Reply:
        reply = self.rule(body)
        if reply is None:
            with self._lock:
                reply = self._script.popleft() if self._script else None
        return reply or completion(self.answer(body))

    def _json(self, value: object) -> Reply:
        return Reply(body=json.dumps(value).encode())

    def _store(self, content: bytes) -> dict[str, Any]:
        name = f"file-{len(self._files) + 1}"
        self._files[name] = content
        return {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": "in.jsonl",
            "purpose": "batch",
            "status": "processed",
        }

    def _create_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self._batches) + 1}"
        self._batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "created_at": 1,
            "status": "validating",
        }
        self._polls[name] = 0
        return self._batches[name]

    def _poll(self, name: str) -> dict[str, Any]:
        batch = self._batches[name]
        self._polls[name] += 1
        if self._polls[name] < self.polls_until_done:
            batch["status"] = "in_progress"
        elif batch["status"] not in ("completed", "failed", "expired"):
            batch["status"] = self.batch_status
            if self.batch_status == "failed":
                data = [{"code": "bad", "message": m, "line": 1} for m in self.batch_errors]
                batch["errors"] = {"object": "list", "data": data}
            else:
                self._run_batch(batch)
        return batch

    def _run_batch(self, batch: dict[str, Any]) -> None:
        rows: dict[str, list[bytes]] = {"output_file_id": [], "error_file_id": []}
        for line in self._files[batch["input_file_id"]].splitlines():
            row = json.loads(line)
            if self.skip_row(row["body"]):
                continue
            self._lock.release()
            try:
                reply = self._chat(row["body"])
            finally:
                self._lock.acquire()
            response = {"status_code": reply.status, "body": json.loads(reply.body)}
            answer = {"id": "r", "custom_id": row["custom_id"], "response": response, "error": None}
            kind = "output_file_id" if reply.status == 200 else "error_file_id"
            rows[kind].append(json.dumps(answer).encode())
        for kind, lines in rows.items():
            if lines:
                lines.reverse()  # the order of answers is not that of requests
                batch[kind] = self._store(b"\n".join(lines) + b"\n")["id"]


def _file_in(body: bytes) -> bytes:
    boundary = body.split(b"\r\n", 1)[0]
    for part in body.split(boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    raise ValueError("no file in the upload")
