from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.layout import (
    Layout,
    atomic_write,
    read_json,
    sha256_of,
    write_json,
    write_parquet,
    write_text,
)


def test_paths(tmp_path: Path):
    layout = Layout(tmp_path)
    assert layout.shard("test", 3, 12) == tmp_path / "data" / "test-00003-of-00012.parquet"
    assert not layout.complete
    write_json(layout.manifest, {})
    assert layout.complete


def test_shards_come_in_order_and_other_files_stay_out(tmp_path: Path):
    layout = Layout(tmp_path)
    for index in (1, 0):
        write_parquet(layout.shard("test", index, 2), pa.table({"a": [index]}))
    write_text(layout.data / "test-0-of-2.parquet", "x")
    write_text(layout.data / ".test-00000-of-00002.parquet.7.tmp", "x")
    assert [path.name[:10] for path in layout.shards()] == ["test-00000", "test-00001"]


def test_a_folder_without_shards_is_unusable(tmp_path: Path):
    with pytest.raises(InputError, match="holds no data set"):
        Layout(tmp_path).shards()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208 - hidden files count


def test_a_file_appears_only_when_whole(tmp_path: Path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as file:
        file.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"


def test_parquet_has_small_row_groups_and_equal_bytes(tmp_path: Path):
    table = pa.table({"a": list(range(250))})
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    write_parquet(one, table)
    write_parquet(two, table)
    assert pq.ParquetFile(one).num_row_groups == 3
    assert sha256_of(one) == sha256_of(two)


def test_json_keeps_order_and_characters(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"b": "é", "a": 1})
    assert path.read_text(encoding="utf-8") == '{\n  "b": "é",\n  "a": 1\n}\n'
    assert read_json(path) == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff", "is not UTF-8 text"), (b'{"a":\n x}', "is not JSON: Expecting value")],
)
def test_broken_json_names_the_file(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)


def test_missing_json_names_the_file(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_json(tmp_path / "none.json")
