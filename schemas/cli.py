"""How the project's command lines end: one sentence for bad input, and conventional exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from schemas.errors import InputError

if TYPE_CHECKING:
    from schemas.hub import Published


def option(help_: str, panel: str, *names: str, **settings: Any) -> Any:
    """An option in one panel of the help page."""
    return typer.Option(*names, help=help_, rich_help_panel=panel, **settings)


def say_published(published: Published, dry_run: bool) -> None:
    """Tell what was put on the Hub, or would be."""
    for file in published.files:
        typer.echo(f"{file.bytes:>14,}  {file.path}")
    for path in published.deleted:
        typer.echo(f"{'deleted':>14}  {path}")
    if dry_run:
        typer.echo(f"{len(published.files)} files, {published.bytes:,} bytes; nothing was sent")
    elif not published.changed:
        typer.echo(f"{published.repo_id} already holds exactly this; nothing was sent")
    else:
        typer.echo(f"published as {published.url}")


def run(app: typer.Typer) -> NoReturn:
    """Run a command line and leave the process.

    Exits with 2 after one line on stderr where input cannot be used (`InputError`), and with 130
    where the user interrupts; all else is up to the app.
    """
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
