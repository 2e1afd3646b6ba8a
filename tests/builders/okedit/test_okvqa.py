from __future__ import annotations

from pathlib import Path

import pytest

from builders.definition import Row
from builders.okedit.build import Models, define
from builders.okedit.draft import Draft
from builders.okedit.sources.okvqa import OkVqaSource
from builders.okedit.words import same
from builders.steps import Problem, Reject
from schemas.errors import InputError
from schemas.validate import validate
from tests.builders.okedit.support import (
    QUESTIONS,
    Vqa,
    build_in_process,
    coco,
    edit_json,
    file_bytes,
    make_vqa,
    records_of,
    rejects_of,
    without_provenance,
)


def source_of(vqa: Vqa, limit: int | None = None) -> OkVqaSource:
    return OkVqaSource(vqa.questions, vqa.annotations, 0, limit)


def ingest(vqa: Vqa, limit: int | None = None) -> list[Row | Reject]:
    return list(source_of(vqa, limit).ingest(Path()))


def first_draft(vqa: Vqa, **options: object) -> Draft | Problem:
    source = source_of(vqa)
    rows = [row for row in source.ingest(Path()) if isinstance(row, Row)]
    return vqa.options(**options).make_world(source.context(), Path()).draft(rows[0])


def test_questions_and_annotations_are_joined_whatever_their_order(vqa: Vqa) -> None:
    edit_json(vqa.annotations, lambda value: value["annotations"].reverse())
    rows = ingest(vqa)
    assert [row.id for row in rows] == [f"okvqa-{1000 + i}" for i in range(len(QUESTIONS))]
    first = rows[0]
    assert isinstance(first, Row)
    assert first.fields["question"] == QUESTIONS[0][0]
    assert first.fields["image"] == coco(1)
    assert first.fields["answers"][0] == ("red", 3)


@pytest.mark.parametrize("split", ["val2014", "train2014"])
def test_image_names_follow_the_split_of_the_files(tmp_path: Path, split: str) -> None:
    (row, *_) = ingest(make_vqa(tmp_path, split=split))
    assert isinstance(row, Row)
    assert row.fields["image"] == coco(1, split)


def test_the_limit_counts_rows(vqa: Vqa) -> None:
    assert len(ingest(vqa, limit=5)) == 5
    assert len(ingest(vqa, limit=500)) == len(QUESTIONS)


def test_an_answer_of_a_single_annotator_is_no_other_wording(vqa: Vqa) -> None:
    def agree(value: dict) -> None:
        answers = ["red", "red", "red", "scarlet", "scarlet", "odd one"]
        value["annotations"][0]["answers"] = [{"answer": a} for a in answers]

    edit_json(vqa.annotations, agree)
    draft = first_draft(vqa)
    assert isinstance(draft, Draft)
    assert draft.old.all == ("red", "scarlet")


def test_a_missing_picture_is_a_problem_unless_allowed(vqa: Vqa) -> None:
    (vqa.images / coco(1)).unlink()
    problem = first_draft(vqa)
    assert isinstance(problem, Problem)
    assert problem.rule == "missing_image"
    assert coco(1) in problem.reason
    draft = first_draft(vqa, allow_missing_images=True)
    assert isinstance(draft, Draft)
    assert draft.image is None


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        (lambda q: q.pop("question"), "question", "is missing"),
        (lambda q: q.update(question="  "), "question", "is empty"),
        (lambda q: q.update(question=["a"]), "question", "not a text"),
        (lambda q: q.update(image_id="12"), "image_id", "not a whole number"),
        (lambda q: q.update(question_id=99), "question_id", "99 has no annotation"),
    ],
)
def test_a_bad_question_is_rejected_with_row_and_field(
    vqa: Vqa, change, column: str, reason: str
) -> None:
    edit_json(vqa.questions, lambda value: change(value["questions"][3]))
    rows = ingest(vqa)
    (reject,) = [row for row in rows if isinstance(row, Reject)]
    assert (reject.row, reject.rule, reject.column) == (3, "field", column)
    assert reason in reject.reason
    assert len(rows) == len(QUESTIONS)


def test_no_answers_at_all_reject_the_row(vqa: Vqa) -> None:
    edit_json(vqa.annotations, lambda v: v["annotations"][2].update(answers=[{"answer": " "}]))
    (reject,) = [row for row in ingest(vqa) if isinstance(row, Reject)]
    assert (reject.row, reject.column, reject.reason) == (2, "answers", "is empty")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda a: a.pop("question_id"), "question_id"),
        (lambda a: a.update(answers="red"), "answers"),
        (lambda a: a.update(answers=[{"answer": 3}]), "answers"),
    ],
)
def test_a_bad_annotation_names_file_row_and_field(vqa: Vqa, change, field: str) -> None:
    edit_json(vqa.annotations, lambda value: change(value["annotations"][4]))
    with pytest.raises(InputError) as raised:
        ingest(vqa)
    assert (raised.value.file, raised.value.row) == (vqa.annotations, 4)
    assert raised.value.field == field


def test_a_whole_build(vqa: Vqa, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = build_in_process(vqa.options(), out)
    records = records_of(out)
    assert outcome.manifest.counts.records == len(records) == len(QUESTIONS)
    assert rejects_of(out) == []
    assert validate(out).ok
    for record, (question, answer) in zip(records, QUESTIONS, strict=True):
        (request,) = record.requests
        assert (request.prompt, request.target_true) == (question, answer)
        assert not same(request.target_new, answer)
        assert without_provenance(record) == set()
        negatives = record.of_kind("negative")
        assert len(negatives) == 3
        for probe in negatives:
            assert not {*probe.answers} & {answer, request.target_new}
        shown = {p.images[0].path for p in negatives}
        assert len(shown) == 3
        assert request.image is not None
        assert request.image.path not in shown
        assert not shown & {s.image.path for s in request.negatives if s.image}
        assert record.of_kind("image_augmented")

    again = tmp_path / "again"
    build_in_process(vqa.options(), again)
    assert file_bytes(again) == file_bytes(out)
    other = tmp_path / "other"
    build_in_process(vqa.options(seed=1), other)
    assert file_bytes(other) != file_bytes(out)


def test_rows_that_ask_the_same_about_the_same_thing_lend_each_other_pictures(
    tmp_path: Path,
) -> None:
    vqa = make_vqa(tmp_path / "source", [*QUESTIONS, *QUESTIONS])
    build_in_process(vqa.options(limit=None), tmp_path / "out")
    for record in records_of(tmp_path / "out"):
        (probe,) = record.of_kind("image_other_instance")
        assert probe.images[0].path != record.requests[0].image.path  # type: ignore[union-attr]
        assert probe.answers[0] == record.requests[0].target_new


def test_the_manifest_names_the_files_by_digest_and_no_folder(vqa: Vqa) -> None:
    definition = define(vqa.options(), Models(), 1)
    described = definition.source.describe()
    assert set(described["files"]) == {vqa.questions.name, vqa.annotations.name}
    assert str(vqa.questions.parent) not in str([described, definition.arguments])
