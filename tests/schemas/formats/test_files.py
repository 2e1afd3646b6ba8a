"""Rows come out of files one at a time, and faults name file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.formats import FORMATS
from schemas.formats.files import read_rows
from schemas.formats.okedit import read_joined

from .conftest import OKEDIT_ROW

ROWS: list[dict[str, Any]] = [
    {"a": 1, "b": 1.5, "c": "é", "d": [None, True, {"e": 2**70}]},
    {"a": -0.25, "b": 1e-7},
]


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def typed(value: Any) -> str:
    return repr(value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_keeps_values_and_types(tmp_path: Path, mark: bytes) -> None:
    path = put(tmp_path / "a.json", mark + json.dumps(ROWS, ensure_ascii=False).encode())
    assert typed(list(read_rows(path))) == typed(list(enumerate(ROWS)))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_lines_skip_blank_lines(tmp_path: Path, mark: bytes) -> None:
    lines = "\n\n".join(json.dumps(row) for row in ROWS) + "\n"
    path = put(tmp_path / "a.jsonl", mark + lines.encode())
    assert typed(list(read_rows(path))) == typed(list(enumerate(ROWS)))


def test_a_key_selects_the_list(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", json.dumps({"info": {"n": 1}, "questions": ROWS, "x": [3]}))
    assert typed(list(read_rows(path, key="questions"))) == typed(list(enumerate(ROWS)))
    with pytest.raises(InputError, match="row 0: is a int"):
        list(read_rows(path, key="x"))
    for key in ("annotations", "info"):
        with pytest.raises(InputError, match=f"field '{key}': is not there, or not a list"):
            list(read_rows(path, key=key))


def test_empty_lists_have_no_rows(tmp_path: Path) -> None:
    assert list(read_rows(put(tmp_path / "a.json", "[]"))) == []
    assert list(read_rows(put(tmp_path / "b.json", '{"questions": []}'), key="questions")) == []


def test_parquet(tmp_path: Path) -> None:
    rows = [{"a": n, "b": [str(n)]} for n in range(150)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == list(enumerate(rows))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "is empty"),
        ("a.json", " \n", "is empty"),
        ("a.json", "\ufeff", "is empty"),
        ("a.json", '{"a": 1}', "holds an object, not a list of rows"),
        ("a.json", '"text"', "holds no list of rows"),
        ("a.json", '[{"a": 1}, {"a": ', "row 1: is not JSON"),
        ("a.json", '[{"a": 1} {"b": 2}]', "row 1: is not JSON"),
        ("a.json", '[{"a": 1}] x', "row 1: is not JSON: .*trailing"),
        ("a.json", '[{"a": NaN}]', "row 0: is not JSON"),
        ("a.json", '[{"a": 1e999}]', "row 0: is not JSON: 1E.999 is out of range"),
        ("a.json", '[{"a": 1}, 7]', "row 1: is a int, not an object"),
        ("a.json", '[{"a": "é"}]'.encode("latin-1"), "row 0: is not UTF-8"),
        ("a.jsonl", "", "holds no rows"),
        ("a.jsonl", '{"a": 1}\n\n{"a": \n', r"row 1 \(line 3\): is not JSON"),
        ("a.jsonl", '{"a": NaN}', r"row 0 \(line 1\): is not JSON: NaN is no JSON number"),
        ("a.jsonl", '{"a": -1e999}', "out of range"),
        ("a.jsonl", "[1]", "is a list, not an object"),
        ("a.jsonl", '{"a": "é"}'.encode("latin-1"), "is not UTF-8"),
        ("a.parquet", "no parquet", "is not Parquet"),
    ],
)
def test_faults_name_file_and_row(
    tmp_path: Path, name: str, content: bytes | str, message: str
) -> None:
    path = put(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_rows(path))
    assert caught.value.file == path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path / name))


def test_rows_before_a_fault_come_out(tmp_path: Path) -> None:
    rows = read_rows(put(tmp_path / "a.json", '[{"a": 1}, oops'))
    assert next(rows) == (0, {"a": 1})
    with pytest.raises(InputError):
        next(rows)


@pytest.fixture
def okvqa(tmp_path: Path) -> tuple[Path, Path, list[dict[str, Any]]]:
    rows = [OKEDIT_ROW, {**OKEDIT_ROW, "question_id": 426, "question": "And this?"}]
    files = FORMATS["okedit"].files
    paths = [tmp_path / file.name for file in files]
    for file, path in zip(files, paths, strict=True):
        path.write_text(json.dumps({"info": {}, file.key or "": [file.part(r) for r in rows]}))
    return paths[0], paths[1], rows


def test_annotations_and_questions_join(okvqa: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    annotations, questions, rows = okvqa
    assert list(read_joined(annotations, questions)) == list(enumerate(rows))
    written = [FORMATS["okedit"].write_row(FORMATS["okedit"].read_row(row)) for row in rows]
    assert written == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": 999}, "row 1, field 'question_id': has no question 426"),
        ({"question_id": 425}, "row 1: repeats question 425"),
        ({"question_id": "426"}, "row 1, field 'question_id': is not a whole number"),
        ({"image_id": 43}, "field 'image_id': differs from"),
    ],
)
def test_files_that_do_not_fit(
    okvqa: tuple[Path, Path, list[dict[str, Any]]], change: dict[str, Any], message: str
) -> None:
    annotations, questions, _ = okvqa
    content = json.loads(questions.read_text())
    content["questions"][1].update(change)
    questions.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        list(read_joined(annotations, questions))
