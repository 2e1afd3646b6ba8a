from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.text.batch import batch_rounds, run_batch
from builders.text.batch_run import BatchLimits, BatchReport
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.collect import CollectingGenerator
from builders.text.pending import PendingRequests
from builders.text.protocol import BudgetExhausted, EndpointError, TextResult
from builders.text.settings import EndpointSettings
from builders.text.summary import estimate_tokens
from schemas.errors import InputError
from tests.builders.text.support import ECHO, KEY, StandIn, generator, request, requests, settings
from tests.builders.text.test_endpoint import repeat
from tests.stubs.openai_server import OpenAIStub, completion, error, wrong_schema

SHOUT = replace(ECHO, name="shout", system="You shout.")
FAST = BatchLimits(first_poll=0.01, longest_poll=0.02)


@pytest.fixture
def server() -> Iterator[OpenAIStub]:
    with OpenAIStub(repeat) as stub:
        yield stub


class Build:
    """A build of two steps, where the second asks about the answers of the first."""

    def __init__(self, url: str, folder: Path, *, count: int = 6, **changes: Any) -> None:
        self.settings: EndpointSettings = settings(url, **changes)
        self.folder = folder
        self.count = count
        self.cache = AnswerCache(folder / "cache.sqlite")
        self.pending = PendingRequests(folder / "requests.sqlite")
        self.results: list[TextResult[Any]] = []
        self.passes = 0

    def collect(self) -> None:
        self.passes += 1
        text = CollectingGenerator(
            self.settings, cache=self.cache, pending=self.pending, stand_in=StandIn()
        )
        first = text.generate(requests(self.count))
        second = text.generate(
            [
                replace(request(r.output.text + " again", record=f"r{i}"), task=SHOUT)
                for i, r in enumerate(first)
                if r.output is not None
            ]
        )
        self.results = [*first, *second]

    def rounds(self, **changes: Any) -> BatchReport:
        given: dict[str, Any] = {"limits": FAST, **changes}
        return batch_rounds(
            self.collect,
            self.pending,
            [ECHO, SHOUT],
            self.settings,
            cache=self.cache,
            work_dir=self.folder / "batches",
            **given,
        )


def test_a_collecting_pass_asks_nobody(server: OpenAIStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as text:
        text.generate(requests(2))
    server.requests.clear()
    build = Build(server.url, tmp_path, api_key=None)
    build.collect()
    assert server.requests == []
    assert [r.pending for r in build.results] == [False, False, *[True] * 10]
    assert [r.generator for r in build.results[:3]] == ["openai", "openai", "offline"]
    # Four of the first step. Of the second step the two with real answers can be asked; the
    # others would be rendered from stand-ins, all alike.
    assert len(build.pending) == 6
    echo, shout = build.pending.summary().tasks
    assert (echo.task, echo.cached, echo.requests, echo.later) == ("echo", 2, 4, 0)
    assert (shout.task, shout.cached, shout.requests, shout.later) == ("shout", 0, 2, 1)
    assert echo.completion_bound == 4 * 1024


def test_collected_requests_are_batch_lines_each_once(server: OpenAIStub, tmp_path: Path) -> None:
    build = Build(server.url, tmp_path)
    build.collect()
    build.collect()
    file = tmp_path / "requests.jsonl"
    assert build.pending.write_jsonl(file) == 6
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({row["custom_id"] for row in rows}) == 6
    assert all(
        (row["method"], row["url"]) == ("POST", "/v1/chat/completions")
        and set(row) == {"custom_id", "method", "url", "body"}
        for row in rows
    )
    sent = {row["body"]["messages"][1]["content"] for row in rows}
    assert sent == {f"Say word {i}." for i in range(6)}
    before = file.read_bytes()
    build.pending.write_jsonl(file)
    assert file.read_bytes() == before
    assert KEY not in file.read_text()


def test_the_summary_is_a_table(server: OpenAIStub, tmp_path: Path) -> None:
    build = Build(server.url, tmp_path)
    assert str(build.pending.summary()).splitlines()[-1].split() == ["total", *"00000"]
    build.collect()
    head, echo, shout, total = str(build.pending.summary()).splitlines()
    assert head.split()[:4] == ["task", "cached", "requests", "later"]
    assert echo.split()[:4] == ["echo", "0", "6", "0"]
    assert shout.split()[:4] == ["shout", "0", "0", "1"]
    assert total.split()[:4] == ["total", "0", "6", "1"]
    assert len({len(line) for line in (head, echo, shout, total)}) == 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("abcd", 1),
        ("abcde", 2),
        ("a" * 400, 100),
        ("模型编辑", 4),
        ("ひらがな abcd", 6),
        ("привет", 3),
        ("模型 edit", 4),
    ],
)
def test_token_estimates(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_rounds_end_with_every_answer_in_the_cache(server: OpenAIStub, tmp_path: Path) -> None:
    server.polls_until_done = 3
    build = Build(server.url, tmp_path)
    report = build.rounds()
    assert (report.answered, report.failed, report.batches) == (12, (), ("batch-1", "batch-2"))
    assert build.passes == 3
    assert not any(r.pending or r.error for r in build.results)
    texts = [r.output and r.output.text for r in build.results[6:]]
    assert texts == [f"word {i} again" for i in range(6)]
    assert build.results[0].model == "stub-model-1"
    assert server.chats == []
    assert list((tmp_path / "batches").iterdir()) == []
    # The live generator finds the same answers.
    with generator(server.url, tmp_path) as text:
        assert text.generate(requests(6)) == build.results[:6]
    assert server.chats == []


def test_parts_keep_within_the_limits(server: OpenAIStub, tmp_path: Path) -> None:
    build = Build(server.url, tmp_path, count=10)
    report = build.rounds(limits=replace(FAST, rows=4))
    assert len(report.batches) == 6
    build = Build(server.url, tmp_path / "small", count=10)
    (tmp_path / "small").mkdir()
    report = build.rounds(limits=replace(FAST, size=1500))
    sizes = [len(content) for content in server._files.values() if b'"url"' in content]
    assert report.answered == 20
    assert len(report.batches) > 4
    assert max(sizes[6:]) <= 1500


def test_failed_rows_are_asked_again_with_another_seed(server: OpenAIStub, tmp_path: Path) -> None:
    seeds: list[int] = []

    def rule(body: dict[str, Any]):
        if "word 1" not in str(body["messages"]) or "again" in str(body["messages"]):
            return None
        seeds.append(body["seed"])
        return wrong_schema() if len(seeds) == 1 else error(500, f"broken, {KEY}")

    server.rule = rule
    build = Build(server.url, tmp_path, max_attempts=2)
    report = build.rounds()
    assert [(f.task, f.record_id, f.reason) for f in report.failed] == [
        ("echo", "r1", "field 'text': Field required"),
        ("echo", "r1", "HTTP 500: broken, ***"),
    ]
    assert len(set(seeds)) == 2
    failed = [r for r in build.results if r.error]
    assert [r.error for r in failed] == ["HTTP 500: broken, *** (asked 2 times)"]
    assert not any(r.pending for r in build.results)
    assert len(build.results) == 11


def test_rows_without_an_answer_are_reported(server: OpenAIStub, tmp_path: Path) -> None:
    server.batch_status = "expired"
    skipped: list[str] = []

    def skip(body: dict[str, Any]) -> bool:
        content = body["messages"][1]["content"]
        if content in ("Say word 2.", "Say word 3.") and skipped.count(content) == 0:
            skipped.append(content)
            return True
        return False

    server.skip_row = skip
    report = Build(server.url, tmp_path).rounds()
    assert {f.reason for f in report.failed} == {"the batch expired without an answer"}
    assert {f.record_id for f in report.failed} == {"r2", "r3"}
    assert report.answered == 12


def test_a_killed_run_waits_for_the_batch_it_made(server: OpenAIStub, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> Any:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builders.text.batch_run.BatchRun._wait", die)
        with pytest.raises(Killed):
            Build(server.url, tmp_path).rounds()
    assert len(server.posts("/batches")) == 1
    assert Build(server.url, tmp_path).rounds().answered == 12
    assert len(server.posts("/batches")) == 2
    assert len(server.posts("/files")) == 2


def test_an_input_file_that_is_gone_is_named(server: OpenAIStub, tmp_path: Path) -> None:
    server.batch_status = "failed"
    build = Build(server.url, tmp_path)
    with pytest.raises(EndpointError, match="batch-1 failed"):
        build.rounds()
    (tmp_path / "batches" / "part-0001.jsonl").unlink()
    with pytest.raises(InputError, match=r"part-0001\.jsonl: this input of a batch is gone"):
        build.rounds()


def test_a_run_killed_before_the_batchs_id_was_noted_finds_it(
    server: OpenAIStub, tmp_path: Path
) -> None:
    build = Build(server.url, tmp_path)
    build.collect()
    note = PendingRequests.update_part

    class Killed(BaseException):
        pass

    def die(self: PendingRequests, number: int, *, file_id: Any, batch_id: Any) -> None:
        if batch_id is not None:
            raise Killed
        note(self, number, file_id=file_id, batch_id=batch_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PendingRequests, "update_part", die)
        with pytest.raises(Killed):
            run_batch(
                build.pending, [ECHO, SHOUT], build.settings, cache=build.cache, work_dir=tmp_path
            )
    report = run_batch(
        build.pending,
        [ECHO, SHOUT],
        build.settings,
        cache=build.cache,
        work_dir=tmp_path,
        limits=FAST,
    )
    assert report.answered == 6
    assert len(server.posts("/batches")) == 1


def test_a_run_killed_while_it_took_answers_over_takes_them_again(
    server: OpenAIStub, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    server.rule = lambda body: wrong_schema() if "word 1." in str(body) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PendingRequests, "settle_part", die)
        with pytest.raises(Killed):
            Build(server.url, tmp_path).rounds()
    server.rule = lambda _: None
    build = Build(server.url, tmp_path)
    report = build.rounds()
    # The first batch's answers again, then one repeated request and the second step's rounds.
    assert len(report.failed) == 1
    assert report.answered == 5 + 1 + 6
    assert not any(r.pending or r.error for r in build.results)


def test_a_batch_that_fails_as_a_whole_says_why_and_is_made_anew(
    server: OpenAIStub, tmp_path: Path
) -> None:
    server.batch_status = "failed"
    server.batch_errors = [f"too many tokens for {KEY}"]
    build = Build(server.url, tmp_path)
    with pytest.raises(EndpointError, match=r"batch batch-1 failed: too many tokens for \*\*\*$"):
        build.rounds()
    server.batch_status = "completed"
    assert build.rounds().answered == 12


def test_a_batch_counts_towards_the_budget_before_it_is_sent(
    server: OpenAIStub, tmp_path: Path
) -> None:
    build = Build(server.url, tmp_path)
    budget = RequestBudget(tmp_path / "sent.sqlite", 8)
    with pytest.raises(BudgetExhausted, match="6 were sent and 6 more are needed"):
        build.rounds(budget=budget)
    assert len(server.posts("/batches")) == 1
    assert build.rounds(budget=RequestBudget(tmp_path / "sent.sqlite", 12)).answered == 6


def test_rows_refused_for_their_form_are_asked_in_a_narrower_one(
    server: OpenAIStub, tmp_path: Path
) -> None:
    def rule(body: dict[str, Any]):
        if "max_tokens" in body:
            return error(400, "Use 'max_completion_tokens' instead", param="max_tokens")
        return completion(repeat(body)) if "seed" in body else None

    server.rule = rule
    build = Build(server.url, tmp_path, max_attempts=1)
    report = build.rounds()
    assert report.answered == 12
    assert len(report.failed) == 6
    assert not any(r.error for r in build.results)


def test_an_unknown_task_is_named_before_anything_is_sent(
    server: OpenAIStub, tmp_path: Path
) -> None:
    build = Build(server.url, tmp_path)
    build.collect()
    with pytest.raises(InputError, match="no text task is named 'echo'"):
        run_batch(build.pending, [SHOUT], build.settings, cache=build.cache, work_dir=tmp_path)
    assert server.requests == []


def test_a_server_without_batches_is_said_so(server: OpenAIStub, tmp_path: Path) -> None:
    build = Build(server.url.replace("/v1", "/v2"), tmp_path)
    with pytest.raises(EndpointError, match="does not know this model or address"):
        build.rounds()


def test_a_prompt_that_cannot_be_sent_is_an_error_in_a_pass_too(
    server: OpenAIStub, tmp_path: Path
) -> None:
    text = CollectingGenerator(
        settings(server.url),
        cache=AnswerCache(tmp_path / "c.sqlite"),
        pending=PendingRequests(tmp_path / "r.sqlite"),
        stand_in=StandIn(),
    )
    bad, good = text.generate([request("\ud800"), request()])
    assert bad.error == "the prompt holds half a surrogate pair"
    assert good.pending
    text.close()
