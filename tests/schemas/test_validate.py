from __future__ import annotations

import dataclasses
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import OKEDIT, to_row
from schemas.errors import InputError
from schemas.findings import Finding, Report
from schemas.images import EncodedImage
from schemas.layout import Layout, read_json, sha256_of, write_json, write_parquet
from schemas.rules import RULES as ROW_RULES
from schemas.validate import RowChecker, validate
from tests.factories import (
    RULES,
    make_bare_record,
    make_full_record,
    make_image,
    make_record,
    make_request,
    write_dataset,
)

FIRST, SECOND = "data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"


def write_table(path: Path, table: pa.Table) -> Path:
    write_parquet(path, table)
    return path


def brief(report: Report) -> list[tuple[str, str, str | None, str, str | None]]:
    return [(f.layer, f.rule, f.record, f.column, f.file) for f in report.findings]


def only(report: Report) -> Finding:
    (finding,) = report.findings
    return finding


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path, [make_record(i) for i in range(4)], shards=2)
    return tmp_path


def edit_manifest(root: Path, **changes: Any) -> None:
    path = Layout(root).manifest
    write_json(path, read_json(path) | changes)


def test_a_good_data_set_is_valid(dataset: Path):
    report = validate(dataset)
    assert report.ok
    assert report.records == 4
    assert report.checks["values_have_types"] == 4
    assert report.checks["negatives_look_different"] == 4
    assert report.checks["record_ids_are_unique"] == 1
    assert report.checks["shards_match_manifest"] == 1


def test_a_single_file_is_valid_without_any_promise(tmp_path: Path):
    path = write_table(
        tmp_path / "x.parquet", OKEDIT.table([make_bare_record(), make_full_record()])
    )
    report = validate(path)
    assert report.ok
    assert report.records == 2


def test_the_manifest_says_what_the_data_set_promises(tmp_path: Path):
    write_dataset(tmp_path, [make_bare_record()])
    rules = {finding.rule for finding in validate(tmp_path).findings}
    assert rules == {
        "required_kinds_are_there",
        "requests_have_images",
        "required_kinds_are_everywhere",
    }


def test_findings_of_all_layers_come_in_one_report(tmp_path: Path):
    records = [make_record(0), make_record(1, third_answer="Newland 1"), make_record(0)]
    write_dataset(tmp_path, records, shards=2)
    Layout(tmp_path).card.write_text("changed")
    assert brief(validate(tmp_path)) == [
        ("rows", "target_is_new", "record-1", "requests[0].target_new", FIRST),
        ("dataset", "request_ids_are_unique", "record-0", "requests[0].id", SECOND),
        ("dataset", "files_match_manifest", None, "", "README.md"),
        ("dataset", "record_ids_are_unique", "record-0", "record_id", FIRST),
        ("dataset", "record_ids_are_unique", "record-0", "record_id", SECOND),
    ]


def test_request_ids_are_unique_across_shards(tmp_path: Path):
    request = dataclasses.replace(make_request(1), id="request-0")
    write_dataset(tmp_path, [make_record(0), make_record(1, requests=(request,))], shards=2)
    finding = only(validate(tmp_path))
    assert (finding.rule, finding.record, finding.file) == (
        "request_ids_are_unique",
        "record-1",
        SECOND,
    )
    assert FIRST in finding.reason


def test_more_records_than_one_row_group_are_read(tmp_path: Path):
    bare = make_bare_record()
    records = [
        dataclasses.replace(
            bare,
            id=f"r{i}",
            requests=(dataclasses.replace(bare.requests[0], id=f"q{i}", target_new=f"Ann {i}"),),
        )
        for i in range(230)
    ]
    records[217] = dataclasses.replace(records[217], id="broken", third_answer=" ")
    report = validate(write_table(tmp_path / "x.parquet", OKEDIT.table(records)))
    assert report.records == 230
    assert [(f.rule, f.record) for f in report.findings] == [("answers_are_plain", "broken")]


def test_nulls_name_record_and_field(tmp_path: Path):
    rows = [to_row(make_record(i)) for i in range(3)]
    rows[0]["requests"][0]["prompt"] = None
    rows[1]["probes"][1]["answers"] = [None]
    rows[2]["id"] = None
    path = write_table(tmp_path / "x.parquet", pa.Table.from_pylist(rows, schema=OKEDIT.arrow))
    report = validate(path)
    assert report.records == 3
    assert brief(report) == [
        ("types", "values_have_types", "record-0", "requests[0].prompt", "x.parquet"),
        ("types", "values_have_types", "record-1", "probes[1].answers[0]", "x.parquet"),
        ("types", "values_have_types", "row 2", "id", "x.parquet"),
    ]


def test_a_value_outside_its_set(tmp_path: Path):
    row = to_row(make_record()) | {"scope": "colour"}
    path = write_table(tmp_path / "x.parquet", pa.Table.from_pylist([row], schema=OKEDIT.arrow))
    assert "'colour', not one of" in only(validate(path)).reason


def test_wrong_missing_and_extra_columns_are_named_together(tmp_path: Path):
    table = OKEDIT.table([make_record()])
    i = table.schema.get_field_index("id")
    table = table.set_column(i, "id", pa.array([1])).drop_columns(["extra"])
    table = table.append_column("note", pa.array(["x"]))
    found = brief(validate(write_table(tmp_path / "x.parquet", table)))
    assert found == [
        ("types", "columns_have_types", None, "id", "x.parquet"),
        ("types", "columns_are_there", None, "extra", "x.parquet"),
        ("types", "columns_are_known", None, "note", "x.parquet"),
    ]


def test_nested_types_are_compared(tmp_path: Path):
    schema = OKEDIT.arrow
    probes = [to_row(probe) for probe in make_record().probes]
    for probe in probes:
        probe["hops"] = "1"
        del probe["grade"]
        probe["colour"] = "red"
    fields = [f for f in schema.field("probes").type.value_type if f.name not in ("hops", "grade")]
    fields += [pa.field("hops", pa.string()), pa.field("colour", pa.string())]
    i = schema.get_field_index("probes")
    schema = schema.set(i, pa.field("probes", pa.list_(pa.struct(fields))))
    table = OKEDIT.table([make_record()])
    table = table.set_column(i, schema.field(i), pa.array([probes], schema.field(i).type))
    report = validate(write_table(tmp_path / "x.parquet", table))
    assert [(f.rule, f.column) for f in report.findings] == [
        ("columns_have_types", "probes[].hops"),
        ("columns_are_there", "probes[].grade"),
        ("columns_are_known", "probes[].colour"),
    ]
    assert report.findings[0].reason == "is string, not int64"


def test_records_beside_an_extra_column_are_checked(tmp_path: Path):
    table = OKEDIT.table([make_record(third_answer=" ")]).append_column("note", pa.array(["x"]))
    report = validate(write_table(tmp_path / "x.parquet", table))
    assert [f.rule for f in report.findings] == ["columns_are_known", "answers_are_plain"]


def test_a_file_without_metadata_is_held_to_the_schema(tmp_path: Path):
    table = OKEDIT.table([make_record()]).replace_schema_metadata(None)
    report = validate(write_table(tmp_path / "x.parquet", table))
    assert report.records == 1
    assert [f.rule for f in report.findings] == ["schema_is_known", "hub_features_are_there"]


def test_a_schema_of_another_version(tmp_path: Path):
    claim = json.dumps({"schema": "okedit", "version": 99})
    table = OKEDIT.table([make_record()])
    table = table.replace_schema_metadata({**table.schema.metadata, b"medit": claim})
    finding = only(validate(write_table(tmp_path / "x.parquet", table)))
    known = "okedit 1, docmedit 1"
    assert finding.reason == f"claims the schema 'okedit', version 99; known are {known}"


def test_a_truncated_file_is_a_finding_and_the_others_are_read(dataset: Path):
    path = dataset / FIRST
    path.write_bytes(path.read_bytes()[:-100])
    report = validate(dataset)
    assert report.records == 2
    assert brief(report) == [
        ("types", "files_are_readable", None, "", FIRST),
        ("dataset", "shards_match_manifest", None, "", FIRST),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + bytes(50)])
def test_other_bytes_are_a_finding(tmp_path: Path, content: bytes):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    report = validate(path)
    assert brief(report) == [("types", "files_are_readable", None, "", "x.parquet")]
    assert "\n" not in only(report).reason


def test_damaged_pages_are_a_finding(tmp_path: Path):
    path = write_table(tmp_path / "x.parquet", OKEDIT.table([make_record(i) for i in range(20)]))
    content = bytearray(path.read_bytes())
    content[4:-20_000] = bytes(len(content) - 20_004)
    path.write_bytes(content)
    assert {f.rule for f in validate(path).findings} == {"files_are_readable"}


def test_an_empty_file_of_the_right_schema(tmp_path: Path):
    finding = only(validate(write_table(tmp_path / "x.parquet", OKEDIT.arrow.empty_table())))
    assert (finding.layer, finding.rule) == ("dataset", "data_set_is_not_empty")


def test_a_changed_shard_differs_from_its_digest(dataset: Path):
    table = pq.read_table(dataset / FIRST)
    write_parquet(dataset / FIRST, table.slice(0, 1))
    assert [(f.rule, f.file) for f in validate(dataset).findings] == [
        ("shards_match_manifest", FIRST),
        ("counts_match_manifest", FIRST),
    ]


def test_missing_and_additional_shards(dataset: Path):
    (dataset / SECOND).rename(dataset / "data/test-00001-of-00003.parquet")
    assert [(f.rule, f.file, f.reason) for f in validate(dataset).findings] == [
        ("shards_match_manifest", SECOND, "is missing"),
        (
            "shards_match_manifest",
            "data/test-00001-of-00003.parquet",
            "is not in the manifest",
        ),
    ]


def test_totals_of_the_manifest(dataset: Path):
    counts = read_json(Layout(dataset).manifest)["counts"]
    edit_manifest(dataset, counts=counts | {"records": 5})
    assert only(validate(dataset)).reason == "counts 5 records, its shards have 4"


def test_a_manifest_that_points_outside_is_not_followed(dataset: Path, tmp_path: Path):
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("x")
    edit_manifest(dataset, files={"../secret.txt": sha256_of(secret)})
    assert only(validate(dataset)).reason == "lies outside the data set's folder"


def test_a_broken_manifest_is_a_finding(dataset: Path):
    Layout(dataset).manifest.write_text("{")
    report = validate(dataset)
    assert report.records == 4
    assert only(report).rule == "manifest_is_readable"


def test_missing_shards_show_without_a_manifest(dataset: Path):
    Layout(dataset).manifest.unlink()
    (dataset / SECOND).unlink()
    assert brief(validate(dataset)) == [("dataset", "shards_are_all_there", None, "", SECOND)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere", "does not exist"),
        ("notes.txt", "is neither a data set's folder nor a .parquet file"),
        ("", "holds no data set"),
    ],
)
def test_unusable_paths(tmp_path: Path, name: str, reason: str):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=reason):
        validate(tmp_path / name)


def test_row_checker_counts_what_it_checks():
    checker = RowChecker(RULES)
    assert checker.check(make_record(0)) == []
    assert [f.rule for f in checker.check(make_record(1, extra="{"))] == ["extra_is_an_object"]
    assert checker.checks == {rule.__name__: 2 for rule in ROW_RULES}


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    # 400 pictures of 100 kB, each with its own bytes after the picture's end.
    jpeg = make_image(1, format="JPEG").bytes
    bare = make_bare_record()
    records = [
        dataclasses.replace(
            bare,
            id=f"r{i}",
            requests=(
                dataclasses.replace(
                    bare.requests[0],
                    id=f"q{i}",
                    target_new=f"Ann {i}",
                    image=EncodedImage(jpeg + random.Random(i).randbytes(100_000)),
                ),
            ),
        )
        for i in range(400)
    ]
    path = tmp_path / "x.parquet"
    write_parquet(path, OKEDIT.table(records))
    validate(write_table(tmp_path / "warm.parquet", OKEDIT.table(records[:1])))  # imports
    del records
    tracemalloc.start()
    try:
        assert validate(path).records == 400
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_report_as_json(dataset: Path):
    Layout(dataset).card.unlink()
    value = json.loads(json.dumps(validate(dataset).to_json()))
    assert value["ok"] is False
    assert value["by_rule"] == {"files_match_manifest": 1}
    assert value["findings"][0] == {
        "layer": "dataset",
        "rule": "files_match_manifest",
        "record": None,
        "column": "",
        "reason": "is missing",
        "file": "README.md",
    }
