"""What editing breaks, by task: the table and what it says in words."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from medit_eval.benchmarks.answers import Answer, TaskInfo
from medit_eval.degradation import DEGRADATION, DegradationRow, degradation
from schemas.errors import InputError
from tests.medit_eval.answers import answers, info

pytest.importorskip("scipy")
pytest.importorskip("statsmodels")

RIGHT, WRONG = [1.0], [0.0]


def row_of(made: list[Answer], task: TaskInfo | None = None) -> DegradationRow:
    (row,) = degradation(made, [task or info()])
    return row


def before_and_after(before: Sequence[float | None], after: Sequence[float | None]) -> list[Answer]:
    return [*answers(before), *answers(after, phase="after")]


def perplexity(phase: str, values: list[float], words: list[float]) -> list[Answer]:
    return [
        replace(one, kind="perplexity", metric="word_perplexity", weight=weight, choices=())
        for one, weight in zip(answers(values, phase=phase), words, strict=True)
    ]


def test_a_loss_by_hand() -> None:
    row = row_of(before_and_after(RIGHT * 80 + WRONG * 20, RIGHT * 50 + WRONG * 50))
    assert (row.unedited, row.edited, row.n) == (0.8, 0.5, 100)
    assert row.difference == pytest.approx(-30)
    assert (row.worse, row.better) == (30, 0)
    assert row.p == row.mcnemar == pytest.approx(2 / 2**30)
    assert row.skill_lost == pytest.approx(0.30 / 0.55)
    assert row.verdict == "worse by 30.0 points"
    # Variance of 30 times -1 and 70 times 0 over 99, and the 0.975 quantile of t with 99 degrees.
    half = 1.98422 * math.sqrt(100 * 0.3 * 0.7 / 99 / 100)
    assert (row.ci_low, row.ci_high) == pytest.approx((-30 - 100 * half, -30 + 100 * half))


def test_a_gain_is_told_too() -> None:
    row = row_of(before_and_after(RIGHT * 50 + WRONG * 50, RIGHT * 80 + WRONG * 20))
    assert row.verdict == "better by 30.0 points"
    assert row.skill_lost == pytest.approx(-0.30 / 0.25)


def test_no_detectable_change_says_what_would_be_detected() -> None:
    row = row_of(before_and_after(RIGHT * 60 + WRONG * 40, RIGHT * 58 + WRONG * 42))
    assert row.verdict == f"no detectable change (smallest detectable ±{row.detectable:.1f} points)"
    assert row.detectable > 2


def test_the_same_answers_are_not_called_preserved() -> None:
    row = row_of(before_and_after(RIGHT * 60, RIGHT * 60))
    assert row.difference == 0
    assert row.ci_low < 0 < row.ci_high
    assert row.verdict.startswith("no detectable change (smallest detectable ±")


@pytest.mark.parametrize("n", [1, 5])
def test_too_few_items(n: int) -> None:
    row = row_of(before_and_after(RIGHT * n, WRONG * n))
    assert row.verdict == "no detectable change (too few items to detect any)"


@pytest.mark.parametrize("chance", [0.25, 0.0, None])
def test_a_base_at_chance_has_no_skill_to_lose(chance: float | None) -> None:
    base = RIGHT * 27 + WRONG * 73 if chance else RIGHT * 2 + WRONG * 98
    row = row_of(before_and_after(base, WRONG * 100), info(chance=chance))
    assert math.isnan(row.skill_lost)
    assert not math.isnan(row.difference)


def test_a_perfect_base_has_skill_only_with_enough_items() -> None:
    few = row_of(before_and_after(RIGHT * 2, WRONG + RIGHT))
    many = row_of(before_and_after(RIGHT * 30, WRONG * 15 + RIGHT * 15))
    assert math.isnan(few.skill_lost)
    assert many.skill_lost == pytest.approx(0.5 / 0.75)


def test_holm_is_within_a_phase() -> None:
    tasks = [info("a"), info("b"), info("c")]
    made = []
    for task, flipped in (("a", 7), ("b", 6), ("c", 0)):
        made += answers(RIGHT * 50, task=task)
        made += answers(WRONG * flipped + RIGHT * (50 - flipped), phase="edits-1", task=task)
    made += answers(WRONG * 6 + RIGHT * 44, phase="edits-2", task="b")
    rows = {(row.phase, row.task): row for row in degradation(made, tasks)}
    assert rows["edits-1", "a"].p_holm == pytest.approx(3 * 2 / 2**7)
    assert rows["edits-1", "b"].p_holm == pytest.approx(2 * 2 / 2**6)
    assert rows["edits-2", "b"].p_holm == pytest.approx(2 / 2**6)
    assert "once corrected for 3 tasks" in rows["edits-1", "b"].verdict
    assert rows["edits-2", "b"].verdict == "worse by 12.0 points"
    assert "corrected" not in rows["edits-1", "c"].verdict


def test_clusters_widen_the_interval_and_change_the_test() -> None:
    made = before_and_after(RIGHT * 40, (WRONG * 10 + RIGHT * 10) * 2)
    subjects = [replace(one, cluster=f"s{int(one.item) // 5}") for one in made]
    apart, clustered = row_of(made), row_of(subjects)
    assert (clustered.units, clustered.test) == (8, "bootstrap")
    assert clustered.ci_high - clustered.ci_low > apart.ci_high - apart.ci_low
    assert clustered.mcnemar == apart.p < clustered.p


def test_a_weighted_perplexity_by_hand() -> None:
    words = [10.0, 30.0]
    made = [
        *perplexity("unedited", [2.0, 3.0], words),
        *perplexity("after", [2.4, 3.2], words),
    ]
    row = row_of(made, info(kind="perplexity", chance=None))
    assert row.unit == "ratio"
    assert row.unedited == pytest.approx(math.exp((20 + 90) / 40))
    assert row.edited == pytest.approx(math.exp((24 + 96) / 40))
    assert row.difference == pytest.approx(math.exp(10 / 40))
    assert (row.worse, row.better) == (2, 0)
    # Residuals 10 * (0.4 - 0.25) and 30 * (0.2 - 0.25); t of one degree of freedom.
    half = 12.7062 * math.sqrt(2 * (1.5**2 + 1.5**2)) / 40
    assert row.ci_low == pytest.approx(math.exp(0.25 - half), rel=1e-4)
    assert row.ci_high == pytest.approx(math.exp(0.25 + half), rel=1e-4)


def test_perplexity_in_words() -> None:
    words = [20.0] * 30
    base = [3.0 + 0.01 * n for n in range(30)]
    up = [value + 0.5 + 0.001 * (n % 7) for n, value in enumerate(base)]
    task = info(kind="perplexity", chance=None)
    worse = row_of([*perplexity("unedited", base, words), *perplexity("a", up, words)], task)
    assert worse.verdict.startswith("worse: 1.65 times the unedited model's perplexity")
    same = row_of([*perplexity("unedited", base, words), *perplexity("a", base, words)], task)
    assert same.verdict == "no detectable change (no item's score changed)"
    assert (same.difference, same.p) == (1.0, 1.0)


def test_a_perplexity_beyond_all_numbers() -> None:
    words = [20.0] * 8
    made = [*perplexity("unedited", [3.0] * 8, words), *perplexity("after", [900.0] * 8, words)]
    row = row_of(made, info(kind="perplexity", chance=None))
    assert row.edited == row.difference == math.inf
    assert row.verdict.startswith("worse")


def test_a_score_beyond_one_is_not_cut_off() -> None:
    row = row_of(before_and_after([20.0, 30.0, 40.0], [10.0, 22.0, 28.0]), info(chance=None))
    assert row.difference == pytest.approx(-1000)
    half = 4.30265 * 2 / math.sqrt(3)  # differences -10, -8, -12
    assert (row.ci_low, row.ci_high) == pytest.approx((100 * (-10 - half), 100 * (-10 + half)))


def test_a_model_without_any_score_is_not_measurable() -> None:
    row = row_of(before_and_after(RIGHT * 20, [None] * 20))
    assert (row.n, row.unscorable) == (0, 20)
    assert math.isnan(row.edited)
    assert math.isnan(row.p_holm)
    assert row.verdict == (
        "not measurable: 0 items have a score before and after; 20 items without a score left out"
    )


def test_items_that_an_edit_changed_are_left_out_and_counted() -> None:
    made = before_and_after(RIGHT * 20, WRONG * 8 + RIGHT * 12)
    changed = {"after": {"t": [f"{item:04}" for item in range(8)] + ["elsewhere"]}}
    (row,) = degradation(made, [info()], excluded=changed)
    assert (row.n, row.excluded, row.difference) == (12, 8, 0.0)


def test_other_questions_are_refused() -> None:
    made = before_and_after(RIGHT * 3, RIGHT * 3)
    made[4] = replace(made[4], question="another")
    with pytest.raises(
        InputError, match=r"question of the item '0001' of 't' in the phase 'after'"
    ):
        degradation(made, [info()])


@pytest.mark.parametrize(("gone", "who"), [(0, "unedited"), (5, "edited")])
def test_other_items_are_refused(gone: int, who: str) -> None:
    made = before_and_after(RIGHT * 3, RIGHT * 3)
    item = made.pop(gone).item
    with pytest.raises(InputError, match=f"the {who} model has no answer to the item '{item}'"):
        degradation(made, [info()])


def test_an_item_answered_twice_is_refused() -> None:
    made = before_and_after(RIGHT * 3, RIGHT * 3)
    with pytest.raises(InputError, match="'0002' of 't' is answered twice in the phase 'after'"):
        degradation([*made, made[-1]], [info()])


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match="the task 't'"):
        degradation(before_and_after(RIGHT, RIGHT), [info("other")])


def test_the_order_of_answers_changes_nothing() -> None:
    made = before_and_after([0.1 * (n % 7) for n in range(30)], [0.1 * (n % 5) for n in range(30)])
    shuffled = made[:30] + random.Random(0).sample(made[30:], 30)
    rows, again = degradation(made, [info()], seed=3), degradation(shuffled, [info()], seed=3)
    assert repr(rows) == repr(again)  # NaN is not equal to itself


def test_rows_survive_arrow() -> None:
    rows = degradation(before_and_after(RIGHT * 20, RIGHT * 18 + WRONG * 2), [info(chance=0.0)])
    assert list(DEGRADATION.records(DEGRADATION.table(rows))) == rows


def test_without_answers_there_are_no_rows() -> None:
    assert degradation([], [info()]) == []
