"""Document scores of many outputs: each by itself, and means with intervals and coverage."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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


class Means:
    """Means over documents, with intervals from samples that all metrics share."""

    def __init__(self, records: Sequence[Hashable], seed: int) -> None:
        """Draw the samples.

        Args:
            records: For each scored output, what tells its record from others.
            seed: Seed of the bootstrap.
        """
        places = {record: place for place, record in enumerate(dict.fromkeys(records))}
        self._owners = [places[record] for record in records]
        self._bootstrap = Bootstrap(len(places), seed)

    def of(self, family: str, metric: str, values: Sequence[Sequence[float]]) -> DocumentMean:
        """The mean of one metric.

        Args:
            family: Its family.
            metric: Its name.
            values: Its values for each output, NaN for undefined ones, which are left out.
        """
        given = [
            (owner, value)
            for owner, found in zip(self._owners, values, strict=True)
            for value in found
        ]
        held = [(owner, value) for owner, value in given if not math.isnan(value)]
        estimate = self._bootstrap.estimate([owner for owner, _ in held], [v for _, v in held])
        low, high = estimate.interval
        undefined = len(given) - len(held)
        return DocumentMean(family, metric, len(held), undefined, estimate.mean, low, high)


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
    records: Sequence[str] | None = None,
    seed: int = 0,
) -> DocumentTable:
    """Scores of outputs, each beside the document that it rewrites.

    Args:
        pairs: Documents with outputs.
        recogniser: Finds names and numbers for both families; None finds them by form.
        extractor: Finds triples; None matches the documents' own.
        records: For each pair the id of its record: the bootstrap draws outputs of one record
            together. None takes equal documents for one record.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If there are not as many ids as pairs.
    """
    if records is not None and len(records) != len(pairs):
        raise ValueError(f"{len(pairs)} pairs cannot belong to {len(records)} ids of records")
    find = recogniser or by_form
    compat = [
        compat_score(d.before.text, d.after.text, output, evidence_lines(d), surfaces(find))
        for d, output in pairs
    ]
    strict = [strict_score(d, output, find, extractor).values() for d, output in pairs]
    means = Means(records if records is not None else [d for d, _ in pairs], seed)
    rows = [*_compat_means(compat, means), *_strict_means(strict, means)]
    return DocumentTable(tuple(score.values() for score in compat), tuple(strict), tuple(rows))


def _compat_means(scores: Sequence[CompatScore], means: Means) -> Iterator[DocumentMean]:
    for name in NAMES:
        row = means.of(COMPAT, name, [counted(name, score) for score in scores])
        undefined = sum(math.isnan(value) for score in scores for value in score.of(name))
        yield replace(row, undefined=undefined, mean=released_mean(name, scores))


def _strict_means(scores: Sequence[Mapping[str, float]], means: Means) -> Iterator[DocumentMean]:
    for name in scores[0] if scores else ():
        yield means.of(STRICT, name, [[score[name]] for score in scores])
