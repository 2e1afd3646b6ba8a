"""How often a memory answers, and what it adds to a question."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medit_eval.benchmarks.answers import Timing
from medit_eval.cost import COST, cost
from tests.medit_eval.answers import answers


def test_activation_tokens_and_latency_by_hand() -> None:
    before = [replace(one, tokens=10) for one in answers([1.0] * 4)]
    after = [
        replace(one, tokens=tokens, activated=activated)
        for one, tokens, activated in zip(
            answers([1.0] * 4, phase="after"),
            (10, 20, 30, 10),
            (False, True, True, None),
            strict=True,
        )
    ]
    timings = [
        Timing("unedited", "t", seconds=2.0, tokens=40, requests=4),
        Timing("after", "t", seconds=2.0, tokens=30, requests=1),
        Timing("after", "t", seconds=4.0, tokens=40, requests=3),
    ]
    (row,) = cost([*before, *after], timings)
    assert row.activated == pytest.approx(2 / 3)
    assert (row.tokens, row.tokens_unedited, row.tokens_ratio) == (17.5, 10, 1.75)
    assert (row.seconds, row.seconds_unedited, row.seconds_ratio) == (1.5, 0.5, 3.0)
    assert list(COST.records(COST.table([row]))) == [row]


def test_what_is_not_known_is_nan() -> None:
    (row,) = cost([*answers([1.0]), *answers([1.0], phase="after")], [])
    assert all(
        math.isnan(value)
        for value in (row.activated, row.tokens_ratio, row.seconds, row.seconds_ratio)
    )
    assert row.n == 1
