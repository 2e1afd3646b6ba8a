"""Curves over the number of edits: means over orders, each over records and kinds of probes."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest

from editors.lm import LM
from medit_eval import Report, score
from medit_eval.benchmarks.answers import Answer
from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.curves import curves
from schemas.records import EditRecord
from tests.medit_eval.support import Forgetful, person, probe
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


def run(lm: LM, records: list[EditRecord], tmp_path: Path, **options: Any) -> Report:
    return score(
        Forgetful(last=2), lm, records,
        **{"protocol": "sequential", "checkpoints": (2, 5), "cache": tmp_path / "cache",
           "max_new_tokens": 4, **options},
    )  # fmt: skip


def test_old_edits_are_retention_and_new_ones_reliability(lm: LM, tmp_path: Path) -> None:
    records = [person(number) for number in range(6)]
    reports = [run(lm, records, tmp_path, order=order) for order in range(3)]
    points = {(p.series, p.edits): p for p in curves(reports)}
    assert points["reliability", 2].mean == 1.0
    assert points["reliability", 5].mean == pytest.approx(2 / 3)
    assert points["retention", 5].mean == 0.0
    assert points["retention", 5].n == 3 * 2
    assert points["locality", 5].mean == 1.0
    assert points["reliability", 5].orders == 3
    assert points["reliability", 5].order_sd == 0.0


def test_a_record_counts_once_however_many_questions_it_has(lm: LM, tmp_path: Path) -> None:
    # Two kinds of generality: the oracle knows the edited prompt alone, and one of them asks it.
    records = []
    for number in range(5):
        record = person(number)
        same = probe("image_rephrase", "generality", record.requests[0].prompt, f"Rome {number}")
        extra = [same] if number else [same, replace(same, id="more"), replace(same, id="again")]
        records.append(replace(record, probes=(*record.probes, *extra)))
    (report,) = [run(lm, records, tmp_path, checkpoints=(2,))]
    points = {p.series: p for p in curves([report])}
    assert points["generality"].mean == pytest.approx(0.5)


def test_texts_are_told_as_perplexities(lm: LM, tmp_path: Path) -> None:
    def text(item: str, value: float, words: float) -> Answer:
        return Answer(
            "unedited", "texts", item, "", "perplexity", "word_perplexity", "0" * 32, "", (), "",
            "", (-value * words,), value, words,
        )  # fmt: skip

    report = run(lm, [person(number) for number in range(5)], tmp_path)
    told = BenchmarkResults(answers=(text("a", 1.0, 30), text("b", 2.0, 10)))
    points = {p.series: p for p in curves([replace(report, benchmarks=told)])}
    assert points["texts"].mean == pytest.approx(exp(50 / 40))
    assert exp(1.0) <= points["texts"].ci_low < points["texts"].ci_high <= exp(2.0)
    assert (points["texts"].edits, points["texts"].n) == (0, 2)


def test_runs_without_checkpoints_have_no_curves(lm: LM, tmp_path: Path) -> None:
    records = [person(number) for number in range(3)]
    assert curves([run(lm, records, tmp_path, checkpoints=())]) == []
    assert curves([]) == []
