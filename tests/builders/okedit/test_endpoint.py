"""Builds whose text comes from an OpenAI-compatible endpoint, against a stub on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.text.batch_run import BatchLimits
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.validate import validate
from tests.builders.okedit.support import (
    KEY,
    QUESTIONS,
    CommandLine,
    Vqa,
    build_in_process,
    canned,
    endpoint,
    file_bytes,
    make_vqa,
    records_of,
    rejects_of,
    without_provenance,
)
from tests.stubs.openai_server import (
    OpenAIStub,
    Reply,
    error,
    garbage,
    half,
    hang,
    key_echo,
    rate_limited,
    refusal,
    server_error,
    wrong_schema,
)

ROWS = 4
PER_ROW = 13
"""Texts per record: 2 rephrasings, 2 phrases, 3 votes, and counterfactual, third answer, question
by name, question about the picture, hops and fact once each."""


@pytest.fixture
def server() -> Iterator[OpenAIStub]:
    with OpenAIStub(canned) as stub:
        yield stub


@pytest.fixture
def vqa(tmp_path: Path) -> Vqa:
    return make_vqa(tmp_path / "source", QUESTIONS[:ROWS])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def arguments(vqa: Vqa, server: OpenAIStub, tmp_path: Path, out: str = "out") -> list[str]:
    return [
        *("build", *vqa.arguments, "--out", str(tmp_path / out)),
        *("--text", "openai", "--base-url", server.url, "--model", "stub"),
        *("--cache", str(tmp_path / f"{out}.sqlite"), "--rephrasings", "2"),
    ]


def nowhere(secret: str, *places: Path) -> None:
    """The secret is in no file."""
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path


def data(out: Path) -> dict[str, bytes]:
    return {name: held for name, held in file_bytes(out).items() if name.startswith("data/")}


def test_a_whole_build(vqa: Vqa, server: OpenAIStub, tmp_path: Path, okedit: CommandLine) -> None:
    said = okedit(*arguments(vqa, server, tmp_path))
    out = tmp_path / "out"
    assert said.code == 0, said.err
    assert len(server.chats) == ROWS * PER_ROW
    assert validate(out).ok
    records = records_of(out)
    assert len(records) == ROWS
    for record in records:
        assert without_provenance(record) == set()
        kinds = {probe.kind for probe in record.probes}
        assert {"text_only", "same_image", "one_hop", "two_hop", "rephrase"} <= kinds
        written = [entry for entry in record.provenance if entry.generator == "openai"]
        assert {entry.model for entry in written} == {"stub-model-1"}
        assert all(entry.prompt_digest and not entry.fallback for entry in written)
    assert Manifest.read(out).generators["text"]["model"] == "stub"

    # The same again costs nothing, as all answers are in the cache.
    again = okedit(*arguments(vqa, server, tmp_path), "--overwrite")
    assert again.code == 0
    assert len(server.chats) == ROWS * PER_ROW

    nowhere(KEY, tmp_path)
    assert KEY not in said.out + said.err + again.out + again.err
    assert all(chat.headers["authorization"] == f"Bearer {KEY}" for chat in server.chats)


def test_a_limit_on_requests_stops_in_one_line_and_a_higher_one_goes_on(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path, okedit: CommandLine
) -> None:
    command = arguments(vqa, server, tmp_path)
    stopped = okedit(*command, "--max-requests", 20)
    assert stopped.code == 2
    assert "20" in stopped.complaint
    assert len(server.chats) == 20
    assert not (tmp_path / "out" / "manifest.json").exists()
    done = okedit(*command, "--max-requests", 1_000)
    assert done.code == 0, done.err
    assert len(server.chats) == ROWS * PER_ROW


def test_a_dry_run_sends_nothing_and_counts(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path, okedit: CommandLine
) -> None:
    said = okedit(*arguments(vqa, server, tmp_path), "--dry-run")
    assert said.code == 0, said.err
    assert server.requests == []
    assert not (tmp_path / "out").exists()
    assert "rephrase" in said.out
    lines = (tmp_path / "out.requests.jsonl").read_text().splitlines()
    assert lines
    assert all(json.loads(line)["body"]["model"] == "stub" for line in lines)
    assert f"{len(lines)} requests are in" in said.out
    nowhere(KEY, tmp_path)
    offline = okedit("build", "--dry-run", "--out", tmp_path / "x")
    assert (offline.code, "nothing would be asked" in offline.out) == (0, True)


def test_through_the_batch_api_the_same_data_set_comes_out(
    vqa: Vqa,
    server: OpenAIStub,
    tmp_path: Path,
    okedit: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = BatchLimits(first_poll=0.01, longest_poll=0.02)
    monkeypatch.setattr("builders.text.batch.BatchLimits", lambda: fast)
    said = okedit(*arguments(vqa, server, tmp_path, "batch"), "--batch")
    assert said.code == 0, said.err
    assert server.chats == []
    batches = len(server.posts("/batches"))
    assert 1 < batches < 12
    live = okedit(*arguments(vqa, server, tmp_path, "live"))
    assert live.code == 0, live.err
    assert data(tmp_path / "batch") == data(tmp_path / "live")
    nowhere(KEY, tmp_path)


def test_an_optional_answer_that_fails_costs_a_probe_and_a_required_one_the_record(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path
) -> None:
    def rule(body: dict[str, Any]) -> Reply | None:
        prompt = body["messages"][-1]["content"]
        if "one-hop question" in prompt:
            return wrong_schema()
        if "wrong but plausible" in prompt and "Right answer: 2" in prompt:
            return refusal()
        return None

    server.rule = rule
    models = endpoint(server.url, tmp_path / "c.sqlite", max_attempts=1)
    build_in_process(vqa.options(text="openai"), tmp_path / "out", models)
    (reject,) = rejects_of(tmp_path / "out")
    assert (reject["row"], reject["step"], reject["column"]) == (
        3, "counterfactual", "requests.target_new",
    )  # fmt: skip
    assert "I cannot help with that" in reject["reason"] or "refus" in reject["reason"]
    records = records_of(tmp_path / "out")
    assert len(records) == ROWS - 1
    assert all(not record.of_kind("one_hop") for record in records)
    assert validate(tmp_path / "out").ok


def test_with_fallback_rules_step_in_and_say_so(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path
) -> None:
    server.rule = lambda body: garbage() if "noun phrase" in str(body) else None
    models = endpoint(server.url, tmp_path / "c.sqlite", max_attempts=1)
    options = vqa.options(text="openai", fallback=True)
    outcome = build_in_process(options, tmp_path / "out", models)
    assert outcome.manifest.counts.records == ROWS
    assert outcome.manifest.counts.fallbacks == 2 * ROWS
    for record in records_of(tmp_path / "out"):
        stood_in = {entry.field for entry in record.provenance if entry.fallback}
        assert stood_in == {"image_object", "third_object"}
        assert {e.generator for e in record.provenance if e.fallback} == {"offline"}


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (error(404, "no such model"), "no such model"),
        (key_echo(KEY), "API key"),
        (rate_limited("900"), "wait"),
    ],
)
def test_an_endpoint_that_cannot_be_used_stops_the_build_in_one_line(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path, reply: Reply, complaint: str
) -> None:
    server.rule = lambda _: reply
    with pytest.raises(InputError) as raised:
        build_in_process(
            vqa.options(text="openai"),
            tmp_path / "out",
            endpoint(server.url, tmp_path / "c.sqlite"),
        )
    assert complaint.casefold() in str(raised.value).casefold()
    assert "\n" not in str(raised.value)
    assert KEY not in str(raised.value)
    nowhere(KEY, tmp_path)


@pytest.mark.parametrize(
    "reply", [server_error(), garbage(), half(), hang(3.0)], ids=["500", "garbage", "half", "hang"]
)
def test_a_fault_in_between_is_asked_again(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path, reply: Reply
) -> None:
    server.script(reply)
    models = endpoint(server.url, tmp_path / "c.sqlite", timeout=1.0)
    outcome = build_in_process(vqa.options(text="openai"), tmp_path / "out", models)
    assert outcome.manifest.counts.records == ROWS
    assert len(server.chats) == ROWS * PER_ROW + 1


@pytest.mark.parametrize(
    "reply", [server_error(), garbage(), half(), hang(3.0)], ids=["500", "garbage", "half", "hang"]
)
def test_a_fault_that_stays_ends_in_one_line_and_a_later_run_goes_on(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path, reply: Reply
) -> None:
    answered = 0

    def rule(_: dict[str, Any]) -> Reply | None:
        nonlocal answered
        answered += 1
        return reply if answered > 2 * PER_ROW else None

    server.rule = rule
    options = vqa.options(text="openai", shard_rows=1, limit=3)
    models = endpoint(
        server.url, tmp_path / "c.sqlite", timeout=0.3, max_wait=0.2, max_attempts=1, concurrency=1
    )
    out = tmp_path / "out"
    stopped = ""
    try:
        build_in_process(options, out, models)
    except InputError as error:
        stopped = str(error)
    if not stopped:  # answers that cannot be used cost their record, not the build
        (reject,) = rejects_of(out)
        assert (reject["row"], reject["rule"]) == (2, "text")
        assert len(records_of(out)) == 2
        return
    assert "\n" not in stopped
    assert len(list((out / "data").glob("*.parquet"))) == 2
    server.rule = lambda _: None
    build_in_process(options, out, models)
    assert len(records_of(out)) == 3


@pytest.mark.slow
def test_a_build_killed_outright_goes_on_and_pays_for_nothing_twice(
    vqa: Vqa, server: OpenAIStub, tmp_path: Path
) -> None:
    def start(out: str) -> subprocess.Popen[str]:
        command = [*arguments(vqa, server, tmp_path, out), "--shard-size", "1"]
        return subprocess.Popen(
            [sys.executable, "-m", "builders.okedit", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    calm = start("calm")
    out, err = calm.communicate(timeout=120)
    assert calm.returncode == 0, err
    undisturbed = len(server.chats)
    assert undisturbed == ROWS * PER_ROW

    paid, stuck, lock = 0, threading.Event(), threading.Lock()

    def rule(_: dict[str, Any]) -> Reply | None:
        nonlocal paid
        with lock:
            if paid < 2 * PER_ROW + 5 or (stuck.is_set() and not blocked):
                paid += 1
                return None
        stuck.set()
        return hang(60)

    blocked = True
    server.rule = rule
    victim = start("victim")
    assert stuck.wait(60)
    time.sleep(1)  # what was answered before has reached the cache by now
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    assert not (tmp_path / "victim" / "manifest.json").exists()
    finished = list((tmp_path / "victim" / "data").glob("*.parquet"))
    assert len(finished) == 2

    blocked = False
    resumed = start("victim")
    more, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert paid == undisturbed
    assert file_bytes(tmp_path / "victim") == file_bytes(tmp_path / "calm")
    nowhere(KEY, tmp_path)
    assert KEY not in out + err + more
