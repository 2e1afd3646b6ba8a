"""Commands that look at finished runs: `report`, `compare` and `card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli import option

_RUN = "Run"

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN", help="Run folders, or folders of studies.")
]


def report(
    runs: Runs,
    out: Annotated[Path, option("Folder for the page, tables and figures.", _RUN)],
    records: Annotated[
        int, option("Records whose raw outputs the page shows, evenly spread.", _RUN, min=0)
    ] = 200,
) -> None:
    """Make one HTML page of runs, with their tables (Markdown, LaTeX, JSON) and figures."""
    from rich.console import Console

    from medit_eval.pages import report_pages
    from schemas.errors import printable
    from schemas.progress import Bars

    page = report_pages(runs, out, records=records, progress=Bars(Console(stderr=True), "runs"))
    typer.echo(printable(str(page)))


def compare(
    runs: Runs,
    out: Annotated[
        Path | None, option("File for all numbers: .json, or .csv of the differences.", _RUN)
    ] = None,
    everything: Annotated[
        bool, option("Show all phases and metrics, not the headline alone.", _RUN, "--all")
    ] = False,
) -> None:
    """Compare editors on the same questions, with intervals and ranks."""
    from rich.console import Console

    from medit_eval.comparing import compare_runs, suffix_of
    from medit_eval.terminal import show_comparison
    from schemas.progress import Bars

    if out is not None:
        suffix_of(out)  # shows before anything is read
    found = compare_runs(runs, Bars(Console(stderr=True), "runs"))
    if out is not None:
        found.write(out)
    show_comparison(found, everything)


def card(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or the folder of a study.")
    ],
    out: Annotated[Path | None, option("Folder for the cards; default: RUN.", _RUN)] = None,
) -> None:
    """Write the evaluation card of a run: one page for a paper, in Markdown and LaTeX."""
    from rich.console import Console

    from medit_eval.cards import card as cards_of_run
    from schemas.errors import printable
    from schemas.progress import Bars

    folder = out or run
    for made in cards_of_run(run, folder, progress=Bars(Console(stderr=True), "runs")):
        for suffix in ("md", "tex"):
            typer.echo(printable(str(folder / f"{made.name}.{suffix}")))
