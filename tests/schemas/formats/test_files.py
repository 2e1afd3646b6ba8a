"""Rows come out of files one at a time, and faults name file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.formats import FORMATS, ReadContext
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
        ("a.json", '[{"a": 1e99999999999999999999}]', "row 0: is not JSON: a number is out of r"),
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


LONG = "9" * 5000
"""More digits than Python makes a whole number of."""


@pytest.mark.parametrize("padding", [0, 60_000, 65_500])
@pytest.mark.parametrize("key", [None, "rows"])
def test_a_number_too_long_ends_no_process(tmp_path: Path, padding: int, key: str | None) -> None:
    def text(number: str) -> str:
        rows = '[{"a": 1},' + " " * padding + '{"b": ' + number + "}]"
        return f'{{"rows": {rows}}}' if key else rows

    path = put(tmp_path / "a.json", text(f"-{LONG}"))
    rows = read_rows(path, key=key)
    assert next(rows) == (0, {"a": 1})
    with pytest.raises(InputError, match="row 1: is not JSON: a whole number has more than 4,300"):
        next(rows)
    for legal in (f'"{LONG}"', LONG[:4300], f"[{LONG[:4000]}, {LONG[:4000]}]", f'["{LONG}", 1.5]'):
        found = list(read_rows(put(path, text(legal)), key=key))
        assert typed(found) == typed([(0, {"a": 1}), (1, {"b": json.loads(legal)})])
    put(tmp_path / "a.jsonl", f'{{"a": {LONG}}}')
    with pytest.raises(InputError, match=r"row 0 .*: is not JSON: Exceeds the limit"):
        list(read_rows(tmp_path / "a.jsonl"))


def test_a_long_number_beside_the_list(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", f'{{"n": {LONG}, "rows": []}}')
    with pytest.raises(InputError, match="row 0: is not JSON: a whole number has more than 4,300"):
        list(read_rows(path, key="rows"))
    assert list(read_rows(put(path, f'{{"n": "{LONG}", "rows": []}}'), key="rows")) == []


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_deep_nesting_is_no_crash(tmp_path: Path, suffix: str) -> None:
    refused: list[tuple[int, object, str]] = []
    path = tmp_path / f"a{suffix}"
    for depth in (100, *range(200, 1000, 50), 20_000):
        row = '{"question": "q", "answer": "a", "para_question": "p", "deep": '
        row += "[" * depth + "]" * depth + "}"
        put(path, row if suffix == ".jsonl" else f"[{row}]")
        try:
            for number, fields in read_rows(path):
                context = ReadContext(file=path, row=number)
                FORMATS["unke"].read_row(fields, context=context)
        except InputError as error:
            refused.append((depth, error.file, str(error.row)[0]))
    assert (20_000, path, "0") in refused
    assert {(file, row) for depth, file, row in refused if depth > 100} == {(path, "0")}
    assert 100 not in {depth for depth, _, _ in refused}


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
