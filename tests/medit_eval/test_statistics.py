"""Means, intervals that know of clusters, and harmonic means with zeros."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medit_eval.statistics import Bootstrap, harmonic, macro


def test_the_mean_is_over_questions() -> None:
    estimate = Bootstrap(3, 0).estimate([0, 0, 0, 2], [1.0, 1.0, 1.0, 0.0])
    assert estimate.mean == 0.75
    assert estimate.clusters == 2


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        values = [float(number < 0.6) for number in generator.random(60)]
        low, high = Bootstrap(60, seed, draws=300).estimate(range(60), values).interval
        held += low <= 0.6 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_questions_of_one_record_do_not_count_as_independent() -> None:
    values = [float(record % 2) for record in range(20) for _ in range(10)]
    records = [record for record in range(20) for _ in range(10)]
    clustered = Bootstrap(20, 0).estimate(records, values).interval
    apart = Bootstrap(200, 0).estimate(range(200), values).interval
    assert clustered[1] - clustered[0] > 2 * (apart[1] - apart[0])


def test_the_seed_decides() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    first, again, other = (Bootstrap(5, seed).estimate(range(5), values) for seed in (3, 3, 4))
    assert np.array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)


def test_one_record_has_no_interval() -> None:
    low, high = Bootstrap(1, 0).estimate([0, 0], [1.0, 0.0]).interval
    assert math.isnan(low)
    assert math.isnan(high)


def test_nothing_to_average() -> None:
    estimate = Bootstrap(4, 0).estimate([], [])
    assert math.isnan(estimate.mean)
    assert math.isnan(estimate.interval[0])
    assert math.isnan(macro([]).mean)
    assert math.isnan(harmonic([]).mean)
    assert math.isnan(Bootstrap(0, 0).estimate([], []).mean)


def test_kinds_count_the_same_whatever_their_size() -> None:
    bootstrap = Bootstrap(12, 0)
    many = bootstrap.estimate(range(10), [1.0] * 10)
    few = bootstrap.estimate([10, 11], [0.0, 0.0])
    assert macro([many, few]).mean == 0.5


@pytest.mark.parametrize(
    ("values", "mean"),
    [((0.5, 1.0), 2 / 3), ((1.0, 1.0, 1.0), 1.0), ((0.0, 1.0), 0.0), ((0.2,), 0.2)],
)
def test_harmonic_means(values: tuple[float, ...], mean: float) -> None:
    bootstrap = Bootstrap(2, 0)
    parts = [bootstrap.estimate([0, 1], [value, value]) for value in values]
    assert harmonic(parts).mean == pytest.approx(mean)
    assert harmonic(parts).interval == pytest.approx((mean, mean))
