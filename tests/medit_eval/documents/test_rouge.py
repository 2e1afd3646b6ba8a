"""ROUGE-L, and rates that know of nothing to count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medit_eval.documents.rates import rates, set_rates, share
from medit_eval.documents.rouge import ascii_words, common_length, rouge_l, similarity, words

TOKENS = st.lists(st.sampled_from("abcde"), max_size=90)


def slow(first: list[str], second: list[str]) -> int:
    row = [0] * (len(second) + 1)
    for one in first:
        above = row
        row = [0]
        for place, other in enumerate(second):
            row.append(above[place] + 1 if one == other else max(row[-1], above[place + 1]))
    return row[-1]


@settings(deadline=None)
@given(TOKENS, TOKENS)
def test_the_bits_count_what_the_table_does(first: list[str], second: list[str]) -> None:
    assert common_length(first, second) == slow(first, second)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_it_is_the_number_of_the_package(target: str, prediction: str) -> None:
    package = pytest.importorskip("rouge_score.rouge_scorer")
    score = package.RougeScorer(["rougeL"]).score(target, prediction)["rougeL"]
    ours = rouge_l(ascii_words(prediction), ascii_words(target))
    assert score.fmeasure == pytest.approx(similarity(ascii_words(target), ascii_words(prediction)))
    assert score.recall == pytest.approx(0.0 if math.isnan(ours.recall) else ours.recall)
    assert score.precision == pytest.approx(0.0 if math.isnan(ours.precision) else ours.precision)


def test_words_of_any_script() -> None:
    assert words("Zürich, Łódź_2") == ["zürich", "łódź", "2"]
    assert words("東京 Tokyo") == ["東", "京", "tokyo"]
    assert ascii_words("Zürich") == ["z", "rich"]


def test_rates_of_nothing_are_undefined() -> None:
    nothing = rates(0, 0, 0, 0)
    assert all(math.isnan(v) for v in (nothing.precision, nothing.recall, nothing.f1))
    silent = rates(0, 0, 0, 3)
    assert math.isnan(silent.precision)
    assert (silent.recall, silent.f1) == (0.0, 0.0)
    invented = rates(0, 2, 0, 0)
    assert invented.precision == 0.0
    assert math.isnan(invented.recall)
    assert math.isnan(invented.f1)
    assert math.isnan(share(0, 0))


def test_what_is_ignored_is_neither_right_nor_wrong() -> None:
    result = set_rates({"a", "b", "c"}, {"a", "d"}, {"b"})
    assert (result.precision, result.recall, result.f1) == (0.5, 0.5, 0.5)
