"""Studies: several editors on several orders, each run by itself, none taking down the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medit_eval.__main__ import app
from medit_eval.runs import read_manifest
from medit_eval.studies import run_folders, study
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.layout import write_parquet
from tests.medit_eval.support import person
from tests.plugin_packages import install
from tests.tiny_models import tiny

BREAKING = """
from editors.base import EditedModel

class _Breaking(EditedModel):
    def _edit(self, requests):
        if requests[0].id == "q3":
            raise ZeroDivisionError("three is too much")

class Breaking:
    name = "breaking"
    def apply(self, lm):
        return _Breaking(lm)
"""

Inputs = tuple[str, str]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A model's folder and a file of records."""
    root = tmp_path_factory.mktemp("inputs")
    lm = tiny("gpt2")
    lm.model.save_pretrained(root / "model")
    lm.tokenizer.save_pretrained(root / "model")
    write_parquet(root / "r.parquet", OKEDIT.table([person(number) for number in range(6)]))
    return str(root / "model"), str(root / "r.parquet")


def options(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "protocol": "sequential", "checkpoints": (1, 6), "max_new_tokens": 4, "device": "cpu",
        "cache": tmp_path / "cache", "metrics": ["generated"], **more,
    }  # fmt: skip


def test_every_editor_has_a_run_for_every_order(inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "study"
    found = study(["none", "scr"], *inputs, out, orders=2, options=options(tmp_path))
    folders = run_folders(out)
    names = ["none/order-0", "none/order-1", "scr/order-0", "scr/order-1"]
    assert [str(folder.relative_to(out)) for folder in folders] == names
    assert [(job.editor, job.order) for job, _ in found.done] == [
        ("none", 0), ("none", 1), ("scr", 0), ("scr", 1),
    ]  # fmt: skip
    assert not found.failed
    sequences = [read_manifest(folder).arguments["sequence"] for folder in folders]
    assert sequences[0] == sequences[2] != sequences[1]
    assert run_folders(out / "none" / "order-0") == [out / "none" / "order-0"]


def test_one_order_has_no_folder_of_its_own(inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "study"
    study(["none", "none", "scr"], *inputs, out, orders=1,
          options={"max_new_tokens": 4, "cache": tmp_path / "cache"})  # fmt: skip
    assert run_folders(out) == [out / "none", out / "scr"]


def test_a_run_that_breaks_does_not_end_the_others(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "medit.editors", "breaking", BREAKING, "Breaking")
    out = tmp_path / "study"
    found = study(["breaking", "none"], *inputs, out, orders=1, options=options(tmp_path))
    assert [job.editor for job, _ in found.done] == ["none"]
    ((job, why),) = found.failed
    assert job.editor == "breaking"
    assert "(record r3): ZeroDivisionError: three is too much" in why
    assert not read_manifest(out / "breaking").complete

    words = (
        *("score", "--editor", "breaking", "--editor", "none", "--model", inputs[0]),
        *("--records", inputs[1], "--protocol", "sequential", "--checkpoints", "1,6"),
        *("--orders", "1", "--workers", "1", "--max-new-tokens", "4", "--device", "cpu"),
        *("--cache", str(tmp_path / "cache"), "--metrics", "generated", "--out", str(out)),
    )
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert "1 of 2 runs are not complete: breaking, order 0: the editor breaking failed" in str(
        result.exception
    )
    assert "none" in result.output  # what is complete is shown


@pytest.mark.slow
def test_processes_give_the_same_numbers(inputs: Inputs, tmp_path: Path) -> None:
    alone = study(["none", "scr"], *inputs, tmp_path / "a", orders=2, options=options(tmp_path))
    apart = study(
        ["none", "scr"], *inputs, tmp_path / "b", orders=2, workers=2, options=options(tmp_path)
    )
    assert [job.order for job, _ in apart.done] == [0, 1, 0, 1]
    for (_, one), (_, other) in zip(alone.done, apart.done, strict=True):
        assert one.to_csv() == other.to_csv()


@pytest.mark.parametrize(
    ("editors", "more", "said"),
    [
        (["memitt"], {}, "did you mean memit"),
        ([], {}, "needs an editor"),
        (["none"], {"orders": 0}, "at least one order"),
        (["none"], {"orders": 2, "options": {}}, "belong to a sequence with checkpoints"),
        (["none"], {"editor_options": {"scr": {"k": 1}}}, "options are given for scr, not in"),
    ],
)
def test_a_study_that_cannot_be_is_refused(
    inputs: Inputs, tmp_path: Path, editors: list[str], more: dict[str, Any], said: str
) -> None:
    arguments = {"orders": 1, "options": options(tmp_path), **more}
    with pytest.raises(InputError, match=said):
        study(editors, *inputs, tmp_path / "study", **arguments)
    assert not (tmp_path / "study").exists()


def test_a_folder_of_one_run_is_no_place_for_a_study(inputs: Inputs, tmp_path: Path) -> None:
    study(["none"], *inputs, tmp_path / "study", orders=1, options=options(tmp_path))
    with pytest.raises(InputError, match="holds a single run"):
        study(["scr"], *inputs, tmp_path / "study" / "none", orders=1, options=options(tmp_path))
    with pytest.raises(InputError, match="holds no run and no study"):
        run_folders(tmp_path)


def test_the_command_line_runs_studies(inputs: Inputs, tmp_path: Path) -> None:
    common = (
        *("--model", inputs[0], "--records", inputs[1], "--max-new-tokens", "4"),
        *("--cache", str(tmp_path / "cache"), "--device", "cpu", "--metrics", "generated"),
    )
    out = tmp_path / "study"
    result = CliRunner().invoke(
        app,
        [
            *("score", "--editor", "none", "--editor", "scr", "--protocol", "sequential"),
            *("--checkpoints", "1,6", "--orders", "2", "--workers", "1", "--out", str(out)),
            *("--set", "scr.k=2", *common),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "means over 2 orders of edits" in result.output
    assert read_manifest(out / "scr" / "order-1").arguments["editor"]["k"] == 2
    for words, said in (
        (("--editor", "none", "--editor", "scr"), "need a folder for their runs: --out DIR"),
        (("--editor", "none", "--checkpoints", "1;2"), "checkpoints are whole numbers"),
        (
            ("--editor", "none", "--editor", "scr", "--out", str(out), "--set", "memit.k=2"),
            "'memit', which is not among the editors",
        ),
    ):
        result = CliRunner().invoke(app, ["score", *words, *common])
        assert isinstance(result.exception, InputError)
        assert said in str(result.exception)
