"""What README and docs say is true: their commands run, their tables are those of the code."""

from __future__ import annotations

import bz2
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.okedit import scope
from tests.factories import make_image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced code blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """The README's shell commands in order, comments and line breaks resolved."""
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def test_make_targets_exist() -> None:
    targets = {words[1] for words in commands() if words[0] == "make"}
    assert targets == {"demo", "test"}
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_scope_table_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "okedit.md").read_text(encoding="utf-8")
    lines = ["| probe kind | after a recognition edit | after a knowledge edit |", "|---|---|---|"]
    lines += [f"| `{kind}` | {first} | {second} |" for kind, first, second in scope.rows()]
    between = text.split("<!-- scope: begin -->\n")[1].split("\n<!-- scope: end -->")[0]
    assert between == "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": "not-a-key",
        "MEDIT_MODEL": "any",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    ran = 0
    for words in commands():
        if words[0] in ("make", "export"):
            continue  # `make` is what runs this test; the exported variables are set above
        assert words[0] == "python"
        result = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{shlex.join(words)}\n{result.stderr}"
        ran += 1
    assert ran >= 7
    for code in blocks("python"):
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_benchmark_pastes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", page)
    command = [sys.executable, "-m", "benchmarks.build_okedit", "--write", str(page)]
    command += ["--records", "20", "--large", "40", "--rounds", "1"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    table = page.read_text(encoding="utf-8").split("<!-- build_okedit: begin -->")[1]
    assert "20 records, one worker" in table
    assert "40 records, two workers" in table


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_of_editors_is_pasted_from_their_runs(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- score_editors: begin -->\nold\n<!-- score_editors: end -->\n")
    command = [sys.executable, "-m", "benchmarks.score_editors", "--write", str(page)]
    command += ["--limit", "3", "--editors", "none,scr", "--runs", str(tmp_path / "runs")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "old" not in lines
    assert sum("| none |" in line for line in lines) == 2
    assert sum("| scr |" in line for line in lines) == 2
    assert (tmp_path / "runs" / "people-scr" / "summary.csv").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_table_of_rewritten_documents_is_pasted_from_their_runs(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("<!-- score_documents: begin -->\nold\n<!-- score_documents: end -->\n")
    command = [sys.executable, "-m", "benchmarks.score_documents", "--write", str(page)]
    command += ["--limit", "3", "--editors", "none,scr", "--runs", str(tmp_path / "runs")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "old" not in lines
    texts = [line.split(" | ")[1] for line in lines if line.startswith("| ")][1:]
    assert texts == ["copy input", "gold", "unedited", "scr"] * 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_sequences_cost_is_pasted_from_their_runs(tmp_path: Path) -> None:
    page, figure = tmp_path / "page.md", tmp_path / "curves.png"
    page.write_text("<!-- sequential: begin -->\nold\n<!-- sequential: end -->\n")
    command = [sys.executable, "-m", "benchmarks.sequential", "--write", str(page)]
    command += ["--figure", str(figure), "--runs", str(tmp_path / "runs"), "--orders", "2"]
    command += ["--editors", "none,scr", "--checkpoints", "1,2", "--benchmarks", "smoke"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("| after 2 edits, 2 orders | `reliability` | `retention` |")
    assert [line.split(" | ")[0] for line in lines[3:6]] == ["| unedited", "| none", "| scr"]
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_card_is_made_of_a_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.example_card", "--limit", "3"]
    command += ["--runs", str(tmp_path / "run"), "--out", str(tmp_path / "docs")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for suffix in ("md", "tex"):
        made = (tmp_path / "docs" / f"evaluation-card.{suffix}").read_text(encoding="utf-8")
        kept = (ROOT / "docs" / f"evaluation-card.{suffix}").read_text(encoding="utf-8")
        for text in (made, kept):
            assert "Evaluation card: memit on testbed/lm" in text
            assert "Known limits" in text
            assert str(tmp_path) not in text
            assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", text)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_counts_and_speed_of_dumps_are_pasted(tmp_path: Path) -> None:
    write_dumps(tmp_path)
    page = tmp_path / "page.md"
    names = ("count_docmedit", "build_docmedit")
    page.write_text("".join(f"<!-- {n}: begin -->\nold\n<!-- {n}: end -->\n" for n in names))
    dumps = [str(tmp_path / f"enwiki-{day}.xml.bz2") for day in ("20200611", "20211213")]
    for command in (
        ["benchmarks.count_docmedit", *dumps],
        ["benchmarks.build_docmedit", "--pages", "100", "--large", "200", "--rounds", "1"],
    ):
        subprocess.run(
            [sys.executable, "-m", *command, "--write", str(page)],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
    text = page.read_text(encoding="utf-8")
    assert "old\n" not in text
    assert "| with a newly linked entity | 12 | 1 |" in text
    assert "| whole build, to validated shards |" in text
    assert "that give 2 records and 8 rejects" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_curves_over_regularisation_are_pasted_and_drawn(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("<!-- regularisation: begin -->\nold\n<!-- regularisation: end -->\n")
    command = [sys.executable, "-m", "benchmarks.regularisation", "--write", str(page)]
    command += ["--limit", "4", "--batch-size", "2", "--points", "1"]
    subprocess.run([*command, "--runs", str(tmp_path / "runs")], cwd=ROOT, check=True)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "old" not in lines
    assert [line.split(" | ")[0] for line in lines if "λ" in line or "energy" in line] == [
        "| memit",
        "| alphaedit",
    ]
    assert (tmp_path / "regularisation.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_the_testbed_is_what_training_measured(tmp_path: Path) -> None:
    page = ROOT / "docs" / "results.md"
    pasted = tmp_path / "results.md"
    shutil.copy(page, pasted)
    command = [sys.executable, "-m", "benchmarks.testbed_models", "--write", str(pasted)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert pasted.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def write_inputs(folder: Path) -> None:
    """The files that the README's commands name."""
    write_dumps(folder)
    numbers = ("one", "two", "three", "four", "five", "six", "seven")
    rows = [
        {
            "src": f"What number is on sign {i}?",
            "pred": numbers[i],
            "rephrase": f"Which number does sign {i} show?",
            "alt": numbers[i + 1],
            "image": f"val2014/{i}.jpg",
            "image_rephrase": f"rephrase/{i}.png",
            "loc": "nq question: who wrote hamlet",
            "loc_ans": "Shakespeare",
            "m_loc": f"val2014/other-{i}.jpg",
            "m_loc_q": "What sport is this?",
            "m_loc_a": "tennis",
        }
        for i in range(6)
    ]
    (folder / "vqa_eval.json").write_text(json.dumps(rows))
    questions = [
        {"image_id": i, "question": f"What colour is ball {i}?", "question_id": 10 * i}
        for i in range(6)
    ]
    colours = ("red", "blue", "green", "yellow", "black", "white")
    annotations = [
        {"question_id": 10 * i, "image_id": i, "answers": [{"answer": colours[i]}] * 10}
        for i in range(6)
    ]
    (folder / "questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "annotations.json").write_text(json.dumps({"annotations": annotations}))
    images = folder / "coco" / "val2014"
    images.mkdir(parents=True)
    for i in range(6):
        (images / f"COCO_val2014_{i:012d}.jpg").write_bytes(make_image(i).bytes)


def write_dumps(folder: Path) -> None:
    """Two snapshots of a wiki with one article, which is brought up to date."""
    head = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<siteinfo><dbname>enwiki</dbname><case>first-letter</case>
<namespaces><namespace key="0" case="first-letter" /></namespaces></siteinfo>"""
    page = """<page><title>Acme</title><ns>0</ns><id>1</id><revision><id>{id}</id>
<timestamp>{date}T00:00:00Z</timestamp><text>{text}</text></revision></page></mediawiki>"""
    texts = {
        ("2020-06-01", "enwiki-20200611"): "Acme is a company. It makes [[boat]]s.",
        ("2021-12-01", "enwiki-20211213"): (
            "Acme is a company. It makes [[boat]]s. Its head office is in [[Rome]]."
        ),
    }
    for number, ((date, name), text) in enumerate(texts.items(), start=1):
        dump = head + page.format(id=number, date=date, text=text)
        (folder / f"{name}.xml.bz2").write_bytes(bz2.compress(dump.encode()))
