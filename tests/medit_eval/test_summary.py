"""The table says what was measured, what was not, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from medit_eval.metrics import DEFAULT
from medit_eval.predictions import Output, Prediction
from medit_eval.report import scored
from medit_eval.summary import Row, summarise
from tests.medit_eval.support import prediction


def rows(predictions: Sequence[Prediction], **options: Any) -> dict[tuple[str, str, str], Row]:
    settings = {"protocol": "single", "seed": 0, **options}
    found = summarise(predictions, scored(predictions, DEFAULT), **settings)
    return {(row.axis, row.kind, row.metric): row for row in found if row.subset == "all"}


def at(record: int, axis: Any, kind: str, answer: str, **overrides: Any) -> Prediction:
    """A probe answered with `answer`; "Rome" is new, "Oslo" old, and "France" to keep."""
    expectation: Any = "unchanged" if axis == "locality" else "target"
    right = ("France",) if axis == "locality" else ("Rome",)
    fields: dict[str, Any] = {
        "record": str(record),
        "probe": kind,
        "axis": axis,
        "kind": kind,
        "expectation": expectation,
        "answers": right,
        "answers_pre_edit": () if axis == "locality" else ("Oslo",),
        "pre": Output("France" if axis == "locality" else "Oslo"),
        "post": Output(answer),
    }
    return prediction(**(fields | overrides))


def test_kinds_axes_and_their_harmonic_mean() -> None:
    table = rows(
        [
            at(0, "reliability", "edit", "Rome"),
            at(1, "reliability", "edit", "Oslo"),
            at(0, "generality", "rephrase", "Rome"),
            at(0, "generality", "image_rephrase", "Oslo"),
            at(1, "generality", "rephrase", "Rome"),
            at(0, "locality", "text", "France"),
        ]
    )
    assert table["reliability", "edit", "generated"].mean == 0.5
    assert table["generality", "rephrase", "generated"].mean == 1.0
    assert table["generality", "all", "generated"].mean == 0.5
    assert table["generality", "all", "generated"].n == 3
    assert table["locality", "all", "unchanged_generated"].mean == 1.0
    overall = table["harmonic_mean", "all", "generated"]
    assert overall.mean == pytest.approx(3 / (1 / 0.5 + 1 / 0.5 + 1 / 1))
    assert overall.note == "over reliability, generality, locality; without portability"
    balanced = table["harmonic_mean", "generality_locality", "generated"]
    assert balanced.mean == 0.0
    assert balanced.note == "over text generality, image generality, locality"


def test_a_zero_makes_the_harmonic_mean_zero() -> None:
    table = rows([at(0, "reliability", "edit", "Oslo"), at(0, "locality", "text", "France")])
    assert table["harmonic_mean", "all", "generated"].mean == 0.0


def test_one_axis_has_no_harmonic_mean() -> None:
    table = rows([at(0, "reliability", "edit", "Rome")])
    assert not any(axis == "harmonic_mean" for axis, _, _ in table)


def test_what_the_unedited_model_cannot_do_is_not_measurable() -> None:
    weak = at(0, "portability", "two_hop", "nonsense", pre=Output("nonsense"))
    table = rows([weak, at(0, "reliability", "edit", "Rome"), at(0, "locality", "text", "France")])
    row = table["portability", "two_hop", "generated"]
    assert math.isnan(row.mean)
    assert row.note == "not measurable: the unedited model answers 0.00 of these questions"
    assert table["portability", "all", "generated"].note == "not measurable"
    assert table["portability", "two_hop", "pre_edit_right"].mean == 0.0
    note = table["harmonic_mean", "all", "generated"].note
    assert note == "over reliability, locality; without generality, portability"
    assert rows([weak], bar=0.0)["portability", "two_hop", "generated"].mean == 0.0


def test_what_it_can_do_is_measured_and_other_kinds_are_left_out() -> None:
    table = rows(
        [
            at(0, "portability", "one_hop", "nonsense"),
            at(0, "portability", "two_hop", "Rome", pre=Output("nonsense")),
        ]
    )
    assert table["portability", "one_hop", "generated"].mean == 0.0
    axis = table["portability", "all", "generated"]
    assert (axis.mean, axis.n, axis.note) == (0.0, 1, "without two_hop")


def test_where_nobody_knows_whether_it_could_the_row_says_so() -> None:
    table = rows([at(0, "portability", "hop", "Rome", answers_pre_edit=())])
    row = table["portability", "hop", "generated"]
    assert row.mean == 1.0
    assert row.note == "whether the unedited model could answer is not known"


def test_locality_is_split_by_whether_the_unedited_model_was_right() -> None:
    predictions = [
        at(0, "locality", "text", "France"),
        at(1, "locality", "text", "Chad", pre=Output("Spain")),
    ]
    found = summarise(predictions, scored(predictions, DEFAULT), protocol="single", seed=0)
    means = {
        row.subset: row.mean
        for row in found
        if (row.kind, row.metric) == ("text", "unchanged_generated")
    }
    assert means == {"all": 0.5, "model_right": 1.0, "model_wrong": 0.0}


def test_locality_is_split_by_the_grade_of_its_probes() -> None:
    predictions = [
        at(0, "locality", "text", "France", grade="near", post=Output("Chad")),
        at(1, "locality", "text", "France", grade="far"),
        at(2, "locality", "text", "France"),
    ]
    found = summarise(predictions, scored(predictions, DEFAULT), protocol="single", seed=0)
    means = {
        row.subset: (row.n, row.mean)
        for row in found
        if (row.kind, row.metric) == ("text", "unchanged_generated")
    }
    assert means["near"] == (1, 0.0)
    assert means["far"] == (1, 1.0)
    assert means["all"] == (3, pytest.approx(2 / 3))


def test_unscorable_questions_are_counted_and_do_not_pull_the_mean() -> None:
    table = rows(
        [
            at(0, "reliability", "edit", "Rome"),
            at(1, "reliability", "edit", "", post=None, failure="the edit failed: no"),
        ]
    )
    row = table["reliability", "edit", "generated"]
    assert (row.n, row.unscorable, row.mean) == (1, 1, 1.0)


def test_phases_are_kept_apart() -> None:
    predictions = [
        at(0, "reliability", "edit", "Rome", phase="right_after"),
        at(0, "reliability", "edit", "Oslo", phase="at_end"),
    ]
    found = summarise(predictions, scored(predictions, DEFAULT), protocol="sequential", seed=0)
    means = {r.phase: r.mean for r in found if (r.kind, r.metric) == ("edit", "generated")}
    assert means == {"right_after": 1.0, "at_end": 0.0}


def test_an_interval_is_around_the_mean() -> None:
    table = rows([at(i, "reliability", "edit", "Rome" if i % 3 else "Oslo") for i in range(30)])
    row = table["reliability", "edit", "generated"]
    assert row.ci_low < row.mean < row.ci_high
