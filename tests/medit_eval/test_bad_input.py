"""What cannot be edited or asked gets a clear word, and spoils nothing else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval import Report, rescore, score
from medit_eval.parts import Parts
from medit_eval.predictions import PREDICTIONS
from medit_eval.running import EditorError
from medit_eval.runs import read_manifest
from schemas.errors import InputError
from schemas.records import EditRecord
from tests.factories import make_record
from tests.medit_eval.support import Oracle, person
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    return [person(number) for number in range(4)]


def run(editor: Any, lm: LM, records: Any, tmp_path: Path, **options: Any) -> Report:
    return score(
        editor, lm, records, **{"cache": tmp_path / "cache", "max_new_tokens": 4, **options}
    )


def failures(report: Report) -> dict[str, str]:
    return {row.record: row.failure for row in report.raw if row.failure is not None}


def test_a_text_model_is_not_shown_pictures(lm: LM, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row record-1: 1 of 2 records hold pictures, which the"):
        run("none", lm, [person(0), make_record(1)], tmp_path)


@pytest.mark.parametrize("protocol", ["single", "batch", "sequential"])
@pytest.mark.parametrize("names_culprit", [True, False])
def test_a_subject_that_is_not_in_its_prompt(
    protocol: str, names_culprit: bool, lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    bad = person(9, subject="Nobody")
    editor = Oracle(fails_on="q9", names_culprit=names_culprit)
    report = run(editor, lm, [*records[:2], bad], tmp_path, protocol=protocol)
    assert set(failures(report)) == {"r9"}
    assert failures(report)["r9"].startswith("the edit failed: ")
    if not names_culprit and protocol != "single":
        assert "the subject 'Nobody' is not in the prompt" in failures(report)["r9"]
    row = report.summary.query("kind == 'edit' and metric == 'generated'").iloc[-1]
    assert (row["n"], row["unscorable"], row["mean"]) == (2, 1, 1.0)


@pytest.mark.parametrize("protocol", ["single", "batch"])
def test_an_empty_target(protocol: str, lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    empty = person(9, target_new=" ")
    report = run(Oracle(), lm, [records[0], empty], tmp_path, protocol=protocol)
    assert set(failures(report)) == {"r9"}
    assert "the new answer is empty" in failures(report)["r9"]
    assert report.value("reliability", "generated") == 1.0
    assert set(report.unscorable["reason"]) >= set(failures(report).values())


def test_a_batch_whose_fault_nobody_can_tell_fails_as_a_whole(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    editor = Oracle(fails_on="q1", names_culprit=False)
    report = run(editor, lm, records, tmp_path, protocol="batch", batch_size=2)
    assert set(failures(report)) == {"r0", "r1"}
    assert report.value("reliability", "generated") == 1.0


def test_a_record_longer_than_the_context(records: list[EditRecord], tmp_path: Path) -> None:
    short = tiny("gpt2", positions=48)
    long = person(9, prompt="word " * 60 + "Ann 9 was born in")
    report = run("none", short, [records[0], long], tmp_path, protocol="batch")
    (row,) = (r for r in report.raw if r.failure is not None)
    assert (row.record, row.kind) == ("r9", "edit")
    assert "exceed the model's 48" in (row.failure or "")
    line = report.summary.query("kind == 'edit' and metric == 'teacher_forced'").iloc[0]
    assert (line["n"], line["unscorable"]) == (1, 1)
    assert math.isfinite(line["mean"])


def test_a_damaged_picture_fails_alone(tmp_path: Path) -> None:
    from dataclasses import replace

    from schemas.images import EncodedImage

    record = make_record(0)
    broken = replace(record.probes[3], images=(EncodedImage(b"not a picture", "x.png"),))
    record = replace(record, probes=(*record.probes[:3], broken))
    report = run("none", tiny("llava", positions=512), [record], tmp_path)
    assert [row.kind for row in report.raw if row.failure] == ["negative"]


def test_a_bug_of_an_editor_ends_the_run_and_finished_probes_are_kept(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    before, out = lm.digest(), tmp_path / "run"
    said = "failed at edit 1 of 1 .record r2.: ZeroDivisionError: a bug of the editor's"
    with pytest.raises(EditorError, match=said) as raised:
        run(Oracle(crashes_on="q2"), lm, records, tmp_path, out=out)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert lm.digest() == before
    kept = rescore(out)
    assert {row.record for row in kept.raw} == {"r0", "r1"}
    assert kept.value("reliability", "generated") == 1.0
    assert "not complete" in kept.notes[-1]


def test_a_run_that_broke_off_goes_on_where_it_stopped(
    lm: LM,
    records: list[EditRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.medit_eval.support import Remembering

    for protocol in ("single", "batch", "sequential"):
        out, whole = tmp_path / protocol, tmp_path / f"{protocol}-whole"
        options: Any = {"protocol": protocol, "batch_size": 1}
        edited: list[str] = []
        real = Remembering._edit

        def breaks(self: Any, requests: Any, edited: Any = edited, real: Any = real) -> None:
            edited.extend(request.id for request in requests)
            if len(edited) == 3:
                raise KeyboardInterrupt
            real(self, requests)

        monkeypatch.setattr(Remembering, "_edit", breaks)
        with pytest.raises(KeyboardInterrupt):
            run(Oracle(), lm, records, tmp_path, out=out, **options)
        monkeypatch.setattr(Remembering, "_edit", real)
        report = run(Oracle(), lm, records, tmp_path, out=out, **options)
        expected = run(Oracle(), lm, records, tmp_path, out=whole, **options)
        assert report.to_csv() == expected.to_csv()
        assert {row.key: row for row in report.raw} == {row.key: row for row in expected.raw}
        assert read_manifest(out).complete


def test_a_finished_run_is_not_done_again(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(Oracle(), lm, records, tmp_path, out=tmp_path / "run")
    monkeypatch.setattr(LM, "generate", None)
    again = run(Oracle(), lm, records, tmp_path, out=tmp_path / "run", metrics=["exact"])
    assert set(again.summary["metric"]) == {"exact"}
    assert again.raw == first.raw


def test_a_folder_of_another_run_is_refused(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    run(Oracle(), lm, records, tmp_path, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"other arguments: seed is 0 there and 1 here"):
        run(Oracle(), lm, records, tmp_path, out=tmp_path / "run", seed=1)
    with pytest.raises(InputError, match="other arguments: record"):
        run(Oracle(), lm, records[:2], tmp_path, out=tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not empty and holds no run"):
        run(Oracle(), lm, records, tmp_path, out=tmp_path / "mine")


def test_a_corrupt_run_folder_says_which_file_is_wrong(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run(Oracle(), lm, records, tmp_path, out=out)
    part, manifest = out / "predictions" / "part-00000.parquet", out / "manifest.json"
    rows, text = list(Parts(part.parent, PREDICTIONS).rows()), manifest.read_text()
    whole = part.read_bytes()

    def refused(reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            rescore(out)

    part.write_bytes(whole[:-9])
    refused(r"part-00000\.parquet: is not what the run wrote")
    part.unlink()
    refused(r"part-00000\.parquet: is not there, though the manifest lists it")
    unlisted = json.dumps({**json.loads(text), "parts": {}})
    manifest.write_text(unlisted)
    refused("holds 0 predictions; the manifest counts 16")
    part.write_bytes(whole[:-9])
    refused("is not a whole Parquet file")
    part.write_bytes((out / "scores.parquet").read_bytes())
    refused("is scores of version 1, not predictions of version 1")
    part.write_bytes(whole)
    Parts(part.parent, PREDICTIONS).append(rows[:1])
    refused("row r0, probe edit: holds two predictions of one question")
    for broken, reason in (
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"run_version": 99}', "is of a run of version 99, not 1"),
        (json.dumps({**json.loads(text), "complete": "yes"}), "field 'complete': is a str"),
    ):
        manifest.write_text(broken)
        refused(reason)
    manifest.unlink()
    refused("has no manifest.json, so no run is here")


def test_two_processes_do_not_write_into_one_folder(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    from medit_eval.runs import RunFolder

    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(InputError, match="another run is writing here"),
    ):
        run("none", lm, records, tmp_path, out=tmp_path / "run")


def test_other_metrics_can_be_asked_of_a_run_afterwards(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first = run(Oracle(), lm, records, tmp_path, out=out, metrics=["exact"])
    assert rescore(out).to_csv() == first.to_csv()
    report = rescore(out, metrics=["generated", "leak"])
    assert report.value("reliability", "generated") == 1.0
    assert (out / "summary.csv").read_text() == report.to_csv()
