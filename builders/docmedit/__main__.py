"""The command line: `python -m builders.docmedit build | preview | export | publish`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builders import cli
from schemas.cli import option, run

app = typer.Typer(
    help="Build DocMEdit-style document edits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console(stderr=True)


class SourceChoice(enum.StrEnum):
    """Where articles come from."""

    atlas = "atlas"
    dumps = "dumps"
    fruit = "fruit"


class EvidenceChoice(enum.StrEnum):
    """Where facts may stand."""

    any = "any"
    other_page = "other_page"


class FormatChoice(enum.StrEnum):
    """What other tools read."""

    fruit = "fruit"


@app.command()
def build(
    out: cli.Out = Path("out/docmedit"),
    source: Annotated[
        SourceChoice, option("Where articles come from.", cli.SOURCE)
    ] = SourceChoice.atlas,
    before: Annotated[
        Path | None, option("The earlier dump: a file, or a folder of parts.", cli.SOURCE)
    ] = None,
    after: Annotated[Path | None, option("The later dump.", cli.SOURCE)] = None,
    records: Annotated[
        Path | None, option("JSONL file of FRUIT or DocMEdit, for fruit.", cli.SOURCE)
    ] = None,
    evidence: Annotated[
        EvidenceChoice, option("Where the facts of dumps may stand.", cli.SOURCE)
    ] = EvidenceChoice.any,
    entities: Annotated[
        str | None,
        option("spaCy pipeline for entities of dumps that have no link.", cli.SOURCE),
    ] = None,
    limit: Annotated[
        int | None, option("Document edits to make; default: all.", cli.SOURCE, min=1)
    ] = None,
    name: cli.Name = None,
    split: cli.Split = "test",
    seed: cli.Seed = 0,
    triples: Annotated[
        str,
        option("Who says what the triples are: source, openai or a plug-in.", cli.CONTENT),
    ] = "source",
    relations: Annotated[
        Path | None, option("File of relations that triples may have.", cli.CONTENT)
    ] = None,
    model: cli.Model = None,
    base_url: cli.BaseUrl = None,
    api_key: cli.ApiKey = None,
    concurrency: cli.Concurrency = 16,
    max_requests: cli.MaxRequests = None,
    cache: cli.Cache = None,
    batch: cli.Batch = False,
    dry_run: cli.DryRun = False,
    workers: cli.Workers = 1,
    shard_size: cli.ShardSize = 100,
    overwrite: cli.Overwrite = False,
) -> None:
    """Build a data set of document edits, or go on with an unfinished one.

    Without options it writes articles about countries, cities and invented people at two dates,
    and needs no network. With two dumps of one Wikipedia it compares their introductions.
    """
    from builders.docmedit.build import build, define, rehearsal
    from builders.docmedit.options import Options
    from builders.text.model import TextModel
    from builders.text.settings import EndpointSettings
    from schemas.progress import Bars

    options = Options(
        source=source.value,
        name=name,
        before=before,
        after=after,
        records=records,
        evidence=evidence.value,
        entities=entities,
        triples=triples,
        relations=relations,
        limit=limit,
        seed=seed,
        split=split,
        shard_rows=shard_size,
    )
    reader = None
    if triples == "openai":
        endpoint = EndpointSettings.resolve(
            model=model, base_url=base_url, api_key=api_key, concurrency=concurrency
        )
        reader = TextModel(endpoint, cache, max_requests)
    bars = Bars(_console)
    if dry_run:
        planned = rehearsal(define(options, reader, 1), options, reader)
        typer.echo(planned.dry_run(cli.requests_file(out), bars))
        return
    outcome = build(
        options,
        reader,
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
