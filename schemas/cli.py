"""How the project's command lines end: one sentence for bad input, and conventional exit codes."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer

from schemas.errors import InputError


def option(help_: str, panel: str, *names: str, **settings: Any) -> Any:
    """An option in one panel of the help page."""
    return typer.Option(*names, help=help_, rich_help_panel=panel, **settings)


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
