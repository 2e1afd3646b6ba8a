"""`score`: edit, ask, compare with the unedited model, and report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medit_eval.benchmarks.results import BenchmarkResults, Course
from medit_eval.documents.entities import SpacyRecogniser
from medit_eval.documents.report import documents_of
from medit_eval.given import given_predictions, left_out
from medit_eval.manifests import asked_of, described, manifest_of, reporting, settings_with_sources
from medit_eval.metrics import Metric
from medit_eval.metrics.counterfact import CONSISTENCY, References
from medit_eval.pictures import write_pictures
from medit_eval.protocols import Episode, draw, memory_plan, plan, reachable, sequence
from medit_eval.provenance import GIVEN, model_of, sitting
from medit_eval.references import read_references
from medit_eval.report import Report
from medit_eval.rescoring import metrics_of, report_of, write_report
from medit_eval.runs import (
    RunFolder,
    read_manifest,
    write_documents,
)
from medit_eval.sources import OWN, first_with_picture, load
from medit_eval.summary import BAR
from schemas.errors import InputError
from schemas.layout import sha256_of
from schemas.progress import Progress, Quiet
from schemas.records import APART, EditRecord, EditRequest
from schemas.versions import now

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.lm import LM
    from editors.prompts import PromptFormat
    from medit_eval.judge import Judge
    from medit_eval.tuning import Tuned


def score(
    editor: str | Editor | None = None,
    model: str | Path | LM | Any | None = None,
    records: str | Path | Iterable[EditRecord] | Any | None = None,
    *,
    predictions: str | Path | None = None,
    protocol: str = "single",
    batch_size: int | None = None,
    checkpoints: Sequence[int] = (),
    order: int = 0,
    benchmarks: str | Sequence[str] = (),
    benchmark_limit: int | None = None,
    benchmark_data: str | Path | None = None,
    metrics: Iterable[str | Metric] | None = None,
    prompt_format: PromptFormat | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    limit: int | None = None,
    editor_options: Mapping[str, Any] | None = None,
    tuned: str | Path | None = None,
    processor: Any = None,
    records_format: str = OWN,
    images: str | Path | None = None,
    split: str = "test",
    memory_sizes: Sequence[int] = (),
    max_new_tokens: int = 32,
    measurable_from: float = BAR,
    judge: Judge | None = None,
    recogniser: str | None = None,
    references: str | Path | None = None,
    device: str | None = None,
    dtype: str = "auto",
    device_map: str | None = None,
    rows: int | None = None,
    tf32: bool = False,
    one_by_one: bool = False,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Edit a model with records, ask it their probes, and compare with what it said before.

    With `predictions`, what another tool's edited model said is scored instead. No model is loaded
    for that, and arguments about a model or an editor's settings are refused.

    Args:
        editor: An editor's name, or an editor; with `predictions`, what the tool is called, by
            default the file's name without its suffix.
        model: A folder, a Hub id, `testbed/lm`, `testbed/vlm`, an `LM` or a `PreTrainedModel`.
        records: A builder's folder, a file of a known format, a data set, or records; see
            `medit_eval.sources.load`.
        predictions: A file of what another tool's model said; see `medit_eval.given`.
        protocol: `single`, `batch` or `sequential`; see `medit_eval.protocols`.
        batch_size: Records that are edited with one call, in the latter two: 100 by default, or 1
            with checkpoints.
        checkpoints: For `sequential`: numbers of edits after which everything is asked that the
            edits so far should have changed, and everything that none of them should. Those that
            the records do not reach are left out.
        order: With checkpoints, which sample of the records, in which order, is edited; drawn from
            the seed.
        benchmarks: What to run before the edits, and after them or at each checkpoint: suites,
            tasks of lm-evaluation-harness, paths of its YAML files; see
            `medit_eval.benchmarks.tasks`.
        benchmark_limit: Items per benchmark at most, drawn from the seed.
        benchmark_data: Folder with files of well-known benchmarks.
        metrics: Metrics or their names; those of `medit_eval.metrics.DEFAULT` by default.
        prompt_format: How prompts are put to the model: `plain` (the default), `qa` or `chat`.
        seed: What random choices of editors, and the bootstrap, derive from.
        out: The run folder. A run that broke off goes on where it stopped; without a folder
            nothing is written.
        limit: How many records to use, from the first on.
        editor_options: Hyperparameters of an editor that is given by name.
        tuned: A file that `medit_eval.tune` wrote: its hyperparameters are taken where
            `editor_options` gives none, and the records that they were found on are left out.
        processor: The tokenizer or processor of a `PreTrainedModel`.
        records_format: The format of a foreign file or data set; see
            `medit_eval.sources.format_names`.
        images: The folder of a foreign file's pictures.
        split: The split of a data set on the Hub.
        memory_sizes: Also ask with so many edits in memory, routing as it is, forced on and
            forced off; for editors that route.
        max_new_tokens: Length of a free answer at most.
        measurable_from: Share of portability questions that the unedited model must get right
            for a kind of them to be measurable.
        judge: The judging model, for the metric `judged`.
        recogniser: The spaCy pipeline that finds entities in rewritten documents; they are found
            by their form where none is named.
        references: A file of texts for `counterfact_consistency`; see `medit_eval.references`.
        device: Where a model that is loaded goes.
        dtype: The dtype of a model that is loaded.
        device_map: How to spread a model that is loaded over several devices.
        rows: The most questions that are asked at once, halved where memory runs out; found by the
            memory that there is by default.
        tf32: Whether float32 matrix products of the model's forwards may be made of TF32 numbers,
            which is faster and less exact; see `editors.lm.LM`.
        one_by_one: Whether single edits are made, asked and taken back one after another. By
            default those of editors that can are made and asked side by side, which gives the same
            up to rounding in a fraction of the time; see `EditedModel.branched`.
        cache: Folder of the unedited model's answers; in the user's cache folder by default.
        progress: Shows how far it is.

    Raises:
        InputError: If an argument, the records, the model or the run folder cannot be used.
    """
    if predictions is not None:
        unused = {
            "model": model, "processor": processor, "prompt_format": prompt_format,
            "editor_options": editor_options, "tuned": tuned, "memory_sizes": memory_sizes,
            "benchmarks": benchmarks, "benchmark_limit": benchmark_limit,
            "benchmark_data": benchmark_data, "device": device, "device_map": device_map,
            "tf32": tf32,
        }  # fmt: skip
        refused = [name for name, value in unused.items() if value]
        if refused or not isinstance(editor, str | None):
            what = ", ".join(refused) or "an editor that is not the name of a tool"
            raise InputError(f"predictions of another tool go without a model: leave out {what}")
        if records is None:
            raise InputError("predictions need the records whose questions they answer")
        return _score_given(
            Path(predictions), editor, records,
            protocol=protocol, batch_size=batch_size, checkpoints=checkpoints, order=order,
            metrics=metrics, seed=seed, out=out, limit=limit, records_format=records_format,
            images=images, split=split, measurable_from=measurable_from, judge=judge,
            recogniser=recogniser, references=references, progress=progress or Quiet(),
        )  # fmt: skip
    if editor is None or model is None or records is None:
        raise InputError("name an editor, a model and records, or predictions and their records")

    from editors.registry import make
    from medit_eval.asking import Settings
    from medit_eval.baselines import baselines, default_cache
    from medit_eval.corpora import with_corpus, with_lessons
    from medit_eval.models import identity, resolve
    from medit_eval.questions import slots, step_slots
    from medit_eval.running import Runner

    progress = progress or Quiet()
    chosen = metrics_of(metrics, judge)
    named = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
    if recogniser is not None:
        SpacyRecogniser(recogniser)("")  # what is not installed shows before anything is asked
    found = load(
        records,
        records_format=records_format,
        images=None if images is None else Path(images),
        split=split,
        limit=limit,
    )
    texts = _references(references, chosen, found)
    size = _size(batch_size, checkpoints)
    # What is wrong with these shows before the model is loaded.
    episodes, _ = _plan(protocol, found, size, checkpoints, seed, order)
    if named and not any(step.benchmarks for episode in episodes for step in episode):
        raise InputError(
            "benchmarks are run on a model that holds all edits: take the protocol sequential, or "
            "batch with a batch size that holds all records"
        )
    if not isinstance(editor, str) and (editor_options or tuned):
        raise InputError("options belong to an editor that is given by name")
    lm = resolve(
        model,
        processor,
        prompt_format=prompt_format,
        device=device,
        dtype=dtype,
        device_map=device_map,
        rows=rows,
        tf32=tf32,
    )
    _require_eyes(lm, found)
    given = {name: (value, GIVEN) for name, value in (editor_options or {}).items()}
    if tuned is not None:
        search = _tuned(Path(tuned), editor, lm)
        found = search.evaluated(found)
        given = {**{n: (value, search.source) for n, value in search.options.items()}, **given}
    run = RunFolder(None if out is None else Path(out))
    episodes, found = _plan(protocol, found, size, checkpoints, seed, order)
    course = None
    if named:
        course = _course(run, named, benchmark_data, benchmark_limit, seed, lm, episodes)
    episodes += memory_plan(found, memory_sizes)
    method = editor
    if isinstance(method, str):
        options = {name: value for name, (value, _) in given.items()}
        asked = [request for record in found for request in record.requests]
        options = with_lessons(method, lm, with_corpus(method, lm, options), asked)
        method = make(method, lm, options)
    if memory_sizes:
        _require_routing(method, lm)
    needs = {need for metric in chosen for need in (*metric.needs, *metric.apart)} | run.needs()
    settings = Settings(max_new_tokens, likelihood="likelihood" in needs)
    continued, apart = "continuation" in needs, APART & needs
    name, documents = identity(lm), documents_of(found)
    manifest = manifest_of(
        {
            "editor": described(method),
            "model": lm.name,
            "model_digest": name,
            **asked_of(records, found, protocol, size, seed, episodes, order),
            "prompt_format": lm.renderer.format,
            "max_new_tokens": max_new_tokens,
            "top": settings.top,
            "needs": sorted(needs),
            **({"tf32": True} if lm.tf32 else {}),
            "memory_sizes": list(memory_sizes),
            **({"one_by_one": True} if one_by_one else {}),
            **({"benchmarks": course.digests} if course else {}),
        },
        reporting(chosen, measurable_from, judge, recogniser, references),
        settings=settings_with_sources(editor, method, lm, given),
        sittings=(sitting(lm, now()),),
        model=model_of(lm),
    )
    with run.locked():
        manifest = run.begin(manifest)
        if documents and run.root is not None:
            write_documents(run.root, documents)
        if not manifest.complete:
            questions = [
                slot.question
                for record in found
                for slot in slots(record, continued=continued, apart=apart)
            ]
            total = len({question.digest for question in questions})
            if run.root is not None:
                asked = (question.query.image for question in questions)
                write_pictures(run.root, (image for image in asked if image is not None))
            with progress.phase("before the edits", total) as tick:
                store = default_cache() if cache is None else Path(cache)
                before = baselines(lm, name, questions, settings, store, tick)
            if course is not None:
                with progress.phase("benchmarks before the edits", course.size) as tick:
                    course.tick = tick
                    course.before(lm, _benchmark_cache(cache))
            runner = Runner(
                lm, method, settings, before, continued, apart, seed,
                {prediction.key for prediction in run.predictions}, run.keep, run.note,
                lambda done: None, run.checkpoints, course, one_by_one,
            )  # fmt: skip
            count = sum(
                1
                for episode in episodes
                for step in episode
                for _ in step_slots(step, continued=continued, apart=apart)
            )
            if course is not None:
                count += course.size * len(course.requests)
            with progress.phase(f"after {method.name}", count) as tick:
                runner.tick = tick
                if course is not None:
                    course.tick = tick
                try:
                    runner.run(episodes)
                finally:
                    run.flush()
            manifest = dataclasses.replace(manifest, notes=tuple(runner.notes))
            run.finish(manifest)
        elif run.root is not None:
            manifest = read_manifest(run.root)
        told = tuple(run.diagnostics.values())
        report = report_of(
            run.predictions,
            told,
            course.results() if course else BenchmarkResults(),
            documents,
            chosen,
            judge,
            recogniser,
            manifest,
            run.root,
            progress,
            texts,
        )
        write_report(report)
        return report


def _score_given(
    path: Path,
    label: str | None,
    records: Any,
    *,
    protocol: str,
    batch_size: int | None,
    checkpoints: Sequence[int],
    order: int,
    metrics: Iterable[str | Metric] | None,
    seed: int,
    out: str | Path | None,
    limit: int | None,
    records_format: str,
    images: str | Path | None,
    split: str,
    measurable_from: float,
    judge: Judge | None,
    recogniser: str | None,
    references: str | Path | None,
    progress: Progress,
) -> Report:
    """The report of what another tool's model said."""
    chosen, notes = metrics_of(metrics, judge), []
    if metrics is None:
        chosen, notes = left_out(chosen)
    episodes, found = planned(
        records, protocol=protocol, batch_size=batch_size, checkpoints=checkpoints, order=order,
        seed=seed, limit=limit, records_format=records_format, images=images, split=split,
    )  # fmt: skip
    texts = _references(references, chosen, found)
    size = _size(batch_size, checkpoints)
    apart = frozenset(kind for metric in chosen for kind in metric.apart)
    predictions = given_predictions(path, episodes, notes, apart=apart)
    documents = documents_of(found)
    manifest = manifest_of(
        {
            "editor": {"name": label or path.stem, "class": "another tool's"},
            **asked_of(records, found, protocol, size, seed, episodes, order),
            "predictions": sha256_of(path),
            "predictions_file": str(path),
        },
        reporting(chosen, measurable_from, judge, recogniser, references),
    )
    run = RunFolder(None if out is None else Path(out))
    with run.locked():
        manifest = dataclasses.replace(run.begin(manifest), notes=tuple(notes))
        if not manifest.complete:
            if run.root is not None:
                if documents:
                    write_documents(run.root, documents)
                write_pictures(
                    run.root,
                    (image for r in found for probe in r.probes for image in probe.images),
                )
            done = {prediction.key for prediction in run.predictions}
            run.keep([p for p in predictions if p.key not in done])
            run.flush()
            run.finish(manifest)
        report = report_of(
            run.predictions, (), BenchmarkResults(), documents, chosen, judge, recogniser,
            manifest, run.root, progress, texts,
        )  # fmt: skip
        write_report(report)
        return report


def _course(
    run: RunFolder,
    named: Sequence[str],
    data: str | Path | None,
    limit: int | None,
    seed: int,
    lm: LM,
    episodes: Sequence[Episode],
) -> Course:
    """The benchmarks of a run, with the edits that are in the model at each of their phases."""
    from medit_eval.benchmarks.tasks import load as load_benchmarks

    found = load_benchmarks(
        named, data=None if data is None else Path(data), limit=limit, seed=seed, sees=lm.sees
    )
    requests: dict[str, list[EditRequest]] = {}
    for episode in episodes:
        made: list[EditRequest] = []
        for step in episode:
            made += [request for record in step.edit for request in record.requests]
            if step.benchmarks:
                requests[step.phase] = list(made)
    return Course(run.benchmarks, found, requests)


def _benchmark_cache(cache: str | Path | None) -> Path:
    from medit_eval.benchmarks.run import default_cache

    return default_cache() if cache is None else Path(cache) / "benchmarks"


def planned(
    records: Any,
    *,
    protocol: str,
    batch_size: int | None,
    checkpoints: Sequence[int],
    order: int,
    seed: int,
    limit: int | None,
    records_format: str,
    images: str | Path | None,
    split: str,
) -> tuple[list[Episode], Sequence[EditRecord]]:
    """The episodes of a run, and the records in them, from what `score` is given.

    Raises:
        InputError: If the records cannot be read, or protocol, batch size and checkpoints do not go
            together.
    """
    found = load(
        records,
        records_format=records_format,
        images=None if images is None else Path(images),
        split=split,
        limit=limit,
    )
    return _plan(protocol, found, _size(batch_size, checkpoints), checkpoints, seed, order)


def _size(batch_size: int | None, checkpoints: Sequence[int]) -> int:
    if batch_size is not None:
        return batch_size
    return 1 if checkpoints else 100


def _references(
    path: str | Path | None, metrics: Sequence[Metric], records: Sequence[EditRecord]
) -> References | None:
    """The texts in a file, which one metric alone reads.

    Raises:
        InputError: If the file cannot be used, or nothing reads it.
    """
    if path is None:
        return None
    if all(metric.name != CONSISTENCY for metric in metrics):
        raise InputError(f"references are for the metric {CONSISTENCY!r}, which is not chosen")
    return read_references(Path(path), records)


def _plan(
    protocol: str,
    records: Sequence[EditRecord],
    batch_size: int,
    checkpoints: Sequence[int],
    seed: int,
    order: int,
) -> tuple[list[Episode], Sequence[EditRecord]]:
    """The episodes of a run, and the records in them.

    Raises:
        InputError: If protocol, batch size and checkpoints do not go together.
    """
    episodes = plan(protocol, records, batch_size)
    if not checkpoints:
        return episodes, records
    if protocol != "sequential":
        raise InputError(f"checkpoints belong to the protocol 'sequential', not to {protocol!r}")
    reached = reachable(checkpoints, batch_size, len(records))
    chosen = draw(records, reached[-1], seed, order)
    return sequence(chosen, batch_size, reached), chosen


def _tuned(path: Path, editor: str | Editor, lm: LM) -> Tuned:
    """The result of a search, which must be for this editor and this model."""
    from medit_eval.tuning import Tuned

    tuned = Tuned.read(path)
    if tuned.editor != editor:
        raise InputError(f"is for the editor {tuned.editor!r}, not {editor!r}", file=path)
    if tuned.model != lm.digest():
        raise InputError(f"is for another model than {lm.name}", file=path)
    return tuned


def _require_eyes(lm: LM, records: Sequence[EditRecord]) -> None:
    if lm.sees or (found := first_with_picture(records)) is None:
        return
    first, count = found
    raise InputError(
        f"{count} of {len(records)} records hold pictures, which the text model {lm.name} cannot "
        "see; take a vision-language model, or records without pictures",
        row=first,
    )


def _require_routing(editor: Editor, lm: LM) -> None:
    from editors.routing import Routed

    with editor.apply(lm) as edited:
        if not isinstance(edited, Routed):
            raise InputError(
                f"the editor {editor.name!r} does not route questions to a memory, "
                "so memory sizes mean nothing for it"
            )
