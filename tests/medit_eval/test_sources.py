"""Records are read from wherever a user has them, and refused with a clear word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medit_eval.sources import first_with_picture, format_names, load, records_digest
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.formats import counterfact
from schemas.layout import write_parquet
from tests.factories import make_bare_record, make_record, write_dataset

DATA = Path(__file__).parents[3] / "shared" / "data"

FLAT = {
    "case_id": 7,
    "prompt": "The mother tongue of Ann is",
    "target_new": "English",
    "subject": "Ann",
    "ground_truth": "French",
    "rephrase_prompt": "Where Ann is from, people speak",
    "locality_prompt": "Bob is a native speaker of",
    "locality_ground_truth": "French",
}
RELEASED: dict[str, Any] = {
    "case_id": 7,
    "pararel_idx": 2,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "relation_id": "P103",
        "target_new": {"str": "English", "id": "Q1860"},
        "target_true": {"str": "French", "id": "Q150"},
        "subject": "Ann",
    },
    "paraphrase_prompts": ["Ann spoke", "Ann grew up with"],
    "neighborhood_prompts": ["Bob spoke", "Cid spoke"],
    "attribute_prompts": ["Dan spoke"],
    "generation_prompts": ["Ann lives"],
}


def test_a_builders_folder_and_its_files(tmp_path: Path) -> None:
    records = [make_record(number) for number in range(3)]
    write_dataset(tmp_path, records, shards=2)
    assert load(tmp_path) == records
    assert load(str(tmp_path), limit=2) == records[:2]
    (first, _) = sorted((tmp_path / "data").iterdir())
    assert load(first) == records[:2]


def test_records_in_memory() -> None:
    records = [make_record(0), make_record(1)]
    assert load(iter(records)) == records


def test_two_probes_of_one_id_are_refused() -> None:
    first, second = make_record(0), make_record(1)
    twice = replace(second, probes=(*second.probes, second.probes[0]))
    with pytest.raises(InputError, match="two probes have the id") as caught:
        load([first, twice])
    assert caught.value.row == second.id


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(InputError, match=f"^field 'limit': is {limit}; at least one record"):
        load([make_record(0)], limit=limit)


def test_a_data_set_of_the_datasets_library(tmp_path: Path) -> None:
    import datasets

    records = [make_record(0), make_record(1)]
    write_parquet(tmp_path / "x.parquet", OKEDIT.table(records))
    table = datasets.Dataset.from_parquet(
        str(tmp_path / "x.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert load(table) == records


def test_a_data_set_on_the_hub_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(name: str, *, split: str) -> None:
        raise ConnectionError(f"no {split} of {name}\nanywhere")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(InputError, match=r"who/what: is neither .*: no test of who/what anywhere"):
        load("who/what")


@pytest.mark.parametrize("name", ["zsre", "wikidata_counterfact", "knowedit", "easyedit-text"])
def test_knowedit_files_by_the_names_of_their_data_sets(name: str, tmp_path: Path) -> None:
    row = {
        "subject": "Ann",
        "prompt": "Where was Ann born?",
        "target_new": "Rome",
        "ground_truth": ["Oslo"],
        "rephrase_prompt": "Ann's birthplace?",
        "portability": {"Reasoning": [{"prompt": "Ann's country?", "ground_truth": "Italy"}]},
        "locality": {"Relation_Specificity": [{"prompt": "Ann's job?", "ground_truth": ["cook"]}]},
    }
    (tmp_path / "x.json").write_text(json.dumps([row]))
    (record,) = load(tmp_path / "x.json", records_format=name)
    kinds = [(probe.axis, probe.kind) for probe in record.probes]
    assert kinds == [
        ("reliability", "edit"),
        ("generality", "rephrase"),
        ("portability", "hop"),
        ("locality", "relation_specificity"),
    ]


def test_both_forms_of_counterfact(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([FLAT, RELEASED]))
    flat, released = load(tmp_path / "x.json", records_format="counterfact")
    for record in (flat, released):
        (request,) = record.requests
        assert request.prompt == "The mother tongue of Ann is"
        assert (request.subject, request.target_new) == ("Ann", "English")
        assert request.target_true == "French"
        assert record.probes[0].answers_pre_edit == ("French",)
    assert [probe.kind for probe in flat.probes] == ["edit", "rephrase", "text"]
    assert [probe.kind for probe in released.probes] == [
        *("edit", "rephrase", "neighborhood", "attribute", "generation"),
    ]
    assert released.probes[1].prompts == ("Ann spoke", "Ann grew up with")
    assert released.probes[2].prompts == ("Bob spoke", "Cid spoke")
    assert released.probes[2].answers == ("French",)


@pytest.mark.parametrize("row", [FLAT, RELEASED])
def test_counterfact_rows_come_back_as_they_were(row: dict[str, Any]) -> None:
    assert counterfact.FORMAT.write_row(counterfact.FORMAT.read_row(row)) == row


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"requested_rewrite": 3}, "requested_rewrite.*is not an object"),
        (
            {"requested_rewrite": {**RELEASED["requested_rewrite"], "prompt": "no place"}},
            "holds no single {}",
        ),
        (
            {"requested_rewrite": {**RELEASED["requested_rewrite"], "target_new": "English"}},
            "target_new.*is not an object",
        ),
    ],
)
def test_broken_counterfact_rows(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{**RELEASED, **change}]))
    with pytest.raises(InputError, match=f"row 0.*{reason}"):
        load(tmp_path / "x.json", records_format="counterfact")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    (tmp_path / "empty").mkdir()
    faults: list[tuple[Any, dict[str, Any], str]] = [
        (tmp_path / "none", {}, "does not exist"),
        (tmp_path / "empty", {}, "holds no data set"),
        (tmp_path / "x.json", {}, "is no .parquet file .*name its format: zsre"),
        (tmp_path / "x.json", {"records_format": "zsre"}, "there are no records"),
        (tmp_path / "x.json", {"records_format": "zrse"}, "unknown format of records 'zrse'"),
        ([], {}, "there are no records"),
        ([3], {}, "is a int, not an EditRecord"),
        ([make_record(0), make_record(0)], {}, "row record-0: two records have this id"),
        (17, {}, "cannot be read from a int"),
    ]
    for source, options, reason in faults:
        with pytest.raises(InputError, match=reason):
            load(source, **options)


def test_a_damaged_shard(tmp_path: Path) -> None:
    write_dataset(tmp_path, [make_record(0)])
    (shard,) = (tmp_path / "data").iterdir()
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match="is not a whole Parquet file"):
        load(tmp_path)


def test_the_digest_knows_records_and_pictures() -> None:
    first, second = make_record(0), make_record(1)
    assert records_digest([first]) == records_digest([make_record(0)])
    assert records_digest([first, second]) != records_digest([second, first])
    other = make_record(0, requests=second.requests)
    assert records_digest([first]) != records_digest([other])


def test_records_with_pictures_are_found() -> None:
    assert first_with_picture([make_bare_record()]) is None
    assert first_with_picture([make_bare_record(), make_record(3)]) == ("record-3", 1)


@pytest.mark.parametrize(
    ("file", "name", "count", "kinds"),
    [
        ("counterfact/counterfact-edit.json", "counterfact", 10_000, {"edit", "rephrase", "text"}),
        ("zsre/ZsRE-test-all.json", "zsre", 1301, {"edit", "rephrase", "relation_specificity"}),
        (
            "wikidata_counterfact/test_cf.json",
            "wikidata_counterfact",
            839,
            {"edit", "relation_specificity", "forgetfulness", "subject_aliasing", "hop"},
        ),
        ("vqa/mmedit_vqa_eval.json", "mmedit", 2093, {"edit", "rephrase", "text"}),
    ],
)
def test_real_files(file: str, name: str, count: int, kinds: set[str]) -> None:
    if not (DATA / file).exists():
        pytest.skip("the real data is not here")
    limit = 300
    records = load(DATA / file, records_format=name, limit=limit)
    assert len(records) == min(limit, count)
    assert kinds <= {probe.kind for record in records for probe in record.probes}
    assert all(record.requests[0].target_new for record in records)


def test_formats_have_names() -> None:
    assert {"medit", "counterfact", "zsre", "wikidata_counterfact", "mmedit", "vlkeb"} <= set(
        format_names()
    )
