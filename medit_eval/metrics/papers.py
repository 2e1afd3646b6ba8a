"""The metrics of published evaluations under their names, and the names that stand for a whole set.

They are computed when they are named, one by one or by their paper: `counterfact`, `zsre`,
`balancedit`, `scr`. A kind's mean is over a record's questions first and then over records, as the
papers' code has it. Numbers are shares and bits; the papers print 100 times these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from medit_eval.metrics import balancedit, counterfact, scr, zsre
from medit_eval.metrics.core import GENERATION, Metric, Need, Way
from medit_eval.predictions import Prediction
from schemas.records import Expectation

PICTURE_KINDS = frozenset({"image_augmented", "image_other_instance", "image_rephrase"})
"""Probes that the edit should reach about another picture."""

_LIKELIHOOD: frozenset[Need] = frozenset({"likelihood"})
_CONTINUATION: frozenset[Need] = frozenset({"continuation"})
_EDIT, _REPHRASE = frozenset({"edit"}), frozenset({"rephrase"})
_GENERATION = frozenset({GENERATION})
_UNRELATED_PICTURE = frozenset({"negative", "unrelated_image"})
"""Locality about pictures, for which BalancEdit's code compares the top 10; of text the top 1."""


def _metric(
    name: str,
    judge: Callable[[Prediction], float],
    expectation: Expectation | None,
    kinds: frozenset[str] | None,
    way: Way,
    needs: frozenset[Need] = _LIKELIHOOD,
) -> Metric:
    return Metric(name, judge, expectation, kinds, needs, way=way, over="records")


_COUNTERFACT = (
    _metric("counterfact_efficacy", counterfact.efficacy, "target", _EDIT, "probability"),
    _metric("counterfact_paraphrase", counterfact.paraphrase, "target", _REPHRASE, "probability"),
    _metric("counterfact_neighborhood", counterfact.neighborhood, "unchanged", None, "probability"),
    _metric(
        "counterfact_efficacy_magnitude",
        counterfact.efficacy_magnitude,
        "target",
        _EDIT,
        "probability",
    ),
    _metric(
        "counterfact_paraphrase_magnitude",
        counterfact.paraphrase_magnitude,
        "target",
        _REPHRASE,
        "probability",
    ),
    _metric(
        "counterfact_neighborhood_magnitude",
        counterfact.neighborhood_magnitude,
        "unchanged",
        None,
        "probability",
    ),
    _metric(
        "counterfact_fluency",
        counterfact.generation_entropy,
        None,
        _GENERATION,
        "generation",
        _CONTINUATION,
    ),
    _metric(
        counterfact.CONSISTENCY,
        counterfact.no_references,
        None,
        _GENERATION,
        "generation",
        _CONTINUATION,
    ),
)
_ZSRE = (
    _metric("zsre_efficacy", zsre.efficacy, "target", _EDIT, "teacher-forced"),
    _metric("zsre_paraphrase", zsre.paraphrase, "target", _REPHRASE, "teacher-forced"),
    _metric("zsre_neighborhood", zsre.neighborhood, "unchanged", None, "teacher-forced"),
)
_BALANCEDIT = (
    _metric(
        "balancedit_accuracy",
        balancedit.accuracy,
        "target",
        _EDIT | _REPHRASE | PICTURE_KINDS,
        "teacher-forced",
    ),
    _metric(
        "balancedit_locality",
        balancedit.locality,
        "unchanged",
        _UNRELATED_PICTURE,
        "teacher-forced",
    ),
)
_SCR = (_metric("scr_contain", scr.contain, None, None, "generation", frozenset()),)

PAPER_METRICS: tuple[Metric, ...] = (*_COUNTERFACT, *_ZSRE, *_BALANCEDIT, *_SCR)
"""All of them."""


@dataclass(frozen=True)
class Part:
    """One number that a harmonic mean is over.

    Attributes:
        label: What it is called in the row's note.
        metric: The metric.
        kinds: The kinds that it is over, or None for all.
    """

    label: str
    metric: str
    kinds: frozenset[str] | None = None


HARMONICS: Mapping[str, tuple[Part, ...]] = MappingProxyType(
    {
        "counterfact_score": (
            Part("efficacy", "counterfact_efficacy"),
            Part("paraphrase", "counterfact_paraphrase"),
            Part("neighborhood", "counterfact_neighborhood"),
        ),
        "balancedit_harmonic": (
            Part("rephrasings", "balancedit_accuracy", _REPHRASE),
            Part("pictures", "balancedit_accuracy", PICTURE_KINDS),
            Part("locality", "balancedit_locality", _UNRELATED_PICTURE),
        ),
    }
)
"""Harmonic means of a paper by name: they are rows of the summary where all their parts are there.

BalancEdit's leaves the accuracy on the edit itself out, and its locality is about pictures.
"""

_BY_NAME = {metric.name: metric for metric in PAPER_METRICS}

PAPERS: Mapping[str, tuple[Metric, ...]] = MappingProxyType(
    {
        "counterfact": _COUNTERFACT,
        "zsre": _ZSRE,
        "balancedit": _BALANCEDIT,
        "scr": _SCR,
        **{
            name: tuple(dict.fromkeys(_BY_NAME[part.metric] for part in parts))
            for name, parts in HARMONICS.items()
        },
    }
)
"""Names that stand for several metrics: a paper's, or those that a harmonic mean is over."""


def per_record(metric: str) -> bool:
    """Whether a kind's mean of this metric is over records, each counting the same."""
    return metric in _BY_NAME and _BY_NAME[metric].over == "records"
