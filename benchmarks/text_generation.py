"""Rate of text generation against a local server that takes 50 ms for an answer.

The ideal is concurrency / latency: what a client without any work of its own would reach. Prompts,
validation, cache and budget are those of a build; only the model is replaced by a wait.

    python -m benchmarks.text_generation
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from pydantic import BaseModel

LATENCY = 0.05
CONCURRENCY = 32
SEQUENTIAL_REQUESTS = 150
REQUESTS = 4000


class Rephrasings(BaseModel):
    """The output that is asked for."""

    rephrasings: list[str]


@dataclass(frozen=True)
class Rate:
    """What one arrangement reached.

    Attributes:
        name: The arrangement.
        requests: Requests answered.
        seconds: From the first request to the last answer, without start-up.
        ideal: Requests per second without any work of the client.
        cpu_ms: Processor time of the client for one request, in milliseconds.
    """

    name: str
    requests: int
    seconds: float
    ideal: float
    cpu_ms: float

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds

    @property
    def share(self) -> float:
        """Share of the ideal rate."""
        return self.per_second / self.ideal


def measure() -> dict[str, Any]:
    """Rates with one request at a time, and with 32 in one and in two processes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        rates = [
            _rate("one at a time", url, workers=1, concurrency=1, requests=SEQUENTIAL_REQUESTS),
            _rate("32, one process", url, workers=1, concurrency=CONCURRENCY, requests=REQUESTS),
            _rate("16 + 16, two processes", url, workers=2, concurrency=16, requests=REQUESTS),
        ]
    finally:
        server.terminate()
        server.join()
    return {
        "latency_s": LATENCY,
        "concurrency": CONCURRENCY,
        "cores": os.cpu_count(),
        "rates": [
            {
                "name": rate.name,
                "requests": rate.requests,
                "per_second": round(rate.per_second, 1),
                "ideal_per_second": round(rate.ideal, 1),
                "share_of_ideal": round(rate.share, 3),
                "cpu_ms_per_request": round(rate.cpu_ms, 2),
            }
            for rate in rates
        ],
    }


def table(measured: dict[str, Any]) -> str:
    """The measurement as a table for the terminal."""
    head = f"{'':24}{'requests/s':>12}{'ideal':>8}{'share':>8}{'CPU ms/request':>16}"
    rows = [
        f"{r['name']:24}{r['per_second']:12.1f}{r['ideal_per_second']:8.0f}"
        f"{r['share_of_ideal']:8.0%}{r['cpu_ms_per_request']:16.2f}"
        for r in measured["rates"]
    ]
    return "\n".join([head, *rows])


def _rate(name: str, url: str, *, workers: int, concurrency: int, requests: int) -> Rate:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(workers)
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(workers)]
        processes = [
            context.Process(
                target=_work,
                args=(url, concurrency, requests // workers, worker, folder, start, pipe),
            )
            for worker, (_, pipe) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        times = [pipe.recv() for pipe, _ in pipes]
        for process in processes:
            process.join()
    began = min(time[0] for time in times)
    ended = max(time[1] for time in times)
    cpu = sum(time[2] for time in times)
    return Rate(
        name,
        requests,
        ended - began,
        workers * concurrency / LATENCY,
        1000 * cpu / requests,
    )


def _work(
    url: str,
    concurrency: int,
    count: int,
    worker: int,
    folder: str,
    start: Barrier,
    results: Connection,
) -> None:
    from builders.text.budget import RequestBudget
    from builders.text.cache import AnswerCache
    from builders.text.endpoint import OpenAITextGenerator
    from builders.text.protocol import TextRequest, TextTask
    from builders.text.settings import EndpointSettings

    task: TextTask[Rephrasings] = TextTask(
        "rephrase",
        "You rephrase questions about pictures without changing what they ask. " * 5,
        "Write 10 ways to ask the following question.\n{question}",
        Rephrasings,
        lambda _, out: None if len(out.rephrasings) == 10 else "expected 10 rephrasings",
    )

    def requests(name: str, number: int) -> list[TextRequest[Rephrasings]]:
        return [
            TextRequest(task, {"question": f"What is in picture {name}-{worker}-{i}?"}, i, f"r{i}")
            for i in range(number)
        ]

    text = OpenAITextGenerator(
        EndpointSettings(model="stub", base_url=url, concurrency=concurrency),
        cache=AnswerCache(Path(folder) / "cache.sqlite"),
        budget=RequestBudget(Path(folder) / "sent.sqlite", 10 * REQUESTS),
    )
    with text:
        text.generate(requests("warm", concurrency))
        asks = requests("real", count)
        start.wait()
        cpu, began = time.process_time(), time.monotonic()
        answers = text.generate(asks)
        ended = time.monotonic()
        spent = time.process_time() - cpu
    assert all(answer.error is None for answer in answers)
    assert text.usage.requests == count + concurrency
    results.send((began, ended, spent))


class _Stub(asyncio.Protocol):
    """As little HTTP as a chat client needs, so that the server is not what is measured."""

    reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            asyncio.get_running_loop().call_later(LATENCY, self.transport.write, self.reply)


def _serve(port: Connection) -> None:
    content = json.dumps({"rephrasings": [f"What does picture {i} show?" for i in range(10)]})
    message = {"role": "assistant", "content": content}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "stub",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    _Stub.reply = head.encode() + b"\r\n\r\n" + body

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0, backlog=512)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    print(table(measure()))
