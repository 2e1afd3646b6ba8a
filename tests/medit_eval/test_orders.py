"""Means over orders of edits: two sources of variance, known or by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medit_eval.orders import two_level

pytest.importorskip("scipy")


def test_the_mean_over_orders_and_their_spread_by_hand() -> None:
    found = two_level(
        {"1": (["a", "b"], [0.0, 1.0]), "2": (["a", "b"], [1.0, 1.0]), "3": (["a"], [None])}, seed=0
    )
    assert (found.mean, found.orders, found.unscorable) == (0.75, 2, 1)
    assert (found.least, found.greatest) == (0.5, 1.0)
    assert found.sd == pytest.approx(math.sqrt(0.125))
    assert found.low < 0.75 < found.high


def test_one_order_tells_nothing_of_orders() -> None:
    values = [float(number % 2) for number in range(40)]
    owners = [f"{number:02}" for number in range(40)]
    found = two_level({"only": (owners, values)}, seed=5)
    assert found.note == "one order: how much orders vary is not known"
    assert math.isnan(found.sd)
    error = math.sqrt(0.25 / 40)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


@pytest.mark.parametrize("shared", [True, False])
def test_the_spread_of_draws_over_orders_is_as_known(shared: bool) -> None:
    # Orders differ by one standard deviation, items by two, of what remains nothing.
    generator = np.random.default_rng(7)
    orders, items = 30, 40
    of_order, of_item = generator.normal(0, 1, orders), generator.normal(0, 2, items)
    values = {}
    for order in range(orders):
        own = of_item if shared else generator.normal(0, 2, items)
        names = [f"{item}" if shared else f"{order} {item}" for item in range(items)]
        values[str(order)] = (names, list(of_order[order] + own))
    found = two_level(values, seed=1, draws=4000)
    # What is hard stays hard in every order: only items of their own are as many as they look.
    error = math.sqrt(1 / orders + 4 / (items if shared else items * orders))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_an_interval_over_orders_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(8)
    held = 0
    for seed in range(100):
        of_item = generator.normal(0, 1, 25)
        owners = [str(item) for item in range(25)]
        values = {
            str(order): (
                owners,
                list(generator.normal(0, 1) + of_item + generator.normal(0, 1, 25)),
            )
            for order in range(12)
        }
        found = two_level(values, seed=seed, draws=300)
        held += found.low <= 0 <= found.high
    assert held / 100 >= 0.85


def test_the_order_of_orders_and_items_changes_nothing() -> None:
    generator = np.random.default_rng(9)
    items = [str(item) for item in range(9)]
    first = {order: (items, list(generator.random(9))) for order in "1234"}
    turned = {name: (owners[::-1], values[::-1]) for name, (owners, values) in first.items()}
    again = dict(reversed(turned.items()))
    assert two_level(first, seed=2) == two_level(again, seed=2)
    assert two_level(first, seed=2) != two_level(first, seed=3)


def test_orders_without_a_value() -> None:
    for values in ({}, {"1": (["a"], [float("nan")])}):
        found = two_level(values, seed=0)
        assert (found.orders, found.note) == (0, "no order has a value")
        assert math.isnan(found.mean)
        assert math.isnan(found.low)


def test_one_value_has_no_interval() -> None:
    found = two_level({"1": (["a"], [1.0])}, seed=0)
    assert found.mean == 1.0
    assert math.isnan(found.low)


def test_an_interval_of_few_orders_is_as_wide_as_they_are_few() -> None:
    generator = np.random.default_rng(10)
    held = 0
    for seed in range(100):
        shifts = generator.normal(0, 5, 4)
        values = {
            str(order): (["a", "b"], list(shift + generator.normal(0, 1, 2)))
            for order, shift in enumerate(shifts)
        }
        found = two_level(values, seed=seed, draws=300)
        held += found.low <= 0 <= found.high
    assert held / 100 >= 0.88  # plain percentiles hold it 73 times


def test_a_long_text_counts_as_much_as_it_has_words() -> None:
    values = {order: (["a", "b"], [1.0, 3.0]) for order in "xyz"}
    found = two_level(values, seed=0, weights={key: [3.0, 1.0] for key in "xyz"})
    assert found.mean == pytest.approx(1.5)
    even = two_level(values, seed=0, weights={key: [2.0, 2.0] for key in "xyz"})
    assert (even.mean, even.low, even.high) == pytest.approx(
        [getattr(two_level(values, seed=0), name) for name in ("mean", "low", "high")]
    )


def test_no_interval_leaves_what_scores_can_be() -> None:
    values = {
        "x": (["a", "b", "c"], [1.0, 1.0, 0.0]),
        "y": (["d", "e", "f"], [1.0, 1.0, 1.0]),
    }
    free, bound = two_level(values, seed=0), two_level(values, seed=0, bounds=(0.0, 1.0))
    assert free.high > 1.0
    assert (bound.high, bound.low) == (1.0, max(free.low, 0.0))


def test_p_is_that_of_a_t_test_where_items_do_not_vary() -> None:
    from scipy.stats import ttest_1samp

    means = [0.2, 0.5, 0.1, 0.4]
    values = {str(i): (["a", "b"], [mean, mean]) for i, mean in enumerate(means)}
    assert two_level(values, seed=0).p == pytest.approx(ttest_1samp(means, 0)[1], rel=1e-6)


def test_p_agrees_with_the_interval_and_three_orders_are_enough_to_tell() -> None:
    generator = np.random.default_rng(9)
    owners = [str(item) for item in range(60)]
    shifts = np.linspace(-0.6, 0.6, 25)
    agree, found = 0, []
    for seed, shift in enumerate(shifts):
        values = {str(o): (owners, list(shift + generator.normal(0, 1, 60))) for o in range(3)}
        found.append(two_level(values, seed=seed))
        agree += (found[-1].p < 0.05) == (not found[-1].low <= 0 <= found[-1].high)
    assert agree >= 23
    assert found[0].p < 0.01
    assert found[-1].p < 0.01


def test_p_of_no_difference_and_of_too_few_orders() -> None:
    nothing = {str(order): (["a", "b"], [0.0, 0.0]) for order in range(3)}
    assert two_level(nothing, seed=0).p == 1.0
    assert math.isnan(two_level({"1": (["a", "b"], [0.0, 1.0])}, seed=0).p)


def test_p_of_no_difference_is_small_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(10)
    owners = [str(item) for item in range(25)]
    small = 0
    for seed in range(200):
        values = {
            str(order): (owners, list(generator.normal(0, 0.5) + generator.normal(0, 1, 25)))
            for order in range(3)
        }
        small += two_level(values, seed=seed, draws=300).p < 0.05
    assert small / 200 <= 0.1
