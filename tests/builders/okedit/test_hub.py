from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders.definition import Row
from builders.okedit.options import Options
from builders.okedit.sources.hub import SPOOL_MOUNT, ColumnMap, HubSource
from builders.steps import Reject
from schemas.errors import InputError
from schemas.validate import validate
from tests.builders.okedit.support import (
    QUESTIONS,
    build_in_process,
    jpeg,
    records_of,
    without_provenance,
)

GIVEN = '[columns]\nquestion = "q"\nanswer = "a"\n'
COLUMNS = {"question": "q", "answer": "a", "image": "img", "id": "key"}


def rows_with_bytes() -> list[dict[str, Any]]:
    return [
        {"q": q, "a": [a, "odd", a], "img": {"bytes": jpeg(i).bytes, "path": None}, "key": 10 + i}
        for i, (q, a) in enumerate(QUESTIONS)
    ]


def write_map(
    folder: Path, data: str, columns: Mapping[str, str] | None = None, **dataset: str
) -> Path:
    tables = {"dataset": {"path": data, **dataset}, "columns": columns or COLUMNS}
    lines = [
        line
        for table, values in tables.items()
        for line in (
            f"[{table}]",
            *(f"{key} = {json.dumps(value)}" for key, value in values.items()),
        )
    ]
    path = folder / "columns.toml"
    path.write_text("\n".join(lines))
    return path


def write_jsonl(folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "data.jsonl"


def write_parquet(folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "data.parquet")
    return "data.parquet"


def ingest(columns: Path, spool: Path, limit: int | None = None) -> list[Row | Reject]:
    return list(HubSource(columns, 0, limit).ingest(spool))


def good(items: Sequence[Row | Reject]) -> list[Row]:
    rows = [item for item in items if isinstance(item, Row)]
    assert len(rows) == len(items), items
    return rows


def test_pictures_inside_parquet_rows_go_to_files(tmp_path: Path) -> None:
    columns = write_map(tmp_path, write_parquet(tmp_path, rows_with_bytes()))
    rows = good(ingest(columns, tmp_path / "spool"))
    assert [row.id for row in rows] == [str(10 + i) for i in range(len(QUESTIONS))]
    assert rows[0].fields["answers"] == ["red", "odd"]
    mount, name = rows[0].fields["image"].split("/")
    assert mount == SPOOL_MOUNT
    assert (tmp_path / "spool" / name).read_bytes() == jpeg(0).bytes


def test_paths_in_rows_stay_paths(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path, [{"q": "Who?", "a": "me", "img": "a/b.jpg", "key": "x"}])
    (row,) = good(ingest(write_map(tmp_path, data), tmp_path))
    assert row.fields["image"] == "a/b.jpg"
    assert row.fields["answers"] == ["me"]


def test_a_folder_of_files_is_read_in_order(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for i in (1, 0):
        rows = [{"q": "Who?", "a": "me", "img": None, "key": f"{i}{j}"} for j in range(2)]
        (shards / f"part-{i}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = good(ingest(write_map(tmp_path, "shards"), tmp_path))
    assert [row.id for row in rows] == ["00", "01", "10", "11"]
    assert [row.row for row in rows] == [0, 1, 2, 3]


def test_the_limit_counts_rows(tmp_path: Path) -> None:
    columns = write_map(tmp_path, write_parquet(tmp_path, rows_with_bytes()))
    assert len(ingest(columns, tmp_path / "spool", limit=3)) == 3


def test_without_an_id_column_content_gives_the_id(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path, [{"q": "Who?", "a": a} for a in ("me", "you", "me")])
    columns = write_map(tmp_path, data, {"question": "q", "answer": "a"})
    ids = [row.id for row in good(ingest(columns, tmp_path))]
    assert ids[0] == ids[2] != ids[1]
    assert ids[0].startswith("hub-")


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"q": None}, "q", "not a text"),
        ({"q": " "}, "q", "is empty"),
        ({"a": []}, "a", "is empty"),
        ({"a": None}, "a", "not a list of texts"),
        ({"key": None}, "key", "no text or number"),
    ],
)
def test_a_bad_row_is_rejected_with_its_field(
    tmp_path: Path, changes: dict[str, Any], column: str, reason: str
) -> None:
    rows = [{"q": f"Who is {i}?", "a": ["me"], "key": str(i)} for i in range(3)]
    columns = {key: name for key, name in COLUMNS.items() if key != "image"}
    data = write_parquet(tmp_path, [rows[0], {**rows[1], **changes}, rows[2]])
    items = ingest(write_map(tmp_path, data, columns), tmp_path)
    (reject,) = [item for item in items if isinstance(item, Reject)]
    assert (reject.row, reject.column) == (1, column)
    assert reason in reject.reason
    assert len(items) == 3


def test_bytes_that_are_no_picture_reject_their_row(tmp_path: Path) -> None:
    rows = rows_with_bytes()
    rows[1]["img"] = {"bytes": b"not a picture", "path": None}
    items = ingest(write_map(tmp_path, write_parquet(tmp_path, rows)), tmp_path / "spool")
    (reject,) = [item for item in items if isinstance(item, Reject)]
    assert (reject.row, reject.column) == (1, "img")
    assert "not an image" in reject.reason


def test_a_whole_build_keeps_what_the_columns_give(tmp_path: Path) -> None:
    rows = [
        {**row, "new": f"novelty {i}", "say": [f"Once more {i}: {row['q']}"]}
        for i, row in enumerate(rows_with_bytes())
    ]
    del rows[2]["img"]
    columns = {**COLUMNS, "new_answer": "new", "rephrasings": "say"}
    path = write_map(tmp_path, write_parquet(tmp_path, rows), columns, title="Ours", licence="MIT")
    out = tmp_path / "out"
    options = Options(source="hub", columns=path, rephrasings=2, editor_rephrasings=1)
    manifest = build_in_process(options, out).manifest
    records = records_of(out)
    assert len(records) == len(rows)
    assert validate(out).ok
    assert (manifest.source["title"], manifest.source["licence"]) == ("Ours", "MIT")
    assert set(manifest.source["files"]) == {"data.parquet"}
    for i, record in enumerate(records):
        assert record.requests[0].target_new == f"novelty {i}"
        (rephrase,) = record.of_kind("rephrase")
        assert rephrase.prompts[0].startswith(f"Once more {i}")
        assert without_provenance(record) == set()
        assert (record.requests[0].image is None) == (i == 2)
    assert not (out / ".work").exists()


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("[dataset\npath=", None, "is not TOML"),
        ("", "dataset", "field required"),
        ('[dataset]\npath = "x"\n[columns]\nquestion = "q"\n', "columns.answer", "required"),
        (f'[dataset]\npath = "x"\n{GIVEN}colour = "c"\n', "columns.colour", "not permitted"),
        (
            '[dataset]\npath = 3\n[columns]\nquestion = "q"\nanswer = "a"\n',
            "dataset.path",
            "string",
        ),
        (
            'x = 1\n[dataset]\npath = "x"\n[columns]\nquestion = "q"\nanswer = "a"\n',
            "x",
            "permitted",
        ),
    ],
)
def test_a_column_map_that_cannot_be_used_names_its_field(
    tmp_path: Path, text: str, field: str | None, reason: str
) -> None:
    path = tmp_path / "columns.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as raised:
        ColumnMap.read(path)
    assert (raised.value.file, raised.value.field) == (path, field)


def test_a_column_that_the_data_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path, [{"q": "Who?", "a": "me"}])
    path = write_map(tmp_path, data, {"question": "quest", "answer": "a"})
    with pytest.raises(InputError, match=r"no such column; the data has a, q") as raised:
        ingest(path, tmp_path)
    assert raised.value.field == "quest"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.jsonl", None, "does not exist"),
        ("bad.jsonl", b'{"q": ', "cannot be read"),
        ("bad.parquet", b"PAR1 but no more", "cannot be read"),
    ],
)
def test_data_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason) as raised:
        ingest(write_map(tmp_path, name), tmp_path)
    assert str(raised.value.file).endswith(name)
