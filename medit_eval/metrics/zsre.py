"""The metrics of the zsRE evaluation, as MEMIT and AlphaEdit print them.

Definitions: Meng et al. 2023, "Mass-Editing Memory in a Transformer". Code reproduced:
kmeng01/memit and jianghoucheng/AlphaEdit, `experiments/py/eval_utils_zsre.py` for each prompt,
`experiments/summarize.py` for the means, which are over a record's tokens first, and then over
records. There each answer token is decoded, and put behind the prompt as text that is read again;
here the answer is read once.
"""

from __future__ import annotations

from medit_eval.metrics import likelihood
from medit_eval.metrics.core import Unscorable
from medit_eval.metrics.matching import normalise
from medit_eval.predictions import Prediction


def efficacy(prediction: Prediction) -> float:
    """Share of the new answer's tokens that are the first choice after the edited prompt."""
    return likelihood.teacher_forced(prediction)


def paraphrase(prediction: Prediction) -> float:
    """Share of the new answer's tokens that are the first choice after a rephrased prompt."""
    return likelihood.teacher_forced(prediction)


def neighborhood(prediction: Prediction) -> float:
    """Share of the right answer's tokens that are the first choice for an unrelated question.

    The right answer is the data set's, not the unedited model's, so that an unedited model is far
    from 1.
    """
    if not any(normalise(answer) for answer in prediction.answers):
        raise Unscorable("no right answer is given")
    return likelihood.teacher_forced(prediction)
