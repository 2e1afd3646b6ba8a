"""The command line: `python -m medit_eval score | rescore | report | reproduce | ...`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from medit_eval import commands, edit_commands
from medit_eval.options import (
    HOW,
    MODEL,
    RUN,
    TF32,
    WHAT,
    BaseUrl,
    BatchSize,
    Checkpoints,
    ChosenProtocol,
    Device,
    Dtype,
    Everything,
    ForeignImages,
    FormatChoice,
    JudgeModel,
    Limit,
    Metrics,
    Model,
    ProtocolChoice,
    Recogniser,
    Records,
    RecordsFormat,
    References,
    Rows,
    Seed,
    Settings,
    Split,
    StudySettings,
    setting_of,
)
from medit_eval.reproduction import command as reproduction
from schemas.cli import option, run
from schemas.errors import InputError

if TYPE_CHECKING:
    from medit_eval.judge import Judge

app = typer.Typer(
    help="Score model editors, look at the results, and share edited models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def score(
    editor: Annotated[
        list[str] | None,
        option(
            "none, a method's name such as memit or scr, or a plug-in's; may be repeated. With "
            "--predictions what the tool is called.",
            WHAT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        option("Folder, Hub id, testbed/lm or testbed/vlm; default: testbed/lm.", WHAT),
    ] = None,
    records: Annotated[
        str | None,
        option(
            "A builder's folder, a file, a Hub data set, testbed/documents or, by default, "
            "testbed/people.",
            WHAT,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        option("What another tool's model said: a file, scored in place of a model.", WHAT),
    ] = None,
    records_format: RecordsFormat = "medit",
    images: ForeignImages = None,
    split: Split = "test",
    limit: Limit = None,
    protocol: ChosenProtocol = ProtocolChoice.single,
    batch_size: BatchSize = None,
    checkpoints: Checkpoints = None,
    orders: Annotated[
        int | None,
        option("Samples and orders of the edits; default: 3 with checkpoints, else 1.", HOW, min=1),
    ] = None,
    benchmarks: Annotated[
        str | None,
        option("default, smoke, paper, safety, tasks of lm_eval, YAML files.", HOW),
    ] = None,
    benchmark_limit: Annotated[
        int | None, option("Items per benchmark; default: all.", HOW, min=1)
    ] = None,
    benchmark_data: Annotated[
        Path | None, option("Folder with files of well-known benchmarks.", HOW)
    ] = None,
    metrics: Metrics = None,
    setting: StudySettings = None,
    tuned: Annotated[
        Path | None, option("What `tune` wrote; its records are left out.", HOW)
    ] = None,
    memory_sizes: Annotated[
        str | None, option("For editors that route: edits in memory, such as 1,100.", HOW)
    ] = None,
    max_new_tokens: Annotated[int, option("Length of a free answer.", HOW, min=1)] = 32,
    measurable_from: Annotated[
        float, option("What the unedited model must get right of portability.", HOW, min=0, max=1)
    ] = 0.5,
    judge_model: JudgeModel = None,
    base_url: BaseUrl = None,
    recogniser: Recogniser = None,
    references: References = None,
    prompt_format: Annotated[
        FormatChoice, option("How prompts are put to the model.", MODEL)
    ] = FormatChoice.plain,
    device: Device = None,
    dtype: Dtype = "auto",
    device_map: Annotated[str | None, option("Spread the model over devices: auto.", MODEL)] = None,
    rows: Rows = None,
    tf32: TF32 = False,
    one_by_one: Annotated[
        bool, option("Make and ask single edits one after another, never side by side.", HOW)
    ] = False,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        option("Folder of the run, or of all runs; what broke off goes on there.", RUN),
    ] = None,
    workers: Annotated[
        int | None,
        option("Runs at a time, where there are several; default: one per core.", RUN, min=1),
    ] = None,
    cache: Annotated[Path | None, option("Folder of the unedited model's answers.", RUN)] = None,
    everything: Everything = False,
) -> None:
    """Edit a model with records, ask it their probes, and compare with what it said before."""
    import warnings

    if not editor and predictions is None:
        raise InputError("name an editor, or a file of another tool's predictions")

    from medit_eval import terminal
    from medit_eval.scoring import score as run_score
    from medit_eval.studies import ORDERS
    from medit_eval.studies import study as run_study
    from schemas.progress import Bars

    console = Console(stderr=True)
    warnings.showwarning = lambda message, *_: console.print(
        f"warning: {message}", highlight=False, markup=False
    )
    marks = _numbers(checkpoints, "checkpoints")
    count = orders if orders is not None else ORDERS if marks else 1
    options: dict[str, Any] = {
        "predictions": predictions,
        "protocol": protocol.value,
        "batch_size": batch_size,
        "checkpoints": marks,
        "benchmarks": _names(benchmarks) or (),
        "benchmark_limit": benchmark_limit,
        "benchmark_data": benchmark_data,
        "metrics": _names(metrics),
        "prompt_format": None if prompt_format is FormatChoice.plain else prompt_format.value,
        "seed": seed,
        "limit": limit,
        "tuned": tuned,
        "records_format": records_format,
        "images": images,
        "split": split,
        "memory_sizes": _numbers(memory_sizes, "memory sizes"),
        "max_new_tokens": max_new_tokens,
        "one_by_one": one_by_one,
        "measurable_from": measurable_from,
        "judge": _judge(judge_model, base_url),
        "recogniser": recogniser,
        "references": references,
        "device": device,
        "dtype": dtype,
        "device_map": device_map,
        "rows": rows,
        "tf32": tf32,
        "cache": cache,
    }
    bars = Bars(console, "questions")
    if predictions is not None and (len(editor or []) > 1 or (orders or 1) > 1):
        raise InputError("predictions are one tool's, on one order of edits")
    if predictions is None:
        model, records = model or "testbed/lm", records or "testbed/people"
    if predictions is not None or (len(editor or []) == 1 and count == 1):
        settings = dict(map(setting_of, setting or []))
        report = run_score(
            editor[0] if editor else None,
            model,
            records,
            out=out,
            editor_options=settings,
            progress=bars,
            **options,
        )
        terminal.show(report, everything)
        return
    assert editor is not None
    assert model is not None
    assert records is not None
    if out is None:
        raise InputError("several editors or orders need a folder for their runs: --out DIR")
    workers = workers or _workers(device, count * len(editor))
    found = run_study(
        editor,
        model,
        records,
        out,
        orders=count,
        workers=workers,
        options=options,
        editor_options=_of_editors(editor, setting or []),
        progress=bars if workers == 1 else Bars(console, "runs"),
    )
    terminal.show_study(found, everything)


@app.command()
def rescore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    metrics: Metrics = None,
    judge_model: JudgeModel = None,
    base_url: BaseUrl = None,
    recogniser: Recogniser = None,
    references: References = None,
    everything: Everything = False,
) -> None:
    """Make the report of a run again from its files, without the model."""
    from medit_eval import terminal
    from medit_eval.rescoring import rescore as run_rescore
    from schemas.progress import Bars

    report = run_rescore(
        folder,
        metrics=_names(metrics),
        judge=_judge(judge_model, base_url),
        recogniser=recogniser,
        references=references,
        progress=Bars(Console(stderr=True), "questions"),
    )
    terminal.show(report, everything)


@app.command()
def questions(
    records: Records,
    out: Annotated[Path, option("File for the questions, JSON Lines.", RUN)],
    records_format: RecordsFormat = "medit",
    images: ForeignImages = None,
    split: Split = "test",
    limit: Limit = None,
    protocol: ChosenProtocol = ProtocolChoice.single,
    batch_size: BatchSize = None,
    checkpoints: Checkpoints = None,
    order: Annotated[
        int, option("With checkpoints, which sample and order of the edits.", HOW, min=0)
    ] = 0,
    pictures: Annotated[Path | None, option("Folder to write the pictures into.", RUN)] = None,
    seed: Seed = 0,
) -> None:
    """Write the questions for another tool, whose answers `score --predictions` takes."""
    from medit_eval.handout import write_questions

    count = write_questions(
        records,
        out,
        protocol=protocol.value,
        batch_size=batch_size,
        checkpoints=_numbers(checkpoints, "checkpoints"),
        order=order,
        seed=seed,
        limit=limit,
        records_format=records_format,
        images=images,
        split=split,
        pictures=pictures,
    )
    typer.echo(f"{count:,} questions are in {out}.")


@app.command()
def tune(
    editor: Annotated[str, option("memit, alphaedit, come, balancedit, or a plug-in's.", WHAT)],
    model: Model,
    records: Records,
    out: Annotated[Path, option("File for the result, which `score --tuned` takes.", RUN)],
    records_format: RecordsFormat = "medit",
    limit: Limit = None,
    trials: Annotated[int, option("Choices to try.", HOW, min=1)] = 24,
    share: Annotated[
        float, option("Share of the records that is set aside to search on.", HOW)
    ] = 0.2,
    most: Annotated[int, option("Records to set aside at most.", HOW, min=1)] = 50,
    space: Annotated[
        list[str] | None,
        option("Values to choose from: name=[value, ...] as JSON; default: the usual.", HOW),
    ] = None,
    setting: Settings = None,
    device: Device = None,
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Search an editor's hyperparameters for a model, on records set aside for that."""
    from medit_eval.tuning import tune as run_tune
    from schemas.progress import Bars

    tuned = run_tune(
        editor,
        model,
        records,
        trials=trials,
        share=share,
        most=most,
        space=dict(map(_choices, space)) if space else None,
        fixed=dict(map(setting_of, setting or [])),
        records_format=records_format,
        limit=limit,
        device=device,
        dtype=dtype,
        seed=seed,
        out=out,
        progress=Bars(Console(stderr=True), "trials"),
    )
    for trial in tuned.trials[:5]:
        options = ", ".join(f"{name}={json.dumps(v)}" for name, v in trial.options.items())
        typer.echo(f"{trial.failure if trial.mean is None else f'{trial.mean:.3f}'}  {options}")
    aside = len(tuned.development)
    typer.echo(f"The first of these, and the {aside} records it was found on, are in {out}.")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str | None, what: str) -> list[int]:
    try:
        return [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        raise InputError(f"{what} are whole numbers with commas, not {text!r}") from None


def _of_editors(editors: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Hyperparameters by editor; one without an editor's name in front is every editor's."""
    found: dict[str, dict[str, Any]] = {editor: {} for editor in editors}
    for text in settings:
        name, value = setting_of(text)
        owner, dot, rest = name.partition(".")
        for editor in [owner] if dot else editors:
            if editor not in found:
                raise InputError(f"{text!r} is for {owner!r}, which is not among the editors")
            found[editor][rest if dot else name] = value
    return found


def _workers(device: str | None, jobs: int) -> int:
    """One per core, but one alone where runs would share an accelerator."""
    import os

    import torch

    alone = torch.cuda.is_available() if device is None else not device.startswith("cpu")
    return 1 if alone else min(jobs, os.cpu_count() or 1)


def _choices(text: str) -> tuple[str, tuple[Any, ...]]:
    """Name and values of `name=[value, ...]`."""
    name, values = setting_of(text)
    if not isinstance(values, tuple):
        raise InputError(f"what to choose from is name=[value, ...], not {text!r}")
    return name, tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _judge(model: str | None, base_url: str | None) -> Judge | None:
    if model is None:
        if base_url is not None:
            raise InputError("--base-url needs --judge-model")
        return None
    from medit_eval.judge import Judge

    return Judge(model, base_url)


app.command()(commands.report)
app.command()(commands.compare)
app.command()(commands.card)
app.command()(reproduction.reproduce)
app.command()(edit_commands.edit)
app.command()(edit_commands.ask)
app.command()(edit_commands.publish)


if __name__ == "__main__":
    run(app)
