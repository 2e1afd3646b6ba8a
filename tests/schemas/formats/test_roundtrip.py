"""Rows survive a read and a write exactly; changed records do not bring stale fields back."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.formats import FORMATS, ImageFolder, ImageWriter, ReadContext
from schemas.formats.files import read_rows

from .conftest import (
    HOPS,
    KNOWEDIT_ROW,
    MMEDIT_ROW,
    MMKE_VISUAL_ROW,
    OKEDIT_ROW,
    ONE_HOP_ROW,
    ROWS,
    TRAIN_FIELDS,
    VLKEB_ROW,
)

DATA = Path(__file__).parents[4] / "shared/data"
each_row = pytest.mark.parametrize(
    ("name", "row"), [pytest.param(n, r, id=f"{n}: {what}") for n, what, r in ROWS]
)


def same(written: dict[str, Any], row: dict[str, Any]) -> bool:
    return written == row and list(written) == list(row)


@each_row
def test_a_row_without_pictures_round_trips(name: str, row: dict[str, Any]) -> None:
    before = copy.deepcopy(row)
    record = FORMATS[name].read_row(row)
    assert same(FORMATS[name].write_row(record), before)
    assert row == before


@each_row
def test_a_row_with_pictures_round_trips_through_arrow(
    name: str, row: dict[str, Any], image_root: Path, tmp_path: Path
) -> None:
    record = FORMATS[name].read_row(row, ImageFolder(image_root))
    (stored,) = OKEDIT.records(OKEDIT.table([record]))
    assert stored == record
    out = tmp_path / "out"
    assert same(FORMATS[name].write_row(stored, ImageWriter(out)), row)
    for file in (f for f in out.rglob("*") if f.is_file()):
        assert file.read_bytes() == (image_root / file.relative_to(out)).read_bytes()


@each_row
def test_missing_pictures_round_trip_where_allowed(
    name: str, row: dict[str, Any], tmp_path: Path
) -> None:
    allowed = ReadContext(allow_missing_images=True)
    record = FORMATS[name].read_row(row, ImageFolder(tmp_path), allowed)
    assert same(FORMATS[name].write_row(record), row)
    if "image" in row or "image_id" in row:
        with pytest.raises(InputError, match="there is no image"):
            FORMATS[name].read_row(row, ImageFolder(tmp_path))


def test_mmedit_fields_find_their_places(image_root: Path) -> None:
    record = FORMATS["mmedit"].read_row({**MMEDIT_ROW, **TRAIN_FIELDS}, ImageFolder(image_root))
    (request,) = record.requests
    assert (request.prompt, request.target_true, request.target_new) == (
        "What is on the bench?", "a hat", "a kite",
    )  # fmt: skip
    assert [sample.prompt for sample in request.positives] == TRAIN_FIELDS[
        "rephrased_questions_train"
    ]
    assert {sample.answer for sample in request.positives} == {"a kite"}
    assert [(s.prompt, s.answer) for s in request.negatives] == [(request.prompt, "a lamp")]
    found = {p.kind: (p.axis, p.expectation, p.prompts[0], p.answers[0]) for p in record.probes}
    assert found == {
        "edit": ("reliability", "target", "What is on the bench?", "a kite"),
        "rephrase": ("generality", "target", "Which thing lies on the bench?", "a kite"),
        "image_rephrase": ("generality", "target", "What is on the bench?", "a kite"),
        "text": ("locality", "unchanged", MMEDIT_ROW["loc"], "a monk"),
        "unrelated_image": ("locality", "unchanged", "What crosses the water?", "a ferry"),
    }
    paths = {p.kind: [image.path for image in p.images] for p in record.probes}
    assert paths["unrelated_image"] == ["val2014/river.jpg"]
    assert paths["text"] == []
    assert record.extra is None


def test_questions_about_an_absent_picture_are_not_asked_without_it() -> None:
    record = FORMATS["mmedit"].read_row(MMEDIT_ROW)
    assert [probe.kind for probe in record.probes] == ["edit", "rephrase", "text"]


def test_vlkeb_hops(image_root: Path) -> None:
    record = FORMATS["vlkeb"].read_row(VLKEB_ROW, ImageFolder(image_root))
    hops = [probe for probe in record.probes if probe.axis == "portability"]
    assert [(p.kind, p.hops) for p in hops] == [("one_hop", 1), ("two_hop", 2), ("hop", 4)]
    assert all(p.images == (record.requests[0].image,) for p in hops)


def test_vlkeb_one_hop_edits_are_requests_of_their_own() -> None:
    record = FORMATS["vlkeb"].read_row(ONE_HOP_ROW)
    assert [r.prompt for r in record.requests] == ["What is on the bench?", "What moves a kite?"]
    assert len({request.id for request in record.requests}) == 2
    with pytest.raises(InputError, match="has 2 requests"):
        FORMATS["mmedit"].write_row(record)
    with pytest.raises(InputError, match="go together"):
        FORMATS["vlkeb"].write_row(replace(record, probes=record.probes[:-1]))


def test_mmke_asks_visual_questions_about_their_own_pictures(image_root: Path) -> None:
    record = FORMATS["mmke"].read_row(MMKE_VISUAL_ROW, ImageFolder(image_root))
    (other,) = record.of_kind("image_rephrase")
    assert other.prompts == ("What is meant here?",)
    (hop,) = record.of_kind("one_hop")
    assert [image.path for image in hop.images] == ["hops/vane.jpg"]
    assert record.of_kind("text_only")[0].images == ()
    assert record.requests[0].target_true is None


def test_okedit_fields_find_their_places(image_root: Path) -> None:
    record = FORMATS["okedit"].read_row(OKEDIT_ROW, ImageFolder(image_root))
    (request,) = record.requests
    assert (record.id, request.target_true, request.target_new) == ("425", "oak", "birch")
    assert (record.edit_type, record.third_answer) == ("image_text", "pine")
    assert record.of_kind("edit")[0].answers_pre_edit == ("oak", "elm", "tree")
    assert len(record.of_kind("rephrase")[0].prompts) == 10
    assert len(record.of_kind("image_rephrase")[0].images) == 10
    (negative,) = record.of_kind("negative")
    assert (negative.prompts, negative.answers) == (("Which tree is it?",), ("pine",))
    assert [image.path for image in negative.images] == ["locality/425/0.png"]


def test_knowedit_answers_keep_their_aliases() -> None:
    record = FORMATS["easyedit-text"].read_row(KNOWEDIT_ROW)
    assert record.requests[0].subject == "the Ida tower"
    assert record.of_kind("edit")[0].answers_pre_edit == ("Bergen", "Bjorgvin")
    assert record.of_kind("hop")[0].answers == ("Norway", "Norge")
    assert record.of_kind("relation_specificity")[0].expectation == "unchanged"


def test_ids_are_content_hashes() -> None:
    read = FORMATS["mmedit"].read_row
    shuffled = dict(reversed(MMEDIT_ROW.items()))
    assert read(MMEDIT_ROW).id == read(shuffled).id
    assert read(MMEDIT_ROW).id != read({**MMEDIT_ROW, "alt": "a cap"}).id


def test_a_changed_record_writes_what_it_holds_now() -> None:
    record = FORMATS["okedit"].read_row(OKEDIT_ROW)
    (request,) = record.requests
    changed = replace(record, requests=(replace(request, target_true="ash", target_new="yew"),))
    row = FORMATS["okedit"].write_row(changed)
    assert row["answers"] == [{"answer_id": 1, "answer": "ash"}]
    assert row["counterfact_answer"] == "yew"
    assert row["confidence"] == 3

    text = FORMATS["easyedit-text"].read_row(KNOWEDIT_ROW)
    fewer = tuple(probe for probe in text.probes if probe.kind != "subject_aliasing")
    row = FORMATS["easyedit-text"].write_row(replace(text, probes=fewer))
    assert list(row["portability"]) == ["Reasoning"]
    assert row["locality"] == KNOWEDIT_ROW["locality"]
    assert row["rephrase"] == KNOWEDIT_ROW["rephrase"]


def test_a_removed_probe_is_missed(image_root: Path) -> None:
    record = FORMATS["mmedit"].read_row(MMEDIT_ROW, ImageFolder(image_root))
    fewer = tuple(probe for probe in record.probes if probe.kind != "unrelated_image")
    with pytest.raises(InputError, match=f"row {record.id}, field 'm_loc': "):
        FORMATS["mmedit"].write_row(replace(record, probes=fewer))


def test_leftovers_of_one_format_stay_out_of_another(image_root: Path) -> None:
    row = {**VLKEB_ROW, "m_rel": "x", "secret_note": 1}
    record = FORMATS["vlkeb"].read_row(row, ImageFolder(image_root))
    assert FORMATS["mmedit"].write_row(record) == MMEDIT_ROW


def test_foreign_extra_is_tolerated(image_root: Path) -> None:
    record = FORMATS["mmedit"].read_row(MMEDIT_ROW, ImageFolder(image_root))
    record = replace(record, extra='{"note": "by a builder"}')
    assert FORMATS["mmedit"].write_row(record) == MMEDIT_ROW


def test_provenance_names_the_source() -> None:
    record = FORMATS["mmedit"].read_row(MMEDIT_ROW, context=ReadContext(source="E-VQA"))
    assert {(p.field, p.source, p.generator) for p in record.provenance} == {
        ("requests", "E-VQA", "source"), ("probes", "E-VQA", "source"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mmedit", {"src": ""}, "field 'src': is missing or empty"),
        ("mmedit", {"alt": None}, "field 'alt': is missing or empty"),
        ("mmedit", {"alt": 3}, "field 'alt': is a number, not text"),
        ("mmedit", {"image": ["a.jpg"]}, "field 'image': is a list, not text"),
        ("mmedit", {"rephrased_questions_train": "one"}, "is not a list of texts"),
        ("vlkeb", {"port_new": {}}, "field 'port_new': is not a list of objects"),
        ("vlkeb", {"port_new": [{"port_type": "far"}]}, r"'port_new\[0\].port_type': is not"),
        ("vlkeb", {"port_new": [{"port_type": "1-hop"}]}, r"'port_new\[0\].Q&A': is not an object"),
        ("vlkeb", {"port_new": [HOPS[0], ONE_HOP_ROW["port_new"][0]]}, r"port_new\[0\].port_edit"),
        ("mmke", {"knowledge_type": "other"}, "is not one of visual_knowledge"),
        ("okedit", {"question_id": "7"}, "field 'question_id': is not a whole number"),
        ("okedit", {"answers": [{"answer": 1}]}, "has an entry without a text"),
        ("okedit", {"counterfact_answer": ""}, "field 'counterfact_answer': is missing or empty"),
        ("easyedit-text", {"subject": None}, "field 'subject': is missing or empty"),
        ("easyedit-text", {"locality": []}, "field 'locality': is not an object"),
        ("easyedit-text", {"locality": {"Forgetfulness": [{}]}}, r"\[0\].prompt': is missing"),
        ("easyedit-text", {"ground_truth": 5}, "is neither a text nor a list"),
        ("easyedit-text", {"n": float("nan")}, "is not a JSON object"),
        ("easyedit-text", {"n": b"bytes"}, "is not a JSON object"),
        ("easyedit-text", {"prompt": "\ud800"}, "is not a JSON object"),
    ],
)
def test_faults_name_file_row_and_field(name: str, change: dict[str, Any], message: str) -> None:
    base = next(row for known, _, row in ROWS if known == name)
    with pytest.raises(InputError, match=message) as caught:
        FORMATS[name].read_row({**base, **change}, context=ReadContext(file="a.json", row=9))
    assert str(caught.value).startswith("a.json, row 9")


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("mmedit", "vqa/mmedit_vqa_eval.json", 2_093),
        ("easyedit-text", "zsre/ZsRE-test-all.json", 1_301),
        ("easyedit-text", "wikidata_counterfact/test_cf.json", 839),
        ("easyedit-text", "counterfact/counterfact-edit.json", 10_000),
    ],
)
def test_released_files_round_trip(name: str, file: str, count: int) -> None:
    path = DATA / file
    if not path.is_file():
        pytest.skip(f"{file} is not at hand")
    rows, ids = 0, set()
    for number, row in read_rows(path):
        record = FORMATS[name].read_row(row, context=ReadContext(file=path, row=number))
        assert same(FORMATS[name].write_row(record), row), number
        rows += 1
        ids.add(record.id)
    assert rows == len(ids) == count
