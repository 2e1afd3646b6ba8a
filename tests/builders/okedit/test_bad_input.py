"""Input that is broken or hostile: one line that says what is wrong, or a reject with a reason."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.layout import read_json
from schemas.validate import validate
from tests.builders.okedit.support import (
    QUESTIONS,
    CommandLine,
    Said,
    Vqa,
    coco,
    edit_json,
    file_bytes,
    jpeg,
    make_mmedit,
    mmedit_row,
    png_of,
    records_of,
    rejects_of,
)

FEW = ("--rephrasings", "2", "--editor-rephrasings", "1")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run_vqa(okedit: CommandLine, vqa: Vqa, out: Path) -> Callable[..., Said]:
    return lambda *more: okedit("build", *vqa.arguments, "--out", out, *FEW, *more)


@pytest.fixture
def run_rows(okedit: CommandLine, tmp_path: Path, out: Path) -> Callable[[list[Any]], Said]:
    def run(rows: list[Any]) -> Said:
        path = make_mmedit(tmp_path / "rows", rows)
        return okedit("build", "--source", "mmedit", "--questions", path, "--images-folder",
                      path.parent / "images", "--out", out, *FEW)  # fmt: skip

    return run


@pytest.fixture
def run_hub(okedit: CommandLine, tmp_path: Path, out: Path) -> Callable[[list[Any]], Said]:
    def run(rows: list[Any]) -> Said:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        columns = tmp_path / "columns.toml"
        columns.write_text(
            '[dataset]\npath = "data.jsonl"\n[columns]\n'
            'question = "q"\nanswer = "a"\nimage = "img"\nid = "id"\n'
        )
        return okedit("build", "--source", "hub", "--columns", columns, "--images-folder",
                      tmp_path / "images", "--out", out, *FEW)  # fmt: skip

    return run


def the_reject(out: Path) -> dict[str, Any]:
    (reject,) = rejects_of(out)
    return reject


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"", "is empty"),
            (b"not json", "holds no list of rows"),
            (b'{"questions": [{"question": "Who', "row 0: is not JSON"),
            (b'{"questions": [3]}', "row 0: is a int, not an object"),
            (b'{"questions": {}}', "field 'questions': is not there, or not a list"),
            (b'{"other": []}', "field 'questions': is not there, or not a list"),
            (b'{"questions": []}', "gives no rows"),
            (b"[]", "holds a list, not an object with the key 'questions'"),
            (b'{"questions": [{"question": "\xff\xfe"}]}', "is not UTF-8 text"),
            (b"\x00\x01\x02", "holds no list of rows"),
        ],
    )
    def test_a_question_file_that_is_none(
        self, vqa: Vqa, run_vqa: Callable[..., Said], content: bytes, complaint: str
    ) -> None:
        vqa.questions.write_bytes(content)
        said = run_vqa()
        assert said.code == 2
        assert complaint in said.complaint
        if "no rows" not in complaint:
            assert vqa.questions.name in said.complaint

    def test_an_annotation_file_with_a_wrong_type(
        self, vqa: Vqa, run_vqa: Callable[..., Said]
    ) -> None:
        edit_json(vqa.annotations, lambda v: v["annotations"][5].update(answers={"answer": "x"}))
        said = run_vqa()
        assert said.code == 2
        assert f"{vqa.annotations.name}, row 5, field 'answers': " in said.complaint

    def test_a_file_that_is_not_there(self, vqa: Vqa, run_vqa: Callable[..., Said]) -> None:
        vqa.questions.unlink()
        said = run_vqa()
        assert said.code == 2
        assert f"{vqa.questions.name}: does not exist" in said.complaint

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("colour: red", "columns.toml: is not TOML"),
            ('[dataset]\npath = "data.jsonl"\n', "field 'columns': field required"),
            (
                '[dataset]\npath = "data.jsonl"\n[columns]\nquestion = "nope"\nanswer = "a"\n',
                "field 'nope': there is no such column; the data has a, q",
            ),
            (
                '[dataset]\npath = "gone.parquet"\n[columns]\nquestion = "q"\nanswer = "a"\n',
                "gone.parquet: does not exist",
            ),
        ],
    )
    def test_a_column_map_that_cannot_be_used(
        self, okedit: CommandLine, tmp_path: Path, text: str, complaint: str
    ) -> None:
        (tmp_path / "data.jsonl").write_text('{"q": "Who?", "a": "me"}\n')
        (tmp_path / "columns.toml").write_text(text)
        said = okedit("build", "--source", "hub", "--columns", tmp_path / "columns.toml",
                      "--out", tmp_path / "out")  # fmt: skip
        assert said.code == 2
        assert complaint in said.complaint

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
    def test_a_read_only_output(self, run_vqa: Callable[..., Said], tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        try:
            said = run_vqa()
        finally:
            tmp_path.chmod(0o700)
        assert said.code == 2
        assert "permission denied" in said.complaint

    def test_a_read_only_file_system(
        self, run_vqa: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: int) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr("os.fsync", refuse)
        said = run_vqa()
        assert said.code == 2
        assert "the file system is read-only" in said.complaint

    def test_an_output_that_is_a_file(self, run_vqa: Callable[..., Said], out: Path) -> None:
        out.write_text("a file")
        said = run_vqa()
        assert said.code == 2
        assert "is a file, not a folder" in said.complaint
        assert out.read_text() == "a file"

    def test_an_output_below_a_file(self, okedit: CommandLine, vqa: Vqa, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        said = okedit("build", *vqa.arguments, "--out", tmp_path / "file" / "out")
        assert said.code == 2
        assert "file" in said.complaint

    def test_somebody_elses_folder_is_left_alone(
        self, run_vqa: Callable[..., Said], out: Path
    ) -> None:
        out.mkdir()
        (out / "thesis.txt").write_text("precious")
        for more in ((), ("--overwrite",)):
            said = run_vqa(*more)
            assert said.code == 2
            assert "is not empty and holds no data set" in said.complaint
        assert {path.name: path.read_text() for path in out.iterdir() if path.is_file()} == {
            "thesis.txt": "precious"
        }


class TestRows:
    def test_duplicate_ids_keep_the_first(
        self, vqa: Vqa, run_vqa: Callable[..., Said], out: Path
    ) -> None:
        edit_json(vqa.questions, lambda v: v["questions"].append(dict(v["questions"][0])))
        assert run_vqa().code == 0
        reject = the_reject(out)
        assert (reject["row"], reject["rule"]) == (len(QUESTIONS), "duplicate")
        assert len(records_of(out)) == len(QUESTIONS)

    def test_empty_answers(self, vqa: Vqa, run_vqa: Callable[..., Said], out: Path) -> None:
        edit_json(vqa.annotations, lambda v: v["annotations"][1].update(answers=[]))
        assert run_vqa().code == 0
        reject = the_reject(out)
        assert (reject["row"], reject["column"], reject["reason"]) == (1, "answers", "is empty")

    def test_a_source_without_a_usable_row(
        self, vqa: Vqa, run_vqa: Callable[..., Said], out: Path
    ) -> None:
        edit_json(vqa.questions, lambda v: [q.pop("question") for q in v["questions"]])
        said = run_vqa()
        assert said.code == 2
        assert "every row was rejected" in said.complaint
        assert "is missing" in said.complaint
        assert not (out / "manifest.json").exists()

    def test_control_characters_reject_the_row(
        self, vqa: Vqa, run_vqa: Callable[..., Said], out: Path
    ) -> None:
        edit_json(
            vqa.questions, lambda v: v["questions"][0].update(question="What\x07 is\x1b[31m it?")
        )
        assert run_vqa().code == 0
        reject = the_reject(out)
        assert (reject["row"], reject["rule"]) == (0, "text_is_clean")
        assert "U+0007" in reject["reason"]

    @pytest.mark.parametrize(
        "question",
        [
            "<script>alert(1)</script> What is <b>this</b> & that?",
            "What {color} is {0} the %s ${bus}?",
            "מה זה בתמונה?",
            "ما هذا في الصورة؟",
            "这张图片里是什么动物？",
            "\u202egnp.sub eht si roloc tahW\u202c?",
            "Whät cölör ïs thé büs? 🚌",
        ],
    )
    def test_any_writing_is_kept_as_it_is(
        self, okedit: CommandLine, vqa: Vqa, out: Path, question: str
    ) -> None:
        edit_json(vqa.questions, lambda v: v["questions"][0].update(question=question))
        said = okedit("build", *vqa.arguments, "--out", out, *FEW)
        assert said.code == 0, said.err
        assert validate(out).ok
        record = records_of(out)[0]
        assert record.requests[0].prompt == question
        page = Path(okedit("preview", out, "--limit", 99).out.strip()).read_text(encoding="utf-8")
        assert "<script>alert(1)" not in page

    @pytest.mark.parametrize(
        "row", [{}, {"src": "Who?"}, mmedit_row(1, src=3), mmedit_row(1, alt=None)]
    )
    def test_rows_without_their_columns(
        self, run_rows: Callable[[list[Any]], Said], out: Path, row: dict[str, Any]
    ) -> None:
        rows = [mmedit_row(i) for i in range(12)]
        assert run_rows([*rows, row]).code == 0
        reject = the_reject(out)
        assert (reject["row"], reject["step"], reject["rule"]) == (12, "ingest", "field")
        assert reject["column"] in ("src", "alt")
        assert len(records_of(out)) == 12

    def test_a_row_that_is_no_object(self, run_rows: Callable[[list[Any]], Said]) -> None:
        said = run_rows([mmedit_row(0), None])
        assert said.code == 2
        assert "evqa.json, row 1: is a NoneType, not an object" in said.complaint


ESCAPES = (
    "../secret.jpg",
    "a/../../secret.jpg",
    "/etc/passwd",
    "C:\\secret.jpg",
    "link/secret.jpg",
)


class TestPictures:
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (lambda path: path.write_bytes(path.read_bytes()[:300]), "cannot be decoded"),
            (lambda path: path.write_bytes(b""), "empty"),
            (lambda path: path.write_bytes(b"GIF89a, or so it says"), "not an image"),
            (lambda path: path.write_bytes(b"<html></html>"), "not an image"),
            (lambda path: path.write_bytes(png_of(30_000, 30_000)), "more than 50,000,000 pixels"),
            (lambda path: path.unlink(), "there is no image"),
            (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
            (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
            (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "leads out"),
            (lambda path: (path.unlink(), path.symlink_to(path)), "no image"),
        ],
        ids=["truncated", "empty", "gif", "html", "bomb", "missing", "folder", "pipe", "link",
             "loop"],
    )  # fmt: skip
    def test_a_picture_that_cannot_be_used_costs_its_row(
        self,
        vqa: Vqa,
        run_vqa: Callable[..., Said],
        out: Path,
        damage: Callable[[Path], Any],
        reason: str,
    ) -> None:
        damage(vqa.images / coco(2))
        said = run_vqa()
        assert said.code == 0, said.err
        reject = the_reject(out)
        assert (reject["row"], reject["column"]) == (1, "image")
        assert reason in reject["reason"]
        assert len(records_of(out)) == len(QUESTIONS) - 1
        assert validate(out).ok

    @pytest.mark.parametrize("path", ESCAPES)
    def test_paths_in_hub_rows_do_not_leave_the_folder(
        self, run_hub: Callable[[list[Any]], Said], tmp_path: Path, out: Path, path: str
    ) -> None:
        folder = tmp_path / "images"
        folder.mkdir()
        (tmp_path / "secret.jpg").write_bytes(jpeg(1).bytes)
        (folder / "link").symlink_to(tmp_path)
        rows = []
        for i, (question, answer) in enumerate(QUESTIONS):
            (folder / f"{i}.jpg").write_bytes(jpeg(10 + i).bytes)
            rows.append({"q": question, "a": [answer], "img": f"{i}.jpg", "id": i})
        rows[4]["img"] = path
        said = run_hub(rows)
        assert said.code == 0, said.err
        reject = the_reject(out)
        assert (reject["row"], reject["rule"]) == (4, "image")
        held = b"".join(file_bytes(out).values())
        assert jpeg(1).bytes not in held
        shown = {i.bytes for r in records_of(out) for p in r.probes for i in p.images}
        assert jpeg(1).bytes not in shown

    @pytest.mark.parametrize("field", ["image", "image_rephrase", "m_loc"])
    @pytest.mark.parametrize("path", [ESCAPES[0], ESCAPES[4]])
    def test_paths_in_foreign_rows_do_not_leave_the_folder(
        self,
        run_rows: Callable[[list[Any]], Said],
        tmp_path: Path,
        out: Path,
        field: str,
        path: str,
    ) -> None:
        rows = tmp_path / "rows"
        (rows / "images").mkdir(parents=True)
        (rows / "secret.jpg").write_bytes(jpeg(1).bytes)
        (rows / "images" / "link").symlink_to(rows)
        given = [mmedit_row(i) for i in range(12)]
        given[2][field] = path
        said = run_rows(given)
        assert said.code == 0, said.err
        reject = the_reject(out)
        assert (reject["row"], reject["rule"]) == (2, "image")
        assert repr(path) in reject["reason"]


def test_nothing_built_is_lost_when_a_later_run_meets_bad_input(
    vqa: Vqa, run_vqa: Callable[..., Said], out: Path
) -> None:
    assert run_vqa().code == 0
    before = file_bytes(out)
    vqa.questions.write_bytes(b"{broken")
    said = run_vqa()
    assert said.code == 2
    assert said.complaint
    assert file_bytes(out) == before
    assert read_json(out / "manifest.json")["counts"]["records"] == len(QUESTIONS)
