"""What the builders' command lines have in common: options, commands, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.cli import option, say_published

if TYPE_CHECKING:
    from builders.pipeline import Outcome

SOURCE = "Source"
CONTENT = "Content"
MODELS = "Models"
RUN = "Run"


# Options of every builder.
Out = Annotated[Path, option("Folder of the data set.", RUN)]
Limit = Annotated[int | None, option("Rows to read; default: all.", SOURCE, min=1)]
Name = Annotated[str | None, option("Name of the data set.", CONTENT)]
Split = Annotated[str, option("Name of the split.", CONTENT)]
Seed = Annotated[int, option("Everything random derives from it.", CONTENT)]
Model = Annotated[str | None, option("Text model; default: $MEDIT_MODEL.", MODELS)]
BaseUrl = Annotated[
    str | None, option("OpenAI-compatible endpoint; default: $OPENAI_BASE_URL.", MODELS)
]
ApiKey = Annotated[
    str | None, option("Better set $OPENAI_API_KEY: other users see a command's words.", MODELS)
]
Concurrency = Annotated[int, option("Requests in flight at a time.", MODELS, min=1, max=1024)]
MaxRequests = Annotated[
    int | None, option("Stop before more requests than this are sent.", MODELS, min=0)
]
Cache = Annotated[Path | None, option("File of cached answers; default: the user's cache.", MODELS)]
Batch = Annotated[bool, option("Ask for text through the Batch API.", MODELS)]
DryRun = Annotated[
    bool, option("Print text requests and estimated tokens, and ask nobody.", MODELS)
]
Workers = Annotated[int, option("Processes.", RUN, min=1, max=256)]
ShardSize = Annotated[int, option("Source rows per shard.", RUN, min=1)]
Overwrite = Annotated[bool, option("Replace the data set that is in the folder.", RUN)]

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set.")]
ExportFolder = Annotated[Path | None, typer.Option(help="Folder; default: beside DIR.")]
ExportOverwrite = Annotated[bool, typer.Option(help="Replace files of an earlier export.")]


def requests_file(out: Path) -> Path:
    """Where a dry run writes the requests."""
    return out.with_name(f"{out.name}.requests.jsonl")


def say(outcome: Outcome, out: Path) -> None:
    """Tell what was built, and end with 1 where it fails validation."""
    manifest, report = outcome.manifest, outcome.report
    counts = manifest.counts
    if report is None:
        typer.echo(f"{out} already holds this data set, {counts.records} records; nothing to do")
        return
    pictures = f" with {counts.images:,} images" if counts.images else ""
    typer.echo(
        f"{manifest.name}: {counts.records} records{pictures} in {out}, {counts.rejects} rejects"
    )
    for rule, number in counts.rejects_by_rule.items():
        typer.echo(f"  rejected {number}: {rule}")
    if not report.ok:
        for finding in report.findings[:10]:
            typer.echo(f"  {finding.rule}: {finding.column} {finding.reason}", err=True)
        typer.echo(f"{len(report.findings)} findings, see {out / 'validation.json'}", err=True)
        raise typer.Exit(1)


def preview(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Page to write; default: beside DIR.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Records on the page.")] = 60,
    seed: Annotated[int, typer.Option(help="Which records.")] = 0,
) -> None:
    """Write one HTML page that shows the data set; it needs no network."""
    from builders.preview import write_preview

    typer.echo(str(write_preview(folder, out, limit=limit, seed=seed)))


def export(folder: Path, format_: str, out: Path | None, overwrite: bool) -> None:
    """Write a data set as other tools read it."""
    from schemas.errors import InputError
    from schemas.formats.export import export as export_to

    target = out or folder.with_name(f"{folder.resolve().name}.{format_}")
    report = export_to(folder, target, format_, overwrite=overwrite)
    pictures = f" and {report.images} images" if report.images else ""
    typer.echo(f"{report.exported} records{pictures} in {target}")
    for skipped in report.skipped[:10]:
        typer.echo(f"  left out {skipped.record_id}: {skipped.reason}", err=True)
    if len(report.skipped) > 10:
        typer.echo(f"  and {len(report.skipped) - 10} more", err=True)
    if not report.exported:
        raise InputError(f"no record can be written as {format_}", file=folder)


def publish(
    folder: Folder,
    repo_id: Annotated[str, typer.Option(help="Data set on the Hub: ORG/NAME.")],
    private: Annotated[bool, typer.Option(help="Create it as a private one.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; default: main.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option(help="List files and ask nobody.")] = False,
) -> None:
    """Put a validated data set on the Hugging Face Hub, in one commit.

    The token is that of `hf auth login`, or $HF_TOKEN.
    """
    from builders.publish import publish as publish_to

    published = publish_to(
        folder, repo_id, private=private, revision=revision, message=message, dry_run=dry_run
    )
    say_published(published, dry_run)
