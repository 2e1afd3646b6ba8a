"""The metric of SCR.

Definition: He, Song and Sun 2025, "Knowledge Updating? No More Model Editing! Just Selective
Contextual Reasoning" (arXiv 2503.05212). Code reproduced: ECNU-Text-Computing/Knowledge-Updating,
`icl.py`, `eval_metric="contain"`; means in `selective_contextual_reasoning.py`, over a record's
questions first, and then over records.
"""

from __future__ import annotations

from medit_eval.metrics.core import Unscorable, post
from medit_eval.predictions import Prediction


def contain(prediction: Prediction) -> float:
    """The edited model's free answer holds an accepted answer, be it as a part of a word.

    Case does not matter. Without a right answer there is nothing to look for, also where a question
    is not to change.
    """
    answers = [answer.lower() for answer in prediction.answers if answer.strip()]
    if not answers:
        raise Unscorable("no accepted answer is given")
    said = post(prediction).generation.lower()
    return float(any(answer in said for answer in answers))
