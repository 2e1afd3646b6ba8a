from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.errors import InputError
from schemas.layout import Layout, read_json, write_json
from schemas.manifest import Manifest
from tests.factories import make_record, write_dataset


def test_what_is_written_is_read(tmp_path: Path):
    manifest = write_dataset(tmp_path, [make_record(i) for i in range(3)], shards=2)
    assert Manifest.read(tmp_path) == manifest


def test_an_unfinished_build_has_no_manifest(tmp_path: Path):
    with pytest.raises(InputError, match=r"has no manifest\.json, so no finished build is here"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["rules"], None, "'rules': is null"),
        (["schema_version"], "1", "'schema_version': is a str"),
        (["shards"], {}, "'shards': is a dict"),
        (["shards", 0, "path"], 7, "'shards[0].path': is a int"),
        (["counts", "probes_by_kind"], [], "is a list, not an object"),
        (["counts", "scopes"], {"x": "y"}, "is a str, not a int"),
        (["files"], ["a"], "'files': is a list"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, path: list[Any], value: Any, reason: str):
    write_dataset(tmp_path, [make_record()])
    fields = read_json(Layout(tmp_path).manifest)
    part = fields
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    write_json(Layout(tmp_path).manifest, fields)
    with pytest.raises(InputError) as error:
        Manifest.read(tmp_path)
    assert "manifest.json" in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize("value", [[], 3, "x", None])
def test_another_json_value_is_no_manifest(tmp_path: Path, value: Any):
    write_json(Layout(tmp_path).manifest, value)
    with pytest.raises(InputError, match="is not a JSON object"):
        Manifest.read(tmp_path)


def test_a_missing_field_is_named(tmp_path: Path):
    write_dataset(tmp_path, [make_record()])
    fields = read_json(Layout(tmp_path).manifest)
    del fields["builder"]
    write_json(Layout(tmp_path).manifest, fields)
    with pytest.raises(InputError, match="'builder'"):
        Manifest.read(tmp_path)
