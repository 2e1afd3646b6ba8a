"""Single edits that are made and asked side by side give what they give one after another."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from editors.base import EditedModel
from editors.lm import LM
from medit_eval import Report, score
from medit_eval.predictions import Output, Prediction
from medit_eval.running import EditorError
from schemas.errors import InputError
from schemas.records import EditRecord
from tests.editors.facts import corpus, exact
from tests.medit_eval.support import Oracle, person

EDITORS: Mapping[str, dict[str, Any]] = {
    "none": {},
    "memit": {"layers": (0, 1), "steps": 4, "contexts": 1},
    "alphaedit": {
        "layers": (0, 1),
        "steps": 4,
        "contexts": 1,
        "threshold_rule": "energy",
        "threshold": 0.5,
    },
    "come": {"layers": (0, 1), "steps": 4, "contexts": 1},
    "rome": {"layers": (1,), "steps": 4, "contexts": 1},
    "balancedit": {"steps": 4},
    "grace": {"steps": 4},
    "scr": {},
    "ike": {"k": 0},
}
LOCATED = ("memit", "alphaedit", "come", "rome")


@pytest.fixture(scope="module")
def lm() -> LM:
    return exact("gpt2")


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    """Five that can be edited, and one whose prompt does not hold its subject."""
    strange = person(9, subject="Bob")
    return [person(0), person(1), strange, person(2), person(3), person(4)]


def run(name: str, lm: LM, records: Any, folder: Path, **options: Any) -> Report:
    given: dict[str, Any] = dict(EDITORS[name])
    if name in LOCATED:
        given |= {"corpus": corpus(folder), "cache": folder / "moments"}
    return score(
        name, lm, records, protocol="single", editor_options=given, cache=folder / "cache",
        max_new_tokens=4, **options,
    )  # fmt: skip


def rounded(prediction: Prediction) -> Prediction:
    """A prediction without the last digits."""

    def cut(output: Output | None) -> Output | None:
        if output is None:
            return None
        near = {
            name: tuple(round(value, 4) for value in getattr(output, name))
            for name in ("logprobs", "rival_logprobs")
        }
        return dataclasses.replace(output, **near)

    routing = prediction.routing
    if routing is not None:
        near = {
            name: None if value is None else round(value, 4)
            for name in ("score", "threshold")
            for value in [getattr(routing, name)]
        }
        routing = dataclasses.replace(routing, **near)
    return dataclasses.replace(
        prediction, pre=cut(prediction.pre), post=cut(prediction.post), routing=routing
    )


@pytest.mark.filterwarnings("ignore:no hyperparameters")
@pytest.mark.parametrize("name", EDITORS)
def test_side_by_side_is_one_after_another(
    name: str, lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    literal = run(name, lm, records, tmp_path, one_by_one=True)
    report = run(name, lm, records, tmp_path)
    assert [rounded(p) for p in report.raw] == [rounded(p) for p in literal.raw]
    assert list(report.summary["mean"]) == pytest.approx(
        list(literal.summary["mean"]), abs=1e-4, nan_ok=True
    )
    told = {fact.key: fact.value for fact in literal.told if fact.edits}
    assert {fact.key: fact.value for fact in report.told} == pytest.approx(told, abs=1e-4)
    failed = {p.record: p.failure for p in report.raw if p.failure}
    assert set(failed) == ({"r9"} if name in LOCATED else set())


@pytest.mark.filterwarnings("ignore:no hyperparameters")
def test_a_run_that_broke_off_goes_on(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("memit", lm, records, tmp_path, out=tmp_path / "whole")
    monkeypatch.setattr("medit_eval.running._ABREAST", 2)
    monkeypatch.setattr("medit_eval.running._CHUNK", 3)
    asked: list[int] = []
    ask = EditedModel.reply

    def dying(self: EditedModel, queries: Any, *args: Any, **options: Any) -> Any:
        asked.append(len(queries))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return ask(self, queries, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(EditedModel, "reply", dying)
        with pytest.raises(KeyboardInterrupt):
            run("memit", lm, records, tmp_path, out=tmp_path / "broken")
    report = run("memit", lm, records, tmp_path, out=tmp_path / "broken")
    key = [(p.record, p.probe) for p in report.raw]
    assert sorted(key) == sorted((p.record, p.probe) for p in whole.raw)
    assert {p.key: rounded(p) for p in report.raw} == {p.key: rounded(p) for p in whole.raw}


def test_editors_without_branches_go_one_by_one(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = score(
        Oracle(), lm, records, protocol="single", cache=tmp_path / "cache", max_new_tokens=4
    )
    assert report.value("reliability", "generated") == 1.0


@pytest.mark.filterwarnings("ignore:no hyperparameters")
def test_what_fails_together_is_tried_alone_and_what_breaks_ends_the_run(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(_: EditedModel, groups: Any) -> Any:
        if len(groups) > 1:
            raise InputError("not together")
        return contextlib.nullcontext({})

    def breaking(*_: Any) -> Any:
        raise ZeroDivisionError("by zero")

    alone = run("none", lm, records, tmp_path, one_by_one=True)
    monkeypatch.setattr("editors.base._Unedited._branched", refusing)
    report = run("none", lm, records, tmp_path)
    assert [rounded(p) for p in report.raw] == [rounded(p) for p in alone.raw]
    monkeypatch.setattr("editors.base._Unedited._branched", breaking)
    with pytest.raises(EditorError, match=r"one of 6 single edits \(record r0, .*: by zero"):
        run("none", lm, records, tmp_path)
