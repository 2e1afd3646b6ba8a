"""One round of the Batch API: files up, batches made and waited for, answers down."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders.text.answers import receive
from builders.text.cache import AnswerCache
from builders.text.pending import Part, PendingRequest, PendingRequests
from builders.text.protocol import EndpointError, TextRequest, TextTask
from builders.text.settings import EndpointSettings
from builders.text.transport import CallFailed, Transport
from schemas.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch

_LOG = logging.getLogger(__name__)

_TRANSFER_SECONDS = 900.0
_ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True)
class BatchLimits:
    """Limits of one batch, and how often its state is asked for.

    Attributes:
        rows: Requests in one input file.
        size: Bytes of one input file.
        first_poll: Seconds before the first look; each pause is half as long again.
        longest_poll: Longest pause in seconds.
    """

    rows: int = 50_000
    size: int = 200_000_000
    first_poll: float = 5.0
    longest_poll: float = 60.0


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A request that got no usable answer in a batch.

    Attributes:
        task: Its task's name.
        record_id: The record that it was for.
        reason: Why, as a clause.
    """

    task: str
    record_id: str
    reason: str


@dataclass(frozen=True)
class BatchReport:
    """What batches brought.

    Attributes:
        answered: Answers that are now in the cache.
        failed: Requests without a usable answer; they are asked again in the next round while
            attempts are left.
        batches: Ids of the batches.
    """

    answered: int = 0
    failed: tuple[FailedRow, ...] = ()
    batches: tuple[str, ...] = ()

    def __add__(self, other: BatchReport) -> BatchReport:
        """Both reports as one."""
        return BatchReport(
            self.answered + other.answered,
            self.failed + other.failed,
            self.batches + other.batches,
        )


class BatchRun:
    """Input files, uploads, batches and answers of one round.

    Args:
        requests: What to ask, and how far each batch got.
        tasks: Tasks by name.
        settings: Endpoint and how to ask it.
        cache: Where answers go.
        work_dir: Folder for input and output files; it exists.
        limits: Size and pace of batches.
    """

    def __init__(
        self,
        requests: PendingRequests,
        tasks: dict[str, TextTask[Any]],
        settings: EndpointSettings,
        cache: AnswerCache,
        work_dir: Path,
        limits: BatchLimits,
    ) -> None:
        self._requests = requests
        self._tasks = tasks
        self._settings = settings
        self._cache = cache
        self._work_dir = work_dir
        self._limits = limits
        self._dialect = requests.dialect(settings.response_format)

    def split(self) -> Iterator[tuple[str, list[str]]]:
        """Writes input files within the limits; yields the name of each and the keys in it."""
        lines: list[bytes] = []
        keys: list[str] = []
        size = number = 0
        for request in self._requests.askable():
            line = request.line(self._dialect)
            if keys and (len(keys) == self._limits.rows or size + len(line) > self._limits.size):
                number += 1
                yield self._write(number, lines), keys
                lines, keys, size = [], [], 0
            lines.append(line)
            keys.append(request.key)
            size += len(line)
        if keys:
            yield self._write(number + 1, lines), keys

    async def all(self) -> BatchReport:
        """Submits, waits for and settles every part."""
        # Files of 200 MB take longer than an answer; the budget was charged by the row.
        slow = replace(self._settings, timeout=max(self._settings.timeout, _TRANSFER_SECONDS))
        transport = Transport(slow, None)
        try:
            parts = [await self._submit(transport, part) for part in self._requests.parts()]
            report = BatchReport()
            for part, batch_id in parts:
                batch = await self._wait(transport, batch_id)
                report += await self._settle(transport, part, batch)
            return report
        except CallFailed as error:
            reason = str(error)
        finally:
            await transport.close()
        raise EndpointError(f"{self._settings.base_url} did not take the batch: {reason}")

    def _write(self, number: int, lines: list[bytes]) -> str:
        file = self._work_dir / f"part-{number:04}.jsonl"
        temporary = file.with_name(f"{file.name}.tmp")
        temporary.write_bytes(b"".join(lines))
        return temporary.replace(file).name

    async def _submit(self, transport: Transport, part: Part) -> tuple[Part, str]:
        if part.batch_id is not None:
            return part, part.batch_id
        file = self._work_dir / part.file
        file_id, made_before = part.file_id, part.file_id is not None
        if file_id is None:
            if not file.exists():
                reason = (
                    f"this input of a batch is gone; remove {self._requests.path} to start over"
                )
                raise InputError(reason, file=file)
            file_id = await transport.call(lambda client: _upload(client, file))
            self._requests.update_part(part.number, file_id=file_id, batch_id=None)
        batch_id = await transport.call(_Creation(file_id, look_first=made_before))
        self._requests.update_part(part.number, file_id=file_id, batch_id=batch_id)
        _LOG.info("batch %s holds %s", batch_id, part.file)
        return part, batch_id

    async def _wait(self, transport: Transport, batch_id: str) -> Batch:
        pause = self._limits.first_poll
        while True:
            batch = await transport.call(lambda client: client.batches.retrieve(batch_id))
            if batch.status in _ENDED:
                return batch
            counts = batch.request_counts
            done = f", {counts.completed + counts.failed} of {counts.total} done" if counts else ""
            _LOG.info("batch %s is %s%s", batch_id, batch.status, done)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._limits.longest_poll)

    async def _settle(self, transport: Transport, part: Part, batch: Batch) -> BatchReport:
        if batch.status == "failed":
            # Nothing of it was run. It is made anew by the next run, after the cause is removed.
            self._requests.update_part(part.number, file_id=None, batch_id=None)
            said = [error.message for error in (batch.errors and batch.errors.data) or []]
            text = self._settings.clean(said[0] or "") if said else "no reason given"
            raise EndpointError(f"batch {batch.id} failed: {text}")
        stem = Path(part.file).stem
        answered = 0
        failed: list[FailedRow] = []
        seen: set[str] = set()
        for kind, file_id in (("output", batch.output_file_id), ("errors", batch.error_file_id)):
            if file_id is None:
                continue
            file = self._work_dir / f"{stem}.{kind}.jsonl"
            await self._download(transport, file_id, file)
            with file.open("rb") as lines:
                for line in lines:
                    request = self._request_of(line)
                    if request is None or request.key in seen:
                        continue
                    seen.add(request.key)
                    reason = self._take(request, line)
                    if reason is None:
                        answered += 1
                    else:
                        failed.append(FailedRow(request.task, request.record_id, reason))
        for request in self._requests.of_part(part.number):
            if request.key not in seen:
                reason = f"the batch {batch.status} without an answer"
                self._requests.add_failure(request, reason)
                failed.append(FailedRow(request.task, request.record_id, reason))
        self._requests.settle_part(part.number)
        for file in self._work_dir.glob(f"{stem}.*"):
            file.unlink()
        return BatchReport(answered, tuple(failed), (batch.id,))

    async def _download(self, transport: Transport, file_id: str, file: Path) -> None:
        temporary = file.with_name(f"{file.name}.tmp")

        async def send(client: AsyncOpenAI) -> None:
            async with client.files.with_streaming_response.content(file_id) as response:
                await response.stream_to_file(temporary)

        await transport.call(send)
        temporary.replace(file)

    def _request_of(self, line: bytes) -> PendingRequest | None:
        try:
            custom_id = json.loads(line)["custom_id"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        if not isinstance(custom_id, str):
            return None
        request = self._requests.get(custom_id.partition("-")[0])
        return request if request is not None and request.custom_id == custom_id else None

    def _take(self, request: PendingRequest, line: bytes) -> str | None:
        """Keeps a row's answer, or says why it has none."""
        row = json.loads(line)
        response = row.get("response")
        response = response if isinstance(response, dict) else {}
        status, body = response.get("status_code"), response.get("body")
        if status == 200 and body is not None:
            inputs = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in json.loads(request.inputs).items()
            }
            task = self._tasks[request.task]
            asked = TextRequest(task, inputs, request.seed, request.record_id)
            received = receive(
                asked, request.key, request.attempt, json.dumps(body), self._settings, self._cache
            )
            if received.result is not None:
                return None
            reason = received.reason
        else:
            error = row.get("error") or (body.get("error") if isinstance(body, dict) else body)
            if isinstance(error, dict):
                error = f"{error.get('message')} {error.get('param') or ''}"
            reason = self._settings.clean(f"HTTP {status}: {error}" if status else str(error))
            narrower = self._dialect.conceding(reason) if status in (400, 422) else None
            if narrower is not None:
                # Not the answer's fault: the next round asks in the narrower way, as an attempt
                # that was never made.
                self._requests.set_dialect(narrower)
                return reason
        self._requests.add_failure(request, reason)
        return reason


class _Creation:
    """Makes a batch from a file, once: a try that may have got through is looked for first."""

    def __init__(self, file_id: str, *, look_first: bool) -> None:
        self._file_id = file_id
        self._look = look_first

    async def __call__(self, client: AsyncOpenAI) -> str:
        from openai import NotFoundError

        if self._look:
            try:
                page = await client.batches.list(limit=100)
            except NotFoundError:  # the list is a convenience that not every server has
                page = None
            for batch in page.data if page else ():
                if batch.input_file_id == self._file_id and batch.status != "failed":
                    return batch.id
        self._look = True
        made = await client.batches.create(
            input_file_id=self._file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        return made.id


async def _upload(client: AsyncOpenAI, file: Path) -> str:
    return (await client.files.create(file=file, purpose="batch")).id
