"""The metrics of BalancEdit.

Definitions: "BalancEdit: Dynamically Balancing the Generality-Locality Trade-off in Multi-modal
Model Editing" (ICML 2025): accuracy, generality over rephrasings and over pictures, locality, and
the harmonic mean of the last three. Code reproduced: donglgcn/BalancEdit, which scores as its
origin zjunlp/EasyEdit does (`easyeditor/trainer/MultimodalTrainer.py`), over the answer's span.
"""

from __future__ import annotations

from medit_eval.metrics import likelihood
from medit_eval.predictions import Prediction


def accuracy(prediction: Prediction) -> float:
    """Share of the new answer's tokens that are the edited model's first choice."""
    return likelihood.teacher_forced(prediction)


def locality(prediction: Prediction) -> float:
    """Share of places in the ordered top 10 of the answer's positions that did not change."""
    return likelihood.unchanged_topk(prediction)
