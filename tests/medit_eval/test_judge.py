"""A judging model is asked three times per question, once ever, and its faults are not scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medit_eval.judge import Judge
from medit_eval.predictions import Output, Prediction
from medit_eval.report import scored
from schemas.errors import InputError
from tests.medit_eval.support import prediction
from tests.stubs.openai_server import OpenAIStub, completion, error, garbage, rate_limited, refusal


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")


def strict(body: dict[str, Any]) -> str:
    """Calls Rome right."""
    question = body["messages"][-1]["content"]
    return "CORRECT" if "Given answer: Rome" in question else "INCORRECT."


def judged(server: OpenAIStub, folder: Path, predictions: list[Prediction], **options: Any) -> Any:
    judge = Judge("m", server.url, cache=folder / "verdicts.sqlite", **options)
    return scored(predictions, [judge.metric(predictions)])


def test_the_majority_decides(tmp_path: Path) -> None:
    with OpenAIStub(lambda body: "INCORRECT" if body["seed"] == 1 else "correct") as server:
        (score,) = judged(server, tmp_path, [prediction()])
        assert len(server.chats) == 3
    assert (score.metric, score.value) == ("judged", 1.0)


def test_questions_are_judged_once_and_for_all(tmp_path: Path) -> None:
    predictions = [
        prediction(record="a"),
        prediction(record="b", post=Output("Oslo")),
        prediction(record="c"),
    ]
    with OpenAIStub(strict) as server:
        first = judged(server, tmp_path, predictions)
        assert [score.value for score in first] == [1.0, 0.0, 1.0]
        assert len(server.chats) == 6  # two different questions, three votes each
        assert judged(server, tmp_path, predictions) == first
        assert len(server.chats) == 6


def test_questions_are_in_flight_together(tmp_path: Path) -> None:
    slow = completion("CORRECT")
    with OpenAIStub(strict) as server:
        server.rule = lambda body: replace(slow, delay=0.2)
        judged(server, tmp_path, [prediction()], workers=3)
        assert server.busiest == 3


def test_locality_asks_whether_both_answers_say_the_same(tmp_path: Path) -> None:
    made = prediction(expectation="unchanged", pre=Output("Paris"), post=Output("It is Paris"))
    with OpenAIStub(lambda _: "CORRECT") as server:
        (score,) = judged(server, tmp_path, [made])
        text = server.chats[0].body["messages"][-1]["content"]
    assert score.value == 1.0
    assert "Answer A: Paris\nAnswer B: It is Paris" in text


def test_a_busy_endpoint_is_asked_again(tmp_path: Path) -> None:
    with OpenAIStub(strict) as server:
        server.script(rate_limited("0.01"), rate_limited("0.01"))
        (score,) = judged(server, tmp_path, [prediction()])
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (error(400, "secret details"), "the judge could not be asked: BadRequestError"),
        (refusal(), "the judge's reply is no verdict"),
        (garbage(), "the judge's reply has no text"),
    ],
)
def test_no_verdict_is_no_score_and_is_not_kept(reply: Any, reason: str, tmp_path: Path) -> None:
    with OpenAIStub(strict) as server:
        server.rule = lambda body: reply
        (score,) = judged(server, tmp_path, [prediction()], retries=0)
        assert (score.value, score.reason) == (None, reason)
        server.rule = lambda body: None
        (score,) = judged(server, tmp_path, [prediction()], retries=0)
        assert score.value == 1.0


def test_what_cannot_be_judged_is_not_asked(tmp_path: Path) -> None:
    made = [prediction(answers=()), prediction(record="b", failure="the edit failed", post=None)]
    with OpenAIStub(strict) as server:
        scores = judged(server, tmp_path, made)
        assert not server.chats
    assert [score.reason for score in scores] == [
        "there is no answer to compare with",
        "the edit failed",
    ]


def test_the_key_comes_from_the_environment_and_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIStub(strict) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        judged(server, tmp_path, [prediction()])
        assert server.chats[0].headers["authorization"] == "Bearer sk-very-secret"
        for file in tmp_path.iterdir():
            assert b"very-secret" not in file.read_bytes()
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(InputError, match="environment variable OPENAI_API_KEY"):
            judged(server, tmp_path, [prediction(prompt="another")])
