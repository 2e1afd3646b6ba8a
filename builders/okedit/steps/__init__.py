"""The construction steps of an OKEDIT-style record."""

from builders.okedit.steps.filters import distinct_answers, question_keeps_answer
from builders.okedit.steps.pictures import Locality, Negatives, Pictures, Positives
from builders.okedit.steps.text import (
    Counterfactual,
    EditTypeVote,
    Facts,
    FurtherQuestions,
    ObjectPhrase,
    Rephrase,
    ThirdAnswer,
)

__all__ = [
    "Counterfactual",
    "EditTypeVote",
    "Facts",
    "FurtherQuestions",
    "Locality",
    "Negatives",
    "ObjectPhrase",
    "Pictures",
    "Positives",
    "Rephrase",
    "ThirdAnswer",
    "distinct_answers",
    "question_keeps_answer",
]
