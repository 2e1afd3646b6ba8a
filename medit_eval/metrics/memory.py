"""Metrics of editors with a memory: where a question was sent, whatever came out."""

from __future__ import annotations

from medit_eval.metrics.core import Unscorable
from medit_eval.predictions import Prediction, Routing


def activation(prediction: Prediction) -> float:
    """The question was answered by an entry of the editor's memory."""
    return float(_routing(prediction).request is not None)


def right_entry(prediction: Prediction) -> float:
    """A question that was answered by an entry was sent to the entry of its own edit."""
    request = _routing(prediction).request
    if request is None:
        raise Unscorable("no entry was used")
    return float(request in prediction.requests)


def _routing(prediction: Prediction) -> Routing:
    if prediction.routing is None:
        raise Unscorable("the editor does not route")
    return prediction.routing
