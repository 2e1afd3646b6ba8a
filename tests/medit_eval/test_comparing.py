"""Editors compared on the same questions, and runs that do not go together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval import Report, compare_runs, score
from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.comparing import Difference, compare_contenders
from medit_eval.contenders import contenders
from medit_eval.significance import holm
from schemas.errors import InputError
from tests.medit_eval.answers import answers, info
from tests.medit_eval.support import Oracle, person
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


def run(name: str, lm: LM, tmp_path: Path, count: int = 8, **options: Any) -> Report:
    """A run of an oracle; one whose name begins with `greedy` answers everything alike."""
    editor = Oracle(name=name, everywhere=name.startswith("greedy"))
    records = [person(number) for number in range(count)]
    settings: dict[str, Any] = {"protocol": "batch", "max_new_tokens": 4, **options}
    return score(editor, lm, records, cache=tmp_path / "cache", **settings)


def find(rows: Sequence[Any], **wanted: Any) -> Any:
    (row,) = [r for r in rows if all(getattr(r, name) == v for name, v in wanted.items())]
    return row


@pytest.fixture(scope="module")
def pair(lm: LM, tmp_path_factory: Any) -> list[Report]:
    root = tmp_path_factory.mktemp("pair")
    return [run("sure", lm, root), run("greedy", lm, root)]


def test_means_are_those_of_the_summaries(pair: list[Report]) -> None:
    found = compare_contenders(contenders(pair))
    assert len(found.standings) > 10
    for row in found.standings:
        report = pair[("sure", "greedy").index(row.editor)]
        (line,) = [
            r for r in report.rows
            if (r.axis, r.kind, r.metric, r.subset) == (row.series, "all", row.metric, "all")
        ]  # fmt: skip
        assert (row.mean, row.n) == (pytest.approx(line.mean), line.n)
        assert (row.ci_low, row.ci_high) == pytest.approx((line.ci_low, line.ci_high))


def test_differences_and_ranks(pair: list[Report]) -> None:
    found = compare_contenders(contenders(pair))
    locality = find(found.differences, series="locality", metric="unchanged_generated")
    assert (locality.first, locality.second) == ("sure", "greedy")
    assert (locality.difference, locality.fell, locality.rose) == (-1.0, 8, 0)
    assert locality.p == pytest.approx(2 / 2**8)
    assert locality.test == "mcnemar"
    assert locality.verdict == "sure is better"
    best = find(found.standings, series="locality", metric="unchanged_generated", editor="sure")
    last = find(found.standings, series="locality", metric="unchanged_generated", editor="greedy")
    assert (best.rank, best.rank_low, best.rank_high) == (1, 1, 1)
    assert (last.rank, last.rank_low, last.rank_high) == (2, 2, 2)


def test_less_leaking_is_better(lm: LM, tmp_path: Path) -> None:
    reports = [run(name, lm, tmp_path, protocol="single") for name in ("sure", "greedy")]
    found = compare_contenders(contenders(reports))
    leak = find(found.differences, series="locality", metric="leak")
    assert (leak.better, leak.difference, leak.verdict) == ("lower", 1.0, "sure is better")
    ranks = {row.editor: row.rank for row in found.standings if row.metric == "leak"}
    assert ranks == {"sure": 1, "greedy": 2}


def test_what_is_not_measurable_is_left_out_and_said(pair: list[Report]) -> None:
    found = compare_contenders(contenders(pair))
    assert not [row for row in found.standings if row.series == "portability" and row.n]
    assert any(note.startswith("portability, one_hop, is left out") for note in found.notes)


def test_equal_editors_share_a_rank(pair: list[Report]) -> None:
    twin = dataclasses.replace(pair[0], path=None)
    found = compare_contenders(contenders([pair[0], twin]))
    assert [c.label for c in found.contenders] == ["sure (1)", "sure (2)"]
    rows = [r for r in found.standings if r.metric == "unchanged_generated"]
    assert [(r.rank, r.rank_low, r.rank_high) for r in rows] == [(1, 1, 1), (1, 1, 1)]
    assert {r.difference for r in found.differences} == {0.0}
    assert {r.verdict for r in found.differences} == {"no detectable difference"}


def test_p_values_are_corrected_over_pairs_and_axes(
    pair: list[Report], lm: LM, tmp_path: Path
) -> None:
    found = compare_contenders(contenders([*pair, run("third", lm, tmp_path)]))
    measure = ("generated", "unchanged_generated")
    rows = [r for r in found.differences if r.metric in measure]
    assert len(rows) == 3 * 3  # no portability: the unedited model knows nothing
    assert [r.p_holm for r in rows] == pytest.approx(holm([r.p for r in rows]), nan_ok=True)
    assert {(r.first, r.second) for r in rows} == {
        ("sure", "greedy"), ("sure", "third"), ("greedy", "third")
    }  # fmt: skip


def test_questions_that_one_editor_has_no_score_for_are_left_out_of_all(
    pair: list[Report],
) -> None:
    spoilt = tuple(
        dataclasses.replace(s, value=None, reason="lost")
        if s.metric == "unchanged_generated" and s.record == "r3"
        else s
        for s in pair[1].scores
    )
    found = compare_contenders(contenders([pair[0], dataclasses.replace(pair[1], scores=spoilt)]))
    for row in found.standings:
        if row.metric == "unchanged_generated":
            assert (row.n, row.left_out) == (7, 1)


def test_one_record_tells_no_difference(lm: LM, tmp_path: Path) -> None:
    reports = [run(name, lm, tmp_path, count=1) for name in ("sure", "greedy")]
    found = compare_contenders(contenders(reports))
    row = find(found.differences, series="locality", metric="unchanged_generated")
    assert row.difference == -1.0
    assert row.ci_low != row.ci_low
    assert row.verdict.startswith("cannot be told")


def test_benchmarks_are_paired_by_item(pair: list[Report]) -> None:
    scores = ([1.0] * 20, [0.0] * 12 + [1.0] * 7 + [None])
    made = [
        dataclasses.replace(
            report,
            benchmarks=BenchmarkResults(
                (*answers([1.0] * 20), *answers(values, phase="after")), (info(items=20),)
            ),
        )
        for report, values in zip(pair, scores, strict=True)
    ]
    row = find(compare_contenders(contenders(made)).differences, way="benchmark")
    assert (row.series, row.metric, row.n, row.left_out) == ("t", "acc", 19, 1)
    assert row.difference == pytest.approx(-12 / 19)
    assert (row.fell, row.rose, row.verdict) == (12, 0, "sure is better")


def test_orders_are_paired_with_their_own(lm: LM, tmp_path: Path) -> None:
    reports = [
        run(name, lm, tmp_path, protocol="sequential", checkpoints=(2, 6), order=order)
        for name in ("sure", "greedy")
        for order in (0, 1, 2)
    ]
    found = contenders(reports)
    assert [list(c.runs) for c in found] == [[0, 1, 2], [0, 1, 2]]
    row = find(
        compare_contenders(found).differences,
        phase="edits-6", series="locality", metric="unchanged_generated",
    )  # fmt: skip
    assert (row.orders, row.n) == (3, 18)
    assert row.difference == -1.0
    with pytest.raises(InputError, match="the orders of edits are 0, 1, 2 there and 0, 1 here"):
        compare_contenders(contenders(reports[:-1]))


SEQUENCE = {"protocol": "sequential", "checkpoints": (2, 6)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "single"}, "protocol is 'batch' there and 'single' here"),
        ({"count": 7}, "record_count is 8 there and 7 here"),
        ({"limit": 7}, r"records_digest is '[0-9a-f]+' there and '[0-9a-f]+' here"),
        ({"batch_size": 2}, "batch_size is 100 there and 2 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"max_new_tokens": 5}, "max_new_tokens is 4 there and 5 here"),
        (SEQUENCE, r"checkpoints is None there and \[2, 6\] here"),
    ],
)
def test_runs_that_differ_are_refused(
    pair: list[Report], lm: LM, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    other = run("greedy", lm, tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        compare_contenders(contenders([pair[0], other]))


def test_other_models_prompts_checkpoints_and_orders_are_refused(
    pair: list[Report], lm: LM, tmp_path: Path
) -> None:
    other = run("greedy", tiny("llama"), tmp_path)
    with pytest.raises(InputError, match=r"model_digest is '\w+' there and '\w+' here"):
        compare_contenders(contenders([pair[0], other]))
    first = run("sure", lm, tmp_path, **SEQUENCE)
    fewer = run("greedy", lm, tmp_path, protocol="sequential", checkpoints=(2, 4))
    with pytest.raises(InputError, match=r"checkpoints is \[2, 6\] there and \[2, 4\] here"):
        compare_contenders(contenders([first, fewer]))
    second = run("greedy", lm, tmp_path, **SEQUENCE, order=1)
    with pytest.raises(InputError, match="the orders of edits are 0 there and 1 here"):
        compare_contenders(contenders([first, second]))
    manifest = pair[1].manifest
    assert manifest is not None
    asked = {**manifest.arguments, "prompt_format": "chat"}
    chatting = dataclasses.replace(pair[1], manifest=dataclasses.replace(manifest, arguments=asked))
    with pytest.raises(InputError, match="prompt_format is 'plain' there and 'chat' here"):
        compare_contenders(contenders([pair[0], chatting]))


def test_one_run_alone_is_refused(pair: list[Report]) -> None:
    with pytest.raises(InputError, match="at least two runs"):
        compare_contenders(contenders(pair[:1]))


def test_folders_and_files(lm: LM, tmp_path: Path) -> None:
    for name in ("sure", "greedy"):
        run(name, lm, tmp_path, out=tmp_path / "study" / name)
    found = compare_runs([tmp_path / "study"])
    found.write(tmp_path / "c.json")
    kept = json.loads((tmp_path / "c.json").read_text())
    assert len(kept["differences"]) == len(found.differences)
    for line, row in zip(kept["differences"], found.differences, strict=True):
        assert line["p"] == (None if row.p != row.p else row.p)
    found.write(tmp_path / "c.csv")
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0].split(",") == [field.name for field in dataclasses.fields(Difference)]
    assert len(lines) == 1 + len(found.differences)
    with pytest.raises(InputError, match=r"\.json or a \.csv"):
        found.write(tmp_path / "c.txt")
    names = [one["folder"] for one in kept["runs"]]
    assert names == [str(tmp_path / "study" / name) for name in ("greedy", "sure")]
