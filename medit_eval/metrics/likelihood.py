"""Metrics of a given answer's tokens, each predicted with the answer's earlier tokens in view.

The answer is in the model's sight, so these numbers are higher than what it says unprompted; they
are here because the literature reports them.
"""

from __future__ import annotations

from medit_eval.metrics.core import Unscorable, post, pre
from medit_eval.predictions import Output, Prediction


def teacher_forced(prediction: Prediction) -> float:
    """Share of the new answer's tokens that are the edited model's first choice."""
    output = _scored(post(prediction))
    hits = [ranks[0] == token for ranks, token in zip(output.top, output.ids, strict=True)]
    return sum(hits) / len(hits)


def probability(prediction: Prediction) -> float:
    """The right answer has a higher mean token log-probability than its rival.

    For a question that the edit should reach, the new answer against the old one; for one it must
    not reach, the right answer against the edit's new one.
    """
    output = _scored(post(prediction))
    if not output.rival_logprobs:
        raise Unscorable("there is no other answer to compare with")
    rival = sum(output.rival_logprobs) / len(output.rival_logprobs)
    return float(sum(output.logprobs) / len(output.logprobs) > rival)


def unchanged_top1(prediction: Prediction) -> float:
    """Share of the answer's positions at which the first choice is that of the unedited model."""
    return _agreement(prediction, ranks=1)


def unchanged_topk(prediction: Prediction) -> float:
    """Share of places in the ordered top 10 of the answer's positions that did not change."""
    return _agreement(prediction, ranks=None)


def _agreement(prediction: Prediction, ranks: int | None) -> float:
    before, after = _scored(pre(prediction)), _scored(post(prediction))
    if before.ids != after.ids:
        raise Unscorable("the answer has other tokens before and after the edit")
    same = [
        old == new
        for olds, news in zip(before.top, after.top, strict=True)
        for old, new in zip(olds[:ranks], news[:ranks], strict=True)
    ]
    return sum(same) / len(same)


def _scored(output: Output) -> Output:
    if not output.ids:
        raise Unscorable("there is no answer whose tokens could be scored")
    return output
