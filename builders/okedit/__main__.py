"""The command line: `python -m builders.okedit build | preview | export | publish`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from schemas.cli import run
from schemas.errors import InputError

if TYPE_CHECKING:
    from builders.pipeline import Outcome

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


_SOURCE = "Source"
_CONTENT = "Content"
_MODELS = "Models"
_RUN = "Run"


def _option(help_: str, panel: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help_, rich_help_panel=panel, **settings)


@app.command()
def build(
    out: Annotated[Path, _option("Folder of the data set.", _RUN)] = Path("out/okedit"),
    source: Annotated[SourceChoice, _option("Where rows come from.", _SOURCE)] = SourceChoice.flags,
    questions: Annotated[
        Path | None, _option("Question file of okvqa, or the file of mmedit.", _SOURCE)
    ] = None,
    annotations: Annotated[Path | None, _option("Annotation file of okvqa.", _SOURCE)] = None,
    columns: Annotated[Path | None, _option("Column map (TOML) of hub.", _SOURCE)] = None,
    images_folder: Annotated[
        Path | None, _option("Folder of the source's images.", _SOURCE)
    ] = None,
    allow_missing_images: Annotated[
        bool, _option("Keep rows without an image as text-only records.", _SOURCE)
    ] = False,
    limit: Annotated[int | None, _option("Rows to read; default: all.", _SOURCE, min=1)] = None,
    name: Annotated[str | None, _option("Name of the data set.", _CONTENT)] = None,
    split: Annotated[str, _option("Name of the split.", _CONTENT)] = "test",
    seed: Annotated[int, _option("Everything random derives from it.", _CONTENT)] = 0,
    rephrasings: Annotated[
        int, _option("Rephrasings per record for probes.", _CONTENT, min=1, max=20)
    ] = 5,
    editor_rephrasings: Annotated[
        int, _option("Rephrasings per record for editors.", _CONTENT, min=0, max=20)
    ] = 3,
    image_size: Annotated[
        int, _option("Pixels per side of drawn flags.", _CONTENT, min=224, max=1024)
    ] = 256,
    text: Annotated[TextChoice, _option("Who writes text.", _MODELS)] = TextChoice.offline,
    images: Annotated[ImagesChoice, _option("Who draws pictures.", _MODELS)] = ImagesChoice.offline,
    model: Annotated[str | None, _option("Text model; default: $MEDIT_MODEL.", _MODELS)] = None,
    image_model: Annotated[
        str | None,
        _option("Image model, or folder or Hub id of a diffusers pipeline.", _MODELS),
    ] = None,
    base_url: Annotated[
        str | None, _option("OpenAI-compatible endpoint; default: $OPENAI_BASE_URL.", _MODELS)
    ] = None,
    api_key: Annotated[
        str | None,
        _option("Better set $OPENAI_API_KEY: other users see a command's words.", _MODELS),
    ] = None,
    concurrency: Annotated[
        int, _option("Requests in flight at a time.", _MODELS, min=1, max=1024)
    ] = 16,
    max_requests: Annotated[
        int | None, _option("Stop before more requests than this are sent.", _MODELS, min=0)
    ] = None,
    cache: Annotated[
        Path | None, _option("File of cached answers; default: the user's cache.", _MODELS)
    ] = None,
    fallback: Annotated[
        bool, _option("Let rules answer what the model failed at, marked in provenance.", _MODELS)
    ] = False,
    batch: Annotated[bool, _option("Ask for text through the Batch API.", _MODELS)] = False,
    dry_run: Annotated[
        bool, _option("Print text requests and estimated tokens, and ask nobody.", _MODELS)
    ] = False,
    workers: Annotated[int, _option("Processes.", _RUN, min=1, max=256)] = 1,
    shard_size: Annotated[int, _option("Source rows per shard.", _RUN, min=1)] = 100,
    overwrite: Annotated[
        bool, _option("Replace the data set that is in the folder.", _RUN)
    ] = False,
) -> None:
    """Build a data set, or go on with an unfinished one.

    Without options it draws flags and needs no network. A build that was interrupted is taken up
    by the same command; a finished one is never replaced without --overwrite.
    """
    from builders.okedit.build import build, define
    from builders.okedit.models import Models
    from builders.okedit.options import Options
    from builders.okedit.rehearsal import dry_run as rehearse
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
        requests = out.with_name(f"{out.name}.requests.jsonl")
        typer.echo(rehearse(define(options, models, 1), options, models, requests, bars))
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
    _say(outcome, out)


def _say(outcome: Outcome, out: Path) -> None:
    """Tell what was built, and end with 1 where it fails validation."""
    manifest, report = outcome.manifest, outcome.report
    counts = manifest.counts
    if report is None:
        typer.echo(f"{out} already holds this data set, {counts.records} records; nothing to do")
        return
    typer.echo(
        f"{manifest.name}: {counts.records} records with {counts.images:,} images in {out}, "
        f"{counts.rejects} rejects"
    )
    for rule, number in counts.rejects_by_rule.items():
        typer.echo(f"  rejected {number}: {rule}")
    if not report.ok:
        for finding in report.findings[:10]:
            typer.echo(f"  {finding.rule}: {finding.column} {finding.reason}", err=True)
        typer.echo(f"{len(report.findings)} findings, see {out / 'validation.json'}", err=True)
        raise typer.Exit(1)


@app.command()
def preview(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set.")],
    out: Annotated[Path | None, typer.Option(help="Page to write; default: beside DIR.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Records on the page.")] = 60,
    seed: Annotated[int, typer.Option(help="Which records.")] = 0,
) -> None:
    """Write one HTML page that shows the data set; it needs no network."""
    from builders.preview import write_preview

    typer.echo(str(write_preview(folder, out, limit=limit, seed=seed)))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set.")],
    format: Annotated[FormatChoice, typer.Option(help="What to write.")],  # noqa: A002
    out: Annotated[Path | None, typer.Option(help="Folder; default: beside DIR.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files of an earlier export.")] = False,
) -> None:
    """Write the data set as other tools read it."""
    from schemas.formats.export import export

    target = out or folder.with_name(f"{folder.resolve().name}.{format.value}")
    report = export(folder, target, format.value, overwrite=overwrite)
    typer.echo(f"{report.exported} records and {report.images} images in {target}")
    for skipped in report.skipped[:10]:
        typer.echo(f"  left out {skipped.record_id}: {skipped.reason}", err=True)
    if len(report.skipped) > 10:
        typer.echo(f"  and {len(report.skipped) - 10} more", err=True)
    if not report.exported:
        raise InputError(f"no record can be written as {format.value}", file=folder)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set.")],
    repo_id: Annotated[str, typer.Option(help="Data set on the Hub: ORG/NAME.")],
    private: Annotated[bool, typer.Option(help="Create it as a private one.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; default: main.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option(help="List files and ask nobody.")] = False,
) -> None:
    """Put a validated data set on the Hugging Face Hub, in one commit.

    The token is that of `hf auth login`, or $HF_TOKEN.
    """
    from builders.publish import publish

    published = publish(
        folder, repo_id, private=private, revision=revision, message=message, dry_run=dry_run
    )
    for file in published.files:
        typer.echo(f"{file.bytes:>14,}  {file.path}")
    for path in published.deleted:
        typer.echo(f"{'deleted':>14}  {path}")
    if dry_run:
        typer.echo(f"{len(published.files)} files, {published.bytes:,} bytes; nothing was sent")
    elif not published.changed:
        typer.echo(f"{repo_id} already holds exactly this; nothing was sent")
    else:
        typer.echo(f"published as {published.url}")


if __name__ == "__main__":
    run(app)
