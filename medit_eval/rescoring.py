"""`rescore` and `read_report`: the report of a run from its files, without the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medit_eval.benchmarks.results import BenchmarkResults, read_results
from medit_eval.documents.entities import SpacyRecogniser
from medit_eval.documents.report import document_rows
from medit_eval.gaps import Gaps
from medit_eval.given import textual
from medit_eval.metrics import DEFAULT, METRICS, PAPERS, Metric
from medit_eval.metrics.core import select
from medit_eval.metrics.counterfact import CONSISTENCY, References, consistency
from medit_eval.parts import read_part
from medit_eval.predictions import SCORES, Diagnostic, Prediction, Score
from medit_eval.references import read_references
from medit_eval.report import Report, scored
from medit_eval.runs import (
    RunManifest,
    benchmarks_path,
    check_files,
    read_diagnostics,
    read_documents,
    read_manifest,
    read_predictions,
    scores_path,
)
from medit_eval.summary import summarise
from schemas.documents import Document
from schemas.errors import InputError
from schemas.layout import write_parquet
from schemas.progress import Progress, Quiet

if TYPE_CHECKING:
    from medit_eval.judge import Judge


def rescore(
    run: str | Path,
    *,
    metrics: Iterable[str | Metric] | None = None,
    judge: Judge | None = None,
    recogniser: str | None = None,
    references: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Make the report of a run again from its files, without the model.

    A run that broke off gives a report of what was asked by then.

    Args:
        run: The run folder.
        metrics: Metrics or their names; those of the run by default.
        judge: The judging model, for the metric `judged`.
        recogniser: A spaCy pipeline, as in `score`; by default that of the run.
        references: A file of texts, as in `score`; without one the run's scores are kept.
        progress: Shows how far it is.

    Raises:
        InputError: If the folder is damaged or holds no run.
    """
    root = Path(run)
    texts = None if references is None else read_references(Path(references))
    report = _reread(root, metrics, judge, recogniser, progress or Quiet(), texts)
    write_report(report)
    return report


def read_report(run: str | Path, progress: Progress | None = None) -> Report:
    """The report of a run from its files, which stay as they are.

    What a judge or a metric of the user's own said is taken from the run's scores; all else is
    computed again from the predictions.

    Raises:
        InputError: If the folder is damaged or holds no run.
    """
    return _reread(Path(run), None, None, None, progress or Quiet(), None, keep=True)


def _reread(
    root: Path,
    metrics: Iterable[str | Metric] | None,
    judge: Judge | None,
    recogniser: str | None,
    progress: Progress,
    references: References | None,
    *,
    keep: bool = False,
) -> Report:
    manifest = read_manifest(root)
    check_files(root, manifest)
    predictions = read_predictions(root, manifest)
    wanted, known = metrics, {metric.name for metric in METRICS}
    if metrics is None:
        wanted = [name for name in manifest.reporting.get("metrics", []) if name in known] or None
    chosen = metrics_of(wanted, judge)
    # The texts that these scores rest on may be gone.
    consistent = references is None and any(metric.name == CONSISTENCY for metric in chosen)
    kept: list[Score] = []
    if (keep or consistent) and scores_path(root).is_file():
        keys = {prediction.key for prediction in predictions}
        kept = [
            score
            for score in read_part(scores_path(root), SCORES)
            if score.key in keys
            and (consistent if score.metric == CONSISTENCY else keep and score.metric not in known)
        ]
    there = {score.metric for score in kept}
    return report_of(
        predictions, read_diagnostics(root), read_results(benchmarks_path(root)),
        read_documents(root, manifest),
        [metric for metric in chosen if metric.name not in there],
        judge, recogniser, manifest, root, progress, references, kept,
    )  # fmt: skip


def report_of(
    predictions: Sequence[Prediction],
    told: Sequence[Diagnostic],
    benchmarks: BenchmarkResults,
    documents: Mapping[str, Document],
    metrics: Sequence[Metric],
    judge: Judge | None,
    recogniser: str | None,
    manifest: RunManifest,
    root: Path | None,
    progress: Progress,
    references: References | None = None,
    kept: Sequence[Score] = (),
) -> Report:
    """The report of a run.

    Args:
        predictions: What was asked.
        told: What the editor told of itself.
        benchmarks: Results of benchmarks.
        documents: The documents that were to be rewritten, by record.
        metrics: The metrics.
        judge: The judging model, or None.
        recogniser: A spaCy pipeline in place of the run's own, or None.
        manifest: The run's.
        root: Its folder, or None.
        progress: Shows how far judging is.
        references: Texts for consistency, or None.
        kept: Scores that are taken as they are.
    """
    notes = list(manifest.notes)
    if root is not None and not read_manifest(root).complete:
        notes.append("the run is not complete: this is what was asked by now")
    if references is not None:
        compared = consistency(references, predictions)
        metrics = [compared if metric.name == CONSISTENCY else metric for metric in metrics]
    if "predictions" in manifest.arguments:
        metrics = [textual(metric) for metric in metrics]
    if judge is not None:
        with progress.phase("judging", 3 * len(predictions)) as tick:
            metrics = [*metrics, judge.metric(predictions, tick)]
    scores = (*scored(predictions, metrics), *kept)
    rows = summarise(
        predictions,
        scores,
        protocol=str(manifest.arguments["protocol"]),
        seed=int(manifest.arguments["seed"]),
        bar=float(manifest.reporting["measurable_from"]),
        gaps=Gaps(
            manifest.arguments.get("sequence", ()), manifest.arguments.get("checkpoints", ())
        ),
    )
    pipeline = recogniser or manifest.reporting.get("recogniser")
    about_documents = document_rows(
        predictions,
        documents,
        int(manifest.arguments["seed"]),
        SpacyRecogniser(pipeline) if pipeline else None,
    )
    return Report(
        tuple(rows),
        tuple(predictions),
        scores,
        tuple(told),
        tuple(notes),
        root,
        about_documents,
        manifest,
        benchmarks.weighed(int(manifest.arguments["seed"])),
    )


def write_report(report: Report) -> None:
    """Keep in the run folder, if there is one, what follows from the predictions."""
    if report.path is not None:
        table = SCORES.table(report.scores)
        write_parquet(scores_path(report.path), table, row_group_size=10_000)
        report.write()


def metrics_of(wanted: Iterable[str | Metric] | None, judge: Judge | None) -> tuple[Metric, ...]:
    """The metrics that are meant, without the judge's own.

    Raises:
        InputError: If a name is unknown, or `judged` is among them without a judge.
    """
    names = None if wanted is None else list(wanted)
    if names is not None and "judged" in names:
        if judge is None:
            raise InputError("the metric 'judged' needs a judge: the model that is to judge")
        names = [name for name in names if name != "judged"] or None
    return select(names, METRICS, DEFAULT, PAPERS)
