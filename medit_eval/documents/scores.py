"""Document scores of many outputs: each by itself, and means with intervals and coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medit_eval.documents.compat import (
    NAMES,
    CompatScore,
    compat_score,
    counted,
    released_mean,
)
from medit_eval.documents.entities import Recogniser, by_form, surfaces
from medit_eval.documents.strict import strict_score
from medit_eval.documents.triples import Extractor
from medit_eval.statistics import Bootstrap
from schemas.documents import Document
from schemas.formats.fruit_evidence import evidence_lines

COMPAT = "docmedit_compat"
STRICT = "strict"


@dataclass(frozen=True, slots=True)
class DocumentMean:
    """The mean of one metric over documents.

    Attributes:
        family: `docmedit_compat` or `strict`.
        metric: The metric.
        n: Values that the mean is over: of documents, for ER and EE of facts.
        undefined: Values that are undefined, and so left out.
        mean: The mean; NaN where nothing is defined.
        ci_low: Lower end of the 95 % interval, by bootstrap over documents.
        ci_high: Upper end.
    """

    family: str
    metric: str
    n: int
    undefined: int
    mean: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class DocumentTable:
    """Scores of a list of outputs.

    Attributes:
        docmedit_compat: For each output, the values of the released scorer by name; NaN where
            undefined. ER and EE are means over the document's facts.
        strict: The same of the strict metrics.
        means: Their means, in the order of the metrics.
    """

    docmedit_compat: tuple[Mapping[str, float], ...]
    strict: tuple[Mapping[str, float], ...]
    means: tuple[DocumentMean, ...]

    def mean(self, family: str, metric: str) -> DocumentMean:
        """The mean of one metric.

        Raises:
            KeyError: If there is no such metric.
        """
        for row in self.means:
            if (row.family, row.metric) == (family, metric):
                return row
        raise KeyError(f"{family} {metric}")


def copy_input(document: Document) -> str:
    """The output that changes nothing: what any score must beat."""
    return document.before.text


def gold(document: Document) -> str:
    """The output that changes what the article changed: what a score can reach."""
    return document.after.text


def score_documents(
    pairs: Sequence[tuple[Document, str]],
    recogniser: Recogniser | None = None,
    *,
    extractor: Extractor | None = None,
    seed: int = 0,
) -> DocumentTable:
    """Scores of outputs, each beside the document that it rewrites.

    Args:
        pairs: Documents with outputs. Several outputs of one document are drawn together by the
            bootstrap.
        recogniser: Finds names and numbers for both families; None finds them by form.
        extractor: Finds triples; None matches the documents' own.
        seed: Seed of the bootstrap.
    """
    find = recogniser or by_form
    compat = [
        compat_score(d.before.text, d.after.text, output, evidence_lines(d), surfaces(find))
        for d, output in pairs
    ]
    strict = [strict_score(d, output, find, extractor).values() for d, output in pairs]
    keys = [(d.title, d.page_id, d.snapshot_before, d.snapshot_after) for d, _ in pairs]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    owners = [numbers[key] for key in keys]
    bootstrap = Bootstrap(len(numbers), seed)
    means = [*_compat_means(compat, owners, bootstrap), *_strict_means(strict, owners, bootstrap)]
    return DocumentTable(tuple(score.values() for score in compat), tuple(strict), tuple(means))


def _compat_means(
    scores: Sequence[CompatScore], owners: Sequence[int], bootstrap: Bootstrap
) -> list[DocumentMean]:
    rows = []
    for name in NAMES:
        held = [
            (o, v) for o, score in zip(owners, scores, strict=True) for v in counted(name, score)
        ]
        undefined = sum(math.isnan(value) for score in scores for value in score.of(name))
        mean = released_mean(name, scores)
        rows.append(_row(COMPAT, name, held, undefined, bootstrap, mean))
    return rows


def _strict_means(
    scores: Sequence[Mapping[str, float]], owners: Sequence[int], bootstrap: Bootstrap
) -> list[DocumentMean]:
    rows = []
    for name in scores[0] if scores else ():
        values = [(owner, score[name]) for owner, score in zip(owners, scores, strict=True)]
        held = [(owner, value) for owner, value in values if not math.isnan(value)]
        rows.append(_row(STRICT, name, held, len(values) - len(held), bootstrap, None))
    return rows


def _row(
    family: str,
    metric: str,
    held: Sequence[tuple[int, float]],
    undefined: int,
    bootstrap: Bootstrap,
    mean: float | None,
) -> DocumentMean:
    estimate = bootstrap.estimate([owner for owner, _ in held], [value for _, value in held])
    low, high = estimate.interval
    mean = estimate.mean if mean is None else mean
    return DocumentMean(family, metric, len(held), undefined, mean, low, high)
