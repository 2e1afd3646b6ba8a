"""Every entry runs end to end on a small shape: each published column gets a number or a reason."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval.reproduction.reading import names
from medit_eval.reproduction.running import Reproduction, reproduce
from tests.medit_eval.reproduction.support import quick, write_data, write_tasks
from tests.tiny_models import tiny

AXES = ("Reliability", "Generality", "Locality", "Portability")
SAMPLED = ("gptj", "gpt2xl")
"""AlphaEdit's other models, which run as the first does."""


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2", positions=512)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "files")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is published for tiny models
        yield


def run(name: str, model: LM, data: Path, tmp_path: Path, **options: Any) -> Reproduction:
    given = {"limit": 2, "device": "cpu", "cache": tmp_path / "cache", **options}
    found = reproduce(name, model=model, data=data, out=tmp_path / "runs", **given)
    assert found.kind == "small shape"
    assert "no reproduction" in found.verdict
    wanted = [
        (table.name, row.name, column.name)
        for table in found.entry.tables
        for row in table.rows
        for column in table.columns
    ]
    assert [cell.key for cell in found.cells] == wanted
    for cell in found.cells:
        assert (cell.ours.value is None) != (cell.ours.reason is None), cell.key
    return found


def lacking(found: Reproduction) -> dict[tuple[str, str], str | None]:
    """Row and column of the numbers that a run should have and has not, with the reason."""
    return {
        cell.key[1:]: cell.ours.reason
        for cell in found.cells
        if cell.row.run is not None and cell.column.ours is not None and cell.ours.value is None
    }


@pytest.mark.parametrize(
    "model", ["llama3", *(pytest.param(name, marks=pytest.mark.slow) for name in SAMPLED)]
)
def test_alphaedit(model: str, lm: LM, data: Path, tmp_path: Path) -> None:
    options = quick(tmp_path, threshold_rule="energy", threshold=0.5)
    found = run(f"alphaedit-{model}", lm, data, tmp_path, editor_options=options)
    assert lacking(found) == {}
    assert len(found.compared) == 24
    assert {cell.ours.n for cell in found.cells if cell.key[2] == "Eff."} == {2}
    assert any("layers = (0, 1)" in words for words in found.overrides)


def test_come(lm: LM, data: Path, tmp_path: Path) -> None:
    found = run("come-counterfact", lm, data, tmp_path, editor_options=quick(tmp_path))
    assert lacking(found) == {}
    # Of the table three numbers are known, and the others have nothing to be compared with.
    assert [cell.key[1:] for cell in found.compared] == [
        ("GPT-J, CoME on MEMIT", column) for column in ("Efficacy", "Generality", "Score")
    ]


def test_scr(lm: LM, data: Path, tmp_path: Path) -> None:
    options = {"retriever": "bm25"}
    found = run("scr-four-dimensions", lm, data, tmp_path, editor_options=options)
    assert lacking(found) == {}
    assert {cell.key[2] for cell in found.cells if cell.ours.value is not None} == set(AXES)
    assert found.verdict.startswith("no number is there on both sides")


def test_balancedit(data: Path, tmp_path: Path) -> None:
    found = run(
        "balancedit-okedit", tiny("llava", positions=512), data, tmp_path,
        editor_options={"steps": 2, "layer": 1},
    )  # fmt: skip
    assert lacking(found) == {}
    assert [cell.key[2] for cell in found.compared] == ["Acc"]


def test_curves(lm: LM, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    found = run(
        "really-edit-curves", lm, data, tmp_path, benchmarks=write_tasks(tmp_path),
        editor_options=quick(tmp_path, layers=(1,)), runs=["llama2-rome", "llama2-memit"],
    )  # fmt: skip
    held = {cell.key[1] for cell in found.cells if cell.ours.value is not None}
    assert held == {"none"}  # two edits end before the first row of the table
    reasons = lacking(found)
    assert reasons["ROME, 10 edits", "MMLU"] == "the run ends after 1 edits"
    mistral = [cell for cell in found.cells if cell.row.run == "mistral-rome"]
    assert {cell.ours.reason for cell in mistral} == {"the run 'mistral-rome' was not chosen"}


def test_documents(lm: LM, data: Path, tmp_path: Path) -> None:
    options = {**quick(tmp_path), "k": 0}
    found = run(
        "docmedit-main", lm, data, tmp_path, limit=1, recogniser="form", editor_options=options
    )
    held = {cell.key[1:] for cell in found.cells if cell.ours.value is not None}
    for row in ("none", "FT", "MEMIT", "IKE"):
        for column in ("DR", "ER", "RSE", "ESE"):
            assert (f"Llama2, {row}", column) in held
    assert {cell.ours.reason for cell in found.cells if cell.key[2] == "SC"} >= {"people judged it"}


def test_these_are_all_entries() -> None:
    assert names() == sorted(
        [
            *(f"alphaedit-{model}" for model in ("llama3", *SAMPLED)),
            *("balancedit-okedit", "come-counterfact", "docmedit-main", "really-edit-curves"),
            "scr-four-dimensions",
        ]
    )
