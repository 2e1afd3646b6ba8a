"""The command line says the same as the library, and ends bad input with one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import medit_eval.models
from medit_eval.__main__ import app
from medit_eval.runs import read_manifest
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.layout import write_parquet
from tests.medit_eval.support import person
from tests.tiny_models import tiny


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model's folder and a file of records."""
    lm = tiny("gpt2")
    lm.model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    write_parquet(tmp_path / "r.parquet", OKEDIT.table([person(0), person(1)]))
    return tmp_path / "model", tmp_path / "r.parquet"


def call(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_score_and_rescore(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, records = files
    run = tmp_path / "run"
    options = ("--max-new-tokens", 4, "--cache", tmp_path / "cache", "--device", "cpu")
    result = call(
        "score", "--editor", "none", "--model", model, "--records", records, "--out", run,
        "--protocol", "batch", "--batch-size", 2, "--seed", 5, "--limit", 1, *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "unchanged_generated" in result.output
    assert "1.000" in result.output
    assert f"The run is in {run}" in result.output
    arguments = read_manifest(run).arguments
    assert (arguments["protocol"], arguments["batch_size"], arguments["seed"]) == ("batch", 2, 5)
    assert arguments["record_count"] == 1
    again = call("rescore", run, "--metrics", "exact, leak", "--all")
    assert again.exit_code == 0, again.output
    assert "leak" in again.output
    assert "unchanged_generated" not in again.output


def test_settings_reach_the_editor(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import editors.registry

    model, records = files
    seen: list[dict[str, Any]] = []

    def make(name: str, lm: Any, options: dict[str, Any]) -> None:
        seen.append(options)
        raise InputError("stop here")

    monkeypatch.setattr(editors.registry, "make", make)
    words = ("score", "--editor", "memit", "--model", model, "--records", records)
    settings = ("layers=[1,2]", "lr=0.5", "context=a b", "x=null")
    result = call(*words, *(word for setting in settings for word in ("--set", setting)))
    assert isinstance(result.exception, InputError)
    assert seen == [{"layers": (1, 2), "lr": 0.5, "context": "a b", "x": None}]
    for bad in (("--set", "layers"), ("--memory-sizes", "1,x"), ("--base-url", "http://x")):
        assert isinstance(call(*words, *bad).exception, InputError)


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            *(sys.executable, "-m", "medit_eval", "rescore"),
            str(tmp_path / "none"),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == f"error: {tmp_path / 'none'}: has no manifest.json, so no run is here\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("score", "--help"),
        ("rescore", "--help"),
        ("report", "--help"),
        ("compare", "--help"),
        ("card", "--help"),
    ],
)
def test_help_is_quick(words: tuple[str, ...]) -> None:
    code = (
        "import sys, runpy; sys.argv = ['medit_eval', *sys.argv[1:]]\n"
        "try: runpy.run_module('medit_eval', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "slow = [m for m in ('torch', 'transformers', 'pandas', 'datasets', 'openai', 'pyarrow')"
        " if m in sys.modules]\n"
        "print('SLOW', slow)"
    )
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert "SLOW []" in result.stdout
    # The processor's time, which does not depend on what else the machine does at the moment.
    seconds = []
    for _ in range(3):
        began = os.times()
        subprocess.run([sys.executable, "-m", "medit_eval", *words], capture_output=True)
        ended = os.times()
        seconds.append(
            ended.children_user
            + ended.children_system
            - began.children_user
            - began.children_system
        )
    assert min(seconds) < 0.8


def test_the_testbeds_names_are_looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from medit_eval import testbed

    monkeypatch.setattr(testbed, "path", lambda name: tmp_path / name, raising=False)
    with pytest.raises(InputError, match="cannot be loaded"):
        medit_eval.models.resolve("testbed/none")


def test_report_and_compare(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, records = files
    options = ("--max-new-tokens", 4, "--cache", tmp_path / "cache", "--device", "cpu")
    for name, length in (("a", 4), ("b", 4), ("c", 5)):
        result = call("score", "--editor", "none", "--model", model, "--records", records,
                      "--out", tmp_path / name, *options, "--max-new-tokens", length)  # fmt: skip
        assert result.exit_code == 0, result.output
    result = call("report", tmp_path / "a", "--out", tmp_path / "report", "--records", 1)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "report" / "index.html") in result.output
    result = call("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    assert "no detectable difference" in result.output
    assert (tmp_path / "c.json").is_file()
    with pytest.raises(InputError, match="max_new_tokens is 4 there and 5 here"):
        app(["compare", str(tmp_path / "a"), str(tmp_path / "c")], standalone_mode=False)
    with pytest.raises(InputError, match="at least two runs"):
        app(["compare", str(tmp_path / "a")], standalone_mode=False)
    with pytest.raises(InputError, match=r"\.json or a \.csv"):
        app(["compare", str(tmp_path / "a"), "--out", "x.txt"], standalone_mode=False)
