"""The benchmark of scoring runs, and finds both ways to agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_score


@pytest.mark.parametrize("editor", ["scr", pytest.param("alphaedit", marks=pytest.mark.slow)])
def test_both_ways_are_measured_and_agree(
    editor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench_score: begin -->\n<!-- bench_score: end -->\n")
    given = ("--records", "4", "--sample", "2", "--repeats", "1", "--protocols", "single")
    bench_score.main([*given, "--editors", editor, "--write", str(page)])
    (line,) = [
        row for row in page.read_text().splitlines() if row.startswith(f"| single | {editor}")
    ]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    named = dict(zip(bench_score.COLUMNS, cells, strict=True))
    same, _, of = named["answers alike"].split(",")[0].partition(" of ")
    assert same == of
    assert int(of) > 20
    assert named["to literal"].endswith("x")
    assert line in capsys.readouterr().out


def test_renamed_people_are_other_questions() -> None:
    records = bench_score.people(1000)
    assert len({record.id for record in records}) == 1000
    prompts = {request.prompt for record in records for request in record.requests}
    assert len(prompts) == 1000
