"""Document scores of a run: what an editor wrote beside the unedited model, a copy and the gold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medit_eval.documents.entities import Recogniser
from medit_eval.documents.rouge import similarity, words
from medit_eval.documents.scores import (
    STRICT,
    DocumentMean,
    Means,
    copy_input,
    gold,
    score_documents,
)
from medit_eval.documents.tracks import TRACKS, Track, one_line
from medit_eval.metrics.matching import says
from medit_eval.predictions import Prediction
from schemas.arrow import Schema
from schemas.documents import Document, DocumentRecord, Version
from schemas.records import EditRecord

EDITED, UNEDITED, COPY, GOLD = "edited", "unedited", "copy input", "gold"

OTHERS = "unchanged"
"""The family of scores of documents that are to stay as they are."""

STATEMENTS = "statements"
"""The family of probabilities of the old and new objects of facts, behind their prompts."""

KNOWN = "known"
"""The family of scores of what the unedited model knows before the edit."""

HEADLINE = (
    *("additions_f1", "entities_precision", "entities_recall", "facts_recall", "removals"),
    *("retention", "repetition"),
)
"""Strict metrics that are shown where not all are."""


@dataclass(frozen=True, slots=True)
class RunDocument:
    """A record's document, as a run folder keeps it.

    Attributes:
        record: Id of the record.
        document: The document.
    """

    record: str
    document: Document


RUN_DOCUMENTS: Schema[RunDocument] = Schema("run_documents", 1, RunDocument)


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One number about rewritten documents.

    Attributes:
        phase: When the model was asked; see `Prediction.phase`.
        track: What it was shown: `parametric`, `retrieved` or `gold`. Tracks are not comparable.
        output: Whose text is scored: `edited`, `unedited`, `copy input` or `gold`.
        family: `strict`, `docmedit_compat`, `unchanged` for documents that are to stay,
            `statements` for the probabilities of old and new objects, or `known` for what the
            unedited model knows.
        metric: The metric; see docs/document-metrics.md.
        n: Values that the mean is over.
        undefined: Values that are undefined, and so left out.
        unasked: Documents that the model could not be asked about.
        mean: The mean; NaN where nothing is defined.
        ci_low: Lower end of the 95 % interval, by bootstrap over records.
        ci_high: Upper end.
    """

    phase: str
    track: str
    output: str
    family: str
    metric: str
    n: int
    undefined: int
    unasked: int
    mean: float
    ci_low: float
    ci_high: float


def documents_of(records: Iterable[EditRecord]) -> dict[str, Document]:
    """The documents among records, by record."""
    return {r.id: r.document for r in records if isinstance(r, DocumentRecord)}


def document_rows(
    predictions: Sequence[Prediction],
    documents: Mapping[str, Document],
    seed: int,
    recogniser: Recogniser | None = None,
) -> tuple[DocumentRow, ...]:
    """The scores of all documents that a run had rewritten; none where it had none.

    Args:
        predictions: What was asked.
        documents: The documents by record.
        seed: Seed of the bootstrap.
        recogniser: Finds entities; by their form where it is None.
    """
    groups: dict[tuple[str, str, Track], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.axis == "document" and prediction.record in documents:
            kind, _, track = prediction.kind.rpartition("_")
            groups[prediction.phase, kind, _track(track)].append(prediction)
    rows: list[DocumentRow] = []
    for (phase, kind, track), asked in groups.items():
        if kind == "rewrite":
            rows += _rewritten(phase, track, asked, documents, seed, recogniser)
        else:
            rows += _others(phase, kind, track, asked, seed)
    if rows:
        rows += _statements(predictions, documents, seed)
        rows += _known(predictions, documents, seed)
    order = [*TRACKS, ""]
    return tuple(sorted(rows, key=lambda row: (row.phase, order.index(row.track))))


def _rewritten(
    phase: str,
    track: Track,
    asked: Sequence[Prediction],
    documents: Mapping[str, Document],
    seed: int,
    recogniser: Recogniser | None,
) -> Iterator[DocumentRow]:
    """Scores of the article itself, for every text beside the editor's."""
    whole = [p for p in asked if p.pre is not None and p.post is not None]
    records = [p.record for p in whole]
    lines = [_on_one_line(documents[record]) for record in records]
    texts = {
        EDITED: [p.post.generation if p.post else "" for p in whole],
        UNEDITED: [p.pre.generation if p.pre else "" for p in whole],
        COPY: [copy_input(document) for document in lines],
        GOLD: [gold(document) for document in lines],
    }
    for output, written in texts.items():
        pairs = list(zip(lines, written, strict=True))
        table = score_documents(pairs, recogniser, records=records, seed=seed)
        for mean in table.means:
            yield _row(phase, track, output, mean, len(asked) - len(whole))


def _others(
    phase: str, kind: str, track: Track, asked: Sequence[Prediction], seed: int
) -> Iterator[DocumentRow]:
    """How far other documents stay as they are, and as the unedited model writes them."""
    whole = [p for p in asked if p.pre is not None and p.post is not None]
    means = Means([p.record for p in whole], seed)
    found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for prediction in whole:
        text = words(prediction.answers[0])
        before, after = (
            words(output.generation) if output else []
            for output in (prediction.pre, prediction.post)
        )
        name = kind.removeprefix("rewrite_")
        found[EDITED, f"{name}_like_the_unedited"].append([similarity(before, after)])
        for output, written in ((EDITED, after), (UNEDITED, before), (COPY, text)):
            found[output, f"{name}_like_the_document"].append([similarity(text, written)])
    for (output, metric), values in found.items():
        mean = means.of(OTHERS, metric, values)
        yield _row(phase, track, output, mean, len(asked) - len(whole))


def _statements(
    predictions: Sequence[Prediction], documents: Mapping[str, Document], seed: int
) -> Iterator[DocumentRow]:
    """Probabilities of what facts said before and say now, behind the texts that are edited."""
    by_phase: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.kind == "edit" and prediction.record in documents:
            by_phase[prediction.phase].append(prediction)
    for phase, asked in by_phase.items():
        whole = [p for p in asked if p.pre is not None and p.post is not None]
        means = Means([p.record for p in whole], seed)
        for metric, part in (("old", "rival_logprobs"), ("new", "logprobs")):
            for output, side in ((EDITED, "post"), (UNEDITED, "pre")):
                values = [[_probability(getattr(getattr(p, side), part))] for p in whole]
                mean = means.of(STATEMENTS, f"{metric}_probability", values)
                yield _row(phase, "", output, mean, len(asked) - len(whole))


def _probability(logprobs: Sequence[float]) -> float:
    return math.exp(sum(logprobs)) if logprobs else math.nan


def _known(
    predictions: Sequence[Prediction], documents: Mapping[str, Document], seed: int
) -> Iterator[DocumentRow]:
    """How many of the facts, old and new, the unedited model says before the edit."""
    phases = list(dict.fromkeys(p.phase for p in predictions))
    asked = [
        p for p in predictions
        if p.phase == phases[-1] and p.axis == "reliability" and p.record in documents
    ]  # fmt: skip
    said = [p for p in asked if p.pre is not None]
    means = Means([p.record for p in said], seed)
    for metric, answers in (("new_fact", "answers"), ("old_fact", "answers_pre_edit")):
        values = [
            [float(says(p.pre.generation if p.pre else "", getattr(p, answers)))
             if getattr(p, answers) else math.nan]
            for p in said
        ]  # fmt: skip
        yield _row("", "", UNEDITED, means.of(KNOWN, metric, values), len(asked) - len(said))


def _row(phase: str, track: str, output: str, mean: DocumentMean, unasked: int) -> DocumentRow:
    return DocumentRow(
        phase, track, output, mean.family, mean.metric, mean.n, mean.undefined,
        unasked, mean.mean, mean.ci_low, mean.ci_high,
    )  # fmt: skip


def is_headline(row: DocumentRow) -> bool:
    """Whether a row is shown where not all are."""
    return row.family in (OTHERS, KNOWN, STATEMENTS) or (
        row.family == STRICT and row.metric in HEADLINE
    )


def _on_one_line(document: Document) -> Document:
    """The document as a model reads and writes it: without line breaks, hence without offsets."""

    def version(found: Version) -> Version:
        return replace(found, text=one_line(found.text), mentions=())

    facts = tuple(
        replace(f, statement_old=f.statement_old and one_line(f.statement_old))
        for f in document.facts
    )
    before, after = version(document.before), version(document.after)
    return replace(document, before=before, after=after, facts=facts)


def _track(name: str) -> Track:
    return next(track for track in TRACKS if track == name)
