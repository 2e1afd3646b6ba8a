"""A card states what its run's files hold, in Markdown and LaTeX, and text from data is text."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import medit_eval
from editors.lm import LM
from medit_eval import Card
from medit_eval.__main__ import app
from medit_eval.cards.facts import Facts
from medit_eval.cards.limits import limits
from medit_eval.cards.making import cards_of
from medit_eval.contenders import contenders
from medit_eval.provenance import GIVEN, Setting, Sitting
from medit_eval.rescoring import read_report
from medit_eval.runs import RunManifest, read_manifest, write_manifest
from schemas.errors import InputError
from schemas.layout import sha256_of
from tests.medit_eval.pages.support import people, run, sequences
from tests.medit_eval.support import Oracle, Switchboard, person
from tests.tiny_models import tiny

HOSTILE = 'a|b \\input{x} $y$ c_d `e` # %z <b>&amp;</b> [l](u) {~^}\n## new \u202etxt "q"'


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def finished(lm: LM, tmp_path_factory: Any) -> Path:
    """A run of one batch, of which one edit failed."""
    root = tmp_path_factory.mktemp("card")
    run(Oracle(fails_on="q1"), lm, people(6), root / "run", root / "cache", protocol="batch")
    return root / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def changed(root: Path, **fields: Any) -> None:
    write_manifest(root, dataclasses.replace(read_manifest(root), **fields))


def only(root: Path) -> Card:
    (made,) = medit_eval.card(root)
    return made


def section(text: str, title: str) -> str:
    """A part of a card in Markdown."""
    return text.split(f"\n## {title}")[1].split("\n## ")[0]


def test_a_card_states_what_the_run_did(finished: Path) -> None:
    text, manifest = only(finished).markdown, read_manifest(finished)
    assert text.startswith("# Evaluation card: oracle on ")
    assert "The 6 records were edited with one call" in text
    for value in (
        manifest.arguments["records_digest"],
        manifest.arguments["model_digest"],
        manifest.model["weights"],
        manifest.versions["torch"],
        manifest.versions["python"],
        manifest.sittings[0].machine["device"],
        manifest.started,
        "float32",
        "prompts plain; free answers greedy, at most 4 tokens",
        "24: reliability 6 (edit 6); generality 6 (rephrase 6); locality 6 (text 6)",
        "everywhere = False",
        "fails_on = q1",
    ):
        assert str(value) in text, value
    assert len(text.splitlines()) < 90


def test_numbers_are_those_of_the_report(finished: Path) -> None:
    report, results = read_report(finished), section(only(finished).markdown, "Results")
    for axis, metric in (("reliability", "generated"), ("locality", "unchanged_generated")):
        (row,) = [
            r for r in report.rows
            if (r.axis, r.kind, r.metric, r.subset) == (axis, "all", metric, "all")
        ]  # fmt: skip
        bounds = f"{row.ci_low:.3f} – {row.ci_high:.3f}"
        assert f"| {axis} | {row.mean:.3f} ({bounds}) n {row.n}" in results
    assert "free generation | teacher-forced | probability" in results
    assert "harmonic mean" in results


def test_what_could_not_be_scored_is_told_with_reasons(finished: Path) -> None:
    text = only(finished).markdown
    missing = section(text, "What is not in the scores")
    assert "Failed edits: 1 of 6 records, with 4 questions: the edit failed:" in missing
    assert "the toy cannot edit this" in missing
    meanings = section(text, "What the metrics mean")
    for name in ("generated (free generation): The edited", "teacher_forced (teacher-forced): "):
        assert f"- {name}" in meanings
    assert "1 of 6 edits failed" in section(text, "Known limits")


def test_nothing_is_written_unless_asked_for(copy: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    made = only(copy)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
    assert medit_eval.card(copy, tmp_path / "out") == (made,)
    assert (tmp_path / "out" / "card.md").read_text(encoding="utf-8") == made.markdown
    assert (tmp_path / "out" / "card.tex").read_text(encoding="utf-8") == made.latex


def test_the_command_writes_into_the_run_which_stays_whole(copy: Path) -> None:
    result = CliRunner().invoke(app, ["card", str(copy)])
    assert result.exit_code == 0, result.output
    assert str(copy / "card.md") in result.output
    assert (copy / "card.tex").is_file()
    assert only(copy).markdown == (copy / "card.md").read_text(encoding="utf-8")


# Text from data ---------------------------------------------------------------------------------


@pytest.fixture
def hostile(copy: Path) -> Card:
    manifest = read_manifest(copy)
    arguments = {**manifest.arguments, "model": HOSTILE, "records": HOSTILE}
    arguments["editor"] = {**arguments["editor"], "name": HOSTILE}
    changed(
        copy,
        arguments=arguments,
        notes=(HOSTILE, "# heading", "- item", "1. first", "---"),
        settings=(Setting(HOSTILE, HOSTILE, HOSTILE),),
        versions={HOSTILE: HOSTILE},
        sittings=(Sitting(manifest.started, {"device": HOSTILE}, HOSTILE),),
    )
    return only(copy)


def test_text_from_data_is_no_markup_in_markdown(hostile: Card, finished: Path) -> None:
    kinds = ("link_open", "html_inline", "html_block", "code_inline", "image", "hr", "em_open")
    counted = ("heading_open", "tr_open", "td_open", "ordered_list_open")

    def tokens(text: str) -> list[str]:
        parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
        return [t.type for token in parsed for t in (token, *(token.children or []))]

    found, honest = tokens(hostile.markdown), tokens(only(finished).markdown)
    assert not set(kinds) & set(found)
    for kind in counted[:1] + counted[3:]:
        assert found.count(kind) == honest.count(kind), kind
    rows = [line for line in hostile.markdown.splitlines() if line.startswith("|")]
    for line in rows:
        bars = len(re.findall(r"(?<!\\)\|", line))
        assert bars in (3, 5), line
    assert "\u202e" not in hostile.markdown


def balanced(text: str) -> bool:
    """Whether braces that are markup close, and none closes too early."""
    depth = 0
    for mark in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        depth += 1 if mark == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_text_from_data_is_no_markup_in_latex(hostile: Card) -> None:
    body = re.sub(r"^%.*\n", "", hostile.latex, flags=re.MULTILINE)
    assert balanced(body)
    commands = set(re.findall(r"\\([a-zA-Z]+)", body))
    assert "input" not in commands
    assert not {"documentclass", "usepackage", "textquotedbl"} & commands
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[\\{}$&#%_]|\$\\[a-z]+\$|\$-\$", "", body)
    assert not set('$#^~%"⟨\u202e') & set(bare)
    begun = re.findall(r"\\begin\{(\w+)\}", body)
    assert sorted(begun) == sorted(re.findall(r"\\end\{(\w+)\}", body))
    for table in re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", body, re.DOTALL):
        columns = table[0].count("p{")
        widths = [float(width) for width in re.findall(r"p\{([\d.]+)\\linewidth", table[0])]
        assert sum(widths) + columns * 0.015 <= 1
        for line in table[1].splitlines():
            if line.endswith(r"\tabularnewline"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, line


def test_paths_of_the_machine_are_not_told(copy: Path, tmp_path: Path) -> None:
    manifest = read_manifest(copy)
    arguments = {**manifest.arguments, "model": "/home/me/gpt", "records": str(tmp_path / "r.json")}
    settings = (*manifest.settings, Setting("cache", "/home/me/cache", GIVEN))
    changed(copy, arguments=arguments, settings=settings)
    made = only(copy)
    for text in (made.markdown, made.latex):
        assert "/home/me" not in text
        assert str(tmp_path) not in text
    assert "oracle on gpt" in made.markdown
    assert "r.json: 6 records" in made.markdown
    assert "cache = cache" in made.markdown


# Runs of other kinds ----------------------------------------------------------------------------


def test_an_incomplete_run_says_so_on_top(copy: Path) -> None:
    changed(copy, complete=False, finished=None)
    lines = only(copy).markdown.splitlines()
    assert lines[2].startswith("NOT COMPLETE. This run is not finished")
    assert "not complete" in section("\n".join(lines), "What was run")


def test_a_run_without_any_answer_has_a_card(copy: Path) -> None:
    shutil.rmtree(copy / "predictions")
    (copy / "scores.parquet").unlink()
    (copy / "diagnostics.parquet").unlink()
    changed(copy, complete=False, finished=None, parts={}, files={}, predictions=0)
    text = only(copy).markdown
    assert "NOT COMPLETE" in text
    assert "none asked as yet" in text
    assert "Nothing has been asked as yet." in text


def test_a_run_of_before_sources_were_recorded_is_read(copy: Path) -> None:
    path = copy / "manifest.json"
    fields = json.loads(path.read_text())
    for name in ("settings", "sittings", "model"):
        del fields[name]
    path.write_text(json.dumps(fields))
    text = only(copy).markdown
    assert "| everywhere = False, fails_on = q1, crashes_on = None, names_culprit = True | " \
        "not recorded |" in text  # fmt: skip
    assert "| hardware | not recorded |" in text
    assert "commit of medit: not recorded" in text
    assert "did not record where any of its editor's settings are from" in text


def test_damaged_runs_and_other_folders_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run and no study"):
        medit_eval.card(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        medit_eval.card(copy, tmp_path / "file")
    with (copy / "diagnostics.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="is not what the run wrote"):
        medit_eval.card(copy)


def test_a_study_has_a_card_per_editor_over_its_orders(lm: LM, tmp_path: Path) -> None:
    for name in ("sure", "SURE"):
        for order in (0, 1):
            run(Oracle(name=name, everywhere=name == "SURE"), lm, people(6),
                tmp_path / "study" / name / f"order-{order}", tmp_path / "cache",
                protocol="sequential", checkpoints=(1, 4), order=order)  # fmt: skip
    made = medit_eval.card(tmp_path / "study")
    assert [one.name for one in made] == ["card-sure", "card-sure-2"]
    for one in made:
        assert "4 records were edited one by one, in each of 2 orders drawn from seed 0" in (
            one.markdown
        )
        assert "after 1 and 4 edits" in one.markdown
        assert "axis, after 4 edits | free generation |" in one.markdown
        assert "| retention | " in one.markdown
        assert "2 orders of edits say little" in one.markdown


def test_benchmarks_are_told_with_their_limits(lm: LM, tmp_path: Path) -> None:
    found = sequences(lm, tmp_path / "cache")
    for report in (report for contender in found for report in contender.reports):
        rows = tuple(dataclasses.replace(row, collapsed=True) for row in report.benchmarks.collapse)
        object.__setattr__(
            report, "benchmarks", dataclasses.replace(report.benchmarks, collapse=rows)
        )
    ruined = next(one for one in cards_of(found) if "greedy" in one.name)
    results = section(ruined.markdown, "Results")
    assert "| benchmark, after 6 edits | metric | n | unedited | edited | difference |" in results
    assert "| t | " in results
    limit = section(ruined.markdown, "Known limits")
    assert "t: the unedited model scores 1.00, so that only losses can show." in limit
    assert "the model no longer answers" in limit


# Limits -----------------------------------------------------------------------------------------


def told(lm: LM, cache: Path, editor: Any, records: Any, **options: Any) -> str:
    report = run(editor, lm, records, None, cache, **options)
    (contender,) = contenders([report])
    return "\n".join(limits(Facts(contender)))


def test_limits_are_those_of_the_run(lm: LM, tmp_path: Path) -> None:
    single = told(lm, tmp_path, Oracle(), people(4))
    assert "Never more than 1 edit was in the model" in single
    assert "Every score of reliability and locality is 1" in single
    # 0.05 ** (1 / 4) = 0.473
    assert "up to 53 % of further records could still come out wrong" in single
    assert "Locality rests on 1 kind of probes alone: text." in single
    assert "portability, one_hop: not measurable: the unedited model answers 0.00" in single
    assert "1 axis has no number: portability" in single
    assert "0 general benchmarks were run" in single
    assert "memory" not in single
    sequential = told(lm, tmp_path, Oracle(), people(4), protocol="sequential", batch_size=2)
    assert "1 order of edits" in sequential
    assert "Never more" not in sequential


def test_limits_of_an_editor_with_a_memory(lm: LM, tmp_path: Path) -> None:
    routed = told(lm, tmp_path, Switchboard(), [person(0), person(1)])
    assert "The editor's memory answered 1.00 of reliability questions, 0.00 of" in routed
    assert "With 1 edit in memory" in routed
    none = told(lm, tmp_path, "none", [person(0)])
    assert none.startswith("No edit was made")


def test_a_model_that_can_chat_and_was_asked_plain(finished: Path) -> None:
    report = read_report(finished)
    assert isinstance(report.manifest, RunManifest)
    manifest = dataclasses.replace(
        report.manifest, model={**report.manifest.model, "chat_template": True}
    )
    (contender,) = contenders([dataclasses.replace(report, manifest=manifest)])
    assert "The model has a chat template, and all 24 questions were put to it as plain" in (
        "\n".join(limits(Facts(contender)))
    )


# Answers of another tool --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"protocol": "single"}, "of the protocol single on 3 records; the answers"),
        (
            {"protocol": "sequential", "batch_size": 1, "checkpoints": [1, 3]},
            "of the protocol sequential on 3 records, after 1 and 3 edits; the answers",
        ),
    ],
)
def test_of_another_tools_answers_nothing_is_said_that_nobody_knows(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    records, file = people(3), tmp_path / "theirs.jsonl"
    medit_eval.write_questions(records, file, **options)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "".join(json.dumps({**r, "pre_edit": "Oslo", "post_edit": "Rome"}) + "\n" for r in rows)
    )
    medit_eval.score(
        predictions=file, records=records, editor="Theirs", out=tmp_path / "run", **options
    )
    text = only(tmp_path / "run").markdown
    assert text.startswith("# Evaluation card: Theirs\n")
    assert told in text
    assert f"another tool's: theirs.jsonl, SHA-256 {sha256_of(file)}. How they were made" in text
    assert "It is another tool's; its settings are not recorded." in text
    assert "Failed edits: the file names none." in text
    ran = section(text, "What was run")
    assert "the bootstrap" in ran
    assert "medit " in ran
    for never in (
        "greedy", "taken back", "random choices", "torch", "peft", "cache", "weights", "first;",
        "has no settings", "Never more than", "was edited",
    ):  # fmt: skip
        assert never not in text, never
