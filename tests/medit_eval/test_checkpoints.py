"""Sequences with checkpoints: what is asked when, what stays, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editors.lm import LM
from medit_eval import Report, rescore, score
from medit_eval.gaps import Gaps, gap_name
from medit_eval.protocols import draw, reachable
from medit_eval.running import EditorError
from medit_eval.runs import read_manifest
from schemas.errors import InputError
from schemas.records import EditRecord
from tests.medit_eval.support import (
    Forgetful,
    Forgetting,
    Oracle,
    Remembering,
    person,
    prediction,
)
from tests.tiny_models import tiny

COUNT = 12


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    return [person(number) for number in range(COUNT)]


def run(editor: Any, lm: LM, records: Any, tmp_path: Path, **options: Any) -> Report:
    return score(
        editor,
        lm,
        records,
        **{
            "protocol": "sequential",
            "checkpoints": (1, 4, 12),
            "cache": tmp_path / "cache",
            "max_new_tokens": 4,
            "metrics": ["generated", "unchanged_generated"],
            **options,
        },
    )


def test_each_checkpoint_asks_all_edits_so_far_and_what_none_should_change(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Oracle(), lm, records, tmp_path)
    order = [record.id for record in draw(records, COUNT, 0, 0)]
    for edits in (1, 4, 12):
        asked = [p for p in report.raw if p.phase == f"edits-{edits}"]
        assert {p.record for p in asked if p.axis == "reliability"} == set(order[:edits])
        assert {p.record for p in asked if p.axis == "locality"} == set(order)
        assert report.value("reliability", "generated", phase=f"edits-{edits}") == 1.0
    assert len(report.raw) == (1 + 4 + 12) * 3 + 3 * COUNT


def test_forgotten_edits_show_in_retention_and_at_great_gaps(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Forgetful(), lm, records, tmp_path, checkpoints=(8, 11, 12))
    found = {
        (row.phase, row.subset): (row.mean, row.n)
        for row in report.rows
        if (row.axis, row.kind, row.metric) == ("reliability", "all", "generated")
    }
    assert found["edits-12", "all"] == (3 / 12, 12)
    assert found["edits-12", "just_made"] == (1.0, 1)
    assert found["edits-12", "earlier"] == (2 / 11, 11)
    assert found["edits-12", "gap 0-9"] == (3 / 10, 10)
    assert found["edits-12", "gap 10-49"] == (0.0, 2)
    assert found["edits-8", "just_made"] == (3 / 8, 8)
    assert ("edits-8", "earlier") not in found


def test_gaps_are_counted_from_the_edit_itself() -> None:
    gaps = Gaps(("a", "b", "c"), (1, 3))
    of = replace(prediction(), phase="edits-3")
    assert gaps.subsets(replace(of, record="c")) == ["just_made", "gap 0-9"]
    assert gaps.subsets(replace(of, record="a")) == ["earlier", "gap 0-9"]
    assert gaps.subsets(replace(of, record="a", expectation="unchanged")) == []
    assert gaps.subsets(replace(of, phase="after")) == []
    assert [gap_name(n) for n in (9, 10, 499, 500, 9000)] == [
        "gap 0-9", "gap 10-49", "gap 100-499", "gap 500+", "gap 500+",
    ]  # fmt: skip


def test_an_edit_that_a_later_one_takes_back_leaves_the_retention_set(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    request = records[0].requests[0]
    later = replace(person(50), requests=(replace(request, id="q50", target_new="Lima"),), id="r50")
    later = replace(
        later, probes=tuple(replace(p, answers=("Lima",)) for p in records[0].probes[:1])
    )
    order = [record.id for record in draw([records[0], later], 2, 0, 0)]
    with pytest.warns(UserWarning, match="want different answers"):
        report = run(Oracle(), lm, [records[0], later], tmp_path, checkpoints=(1, 2))
    last = {
        p.record: p.failure for p in report.raw
        if p.phase == "edits-2" and p.axis == "reliability"
    }  # fmt: skip
    assert last == {
        order[0]: f"superseded by the later edit of record {order[1]}",
        order[1]: None,
    }
    assert report.value("reliability", "generated", phase="edits-2") == 1.0
    assert report.value("reliability", "generated", phase="edits-1") == 1.0


def test_a_killed_run_goes_on_at_its_last_checkpoint_with_the_same_numbers(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(Forgetful(), lm, records, tmp_path, out=tmp_path / "whole")
    real, edited = Forgetting._edit, []

    def breaks(self: Any, requests: Any) -> None:
        if len(edited) == 9:
            raise KeyboardInterrupt
        edited.extend(request.id for request in requests)
        real(self, requests)

    monkeypatch.setattr(Forgetting, "_edit", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(Forgetful(), lm, records, tmp_path, out=tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["edits-4"]
    edited.clear()
    monkeypatch.setattr(
        Forgetting, "_edit", lambda self, r: (edited.append(r[0].id), real(self, r))
    )
    report = run(Forgetful(), lm, records, tmp_path, out=tmp_path / "run")
    order = read_manifest(tmp_path / "run").arguments["sequence"]
    assert edited == [f"q{record.removeprefix('r')}" for record in order[4:]]
    assert report.to_csv() == expected.to_csv()
    assert {row.key: row for row in report.raw} == {row.key: row for row in expected.raw}
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_edits_that_failed_before_a_kill_stay_failed(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [record.id for record in draw(records, COUNT, 0, 0)]
    refused = f"q{order[2].removeprefix('r')}"
    expected = run(Oracle(fails_on=refused), lm, records, tmp_path, out=tmp_path / "whole")
    real, calls = Remembering._edit, []

    def breaks(self: Any, requests: Any) -> None:
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        real(self, requests)

    monkeypatch.setattr(Remembering, "_edit", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(fails_on=refused), lm, records, tmp_path, out=tmp_path / "run")
    monkeypatch.setattr(Remembering, "_edit", real)
    report = run(Oracle(fails_on=refused), lm, records, tmp_path, out=tmp_path / "run")
    assert report.to_csv() == expected.to_csv()
    failed = {p.record for p in report.raw if p.failure and p.axis == "reliability"}
    assert failed == {order[2]}


@pytest.fixture
def broken_off(lm: LM, records: list[EditRecord], tmp_path: Path) -> Path:
    """A run that broke off after its checkpoint at four edits."""
    order = [record.id for record in draw(records, COUNT, 0, 0)]
    with pytest.raises(EditorError, match="failed at edit 8 of 12") as raised:
        run(
            Oracle(crashes_on=f"q{order[7].removeprefix('r')}"),
            lm, records, tmp_path, out=tmp_path / "run",
        )  # fmt: skip
    assert order[7] in str(raised.value)
    return tmp_path / "run"


def test_an_editor_that_breaks_leaves_what_was_asked(broken_off: Path) -> None:
    kept = rescore(broken_off)
    assert {row.phase for row in kept.raw} == {"edits-1", "edits-4"}
    assert "not complete" in kept.notes[-1]
    assert not read_manifest(broken_off).complete


def test_a_checkpoint_of_another_model_is_refused(
    broken_off: Path, lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    path = broken_off / "checkpoints" / "edits-4" / "edit.json"
    fields = json.loads(path.read_text())
    fields["model"]["digest"] = "f" * 32
    path.write_text(json.dumps(fields))
    editor = Oracle(crashes_on=read_manifest(broken_off).arguments["editor"]["crashes_on"])
    with pytest.raises(InputError, match="belongs to a model with the digest f") as error:
        run(editor, lm, records, tmp_path, out=broken_off)
    assert error.value.file == path


def test_an_altered_checkpoint_is_refused_with_its_digest(
    broken_off: Path, lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    path = broken_off / "checkpoints" / "edits-4" / "edit.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    editor = Oracle(crashes_on=read_manifest(broken_off).arguments["editor"]["crashes_on"])
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}; edit.json says"):
        run(editor, lm, records, tmp_path, out=broken_off)


def test_an_editor_whose_memory_cannot_be_kept_is_scored_all_the_same(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    class Odd(Oracle):
        def apply(self, lm: LM) -> Any:
            return _Odd(lm, self)

    class _Odd(Remembering):
        def _edit(self, requests: Sequence[Any]) -> None:
            super()._edit(requests)
            self.state = {**self.state, ("odd", None): ("set", {1})}  # type: ignore[dict-item]

    report = run(Odd(), lm, records, tmp_path, out=tmp_path / "run")
    assert report.value("reliability", "generated") == 1.0
    assert "not kept on the way: an editor's memory holds a set" in report.notes[0]


def test_weights_are_kept_and_read_back(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Writing(Oracle):
        def apply(self, lm: LM) -> Any:
            return _Writing(lm, self)

    class _Writing(Remembering):
        def _edit(self, requests: Sequence[Any]) -> None:
            name = "transformer.h.1.mlp.c_proj.weight"
            weight = self.lm.model.get_parameter(name)
            self.write(name, torch.randn_like(weight, dtype=torch.float32))
            if stops and requests[0].id == stops[0]:
                raise KeyboardInterrupt

    stops: list[str] = []
    expected = run(Writing(), lm, records, tmp_path, metrics=["generated", "teacher_forced"])
    stops.append(f"q{draw(records, COUNT, 0, 0)[9].id.removeprefix('r')}")
    before = lm.digest()
    with pytest.raises(KeyboardInterrupt):
        run(
            Writing(), lm, records, tmp_path,
            metrics=["generated", "teacher_forced"], out=tmp_path / "run",
        )  # fmt: skip
    assert lm.digest() == before
    stops.clear()
    report = run(
        Writing(), lm, records, tmp_path,
        metrics=["generated", "teacher_forced"], out=tmp_path / "run",
    )  # fmt: skip
    assert {row.key: row for row in report.raw} == {row.key: row for row in expected.raw}


def test_orders_differ_in_what_is_edited_and_when(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    sequences = {}
    for order in (0, 1):
        out = tmp_path / str(order)
        run(Oracle(), lm, records, tmp_path, checkpoints=(4,), order=order, out=out)
        sequences[order] = read_manifest(out).arguments["sequence"]
    assert sequences[0] != sequences[1]
    assert draw(records, 4, 0, 1) == draw(records, COUNT, 0, 1)[:4]
    with pytest.raises(InputError, match="other arguments"):
        run(Oracle(), lm, records, tmp_path, checkpoints=(4,), order=1, out=tmp_path / "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"checkpoints": (1, 10), "batch_size": 2}, "2 does not divide the 1 edits from 0"),
        ({"checkpoints": (5, 12), "batch_size": 5}, "5 does not divide the 7 edits from 5 to"),
        ({"checkpoints": (0, 10)}, "each is at least 1"),
        ({"checkpoints": (20, 50)}, "the first checkpoint is 20 edits, and there are 12 records"),
        ({"protocol": "batch"}, "belong to the protocol 'sequential', not to 'batch'"),
    ],
)
def test_checkpoints_that_cannot_be_are_refused(
    lm: LM, records: list[EditRecord], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run(Oracle(), lm, records, tmp_path, **options)


def test_checkpoints_that_the_records_do_not_reach_are_left_out() -> None:
    assert reachable((100, 5, 1, 5), 1, 50) == (1, 5)
    assert reachable((10, 20, 1000), 10, 20) == (10, 20)
