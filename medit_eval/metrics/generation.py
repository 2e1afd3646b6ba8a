"""Metrics of what a model says when it answers freely: greedy, its own length, no answer given."""

from __future__ import annotations

from medit_eval.metrics.core import Unscorable, post, pre
from medit_eval.metrics.matching import equals, normalise, says
from medit_eval.predictions import Prediction


def generated(prediction: Prediction) -> float:
    """The edited model's free answer holds an accepted answer as whole words."""
    return float(says(post(prediction).generation, _accepted(prediction)))


def exact(prediction: Prediction) -> float:
    """The edited model's free answer is an accepted answer and nothing else."""
    return float(equals(post(prediction).generation, _accepted(prediction)))


def gold_generated(prediction: Prediction) -> float:
    """The edited model's free answer to an unrelated question holds the right answer."""
    return float(says(post(prediction).generation, _accepted(prediction)))


def unchanged_generated(prediction: Prediction) -> float:
    """The edited model answers an unrelated question as the unedited model does."""
    return float(
        normalise(post(prediction).generation) == normalise(pre(prediction).generation)
    )  # fmt: skip


def leak(prediction: Prediction) -> float:
    """The edited model gives the edit's new answer to a question that the edit must not reach.

    Where the new answer is also right, or the unedited model gave it already, giving it is no
    leak, and the question is unscorable.
    """
    if not prediction.targets:
        raise Unscorable("the record has no new answer")
    if any(says(answer, prediction.targets) for answer in prediction.answers):
        raise Unscorable("the new answer is a right answer here")
    if says(pre(prediction).generation, prediction.targets):
        raise Unscorable("the unedited model gives the new answer already")
    return float(says(post(prediction).generation, prediction.targets))


def pre_edit_right(prediction: Prediction) -> float:
    """The unedited model's free answer is right as things were before the edit."""
    right = prediction.answers_pre_edit
    if prediction.expectation == "unchanged":
        right = right or prediction.answers
    if not right:
        raise Unscorable("no answer before the edit is given")
    return float(says(pre(prediction).generation, right))


def pre_edit_target(prediction: Prediction) -> float:
    """The unedited model's free answer holds an accepted answer before any edit."""
    return float(says(pre(prediction).generation, _accepted(prediction)))


def _accepted(prediction: Prediction) -> tuple[str, ...]:
    if not any(normalise(answer) for answer in prediction.answers):
        raise Unscorable("no accepted answer is given")
    return prediction.answers
