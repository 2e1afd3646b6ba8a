"""A report's folder: its numbers are the runs', and data cannot act in any of its files."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval import report_pages
from medit_eval.contenders import contenders
from medit_eval.pages import answers as raw_answers
from medit_eval.pages.answers import answers_of
from medit_eval.pages.folder import write_report
from medit_eval.pages.tables import points_of
from medit_eval.pages.texts import latex, markdown
from medit_eval.rescoring import read_report
from medit_eval.runs import read_manifest, write_manifest
from schemas.errors import InputError
from tests.factories import make_record
from tests.medit_eval.pages.support import (
    HOSTILE,
    OVERRIDE,
    Page,
    hostile_people,
    people,
    run,
    sequences,
)
from tests.medit_eval.support import Oracle
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def runs(lm: LM, tmp_path_factory: Any) -> Path:
    """Two runs of one batch: an editor that is always right, and a hostile one."""
    root = tmp_path_factory.mktemp("runs")
    for folder, name, everywhere in (("a", "sure", False), ("b", HOSTILE, True)):
        run(Oracle(everywhere=everywhere, name=name), lm, hostile_people(5), root / folder,
            root / "cache", protocol="batch")  # fmt: skip
    manifest = read_manifest(root / "b")
    object.__setattr__(manifest, "notes", (f"beware of {HOSTILE}{OVERRIDE}",))
    write_manifest(root / "b", manifest)
    return root


@pytest.fixture(scope="module")
def made(runs: Path, tmp_path_factory: Any) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    assert report_pages([runs / "a", runs / "b"], out) == out / "index.html"
    return out


def test_the_page_shows_the_numbers_of_the_runs(made: Path, runs: Path) -> None:
    cells = Page(made / "index.html").cells
    for name in "ab":
        report = read_report(runs / name)
        for axis, metric in (("reliability", "generated"), ("locality", "unchanged_generated")):
            (row,) = [
                r for r in report.rows
                if (r.axis, r.kind, r.metric, r.subset) == (axis, "all", metric, "all")
            ]  # fmt: skip
            told = f"{row.ci_low:.3f} – {row.ci_high:.3f}"
            assert any(f"{row.mean:.3f}" in cell for cell in cells), axis
            assert told in Page(made / "index.html").text
            assert f"n {row.n:,}, {row.unscorable:,} unscorable" in Page(made / "index.html").text


def test_json_holds_what_the_reports_do(made: Path, runs: Path) -> None:
    found = json.loads((made / "summary.json").read_text(encoding="utf-8"))
    assert [one["folder"] for one in found["runs"]] == [str(runs / "a"), str(runs / "b")]
    for one in found["runs"]:
        report = read_report(one["folder"])
        assert len(one["summary"]) == len(report.rows)
        for kept, row in zip(one["summary"], report.rows, strict=True):
            same = kept["mean"] == row.mean or (kept["mean"] is None and row.mean != row.mean)
            assert same, row
            assert (kept["axis"], kept["metric"], kept["n"]) == (row.axis, row.metric, row.n)
        assert one["manifest"]["arguments"]["seed"] == 0
    assert found["runs"][1]["label"] == HOSTILE


def test_all_files_are_there(made: Path) -> None:
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert {"index.html", "summary.json", "summary.md", "tables/summary-generation.tex"} <= names
    for figure in ("axes", "trade-off", "graded-negatives"):
        png = (made / "figures" / f"{figure}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert len(png) > 5_000
        svg = (made / "figures" / f"{figure}.svg").read_text(encoding="utf-8")
        assert svg.startswith("<svg")
        assert "sure" in svg
        assert "<script" not in svg


def test_data_is_text_and_never_markup(made: Path) -> None:
    page = Page(made / "index.html")
    assert len(page.all("script")) == 4
    assert not [a for a in page.all("img") if a.get("src") == "x"]
    assert not [n for _, attributes in page.tags for n in attributes if n.startswith("on")]
    assert page.text.count(HOSTILE) >= 3
    assert "⟨U+202E⟩gnp.exe" in page.text
    data = json.loads(page.data["answers-data"])
    assert any(HOSTILE + "⟨U+202E⟩gnp.exe" in text for text in data["texts"])
    assert "\u202e" not in page.source
    markdown_page = (made / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in re.sub(r"\\<", "", markdown_page)
    assert "\u202e" not in markdown_page


def test_the_page_asks_for_nothing(made: Path) -> None:
    page = Page(made / "index.html")
    links = [a[k] for _, a in page.tags for k in ("src", "href", "action", "srcset") if a.get(k)]
    assert links
    assert all(str(link).startswith(("data:", "#")) for link in links)
    (policy,) = (str(a["content"]) for a in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert page.source.count("window.vegaEmbed=") == 1


def test_runs_are_left_alone(runs: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (runs / "a").rglob("*")}
    report_pages([runs / "a"], tmp_path / "out", records=0)
    assert {path: path.stat().st_mtime_ns for path in (runs / "a").rglob("*")} == before


def test_same_runs_give_the_same_page(made: Path, runs: Path, tmp_path: Path) -> None:
    again = report_pages([runs / "a", runs / "b"], tmp_path / "out")
    assert again.read_bytes() == (made / "index.html").read_bytes()


def test_curves_benchmarks_and_collapse(lm: LM, tmp_path: Path) -> None:
    found = sequences(lm, tmp_path / "cache")
    page = Page(write_report(found, tmp_path / "out"))
    for text in ("What edits cost on benchmarks", "Does the model still answer?", "worse by"):
        assert text in page.text
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())
    points = points_of(found)
    assert len(kept["curves"]) == len(points) > 20
    (ruined,) = [p for p in points if (p.editor, p.series, p.edits) == ("greedy", "t", 6)]
    assert ruined.mean == 0.0
    tex = (tmp_path / "out" / "tables" / "degradation.tex").read_text()
    assert "toxigen" not in tex
    assert "toxigen" in (tmp_path / "out" / "tables" / "collapse.tex").read_text()
    specs = json.loads(page.data["charts-data"])
    (task,) = [spec for spec in specs if spec["description"].startswith("t. ")]
    assert "unedited: 1.000" in task["description"]
    assert "chance: 0.250" in task["description"]
    assert "greedy: 0.000" in task["description"]
    dashes = [layer["mark"].get("strokeDash") for layer in task["layer"]]
    assert dashes[:2] == [[6, 4], [2, 3]]
    assert "scale" in json.dumps(task)
    assert '"type": "log"' in json.dumps(task)
    assert any(spec["description"].startswith("Retention by edits") for spec in specs)


def test_orders_are_one_line(lm: LM, tmp_path: Path) -> None:
    reports = [
        run(Oracle(name="sure"), lm, people(6), None, tmp_path / "cache", protocol="sequential",
            checkpoints=(1, 4), order=order)
        for order in (0, 1)
    ]  # fmt: skip
    found = contenders(reports)
    assert [list(one.runs) for one in found] == [[0, 1]]
    page = Page(write_report(found, tmp_path / "out"))
    assert "2 orders" in page.text
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["curves"][0]["orders"] == 2


def test_records_are_evenly_spread_and_the_rest_is_counted(lm: LM, tmp_path: Path) -> None:
    report = run(Oracle(), lm, people(10), None, tmp_path / "cache", protocol="batch")
    found = contenders([report])
    answers = answers_of(found, 5)
    assert (answers.shown, answers.total) == (5, 10)
    texts = answers.data["texts"]
    ids = [texts[record["id"]] for record in answers.data["records"]]
    assert ids == ["r0", "r2", "r4", "r6", "r8"]
    page = Page(write_report(found, tmp_path / "out", 5))
    assert "5 of 10 records, evenly spread; 5 are left out" in page.text
    (question,) = [q for q in answers.data["records"][1]["questions"] if q["axis"] == "reliability"]
    (asked,) = question["asked"]
    assert texts[asked[3]] == "Rome 2"
    verdict = {answers.data["metrics"][m[0]][0]: m[1] for m in answers.data["verdicts"][asked[4]]}
    assert verdict["generated"] == 1.0


def test_a_page_that_grows_too_large_shows_fewer_records(
    lm: LM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(Oracle(), lm, people(10), None, tmp_path / "cache", protocol="batch")
    whole = len(json.dumps(answers_of(contenders([report]), 10).data))
    monkeypatch.setattr(raw_answers, "BUDGET", whole // 2)
    fewer = answers_of(contenders([report]), 10)
    assert 1 <= fewer.shown < 10
    assert len(json.dumps(fewer.data, ensure_ascii=False)) <= whole // 2


def test_pictures_come_from_the_run_folder(tmp_path: Path) -> None:
    lm = tiny("llava", positions=512)
    run("none", lm, [make_record(0)], tmp_path / "run", tmp_path / "cache", protocol="batch")
    page = Page(report_pages([tmp_path / "run"], tmp_path / "out"))
    data = json.loads(page.data["answers-data"])
    assert data["pictures"]
    assert all(uri.startswith("data:image/webp;base64,") for uri in data["pictures"])
    (tmp_path / "run" / "images.parquet").unlink()
    manifest = read_manifest(tmp_path / "run")
    manifest.files.clear()
    write_manifest(tmp_path / "run", manifest)
    page = Page(report_pages([tmp_path / "run"], tmp_path / "out"))
    assert "pictures cannot be shown" in page.text


def test_a_run_that_broke_off_says_so(runs: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(runs / "a", tmp_path / "a")
    manifest = read_manifest(tmp_path / "a")
    object.__setattr__(manifest, "complete", False)
    write_manifest(tmp_path / "a", manifest)
    page = Page(report_pages([tmp_path / "a"], tmp_path / "out"))
    assert "the run is not complete" in page.text


def test_a_run_without_answers_is_a_page_too(lm: LM, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run(Oracle(), lm, people(1), tmp_path / "full", tmp_path / "cache")
    manifest = read_manifest(tmp_path / "full")
    for name, value in (("complete", False), ("parts", {}), ("files", {}), ("predictions", 0)):
        object.__setattr__(manifest, name, value)
    write_manifest(tmp_path / "run", manifest)
    page = Page(report_pages([tmp_path / "run"], tmp_path / "out"))
    assert "the run is not complete" in page.text
    assert json.loads(page.data["answers-data"])["records"] == []


def test_runs_that_differ_are_said_not_to_be_comparable(runs: Path, lm: LM, tmp_path: Path) -> None:
    run(Oracle(name="other"), lm, people(3), tmp_path / "run", tmp_path / "cache")
    page = Page(report_pages([runs / "a", tmp_path / "run"], tmp_path / "out"))
    assert "other and sure cannot be compared" in page.text
    assert "protocol is 'batch' there and 'single' here" in page.text


@pytest.mark.parametrize("place", ["file", "run", "nothing"])
def test_places_that_cannot_be(place: str, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source, out, message = {
        "file": (runs / "a", tmp_path / "file", "a report is a folder"),
        "run": (runs / "a", runs / "a", "holds a run"),
        "nothing": (tmp_path, tmp_path / "out", "holds no run and no study"),
    }[place]
    with pytest.raises(InputError, match=message):
        report_pages([source], out)
    with pytest.raises(InputError, match="cannot show -1 records"):
        report_pages([runs / "a"], tmp_path / "out", records=-1)


def test_missing_libraries_are_named(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InputError, match=r"needs vl_convert.*medit\[report\]"):
        report_pages([runs / "a"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_in_latex_and_markdown() -> None:
    assert latex("a_b & 5 % {x} $y$ #1 ~^\\") == (
        r"a\_b \& 5 \% \{x\} \$y\$ \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex("one\ntwo \u202ethree") == r"one two $\langle$U+202E$\rangle$three"
    assert markdown("<b>|*x*_y_`") == r"\<b\>\|\*x\*\_y\_\`"


def test_tables_in_latex_have_as_many_cells_as_columns(made: Path) -> None:
    tex = (made / "tables" / "summary-generation.tex").read_text(encoding="utf-8")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in tex
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)
    assert columns
    lines = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 3
    for line in lines:
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns.group(1)) - 1
    assert r"\textless{}script\textgreater{}" in tex
