"""The command line: `python -m builders.okedit build | preview | export | publish`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builders import cli
from schemas.cli import option, run

app = typer.Typer(
    help="Build OKEDIT-style multimodal edit records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console(stderr=True)


class SourceChoice(enum.StrEnum):
    """Where rows come from."""

    flags = "flags"
    okvqa = "okvqa"
    mmedit = "mmedit"
    hub = "hub"


class TextChoice(enum.StrEnum):
    """Who writes text."""

    offline = "offline"
    openai = "openai"


class ImagesChoice(enum.StrEnum):
    """Who draws pictures."""

    offline = "offline"
    openai = "openai"
    diffusers = "diffusers"


class FormatChoice(enum.StrEnum):
    """What other tools read."""

    mmedit = "mmedit"
    vlkeb = "vlkeb"
    easyedit = "easyedit"


@app.command()
def build(
    out: cli.Out = Path("out/okedit"),
    source: Annotated[
        SourceChoice, option("Where rows come from.", cli.SOURCE)
    ] = SourceChoice.flags,
    questions: Annotated[
        Path | None, option("Question file of okvqa, or the file of mmedit.", cli.SOURCE)
    ] = None,
    annotations: Annotated[Path | None, option("Annotation file of okvqa.", cli.SOURCE)] = None,
    columns: Annotated[Path | None, option("Column map (TOML) of hub.", cli.SOURCE)] = None,
    images_folder: Annotated[
        Path | None, option("Folder of the source's images.", cli.SOURCE)
    ] = None,
    allow_missing_images: Annotated[
        bool, option("Keep rows without an image as text-only records.", cli.SOURCE)
    ] = False,
    limit: cli.Limit = None,
    name: cli.Name = None,
    split: cli.Split = "test",
    seed: cli.Seed = 0,
    rephrasings: Annotated[
        int, option("Rephrasings per record for probes.", cli.CONTENT, min=1, max=20)
    ] = 5,
    editor_rephrasings: Annotated[
        int, option("Rephrasings per record for editors.", cli.CONTENT, min=0, max=20)
    ] = 3,
    image_size: Annotated[
        int, option("Pixels per side of drawn flags.", cli.CONTENT, min=224, max=1024)
    ] = 256,
    text: Annotated[TextChoice, option("Who writes text.", cli.MODELS)] = TextChoice.offline,
    images: Annotated[
        ImagesChoice, option("Who draws pictures.", cli.MODELS)
    ] = ImagesChoice.offline,
    model: cli.Model = None,
    image_model: Annotated[
        str | None,
        option("Image model, or folder or Hub id of a diffusers pipeline.", cli.MODELS),
    ] = None,
    base_url: cli.BaseUrl = None,
    api_key: cli.ApiKey = None,
    concurrency: cli.Concurrency = 16,
    max_requests: cli.MaxRequests = None,
    cache: cli.Cache = None,
    fallback: Annotated[
        bool,
        option("Let rules answer what the model failed at, marked in provenance.", cli.MODELS),
    ] = False,
    batch: cli.Batch = False,
    dry_run: cli.DryRun = False,
    workers: cli.Workers = 1,
    shard_size: cli.ShardSize = 100,
    overwrite: cli.Overwrite = False,
) -> None:
    """Build a data set, or go on with an unfinished one.

    Without options it draws flags and needs no network. A build that was interrupted is taken up
    by the same command; a finished one is never replaced without --overwrite.
    """
    from builders.okedit.build import build, define
    from builders.okedit.models import Models
    from builders.okedit.options import Options
    from builders.okedit.rehearsal import rehearsal
    from schemas.progress import Bars

    options = Options(
        source=source.value,
        name=name,
        questions=questions,
        annotations=annotations,
        columns=columns,
        image_folder=images_folder,
        allow_missing_images=allow_missing_images,
        limit=limit,
        seed=seed,
        split=split,
        text=text.value,
        images=images.value,
        fallback=fallback,
        rephrasings=rephrasings,
        editor_rephrasings=editor_rephrasings,
        image_size=image_size,
        shard_rows=shard_size,
    )
    models = Models.resolve(
        options,
        model=model,
        image_model=image_model,
        base_url=base_url,
        api_key=api_key,
        concurrency=concurrency,
        cache=cache,
        max_requests=max_requests,
    )
    bars = Bars(_console)
    if dry_run:
        planned = rehearsal(define(options, models, 1), options, models)
        typer.echo(planned.dry_run(cli.requests_file(out), bars))
        return
    outcome = build(
        options,
        models,
        out,
        bars,
        workers=workers,
        overwrite=overwrite,
        batch=batch,
        checks_apart=True,
    )
    cli.say(outcome, out)


@app.command()
def export(
    folder: cli.Folder,
    format: Annotated[FormatChoice, typer.Option(help="What to write.")],  # noqa: A002
    out: cli.ExportFolder = None,
    overwrite: cli.ExportOverwrite = False,
) -> None:
    """Write the data set as other tools read it."""
    cli.export(folder, format.value, out, overwrite)


app.command()(cli.preview)
app.command()(cli.publish)


if __name__ == "__main__":
    run(app)
