from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.definition import Row
from builders.okedit.draft import Answer, Draft
from builders.okedit.options import Options
from builders.okedit.sources.mmedit import MmeditSource
from builders.okedit.words import normalise, same
from builders.steps import Problem, Reject
from schemas.validate import validate
from tests.builders.okedit.support import (
    build_in_process,
    make_mmedit,
    mmedit_row,
    records_of,
    rejects_of,
    without_provenance,
)

REAL = Path(__file__).resolve().parents[4] / "shared/data/vqa/mmedit_vqa_eval.json"


def options(path: Path, **changes: Any) -> Options:
    given: dict[str, Any] = {
        "source": "mmedit",
        "questions": path,
        "image_folder": path.parent / "images",
        "rephrasings": 3,
        "editor_rephrasings": 2,
    }
    return Options(**{**given, **changes})


def draft_of(tmp_path: Path, row: dict[str, Any], **changes: Any) -> Draft | Problem:
    path = make_mmedit(tmp_path, [row])
    source = MmeditSource(path, 0, None)
    (ingested,) = source.ingest(tmp_path)
    assert isinstance(ingested, Row), ingested
    return options(path, **changes).make_world(source.context(), tmp_path).draft(ingested)


def good_draft(tmp_path: Path, row: dict[str, Any], **changes: Any) -> Draft:
    made = draft_of(tmp_path, row, **changes)
    assert isinstance(made, Draft), made
    return made


def test_what_the_row_gives_is_kept(tmp_path: Path) -> None:
    row = mmedit_row(0)
    made = good_draft(tmp_path, row)
    assert (made.question, made.old.text, made.new and made.new.text) == (
        row["src"], row["pred"], row["alt"],
    )  # fmt: skip
    assert made.rephrasings == (row["rephrase"],)
    assert made.editor_rephrasings == (row["rephrased_questions_train"][0],)
    assert [s.answer for s in made.given_negatives] == ["unicorn"]
    assert made.image is not None
    assert made.image.path == row["image"]
    assert [p.image.path for p in made.rephrased_images] == [row["image_rephrase"]]
    assert made.unrelated is not None
    assert made.unrelated.question == row["m_loc_q"]
    assert made.unrelated.answer == Answer("bread")
    assert [(q.kind, q.prompt) for q in made.questions] == [("text", row["loc"])]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('"Which hue has the bus?"', ("Which hue has the bus?",)),
        ('Rewritten question: "Which hue?"', ("Which hue?",)),
        ("what COLOR is the bus", ()),
        ('"What color is the bus?" can be rewritten as "Which hue?"', ()),
        ('"Which one?"\n\n"Which hue?"', ()),
    ],
)
def test_what_a_model_said_around_a_rephrasing_goes(
    tmp_path: Path, said: str, kept: tuple[str, ...]
) -> None:
    assert good_draft(tmp_path, mmedit_row(0, rephrase=said)).rephrasings == kept


def test_the_editor_gets_none_of_the_probes_wordings(tmp_path: Path) -> None:
    row = mmedit_row(0)
    row["rephrased_questions_train"] = [row["rephrase"].upper(), row["src"], "New one?", "new one?"]
    assert good_draft(tmp_path, row).editor_rephrasings == ("New one?",)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [("'unicorn'", ["unicorn"]), ("Target 0.", []), ("the red", []), ("", [])],
)
def test_a_negative_has_an_answer_of_its_own(tmp_path: Path, answer: str, kept: list[str]) -> None:
    made = good_draft(tmp_path, mmedit_row(0, locality_answer_train=answer))
    assert [sample.answer for sample in made.given_negatives] == kept


def test_without_its_picture_a_row_becomes_text_only_where_that_is_allowed(tmp_path: Path) -> None:
    row = mmedit_row(0)
    path = make_mmedit(tmp_path, [row])
    (tmp_path / "images" / row["image"]).unlink()
    source = MmeditSource(path, 0, None)
    (ingested,) = source.ingest(tmp_path)
    assert isinstance(ingested, Row)
    strict = options(path).make_world(source.context(), tmp_path).draft(ingested)
    assert isinstance(strict, Problem)
    assert strict.rule == "missing_image"
    world = options(path, allow_missing_images=True).make_world(source.context(), tmp_path)
    made = world.draft(ingested)
    assert isinstance(made, Draft)
    assert made.image is None
    # Without a picture it would ask the edited question and give another answer.
    assert made.given_negatives == ()


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"src": None}, "src", "missing or empty"),
        ({"alt": ""}, "alt", "missing or empty"),
        ({"pred": ""}, "pred", "missing or empty"),
        ({"image": 3}, "image", "a number, not text"),
        ({"rephrase": ["a"]}, "rephrase", "a list, not text"),
        ({"rephrased_questions_train": "a"}, "rephrased_questions_train", "not a list of texts"),
    ],
)
def test_a_bad_row_is_rejected_with_its_field(
    tmp_path: Path, changes: dict[str, Any], column: str, reason: str
) -> None:
    rows = [mmedit_row(0), mmedit_row(1, **changes), mmedit_row(2)]
    ingested = list(MmeditSource(make_mmedit(tmp_path, rows), 0, None).ingest(tmp_path))
    (reject,) = [row for row in ingested if isinstance(row, Reject)]
    assert (reject.row, reject.rule, reject.column) == (1, "field", column)
    assert reason in reject.reason


def test_a_whole_build(tmp_path: Path) -> None:
    rows = [mmedit_row(i) for i in range(8)]
    rows.append(rows[0])
    rows[7] = {**rows[7], "pred": "the Target 7"}
    out = tmp_path / "out"
    build_in_process(options(make_mmedit(tmp_path, rows)), out)
    records, rejects = records_of(out), rejects_of(out)
    assert [(r["row"], r["rule"]) for r in rejects] == [(7, "target_unchanged"), (8, "duplicate")]
    assert len(records) == 7
    assert validate(out).ok
    for record, row in zip(records, rows, strict=False):
        assert without_provenance(record) == set()
        (rephrase,) = record.of_kind("rephrase")
        assert len(rephrase.prompts) == 3
        assert rephrase.prompts[0] == row["rephrase"]
        kinds = {probe.kind for probe in record.probes}
        assert {"negative", "image_rephrase", "image_augmented", "unrelated_image"} <= kinds
        asked = {normalise(p) for probe in record.probes for p in probe.prompts}
        taught = {normalise(sample.prompt) for sample in record.requests[0].positives}
        assert asked & taught == {normalise(row["src"])}


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the released file is not at hand")
def test_the_released_file_builds_as_text_only_records(tmp_path: Path) -> None:
    def run(*command: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    out = tmp_path / "out"
    built = run("builders.okedit", "build", "--source", "mmedit", "--questions", REAL,
                "--allow-missing-images", "--out", out)  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert run("schemas", "validate", out).returncode == 0
    records, rejects = records_of(out), rejects_of(out)
    rows = json.loads(REAL.read_text())
    assert len(records) + len(rejects) == len(rows) == 2_093
    assert {reject["rule"] for reject in rejects} <= {"target_unchanged", "answer_in_question"}
    for reject in rejects:
        row = rows[reject["row"]]
        if reject["rule"] == "target_unchanged":
            assert same(row["pred"], row["alt"])
        else:
            assert normalise(row["alt"]) in normalise(row["src"])
    assert len(rejects) < 80
    for record in records:
        (request,) = record.requests
        assert request.image is None
        assert request.negatives == ()
        assert not same(request.target_new, request.target_true or "")
        (rephrase,) = record.of_kind("rephrase")
        assert len(rephrase.prompts) == 5
        assert not any("\n" in prompt for prompt in rephrase.prompts)
        assert without_provenance(record) == set()
