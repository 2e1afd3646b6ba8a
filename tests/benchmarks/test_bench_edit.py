from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bench_edit
from editors.come import CoME
from editors.lm import LM
from tests.editors.facts import FACTS, exact
from tests.editors.test_alphaedit import editor as alphaedit
from tests.editors.test_memit import editor as memit
from tests.reference import locate_literal, locate_released
from tests.tiny_models import tiny


@pytest.mark.filterwarnings("ignore:no hyperparameters are published")
def test_the_benchmark_measures_compares_and_pastes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LM, "load", lambda *_, **__: tiny("gpt2", positions=128))
    monkeypatch.setattr(bench_edit, "matrix_rate", lambda: 1e9)
    page = tmp_path / "performance.md"
    page.write_text(
        "# Speed\n<!-- bench_edit: begin -->\n<!-- bench_edit: end -->\nmore\n", "utf-8"
    )
    given = ["--edits", "1,3", "--methods", "alphaedit,scr", "--steps", "3"]
    given += ["--layers", "0,1", "--documents", "5", "--repeats", "1", "--literal", "2"]
    bench_edit.main([*given, "--no-wide", "--write", str(page)])
    text = page.read_text("utf-8")
    assert capsys.readouterr().out.rstrip().endswith(text.split("begin -->\n")[1].split("\n<!")[0])
    lines = [
        line.split(" | ") for line in text.splitlines() if "testbed/lm` |" in line or "*" in line
    ]
    assert len(lines) == 4
    assert all(line[4].endswith("x") for line in lines)
    assert text.endswith("more\n")
    assert "alphaedit, `testbed/lm`, 2 edits: values apart by" in text


def come(folder: Path) -> CoME:
    return CoME(base=memit(folder))


def test_as_many_edits_as_asked_and_none_twice() -> None:
    found = bench_edit.requests(1000)
    assert len({request.prompt for request in found}) == 1000
    assert all(request.target_new != request.target_true for request in found)
    assert all(request.subject and request.subject in request.prompt for request in found)
    assert bench_edit.requests(3) == found[:3]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_released_shape_finds_the_literal_values(family: str) -> None:
    lm = exact(family)
    made: Any = memit(Path(), steps=5)
    for request in FACTS:
        target = lm.encoder.target_ids(bench_edit.Query(request.prompt), request.target_new)
        given = (lm, request, target, made, ("The town. ",))
        for one, other in zip(
            locate_released.compute_z(*given), locate_literal.compute_z(*given), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", [memit, alphaedit, come])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_both_ways_make_the_same_edits(method: Any, family: str, tmp_path: Path) -> None:
    edited = method(tmp_path).apply(exact(family))
    found = bench_edit.agreement(bench_edit.setting_of("", edited), FACTS)
    assert found.values < 1e-5
    assert found.scores < 1e-3
    assert found.answers == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["memit", "alphaedit", "come"])
def test_both_ways_make_the_same_edits_of_the_testbed(method: str, tmp_path: Path) -> None:
    args = bench_edit.arguments(["--documents", "500"])
    lm = LM.load(bench_edit.testbed.path("testbed/lm"), dtype="float32")
    (made,) = list(bench_edit.on_testbed(lm, [method], args, tmp_path))
    found = bench_edit.agreement(made, bench_edit.requests(6))
    assert found.values < 1e-3
    assert found.scores < 1e-2
    assert found.answers == 1
