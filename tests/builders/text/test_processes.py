"""What several processes share, and what survives one of them being killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache, CachedAnswer, default_cache_path
from builders.text.protocol import BudgetExhausted
from schemas.errors import InputError
from tests.builders.text.support import generator, requests
from tests.stubs.openai_server import OpenAIStub, completion

ROOT = Path(__file__).resolve().parents[3]


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_budget_holds_across_processes(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from builders.text.budget import RequestBudget
        from builders.text.protocol import BudgetExhausted
        budget, taken = RequestBudget(Path(sys.argv[1]), 1000), 0
        try:
            while True:
                budget.take()
                taken += 1
        except BudgetExhausted:
            print(taken)
    """
    workers = [python(code, str(tmp_path / "sent.sqlite")) for _ in range(2)]
    taken = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(taken) == 1000
    assert RequestBudget(tmp_path / "sent.sqlite", None).sent == 1000


def test_a_budget_without_limit_counts(tmp_path: Path) -> None:
    budget = RequestBudget(tmp_path / "sent.sqlite", None)
    budget.take(3)
    budget.take()
    assert budget.sent == 4


def test_a_budget_takes_all_or_none(tmp_path: Path) -> None:
    budget = RequestBudget(tmp_path / "sent.sqlite", 5)
    budget.take(3)
    with pytest.raises(BudgetExhausted, match="3 were sent and 3 more are needed"):
        budget.take(3)
    budget.take(2)
    assert budget.sent == 5


def test_a_killed_run_pays_only_for_the_rest(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from tests.builders.text.support import generator, requests
        generator(sys.argv[1], Path(sys.argv[2])).generate(requests(40))
    """
    with OpenAIStub() as server:
        server.rule = lambda _: completion('{"text": "paid"}') if len(server.chats) <= 17 else None
        server.answer = lambda _: time.sleep(60) or ""
        worker = python(code, server.url, str(tmp_path))
        deadline = time.monotonic() + 30
        # Four workers hang in their next request, so that all 17 answers have been read.
        while len(server.chats) < 21 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate(timeout=10)
        assert len(server.chats) == 21

        server.requests.clear()
        server.rule = lambda _: completion('{"text": "new"}')
        with generator(server.url, tmp_path) as text:
            results = text.generate(requests(40))
        assert len(server.chats) == 23
        assert sum(r.output is not None and r.output.text == "paid" for r in results) == 17


def test_after_an_interrupt_nothing_more_is_sent(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from tests.builders.text.support import generator, requests
        text = generator(sys.argv[1], Path(sys.argv[2]), concurrency=2)
        try:
            with text:
                text.generate(requests(10))
        except KeyboardInterrupt:
            print("interrupted")
    """
    with OpenAIStub(lambda _: time.sleep(1) or '{"text": "late"}') as server:
        worker = python(code, server.url, str(tmp_path))
        deadline = time.monotonic() + 30
        while len(server.chats) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.send_signal(signal.SIGINT)
        out, err = worker.communicate(timeout=10)
        assert (out, err) == ("interrupted\n", "")
        time.sleep(1.2)
        assert len(server.chats) == 2


def _ask_in_child(text: object, count: int) -> None:
    results = text.generate(requests(count))  # type: ignore[attr-defined]
    os._exit(0 if all(r.error is None for r in results) else 1)


def test_a_generator_works_after_a_fork(tmp_path: Path) -> None:
    with OpenAIStub() as server, generator(server.url, tmp_path) as text:
        text.generate(requests(3))
        child = multiprocessing.get_context("fork").Process(target=_ask_in_child, args=(text, 6))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert [r.error for r in text.generate(requests(6))] == [None] * 6
        assert len(server.chats) == 6


def test_processes_share_the_cache(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from builders.text.cache import AnswerCache, CachedAnswer
        cache, who = AnswerCache(Path(sys.argv[1])), sys.argv[2]
        for i in range(500):
            cache.put(f"{who}-{i}", "echo", CachedAnswer("{}", "m", 0, i, 1, 1))
    """
    file = tmp_path / "cache.sqlite"
    workers = [python(code, str(file), who) for who in "ab"]
    assert [worker.communicate(timeout=60)[1] for worker in workers] == ["", ""]
    keys = [f"{who}-{i}" for who in "ab" for i in range(500)]
    found = AnswerCache(file).get([*keys, "c-0"])
    assert sorted(found) == sorted(keys)
    assert found["b-7"].seed == 7


def test_a_cache_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(InputError, match="answer cache is of version 99, expected 1"):
        AnswerCache(file).get(["a"])


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the answer cache cannot be opened"):
        AnswerCache(tmp_path / "file" / "cache.sqlite").put(
            "a", "echo", CachedAnswer("{}", "m", 0, 0, 0, 0)
        )


def test_the_default_cache_is_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_cache_path() == tmp_path / "medit" / "text-answers.sqlite"
    assert AnswerCache().path == default_cache_path()


def test_importing_the_package_is_light() -> None:
    code = """
        import sys
        import builders.text.batch, builders.text.collect, builders.text.endpoint
        print(sorted({"openai", "httpx2", "aiohttp", "torch", "platformdirs"} & set(sys.modules)))
    """
    assert python(code).communicate(timeout=60)[0].strip() == "[]"
