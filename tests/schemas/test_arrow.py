from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.arrow import OKEDIT, Schema, from_row, identify, to_row
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import (
    AXES,
    EDIT_TYPES,
    EXPECTATIONS,
    SCOPES,
    EditRecord,
    EditRequest,
    Probe,
    Provenance,
    Sample,
)
from tests.factories import make_bare_record, make_full_record, make_record

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_texts = st.lists(_text, max_size=3).map(tuple)
_images = st.builds(EncodedImage, st.binary(max_size=8), st.none() | _text)
_numbers = st.none() | st.floats(allow_nan=False)
_samples = st.lists(
    st.builds(Sample, _text, _text, st.none() | _images, _text, _numbers), max_size=2
).map(tuple)
_requests = st.builds(
    EditRequest,
    id=_text,
    prompt=_text,
    image=st.none() | _images,
    subject=st.none() | _text,
    target_new=_text,
    target_true=st.none() | _text,
    target_new_aliases=_texts,
    positives=_samples,
    negatives=_samples,
    facts=_texts,
)
_probes = st.builds(
    Probe,
    id=_text,
    axis=cast(Any, st.sampled_from(AXES)),
    kind=_text,
    expectation=cast(Any, st.sampled_from(EXPECTATIONS)),
    prompts=_texts,
    images=st.lists(_images, max_size=2).map(tuple),
    answers=_texts,
    answers_pre_edit=_texts,
    hops=st.none() | st.integers(0, 9),
    distance=_numbers,
    grade=st.none() | _text,
)
_provenance = st.builds(
    Provenance,
    _text,
    _text,
    _text,
    st.none() | _text,
    st.none() | _text,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)
_records = st.builds(
    EditRecord,
    id=_text,
    requests=st.lists(_requests, max_size=2).map(tuple),
    probes=st.lists(_probes, max_size=2).map(tuple),
    scope=cast(Any, st.none() | st.sampled_from(SCOPES)),
    edit_type=cast(Any, st.none() | st.sampled_from(EDIT_TYPES)),
    edit_type_votes=_texts,
    edit_type_reason=st.none() | _text,
    image_object=st.none() | _text,
    third_answer=st.none() | _text,
    third_object=st.none() | _text,
    provenance=st.lists(_provenance, max_size=2).map(tuple),
    extra=st.none() | _text,
)


def through_parquet(records: list[EditRecord]) -> list[EditRecord]:
    buffer = io.BytesIO()
    pq.write_table(OKEDIT.table(records), buffer)
    return list(OKEDIT.records(pq.read_table(buffer)))


@given(st.lists(_records, max_size=3))
@settings(max_examples=60, deadline=None)
def test_round_trip_loses_nothing(records: list[EditRecord]):
    assert through_parquet(records) == records


@pytest.mark.parametrize("record", [make_full_record(), make_bare_record()], ids=["full", "bare"])
def test_round_trip_of_the_extremes(record: EditRecord):
    assert through_parquet([record]) == [record]


def test_the_full_record_leaves_no_field_unset():
    def unset(value: Any, path: str) -> list[str]:
        if value is None or value == ():
            return [path]
        if isinstance(value, tuple):
            return [p for item in value[-1:] for p in unset(item, f"{path}[]")]
        if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return [p for f in fields for p in unset(getattr(value, f.name), f"{path}.{f.name}")]
        return []

    record = make_full_record()
    assert [path for path in unset(record, "") if "positives" not in path] == []


def test_metadata_names_the_schema():
    assert identify(OKEDIT.arrow) == ("okedit", 1)
    assert identify(pa.schema([("id", pa.string())])) is None


@pytest.mark.parametrize("claim", [b"okedit", b"{}", b"[]", b'{"schema": "x", "version": "y"}'])
def test_a_broken_claim_is_no_claim(claim: bytes):
    assert identify(pa.schema([], metadata={b"medit": claim})) is None


def test_features_are_those_that_datasets_would_write():
    import datasets

    ours = json.loads(OKEDIT.arrow.metadata[b"huggingface"])["info"]["features"]
    read = datasets.Features.from_arrow_schema(OKEDIT.arrow)
    assert read.to_dict() == datasets.Features.from_dict(ours).to_dict()
    assert read.arrow_schema.equals(OKEDIT.arrow, check_metadata=False)
    assert isinstance(read["requests"].feature["image"], datasets.Image)


def test_load_dataset_shows_nested_images(tmp_path):
    import datasets
    from PIL import Image

    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(OKEDIT.table([make_full_record(), make_bare_record()]), path)
    rows = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    full, bare = list(cast(Any, rows))
    assert isinstance(full["requests"][0]["image"], Image.Image)
    assert full["requests"][0]["negatives"][0]["image"].size == (48, 48)
    assert isinstance(full["probes"][-1]["images"][0], Image.Image)
    assert bare["requests"][0]["image"] is None
    assert bare["probes"][0]["images"] == []


def set_in(row: Any, path: list[Any], value: Any) -> None:
    for step in path[:-1]:
        row = row[step]
    row[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "field", "reason"),
    [
        (["id"], None, "id", "is null"),
        (["requests", 0, "prompt"], None, "requests[0].prompt", "is null"),
        (["probes", 1, "prompts", 0], None, "probes[1].prompts[0]", "is null"),
        (["requests", 0, "image", "bytes"], None, "requests[0].image.bytes", "is null"),
        (["scope"], "colour", "scope", "is 'colour', not one of recognition, knowledge"),
        (["requests"], "x", "requests", "is a str, not a list"),
        (["requests", 0], 3, "requests[0]", "is a int, not an object"),
        (["probes", 0, "hops"], True, "probes[0].hops", "is a bool, not a int"),
        (["id"], 3, "id", "is a int, not a str"),
    ],
)
def test_rows_of_another_shape_are_refused(path: list[Any], value: Any, field: str, reason: str):
    row = to_row(make_record())
    set_in(row, path, value)
    with pytest.raises(InputError) as error:
        from_row(EditRecord, row)
    assert (error.value.field, error.value.reason) == (field, reason)


def test_whole_numbers_are_read_as_floats():
    row = to_row(make_record())
    row["probes"][3]["distance"] = 2
    distance = from_row(EditRecord, row).probes[3].distance
    assert isinstance(distance, float)
    assert distance == 2.0


def test_a_column_of_two_types_is_refused():
    @dataclass(frozen=True)
    class Odd:
        field: Any

    Odd.__annotations__["field"] = int | str
    with pytest.raises(TypeError, match="one type"):
        _ = Schema("odd", 1, Odd).arrow


def test_dicts_in_json_are_checked_with_their_keys_named():
    @dataclass(frozen=True)
    class Counted:
        counts: dict[str, int]

    Counted.__annotations__["counts"] = dict[str, int]
    assert from_row(Counted, {"counts": {"a": 1}}) == Counted({"a": 1})
    with pytest.raises(InputError) as error:
        from_row(Counted, {"counts": {"a": "1"}})
    assert error.value.field == "counts['a']"
