"""Paired comparisons: against scipy, statsmodels and sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medit_eval.paired import compare, mean_of
from medit_eval.significance import holm, mcnemar

stats = pytest.importorskip("scipy.stats")
statsmodels = pytest.importorskip("statsmodels.api")
contingency = pytest.importorskip("statsmodels.stats.contingency_tables")


def flips(fell: int, rose: int, same: int) -> tuple[list[float], list[float]]:
    """Scores with so many flips each way; of the others every second one is right."""
    kept = [float(number % 2) for number in range(same)]
    return [1.0] * fell + [0.0] * rose + kept, [0.0] * fell + [1.0] * rose + kept


def test_exact_mcnemar_by_hand() -> None:
    # Of 12 flips, 5 or fewer one way: (1 + 12 + 66 + 220 + 495 + 792) / 4096, twice.
    found = compare(*flips(5, 7, 48))
    assert found.test == "mcnemar"
    assert found.p == pytest.approx(2 * 1586 / 4096)
    assert (found.fell, found.rose, found.n) == (5, 7, 60)
    assert found.difference == pytest.approx(2 / 60)


@pytest.mark.parametrize(("fell", "rose"), [(0, 1), (3, 3), (12, 2), (40, 61)])
def test_exact_mcnemar_is_that_of_statsmodels(fell: int, rose: int) -> None:
    other = contingency.mcnemar([[9, fell], [rose, 9]], exact=True)
    assert mcnemar(fell, rose) == pytest.approx(other.pvalue)


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 and then nothing below the one before it.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_counts_only_what_was_tested() -> None:
    corrected = holm([0.03, float("nan"), 0.01])
    assert corrected[::2] == pytest.approx([0.03, 0.02])
    assert math.isnan(corrected[1])
    assert all(math.isnan(p) for p in holm([float("nan")]))
    assert holm([]) == []


def test_the_interval_of_independent_items_is_that_of_the_paired_t_test() -> None:
    generator = np.random.default_rng(0)
    before, after = generator.random(40), generator.random(40)
    found = compare(list(before), list(after), bounds=None)
    other = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((other.low, other.high))


def test_the_clustered_interval_is_that_of_statsmodels() -> None:
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(12), generator.integers(1, 9, size=12))
    gaps = generator.normal(size=12)[groups] + generator.normal(size=len(groups))
    words = generator.integers(1, 50, size=len(groups)).astype(float)
    fitted = statsmodels.WLS(gaps, np.ones(len(gaps)), weights=words).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    found = compare(
        [0.0] * len(gaps),
        list(gaps),
        clusters=[f"c{group}" for group in groups],
        weights=list(words),
        bounds=None,
    )
    assert found.units == 12
    assert found.difference == pytest.approx(fitted.params[0])
    assert (found.low, found.high) == pytest.approx(tuple(fitted.conf_int()[0]))


def test_a_clustered_standard_error_by_hand() -> None:
    # Means 1/3; sums of residuals 2 - 2/3, 0 - 2/3, 0 - 2/3; 3/2 of their squares is 4.
    found = mean_of([1.0, 1.0, 0.0, 0.0, 0.0, 0.0], clusters=["a", "a", "b", "b", "c", "c"])
    assert found.error == pytest.approx(2 / 6)
    assert mean_of([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).error < found.error


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(2)
    gaps = generator.normal(size=60)
    reach = compare([0.0] * 60, list(gaps), bounds=None).detectable
    size = reach / float(np.std(gaps, ddof=1))
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    assert power.power(effect_size=size, nobs=60, alpha=0.05) == pytest.approx(0.8, abs=0.01)


def test_few_flips_do_not_make_a_small_difference_detectable() -> None:
    found = compare(*flips(1, 0, 99))
    # Six flips of 100 the same way are needed; that many come about in 4 of 5 cases at this rate.
    assert stats.binom.sf(5, 100, found.detectable) == pytest.approx(0.8)
    assert found.detectable > 0.06


def test_items_of_one_cluster_do_not_count_as_independent() -> None:
    before = [1.0] * 100
    after = [float(cluster % 2) for cluster in range(10) for _ in range(10)]
    names = [str(cluster) for cluster in range(10) for _ in range(10)]
    clustered, apart = compare(before, after, clusters=names), compare(before, after)
    assert clustered.high - clustered.low > 2 * (apart.high - apart.low)
    assert clustered.test == "bootstrap"
    assert clustered.p > apart.p
    assert clustered.mcnemar == apart.p


def test_items_of_the_only_cluster_are_drawn_from_it() -> None:
    before, after = flips(9, 1, 30)
    assert compare(before, after, clusters=["anatomy"] * 40) == compare(before, after)


def test_items_without_a_cluster_stand_alone() -> None:
    found = compare([0.0] * 5, [0.1, 0.2, 0.4, 0.5, 0.7], clusters=["", "", "a", "a", ""])
    assert found.units == 4


def test_no_change_is_no_certainty() -> None:
    found = compare(*flips(0, 0, 100))
    assert (found.difference, found.p) == (0.0, 1.0)
    # Were 3.6 % of all items worse, none of 100 would be in 2.5 % of all draws.
    assert found.high == -found.low == pytest.approx(1 - 0.025 ** (1 / 100))
    assert found.detectable > found.high


def test_all_lost_is_certain_only_as_far_as_the_items_go() -> None:
    found = compare([1.0] * 20, [0.0] * 20)
    assert found.low == -1.0
    assert -1.0 < found.high < -0.5
    assert found.p == pytest.approx(2 / 2**20)


def test_scores_without_bounds_and_without_change_have_no_interval() -> None:
    found = compare([2.0] * 9, [2.0] * 9, bounds=None)
    assert found.p == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.detectable)


def test_pairs_without_a_score_are_left_out_and_counted() -> None:
    nan, inf = float("nan"), float("inf")
    before = [1.0, None, 1.0, nan, 0.0, 1.0]
    after = [0.0, 1.0, None, 1.0, inf, 1.0]
    found = compare(before, after)
    assert (found.n, found.unscorable, found.fell, found.rose) == (2, 4, 1, 0)
    assert found.before == 1.0


def test_a_text_without_words_is_left_out() -> None:
    found = compare([1.0, 2.0], [2.0, 9.0], weights=[5.0, 0.0], bounds=None)
    assert (found.n, found.unscorable, found.difference) == (1, 1, 1.0)


@pytest.mark.parametrize("scores", [[], [None]])
def test_nothing_to_compare(scores: list[float | None]) -> None:
    found = compare(scores, scores)
    assert (found.n, found.test) == (0, "none")
    assert all(
        math.isnan(value)
        for value in (found.before, found.difference, found.low, found.detectable, found.p)
    )


def test_one_pair_has_no_interval() -> None:
    found = compare([1.0], [0.0])
    assert (found.difference, found.p) == (-1.0, 1.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.detectable)


@pytest.mark.parametrize("clusters", [4, 8, 25])
def test_without_an_effect_the_bootstrap_seldom_finds_one(clusters: int) -> None:
    generator = np.random.default_rng(clusters)
    found = held = 0
    for seed in range(150):
        sizes = generator.integers(2, 12, size=clusters)
        groups = np.repeat(np.arange(clusters), sizes)
        gaps = generator.normal(size=clusters)[groups] + generator.normal(size=len(groups))
        names = [str(group) for group in groups]
        result = compare([0.0] * len(gaps), list(gaps), clusters=names, bounds=None, seed=seed)
        found += result.p <= 0.05
        held += result.low <= 0 <= result.high
    assert found / 150 <= 0.11
    assert held / 150 >= 0.87


def test_the_bootstrap_agrees_with_the_t_test_on_many_items() -> None:
    generator = np.random.default_rng(3)
    gaps = generator.normal(0.2, 1, size=100)
    found = compare([0.0] * 100, list(gaps), bounds=None)
    assert found.p == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=0.02)


def test_the_same_loss_in_all_of_a_few_clusters_is_found() -> None:
    names = [str(number // 5) for number in range(20)]
    assert compare([0.9] * 20, [0.2] * 20, clusters=names).p < 0.01


def test_the_seed_decides_and_the_order_of_items_does_not() -> None:
    generator = np.random.default_rng(4)
    after, names = list(generator.random(30)), [str(n % 7) for n in range(30)]
    first = compare([0.5] * 30, after, clusters=names, seed=1)
    turned = compare([0.5] * 30, after[::-1], clusters=names[::-1], seed=1)
    assert first.p == turned.p
    assert first.p != compare([0.5] * 30, after, clusters=names, seed=2).p
