"""A finished run folder with a missing, altered or foreign file is refused, and says which."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval import rescore, score
from medit_eval.pictures import read_pictures
from medit_eval.rescoring import read_report
from medit_eval.runs import read_manifest
from schemas.errors import InputError
from schemas.layout import sha256_of
from tests.factories import make_record
from tests.medit_eval.support import Oracle, person
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory: Any) -> Path:
    """A run with pictures and diagnostics, and a folder of benchmarks."""
    root = tmp_path_factory.mktemp("integrity")
    score(Oracle(), tiny("llava", positions=512), [make_record(0)], out=root / "run",
          cache=root / "cache", max_new_tokens=4)  # fmt: skip
    return root / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_all_that_a_run_wrote_is_listed(finished: Path) -> None:
    manifest = read_manifest(finished)
    assert set(manifest.files) == {"diagnostics.parquet", "images.parquet"}
    for name, digest in manifest.files.items():
        assert sha256_of(finished / name) == digest


@pytest.mark.parametrize(
    "name", ["diagnostics.parquet", "images.parquet", "predictions/part-00000.parquet"]
)
def test_an_altered_file_is_refused_with_both_digests(copy: Path, name: str) -> None:
    digest = sha256_of(copy / name)
    with (copy / name).open("ab") as file:
        file.write(b"x")
    for read in (rescore, read_report):
        with pytest.raises(InputError, match="is not what the run wrote") as caught:
            read(copy)
        for part in (name, digest, sha256_of(copy / name)):
            assert part in str(caught.value)


@pytest.mark.parametrize(
    "name", ["diagnostics.parquet", "images.parquet", "predictions/part-00000.parquet"]
)
def test_a_missing_file_is_refused_with_its_digest(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InputError, match=r"is not there.*[0-9a-f]{64}") as caught:
        rescore(copy)
    assert name in str(caught.value)


def test_a_file_that_the_run_did_not_write_is_refused(copy: Path) -> None:
    (copy / "benchmarks" / "answers").mkdir(parents=True)
    (copy / "benchmarks" / "answers" / "part-00000.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"part-00000\.parquet.*not among the files"):
        rescore(copy)


def test_a_manifest_cannot_name_files_elsewhere(copy: Path) -> None:
    path = copy / "manifest.json"
    fields = json.loads(path.read_text())
    fields["files"]["../outside"] = "0" * 64
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match=r"'\.\./outside', which is not in the run's folder"):
        rescore(copy)


def test_a_run_of_before_files_were_listed_is_read(copy: Path) -> None:
    path = copy / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["files"]
    path.write_text(json.dumps(fields))
    assert rescore(copy).raw


def test_what_follows_from_the_predictions_may_be_made_again(copy: Path) -> None:
    (copy / "scores.parquet").unlink()
    (copy / "summary.csv").unlink()
    rescore(copy)
    rescore(copy, metrics=["exact"])
    assert read_report(copy).rows


def test_pictures_are_kept_once_and_small(finished: Path) -> None:
    pictures = read_pictures(finished)
    asked = {row.image for row in read_report(finished).raw if row.image is not None}
    assert set(pictures) == asked
    for picture in pictures.values():
        assert picture.small is not None
        assert picture.small.decode().size[0] <= 176
        assert len(picture.small.bytes) < 20_000


def test_a_run_without_pictures_keeps_none(tmp_path: Path) -> None:
    lm: LM = tiny("gpt2")
    score("none", lm, [person(0)], out=tmp_path / "run", cache=tmp_path / "c", max_new_tokens=2)
    assert not (tmp_path / "run" / "images.parquet").exists()
    assert read_pictures(tmp_path / "run") == {}


def test_a_metric_of_the_user_s_own_stays_in_the_report(copy: Path) -> None:
    from medit_eval.metrics import Metric

    def length(prediction: Any) -> float:
        """The answer's length."""
        return float(len(prediction.post.generation))

    rescore(copy, metrics=["generated", Metric("length", length)])
    assert any(row.metric == "length" for row in read_report(copy).rows)
    assert not any(row.metric == "length" for row in rescore(copy).rows)
