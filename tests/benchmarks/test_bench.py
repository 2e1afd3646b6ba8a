"""The scripts that measure speed run, at sizes that say nothing, and paste their tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_memory, bench_stats
from tests.tiny_models import tiny

REPEATS = "1"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "performance.md"
    names = ("bench_stats", "bench_memory")
    path.write_text("".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in names))
    return path


def cells(page: Path, name: str) -> list[list[str]]:
    """The rows of the table between a script's markers, without its head."""
    between = page.read_text().split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]
    lines = [line for line in between.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_second_moments(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_stats, "matrix_rate", lambda: 1e10)
    monkeypatch.setattr(bench_stats, "resolve", lambda _: tiny("gpt2", positions=128))
    small = {"n_embd": 32, "n_head": 4, "n_positions": 128, "vocab_size": 2048}
    monkeypatch.setattr(bench_stats, "XL", small)
    monkeypatch.setattr(bench_stats, "XL_LAYERS", (1,))
    sizes = ("--texts", "12", "--xl-texts", "1", "--xl-layers", "2", "--xl-repeats", REPEATS)
    bench_stats.main([*sizes, "--repeats", REPEATS, "--write", str(page)])
    rows = cells(page, "bench_stats")
    assert [row[0] for row in rows] == [
        "testbed/lm, all 3 layers",
        "testbed/lm, layer 1",
        "testbed/lm, all 3 layers",
        "shape of GPT2-XL with 2 of 48 layers, layer 1",
    ]
    for row in rows:
        assert len(row) == len(bench_stats.COLUMNS)
        assert row[5].endswith("x")
        assert row[9].endswith("%")
    assert not cells(page, "bench_memory")


def test_memories(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editors.codebook._LARGE", 10)
    sizes = ("--entries", "50", "--queries", "3")
    bench_memory.main([*sizes, "--repeats", REPEATS, "--write", str(page)])
    rows = cells(page, "bench_memory")
    assert len(rows) == 6
    for row in rows:
        assert len(row) == len(bench_memory.COLUMNS)
        assert row[1] == "50"
        assert float(row[5].removesuffix("x").replace(",", "")) >= 0
