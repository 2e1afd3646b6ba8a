"""Each metric says what `docs/metrics.md` says it does."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medit_eval.metrics import DEFAULT, METRICS, Metric
from medit_eval.metrics.core import select
from medit_eval.metrics.fluency import ngram_entropy
from medit_eval.predictions import Output, Prediction, Routing
from schemas.errors import InputError
from tests.medit_eval.support import prediction

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def value(name: str, made: Prediction) -> float | str | None:
    """A metric's score, or its reason for giving none."""
    metric = next(metric for metric in METRICS if metric.name == name)
    assert metric.applies(made)
    score = metric.score(made)
    return score.reason if score.value is None else score.value


def unchanged(pre: str = "France", post: str = "France", **overrides: Any) -> Prediction:
    made = prediction(axis="locality", kind="text", expectation="unchanged", answers=("France",))
    assert made.pre is not None
    assert made.post is not None
    outputs = {
        "pre": replace(made.pre, generation=pre),
        "post": replace(made.post, generation=post),
    }
    return replace(made, **{**outputs, **overrides})


def said(text: str, **overrides: Any) -> Prediction:
    return prediction(post=Output(text), **overrides)


@pytest.mark.parametrize(
    ("text", "generated", "exact"),
    [("Rome", 1, 1), ("rome.", 1, 1), ("It is Rome", 1, 0), ("Romeo", 0, 0), ("", 0, 0)],
)
def test_free_answers(text: str, generated: float, exact: float) -> None:
    assert value("generated", said(text)) == generated
    assert value("exact", said(text)) == exact


def test_free_answers_match_any_alias() -> None:
    made = said("in the Eternal City", answers=("Rome", "Eternal City"))
    assert value("generated", made) == 1


def test_without_an_accepted_answer_nothing_is_scored() -> None:
    for name in ("generated", "exact", "pre_edit_target"):
        assert value(name, prediction(answers=())) == "no accepted answer is given"
        assert value(name, prediction(answers=(" ",))) == "no accepted answer is given"


def test_teacher_forcing_counts_first_choices() -> None:
    assert value("teacher_forced", prediction()) == 0.5
    assert value("teacher_forced", prediction(post=Output("Rome"))) == (
        "there is no answer whose tokens could be scored"
    )


def test_probability_compares_means_not_sums() -> None:
    assert value("probability", prediction()) == 1
    long = Output("x", (1, 2), (-1.0, -1.0), ((1,), (2,)), rival_logprobs=(-1.5,))
    assert value("probability", prediction(post=long)) == 1
    assert value("probability", prediction(post=replace(long, rival_logprobs=(-0.9,)))) == 0
    assert value("probability", prediction(post=replace(long, rival_logprobs=()))) == (
        "there is no other answer to compare with"
    )


def test_unchanged_is_agreement_with_the_unedited_model_right_or_wrong() -> None:
    assert value("unchanged_generated", unchanged("Spain", "Spain")) == 1
    assert value("unchanged_generated", unchanged("Spain", "spain.")) == 1
    assert value("unchanged_generated", unchanged("Spain", "France")) == 0
    assert value("gold_generated", unchanged("Spain", "France")) == 1
    assert value("gold_generated", unchanged("Spain", "Spain")) == 0


def test_agreement_of_ranks_is_by_place() -> None:
    # Before ((7, 5), (8, 6)), after ((5, 7), (8, 6)): one of two first, two of four in order.
    assert value("unchanged_top1", unchanged()) == 0.5
    assert value("unchanged_topk", unchanged()) == 0.5
    other = Output("x", (9,), (-1.0,), ((9, 1),))
    assert "other tokens" in str(value("unchanged_topk", replace(unchanged(), post=other)))


def test_a_leak_is_the_new_answer_where_it_is_neither_right_nor_old() -> None:
    assert value("leak", unchanged(post="Rome")) == 1
    assert value("leak", unchanged(post="Spain")) == 0
    assert value("leak", unchanged(post="Rome", answers=("Rome",))) == (
        "the new answer is a right answer here"
    )
    assert value("leak", unchanged(pre="Rome", post="Rome")) == (
        "the unedited model gives the new answer already"
    )


def test_what_the_unedited_model_knew() -> None:
    assert value("pre_edit_right", prediction()) == 1
    assert value("pre_edit_target", prediction()) == 0
    assert value("pre_edit_right", prediction(answers_pre_edit=())) == (
        "no answer before the edit is given"
    )
    assert value("pre_edit_right", unchanged("Spain", answers_pre_edit=())) == 0


def test_routing() -> None:
    def routed(request: str | None) -> Prediction:
        return prediction(routing=Routing(request, request, 0.1, 0.2))

    assert value("activation", routed("q")) == 1
    assert value("activation", routed(None)) == 0
    assert value("right_entry", routed("q")) == 1
    assert value("right_entry", routed("another")) == 0
    assert value("right_entry", routed(None)) == "no entry was used"
    metrics = [metric for metric in DEFAULT if metric.routed]
    assert metrics
    assert not any(metric.applies(prediction()) for metric in metrics)


def test_fluency_is_the_entropy_of_word_groups() -> None:
    assert ngram_entropy("a a a a a") == 0
    # Four bigrams and three trigrams, all different: 2 and log2(3) bits.
    assert ngram_entropy("a b c d e") == pytest.approx((2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2)
    assert value("fluency", prediction()) == "no continuation was asked for"
    short = prediction(post=Output("x", continuation="a b"))
    assert value("fluency", short) == "the continuation has fewer than three words"


def test_a_failed_question_has_its_reason_in_every_metric() -> None:
    made = prediction(post=None, failure="the edit failed: no")
    assert {m.score(made).reason for m in METRICS if m.applies(made)} == {"the edit failed: no"}


def test_a_metric_that_gives_no_number_is_unscorable() -> None:
    score = Metric("odd", lambda _: float("nan")).score(prediction())
    assert (score.value, score.reason) == (None, "the score is not a finite number")


def test_metrics_are_chosen_by_name() -> None:
    mine = Metric("mine", lambda _: 1.0)
    chosen = select(["exact", mine, "exact"], METRICS, DEFAULT)
    assert [metric.name for metric in chosen] == ["exact", "mine"]
    assert select(None, METRICS, DEFAULT) == DEFAULT
    with pytest.raises(InputError, match="no metric 'generate'; did you mean generated"):
        select(["generate"], METRICS, DEFAULT)
    with pytest.raises(InputError, match="known are generated"):
        select(["xyzzy"], METRICS, DEFAULT)
    with pytest.raises(InputError, match="two metrics are called 'exact'"):
        select(["exact", Metric("exact", lambda _: 0.0)], METRICS, DEFAULT)
    with pytest.raises(InputError, match="no metric is chosen"):
        select([], METRICS, DEFAULT)


def test_the_documentation_lists_every_metric_with_its_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    listed = {name: text for name, text in rows if name in {m.name for m in METRICS}}
    assert listed == {metric.name: metric.meaning for metric in METRICS}
