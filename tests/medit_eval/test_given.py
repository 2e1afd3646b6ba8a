"""What another tool's model said is scored like a run's own, and bad files are refused."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medit_eval import Report, compare_runs, rescore, score, write_questions
from medit_eval.__main__ import app
from medit_eval.questions import alias
from medit_eval.runs import read_manifest
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.layout import sha256_of, write_parquet
from schemas.records import EditRecord, Probe
from tests.document_factories import make_document_record
from tests.factories import make_record
from tests.medit_eval.support import Oracle, person
from tests.tiny_models import tiny

Rows = list[dict[str, Any]]
PROTOCOLS: list[dict[str, Any]] = [
    {"protocol": "single"},
    {"protocol": "batch", "batch_size": 2},
    {"protocol": "sequential", "batch_size": 2},
    {"protocol": "sequential", "batch_size": 1, "checkpoints": [1, 3]},
]


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    return [person(number) for number in range(3)]


def write(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(records: list[EditRecord], tmp_path: Path, **options: Any) -> Rows:
    """The questions of records, answered: before with nothing, after with the new answer."""
    write_questions(records, tmp_path / "questions.jsonl", **options)
    lines = (tmp_path / "questions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row |= {"pre_edit": "nothing", "post_edit": row["requests"][0]["target_new"]}
    return rows


def given(path: Path, records: Any, **options: Any) -> Report:
    return score(predictions=path, records=records, **options)


@pytest.mark.parametrize("options", PROTOCOLS, ids=str)
def test_a_model_s_own_answers_score_the_same_from_a_file(
    options: dict[str, Any], records: list[EditRecord], tmp_path: Path
) -> None:
    records = [*records, person(7, prompt="Ann 0 was born in", subject="Ann 0")]  # contradicts r0
    settings = {"cache": tmp_path / "cache", "max_new_tokens": 4, "metrics": ["generated",
                "unchanged_generated", "leak", "pre_edit_right", "scr_contain"]}  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # of edits that contradict each other
        own = score(Oracle(), tiny("gpt2"), records, out=tmp_path / "own", **settings, **options)
        rows = [
            {"record": p.record, "probe": p.probe, "index": p.index, "phase": p.phase,
             "pre_edit": p.pre.generation if p.pre else None,
             "post_edit": p.post.generation if p.post else "it was not asked"}
            for p in own.raw
        ]  # fmt: skip
        path = write(tmp_path / "theirs.jsonl", rows)
        report = given(path, records, out=tmp_path / "run", metrics=settings["metrics"], **options)
    assert report.notes == own.notes
    assert report.to_csv() == own.to_csv()
    assert {(s.key, s.metric): s.reason for s in report.scores} == {
        (s.key, s.metric): s.reason for s in own.scores
    }
    assert rescore(tmp_path / "run").to_csv() == report.to_csv()
    compared = compare_runs([tmp_path / "own", tmp_path / "run"])
    assert {row.difference for row in compared.differences} == {0}
    assert any("of which model" in note for note in compared.notes)


def test_the_manifest_names_file_digest_and_tool(records: list[EditRecord], tmp_path: Path) -> None:
    path = write(tmp_path / "theirs.jsonl", rows_of(records, tmp_path))
    report = given(path, records, out=tmp_path / "run")
    arguments = read_manifest(tmp_path / "run").arguments
    assert arguments["predictions_file"] == str(path)
    assert arguments["predictions"] == sha256_of(path)
    assert report.editor == "theirs"
    assert given(path, records, editor="EasyEdit").editor == "EasyEdit"
    assert report.value("reliability", "generated") == 1
    again = given(path, records, out=tmp_path / "run")  # a finished run is not made again
    assert again.raw == report.raw
    write(path, [row | {"post_edit": "no"} for row in rows_of(records, tmp_path)])
    with pytest.raises(InputError, match="holds a run with other arguments: predictions is"):
        given(path, records, out=tmp_path / "run")


def test_metrics_that_read_likelihoods_are_left_out_or_unscorable(
    records: list[EditRecord], tmp_path: Path
) -> None:
    path = write(tmp_path / "theirs.jsonl", rows_of(records, tmp_path))
    report = given(path, records)
    assert "teacher_forced" not in set(report.summary["metric"])
    assert "teacher_forced, unchanged_top1, unchanged_topk, probability" in report.notes[0]
    named = given(path, records, metrics=["teacher_forced", "counterfact", "scr"])
    assert {s.value for s in named.scores if s.metric == "teacher_forced"} == {None}
    assert set(named.unscorable["reason"]) == {
        "predictions of another tool hold texts and no likelihoods"
    }
    assert named.value("reliability", "scr_contain") == 1


def test_what_may_be_left_out(records: list[EditRecord], tmp_path: Path) -> None:
    names = ("record", "probe", "post_edit")
    rows = [{name: row[name] for name in names} for row in rows_of(records, tmp_path)]
    rows[0] = {"record": "r0", "probe": "edit", "failure": "the tool ran out of memory"}
    report = given(write(tmp_path / "theirs.jsonl", rows), records)
    reasons = dict(zip(report.unscorable["metric"], report.unscorable["reason"], strict=True))
    assert reasons["unchanged_generated"] == "the unedited model was not asked"
    assert reasons["exact"] == "the tool ran out of memory"
    assert report.value("reliability", "generated") == 1
    late = [row | {"phase": "at_end"} for row in rows]
    path = write(tmp_path / "late.jsonl", late)
    report = given(path, records, protocol="sequential")  # one phase of a protocol will do
    assert {row.phase for row in report.rows} == {"at_end"}
    path = write(tmp_path / "last.jsonl", rows)
    assert given(path, records, protocol="sequential").raw[1].phase == "at_end"


def test_continuations(records: list[EditRecord], tmp_path: Path) -> None:
    prompts = Probe("gen", "generality", "generation", "target", ("Ann likes", "Ann is"), (), ())
    record = EditRecord("r0", records[0].requests, (*records[0].probes, prompts))
    rows = rows_of([record], tmp_path)
    assert [row["prompt"] for row in rows if row["continue"]] == ["Ann likes", "Ann is"]
    for row in rows:
        row["post_edit_continuation"] = None if row["continue"] else "and so on, and so on"
    path = write(tmp_path / "theirs.jsonl", rows)
    report = given(path, [record], metrics=["counterfact_fluency", "fluency"])
    values = {(s.probe, s.index): s.value for s in report.scores}
    assert values["gen", 0] == pytest.approx(values["gen", 1])
    assert (values["edit", 0] or 0) > 0
    rest = write(tmp_path / "rest.jsonl", [row for row in rows if not row["continue"]])
    assert len(given(rest, [record]).raw) == 4  # prompts to continue need not be there
    with pytest.raises(InputError, match="no prediction for 2 of 6 questions"):
        given(rest, [record], metrics=["counterfact_fluency"])
    with pytest.raises(InputError, match="no prediction for 1 of 6 questions"):
        given(write(tmp_path / "one.jsonl", rows[:-1]), [record])


def test_documents_and_pictures(tmp_path: Path) -> None:
    document = make_document_record()
    report = given(write(tmp_path / "d.jsonl", rows_of([document], tmp_path)), [document])
    assert report.about_documents
    record = make_record(0)
    rows = rows_of([record], tmp_path, pictures=tmp_path / "pictures")
    shown = next(row for row in rows if row["image"])
    assert sha256_of(tmp_path / "pictures" / shown["image_file"]) == shown["image"]
    assert shown["image_file"].startswith(shown["image"])
    path = write(tmp_path / "p.jsonl", rows)
    assert given(path, [record], out=tmp_path / "run").value("reliability", "generated") == 1
    assert (tmp_path / "run" / "images.parquet").is_file()


Change = Callable[[Rows], Rows]


def first(**fields: Any) -> Change:
    return lambda rows: [rows[0] | fields, *rows[1:]]


BAD: list[tuple[Change, str]] = [
    (first(record="r9"), "row 0, field 'record': is 'r9', and no record has this id"),
    (first(record=None), "row 0, field 'record': is missing"),
    (first(record=3), "row 0, field 'record': is a int, not a text"),
    (first(probe="hop"), "row 0, field 'probe': is 'hop', which record r0 does not have"),
    (first(index=1), "row 0, field 'index': is 1; the probe's questions are 0 alone"),
    (first(index=-1), "row 0, field 'index': is -1; the probe's"),
    (first(index="0"), "row 0, field 'index': is a str, not a whole number"),
    (first(index=True), "row 0, field 'index': is a bool, not a whole number"),
    (first(phase="at_end"), "row 0, field 'phase': is 'at_end'; the protocol has after"),
    (first(prompt="Else?"), "row 0, field 'prompt': is not the prompt of this question"),
    (first(post_edit=None), "row 0, field 'post_edit': is missing: the edited model's answer"),
    (first(post_edit=["Rome"]), "row 0, field 'post_edit': is a list, not a text"),
    (first(pre_edit=3.5), "row 0, field 'pre_edit': is a float, not a text"),
    (first(pre_edit="a\ud800"), "row 0, field 'pre_edit': holds half a surrogate pair"),
    (first(post_edit="\udfffb"), "row 0, field 'post_edit': holds half a surrogate pair"),
    (first(failure="b\ud800"), "row 0, field 'failure': holds half a surrogate pair"),
    (first(post_edit_continuation="\ud800"), "field 'post_edit_continuation': holds half"),
    (first(pre_edit=None, pre_edit_continuation="and so on"),
     "row 0, field 'pre_edit': is missing, and pre_edit_continuation is there"),
    (first(failure=" "), "row 0, field 'failure': is empty; it says why there is no answer"),
    (lambda rows: [*rows, rows[1]], "row 12: answers the question of row 1 again"),
    (lambda rows: rows[:-2], "has no prediction for 2 of 12 questions; the first is record r2, "
                             f"probe text ({alias('r2', 'text')} among the questions), index 0, "
                             "phase after"),
    (lambda rows: [], "holds no rows"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_file_is_refused_in_one_sentence(
    change: Change, reason: str, records: list[EditRecord], tmp_path: Path
) -> None:
    path = write(tmp_path / "theirs.jsonl", change(rows_of(records, tmp_path)))
    with pytest.raises(InputError) as raised:
        given(path, records, out=tmp_path / "run")
    assert str(raised.value).startswith(str(path))
    assert reason in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_lines_that_are_no_objects(records: list[EditRecord], tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    for text, reason in (("{", r"row 0 \(line 1\): is not JSON"), ("[1]", "is a list, not an obj")):
        path.write_text(text + "\n")
        with pytest.raises(InputError, match=reason):
            given(path, records)
    with pytest.raises(InputError, match="cannot be read"):
        given(tmp_path / "none.jsonl", records)


def test_a_probe_of_several_questions_wants_an_index(tmp_path: Path) -> None:
    base = person(0)
    several = Probe("rephrase", "generality", "rephrase", "target", ("a?", "b?"), (), ("Rome 0",))
    record = EditRecord(base.id, base.requests, (several,))
    rows = rows_of([record], tmp_path)
    path = write(tmp_path / "theirs.jsonl", rows)
    assert given(path, [record]).value("generality", "generated") == 1
    del rows[0]["index"]
    with pytest.raises(InputError, match="'index': is missing; the probe has 2 questions"):
        given(write(path, rows), [record])
    rows[0]["index"] = 2
    with pytest.raises(InputError, match="'index': is 2; the probe's questions are 0 to 1"):
        given(write(path, rows), [record])


def test_a_question_of_an_edit_that_is_not_made_yet(
    records: list[EditRecord], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"protocol": "sequential", "checkpoints": [1, 3]}
    rows = rows_of(records, tmp_path, **options)
    latest = rows[-1]["record"]
    rows.append({"record": latest, "probe": "edit", "phase": "edits-1", "post_edit": "Rome"})
    with pytest.raises(InputError, match="'phase': is 'edits-1', in which this is not asked"):
        given(write(tmp_path / "theirs.jsonl", rows), records, **options)


def test_arguments_that_do_not_go_together(records: list[EditRecord], tmp_path: Path) -> None:
    path = write(tmp_path / "theirs.jsonl", rows_of(records, tmp_path))
    with pytest.raises(InputError, match="go without a model: leave out model, tuned"):
        score("memit", "testbed/lm", records, predictions=path, tuned="t.json")
    with pytest.raises(InputError, match="leave out an editor that is not the name of a tool"):
        score(Oracle(), records=records, predictions=path)
    with pytest.raises(InputError, match="predictions need the records"):
        score(predictions=path)
    with pytest.raises(InputError, match="name an editor, a model and records, or predictions"):
        score("memit", records=records)


def test_the_questions_hold_no_answers(tmp_path: Path) -> None:
    record = person(0)
    write_questions([record], tmp_path / "q.jsonl")
    text = (tmp_path / "q.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    named = [row.pop("probe") for row in rows]
    assert len(set(named)) == len(rows) == 4
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in named)
    write_questions([person(1)], tmp_path / "other.jsonl")
    others = [json.loads(line) for line in (tmp_path / "other.jsonl").read_text().splitlines()]
    assert not {row["probe"] for row in others} & set(named)  # nor is it the kind's everywhere
    assert rows[0]["requests"] == [
        {"prompt": "Ann 0 was born in", "subject": "Ann 0", "target_new": "Rome 0", "image": None}
    ]
    fields = {"record", "index", "phase", "prompt", "image", "continue", "requests"}
    assert all(row.keys() == fields for row in rows)
    assert not any(answer in text for answer in ("Oslo", "France", "Italy", "Norway", "unchanged"))
    assert not any(kind in text for kind in ('edit"', "rephrase", '"text', "one_hop", "local"))


def test_probes_go_by_their_own_ids_too(records: list[EditRecord], tmp_path: Path) -> None:
    rows = rows_of(records, tmp_path)
    own = [probe.id for record in records for probe in record.probes]
    path = write(tmp_path / "theirs.jsonl", rows)
    report = given(path, records)
    named = [row | {"probe": name} for row, name in zip(rows, own, strict=True)]
    assert given(write(path, named), records).raw == report.raw
    assert [prediction.probe for prediction in report.raw] == own
    with pytest.raises(InputError, match="row 4: answers the question of row 0 again"):
        given(write(path, [*rows[:4], named[0]]), records)
    with pytest.raises(InputError, match="which record r1 does not have"):
        given(write(path, [rows[0] | {"record": "r1"}]), records)


def test_questions_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "q.jsonl"):
        with pytest.raises(InputError, match="cannot be written: ") as caught:
            write_questions([person(0)], out)
        assert caught.value.file == out
    with pytest.raises(InputError, match=r"picture \w+ cannot be written"):
        write_questions([make_record(0)], tmp_path / "q.jsonl", pictures=tmp_path / "file")
    assert not (tmp_path / "q.jsonl").exists()


def test_the_command_line(records: list[EditRecord], tmp_path: Path) -> None:
    write_parquet(tmp_path / "r.parquet", OKEDIT.table(records))
    asked = ("--records", str(tmp_path / "r.parquet"), "--limit", "2")
    questions, answers = tmp_path / "q.jsonl", tmp_path / "theirs.jsonl"
    result = CliRunner().invoke(app, ["questions", *asked, "--out", str(questions)])
    assert result.exit_code == 0, result.output
    assert "8 questions are in" in result.output
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    write(answers, [row | {"pre_edit": "x", "post_edit": "Rome 0"} for row in rows])
    words = ["score", "--predictions", str(answers), *asked, "--out", str(tmp_path / "run")]
    # In a process of its own: scoring texts waits for no model's library.
    code = (
        "import sys, runpy; sys.argv = ['medit_eval', *sys.argv[1:]]\n"
        "try: runpy.run_module('medit_eval', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('LOADED', [m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "LOADED []" in done.stdout, done.stderr
    assert "0.500" in done.stdout
    assert f"The run is in {tmp_path / 'run'}" in done.stdout
    for more, reason in (
        (["--model", "testbed/lm"], "leave out model"),
        (["--prompt-format", "qa"], "leave out prompt_format"),
        (["--editor", "a", "--editor", "b"], "one tool's, on one order"),
    ):
        result = CliRunner().invoke(app, [*words, *more])
        assert isinstance(result.exception, InputError)
        assert reason in str(result.exception)
    result = CliRunner().invoke(app, ["score", "--predictions", str(answers)])
    assert "need the records" in str(result.exception)
    assert "name an editor" in str(CliRunner().invoke(app, ["score"]).exception)


def test_reports_show_such_runs(records: list[EditRecord], tmp_path: Path) -> None:
    from medit_eval import report_pages

    path = write(tmp_path / "theirs.jsonl", rows_of(records, tmp_path))
    given(path, records, out=tmp_path / "run", editor="EasyEdit", metrics=["generated", "scr"])
    page = report_pages([tmp_path / "run"], tmp_path / "report").read_text()
    assert "EasyEdit" in page
    assert "scr_contain" in page
