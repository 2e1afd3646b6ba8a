"""The command line: `python -m medit_eval score | rescore | report | compare | card | tune`."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from medit_eval import commands
from schemas.cli import option, run
from schemas.errors import InputError

if TYPE_CHECKING:
    from medit_eval.judge import Judge

app = typer.Typer(
    help="Score model editors, and look at the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_WHAT = "What"
_HOW = "How"
_MODEL = "Model"
_RUN = "Run"


class ProtocolChoice(enum.StrEnum):
    """In which order records are edited, asked and taken back."""

    single = "single"
    batch = "batch"
    sequential = "sequential"


class FormatChoice(enum.StrEnum):
    """How prompts are put to the model."""

    plain = "plain"
    qa = "qa"
    chat = "chat"


# Options of several commands.
Model = Annotated[str, option("Folder, Hub id, testbed/lm or testbed/vlm.", _WHAT)]
Records = Annotated[
    str,
    option(
        "A builder's folder, a file, a Hub data set, testbed/people or testbed/documents.", _WHAT
    ),
]
RecordsFormat = Annotated[
    str, option("Format of a file: counterfact, zsre, wikidata_counterfact, mmedit...", _WHAT)
]
Limit = Annotated[int | None, option("Records to use; default: all.", _WHAT, min=1)]
Settings = Annotated[
    list[str] | None,
    option("A hyperparameter of the editor: name=value, value as JSON.", _HOW, "--set"),
]
StudySettings = Annotated[
    list[str] | None,
    option(
        "A hyperparameter: name=value, or with several editors editor.name=value; value as JSON.",
        _HOW,
        "--set",
    ),
]
Metrics = Annotated[
    str | None, option("Names, with commas between; default: the usual ones.", _HOW)
]
JudgeModel = Annotated[str | None, option("Model that judges answers, behind an endpoint.", _HOW)]
BaseUrl = Annotated[str | None, option("The judge's endpoint; default: $OPENAI_BASE_URL.", _HOW)]
Recogniser = Annotated[
    str | None, option("spaCy pipeline for entities in documents; default: by form.", _HOW)
]
Device = Annotated[str | None, option("Such as cpu or cuda:1.", _MODEL)]
Dtype = Annotated[str, option("auto, float32, bfloat16 or float16.", _MODEL)]
Seed = Annotated[int, option("Everything random derives from it.", _RUN)]
Everything = Annotated[bool, option("Show all metrics, not the headline alone.", _RUN, "--all")]


@app.command()
def score(
    editor: Annotated[
        list[str],
        option(
            "none, memit, alphaedit, come, balancedit, scr, or a plug-in's; may be repeated.", _WHAT
        ),
    ],
    model: Model = "testbed/lm",
    records: Records = "testbed/people",
    records_format: RecordsFormat = "medit",
    images: Annotated[Path | None, option("Folder of a foreign file's pictures.", _WHAT)] = None,
    split: Annotated[str, option("Split of a data set on the Hub.", _WHAT)] = "test",
    limit: Limit = None,
    protocol: Annotated[
        ProtocolChoice, option("In which order to edit, ask and take back.", _HOW)
    ] = ProtocolChoice.single,
    batch_size: Annotated[
        int | None,
        option(
            "Records edited with one call, but for single; default: 100, or 1 with checkpoints.",
            _HOW,
            min=1,
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        option("For sequential: numbers of edits to look at, such as 1,10,100.", _HOW),
    ] = None,
    orders: Annotated[
        int | None,
        option(
            "Samples and orders of the edits; default: 3 with checkpoints, else 1.", _HOW, min=1
        ),
    ] = None,
    benchmarks: Annotated[
        str | None,
        option("default, smoke, paper, safety, tasks of lm_eval, YAML files.", _HOW),
    ] = None,
    benchmark_limit: Annotated[
        int | None, option("Items per benchmark; default: all.", _HOW, min=1)
    ] = None,
    benchmark_data: Annotated[
        Path | None, option("Folder with files of well-known benchmarks.", _HOW)
    ] = None,
    metrics: Metrics = None,
    setting: StudySettings = None,
    tuned: Annotated[
        Path | None, option("What `tune` wrote; its records are left out.", _HOW)
    ] = None,
    memory_sizes: Annotated[
        str | None, option("For editors that route: edits in memory, such as 1,100.", _HOW)
    ] = None,
    max_new_tokens: Annotated[int, option("Length of a free answer.", _HOW, min=1)] = 32,
    measurable_from: Annotated[
        float, option("What the unedited model must get right of portability.", _HOW, min=0, max=1)
    ] = 0.5,
    judge_model: JudgeModel = None,
    base_url: BaseUrl = None,
    recogniser: Recogniser = None,
    prompt_format: Annotated[
        FormatChoice, option("How prompts are put to the model.", _MODEL)
    ] = FormatChoice.plain,
    device: Device = None,
    dtype: Dtype = "auto",
    device_map: Annotated[
        str | None, option("Spread the model over devices: auto.", _MODEL)
    ] = None,
    rows: Annotated[int, option("Questions asked at once.", _MODEL, min=1)] = 64,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        option("Folder of the run, or of all runs; what broke off goes on there.", _RUN),
    ] = None,
    workers: Annotated[
        int | None,
        option("Runs at a time, where there are several; default: one per core.", _RUN, min=1),
    ] = None,
    cache: Annotated[Path | None, option("Folder of the unedited model's answers.", _RUN)] = None,
    everything: Everything = False,
) -> None:
    """Edit a model with records, ask it their probes, and compare with what it said before."""
    import warnings

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
        "protocol": protocol.value,
        "batch_size": batch_size,
        "checkpoints": marks,
        "benchmarks": _names(benchmarks) or (),
        "benchmark_limit": benchmark_limit,
        "benchmark_data": benchmark_data,
        "metrics": _names(metrics),
        "prompt_format": prompt_format.value,
        "seed": seed,
        "limit": limit,
        "tuned": tuned,
        "records_format": records_format,
        "images": images,
        "split": split,
        "memory_sizes": _numbers(memory_sizes, "memory sizes"),
        "max_new_tokens": max_new_tokens,
        "measurable_from": measurable_from,
        "judge": _judge(judge_model, base_url),
        "recogniser": recogniser,
        "device": device,
        "dtype": dtype,
        "device_map": device_map,
        "rows": rows,
        "cache": cache,
    }
    bars = Bars(console, "questions")
    if len(editor) == 1 and count == 1:
        settings = dict(map(_setting, setting or []))
        report = run_score(
            editor[0],
            model,
            records,
            out=out,
            editor_options=settings,
            progress=bars,
            **options,
        )
        terminal.show(report, everything)
        return
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
    everything: Everything = False,
) -> None:
    """Make the report of a run again from its files, without the model."""
    from medit_eval import terminal
    from medit_eval.scoring import rescore as run_rescore
    from schemas.progress import Bars

    report = run_rescore(
        folder,
        metrics=_names(metrics),
        judge=_judge(judge_model, base_url),
        recogniser=recogniser,
        progress=Bars(Console(stderr=True), "questions"),
    )
    terminal.show(report, everything)


@app.command()
def tune(
    editor: Annotated[str, option("memit, alphaedit, come, balancedit, or a plug-in's.", _WHAT)],
    model: Model,
    records: Records,
    out: Annotated[Path, option("File for the result, which `score --tuned` takes.", _RUN)],
    records_format: RecordsFormat = "medit",
    limit: Limit = None,
    trials: Annotated[int, option("Choices to try.", _HOW, min=1)] = 24,
    share: Annotated[
        float, option("Share of the records that is set aside to search on.", _HOW)
    ] = 0.2,
    most: Annotated[int, option("Records to set aside at most.", _HOW, min=1)] = 50,
    space: Annotated[
        list[str] | None,
        option("Values to choose from: name=[value, ...] as JSON; default: the usual.", _HOW),
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
        fixed=dict(map(_setting, setting or [])),
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
        name, value = _setting(text)
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


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of `name=value`; what is no JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"a setting is name=value, not {text!r}")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    # Hyperparameters are frozen: a list of layers is a tuple.
    return name.strip().replace("-", "_"), tuple(parsed) if isinstance(parsed, list) else parsed


def _choices(text: str) -> tuple[str, tuple[Any, ...]]:
    """Name and values of `name=[value, ...]`."""
    name, values = _setting(text)
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


if __name__ == "__main__":
    run(app)
