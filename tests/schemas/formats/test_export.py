"""A finished data set becomes files that the foreign loaders read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.formats import FORMATS, ImageFolder
from schemas.formats.export import export
from schemas.formats.files import read_rows
from schemas.formats.okedit import read_joined
from schemas.layout import Layout, write_json, write_parquet
from schemas.records import EditRecord, Probe

from .conftest import KNOWEDIT_ROW, MMEDIT_ROW, MMKE_ENTITY_ROW, OKEDIT_ROW, VLKEB_ROW


def store(root: Path, *splits: list[EditRecord]) -> Path:
    for name, records in zip(("train", "test"), splits, strict=False):
        write_parquet(Layout(root).shard(name, 0, 1), OKEDIT.table(records))
    write_json(Layout(root).manifest, {})
    return root


def test_imported_rows_come_out_as_they_went_in(tmp_path: Path, image_root: Path) -> None:
    record = FORMATS["mmedit"].read_row(MMEDIT_ROW, ImageFolder(image_root))
    report = export(store(tmp_path / "set", [record]), tmp_path / "out", "mmedit")
    assert json.loads((tmp_path / "out/mmedit.json").read_text()) == [MMEDIT_ROW]
    assert report.files == (tmp_path / "out/mmedit.json",)
    assert (report.exported, report.images, report.without_images, report.skipped) == (1, 3, 0, ())
    again = FORMATS["mmedit"].read_row(MMEDIT_ROW, ImageFolder(tmp_path / "out/images"))
    assert again == record


@pytest.mark.parametrize(
    ("name", "row"),
    [("mmedit", MMEDIT_ROW), ("vlkeb", VLKEB_ROW), ("mmke", MMKE_ENTITY_ROW)],
)
def test_records_without_pictures_keep_their_paths(tmp_path: Path, name: str, row: dict) -> None:
    record = FORMATS[name].read_row(row)
    report = export(store(tmp_path / "set", [record]), tmp_path / "out", name)
    assert [r for _, r in read_rows(tmp_path / f"out/{name}.json")] == [row]
    assert (report.exported, report.images, report.without_images) == (1, 0, 1)


@pytest.mark.parametrize("name", ["mmedit", "easyedit", "vlkeb"])
def test_built_records_make_valid_rows(tmp_path: Path, built_record: EditRecord, name: str) -> None:
    export(store(tmp_path / "set", [built_record]), tmp_path / "out", name)
    ((_, row),) = read_rows(tmp_path / f"out/{name}.json")
    assert {**row, "image": "", "image_rephrase": "", "m_loc": ""} == {
        "src": "Which tree is it?", "pred": "oak", "rephrase": "Name this tree.", "alt": "birch",
        "image": "", "image_rephrase": "", "loc": "who wrote the almanac", "loc_ans": "a monk",
        "m_loc": "", "m_loc_q": "Which tree is it?", "m_loc_a": "pine",
    }  # fmt: skip
    back = FORMATS[name].read_row(row, ImageFolder(tmp_path / "out/images"))
    assert back.requests[0].image is not None
    assert built_record.requests[0].image is not None
    assert back.requests[0].image.bytes == built_record.requests[0].image.bytes
    assert len(back.probes) == len(built_record.probes)


def test_built_records_make_mmke_rows(tmp_path: Path, built_record: EditRecord) -> None:
    image = built_record.requests[0].image
    assert image is not None
    more = (
        Probe("t", "reliability", "text_only", "target", ("What is a birch?",), (), ("a tree",)),
        Probe("s", "reliability", "same_image", "target", ("And this?",), (image,), ("a tree",)),
        Probe("h", "portability", "one_hop", "target", ("Its bark?",),
              built_record.probes[2].images, ("white",), hops=1),
    )  # fmt: skip
    record = replace(built_record, probes=built_record.probes + more)
    # The picture of the hop makes `one_hop_img`; the third kind of row needs its own question.
    swapped = tuple(
        replace(p, kind="image_rephrase") if p.kind == "image_other_instance" else p
        for p in record.probes
    )
    record = replace(record, probes=swapped)
    report = export(store(tmp_path / "set", [record]), tmp_path / "out", "mmke")
    assert report.skipped == ()
    ((_, row),) = read_rows(tmp_path / "out/mmke.json")
    assert row["knowledge_type"] == "visual_knowledge"
    back = FORMATS["mmke"].read_row(row, ImageFolder(tmp_path / "out/images"))
    assert [probe.kind for probe in back.probes if probe.hops] == ["one_hop"]
    assert len(back.probes) == len(record.probes)


def test_built_records_make_okedit_files(tmp_path: Path, built_record: EditRecord) -> None:
    report = export(store(tmp_path / "set", [built_record]), tmp_path / "out", "okedit")
    assert [file.name for file in report.files] == [
        "mscoco_val2014_annotations.json", "OpenEnded_mscoco_val2014_questions.json",
    ]  # fmt: skip
    ((_, row),) = read_joined(*report.files)
    back = FORMATS["okedit"].read_row(row, ImageFolder(tmp_path / "out/images"))
    assert back.requests[0].target_new == "birch"
    assert back.third_answer == "pine"
    assert [len(p.images) for p in back.probes] == [1, 1, 1, 1]


def test_okedit_pictures_go_where_the_loader_looks(tmp_path: Path, image_root: Path) -> None:
    record = FORMATS["okedit"].read_row(OKEDIT_ROW, ImageFolder(image_root))
    report = export(store(tmp_path / "set", [record]), tmp_path / "out", "okedit")
    assert [row for _, row in read_joined(*report.files)] == [OKEDIT_ROW]
    assert report.images == 12
    assert (tmp_path / "out/images/generality/425/9.jpg").is_file()
    annotation = json.loads(report.files[0].read_text())["annotations"][0]
    assert "question" not in annotation


def test_text_records(tmp_path: Path) -> None:
    record = FORMATS["easyedit-text"].read_row(KNOWEDIT_ROW)
    export(store(tmp_path / "set", [record]), tmp_path / "out", "easyedit-text")
    assert [r for _, r in read_rows(tmp_path / "out/easyedit-text.json")] == [KNOWEDIT_ROW]
    built = replace(record, extra=None)
    assert FORMATS["easyedit-text"].write_row(built)["locality"] == {
        "Relation_Specificity": [{"prompt": "Its height is", "ground_truth": [["9 m"]]}]
    }


def test_what_cannot_be_expressed_is_reported(tmp_path: Path, built_record: EditRecord) -> None:
    no_text = replace(built_record, id="bad", probes=built_record.probes[:-1])
    root = store(tmp_path / "set", [no_text, built_record])
    report = export(root, tmp_path / "out", "mmedit")
    assert report.exported == 1
    ((skipped),) = report.skipped
    assert skipped.record_id == "bad"
    assert skipped.reason.startswith("field 'loc': the record has nothing for it")
    text = export(root, tmp_path / "text", "easyedit-text")
    assert (text.exported, len(text.skipped), text.images) == (0, 2, 0)
    assert list(read_rows(tmp_path / "text/easyedit-text.json")) == []


def test_a_skipped_record_leaves_no_pictures(tmp_path: Path, built_record: EditRecord) -> None:
    no_text = replace(built_record, probes=built_record.probes[:-1])
    export(store(tmp_path / "set", [no_text]), tmp_path / "out", "mmedit")
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["mmedit.json"]


def test_splits_stay_apart(tmp_path: Path, built_record: EditRecord) -> None:
    other = replace(built_record, id="beef")
    report = export(store(tmp_path / "set", [built_record], [other]), tmp_path / "out", "mmedit")
    assert sorted(str(f.relative_to(tmp_path / "out")) for f in report.files) == [
        "test/mmedit.json", "train/mmedit.json",
    ]  # fmt: skip
    assert report.images == 3


def test_export_is_the_same_twice(tmp_path: Path, built_record: EditRecord) -> None:
    root = store(tmp_path / "set", [built_record])
    for out in ("a", "b"):
        export(root, tmp_path / out, "mmedit")
    contents = [
        {f.relative_to(tmp_path / out): f.read_bytes()
         for f in (tmp_path / out).rglob("*") if f.is_file()}
        for out in ("a", "b")
    ]  # fmt: skip
    assert contents[0] == contents[1]
    assert len(contents[0]) == 4


def test_other_files_are_safe(tmp_path: Path, built_record: EditRecord) -> None:
    root, out = store(tmp_path / "set", [built_record]), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not empty"):
        export(root, out, "mmedit")
    assert export(root, out, "mmedit", overwrite=True).exported == 1
    assert export(root, out, "mmedit", overwrite=True).exported == 1
    assert (out / "mine.txt").read_text() == "keep"
    with pytest.raises(InputError, match="is a file, not a folder"):
        export(root, out / "mine.txt", "mmedit")


def test_unusable_data_sets(tmp_path: Path, built_record: EditRecord) -> None:
    with pytest.raises(InputError, match="no format 'csv'; known are mmedit"):
        export(tmp_path, tmp_path / "out", "csv")
    with pytest.raises(InputError, match="no finished data set"):
        export(tmp_path, tmp_path / "out", "mmedit")
    write_json(Layout(tmp_path).manifest, {})
    with pytest.raises(InputError, match="holds no data set"):
        export(tmp_path, tmp_path / "out", "mmedit")
    write_parquet(Layout(tmp_path).shard("test", 0, 1), pa.table({"a": [1]}))
    with pytest.raises(InputError, match="has no known schema; expected okedit version"):
        export(tmp_path, tmp_path / "out", "mmedit")
    Layout(tmp_path).shard("test", 0, 1).write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be read"):
        export(tmp_path, tmp_path / "out", "mmedit")
    assert not list((tmp_path / "out").rglob("*.json"))
