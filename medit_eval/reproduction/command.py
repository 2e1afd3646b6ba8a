"""The command `reproduce`: run an entry of the ledger, list all entries, or write their page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medit_eval.options import HOW, MODEL, RUN, WHAT, Device, Settings, setting_of
from schemas.cli import option
from schemas.errors import InputError, printable

if TYPE_CHECKING:
    from rich.table import Table

    from medit_eval.reproduction.numbers import Cell
    from medit_eval.reproduction.running import Reproduction

_PIPE = 180
"""Characters of a line where nobody can resize it."""


def reproduce(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="An entry.")] = None,
    listed: Annotated[
        bool, option("Say what entries there are, and how far they were run.", WHAT, "--list")
    ] = False,
    ledger: Annotated[
        Path | None, option("Write the page of all entries, as in docs/ledger.md.", WHAT)
    ] = None,
    data: Annotated[
        Path, option("Folder that holds the entry's files under their names.", WHAT)
    ] = Path(),
    runs: Annotated[
        str | None, option("Runs of the entry, with commas between; default: all.", WHAT)
    ] = None,
    model: Annotated[str | None, option("Another model; the run then deviates.", MODEL)] = None,
    device: Device = None,
    dtype: Annotated[
        str | None, option("Another dtype than the entry's: float32, bfloat16...", MODEL)
    ] = None,
    records: Annotated[
        list[str] | None,
        option("Another file of records; NAME=FILE where the entry has several.", HOW),
    ] = None,
    limit: Annotated[int | None, option("Records to use: a small shape.", HOW, min=1)] = None,
    setting: Settings = None,
    benchmarks: Annotated[
        str | None, option("Other benchmarks, or YAML files of the same names.", HOW)
    ] = None,
    benchmark_data: Annotated[
        Path | None, option("Folder with files of well-known benchmarks.", HOW)
    ] = None,
    benchmark_limit: Annotated[int | None, option("Items per benchmark.", HOW, min=1)] = None,
    recogniser: Annotated[
        str | None,
        option("Another spaCy pipeline for entities in documents, or form for none.", HOW),
    ] = None,
    out: Annotated[
        Path | None, option("Folder of the runs; default: reproductions/NAME.", RUN)
    ] = None,
    write: Annotated[
        bool, option("Keep our numbers in the ledger; for a run as the entry says.", RUN, "--write")
    ] = False,
    cache: Annotated[Path | None, option("Folder of the unedited model's answers.", RUN)] = None,
) -> None:
    """Run what a paper ran, and put our numbers beside the published ones."""
    from rich.console import Console

    from medit_eval.reproduction.page import write_ledger
    from medit_eval.reproduction.running import reproduce as run
    from schemas.progress import Bars

    if (name is not None) + listed + (ledger is not None) != 1:
        raise InputError("name an entry, or give --list or --ledger FILE")
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE)
    if listed:
        console.print(_entries())
        return
    if ledger is not None:
        write_ledger(ledger)
        typer.echo(printable(str(ledger)))
        return
    assert name is not None
    found = run(
        name,
        model=model,
        records=_records(records or []),
        limit=limit,
        data=data,
        out=out,
        device=device,
        dtype=dtype,
        runs=_parts(runs),
        editor_options=dict(map(setting_of, setting or [])),
        benchmarks=_parts(benchmarks),
        benchmark_data=benchmark_data,
        benchmark_limit=benchmark_limit,
        recogniser=recogniser,
        write=write,
        cache=cache,
        progress=Bars(Console(stderr=True), "questions"),
    )
    console.print(table_of(found))
    typer.echo(printable(f"{found.kind}: {found.verdict}"))
    typer.echo(printable(f"The runs are in {found.root}."))
    if found.written is not None:
        typer.echo(printable(f"Our numbers are in {found.written}."))


def table_of(found: Reproduction) -> Table:
    """Every published number beside ours, with the difference and what to say of it."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    columns = (
        *("table", "row", "column", "published", "ours", "95 %", "n", "difference"),
        "within tolerance",
    )
    table = Table(*columns, box=SIMPLE_HEAD)
    for cell in found.cells:
        table.add_row(*(escape(printable(text)) for text in _line(cell)))
    return table


def _line(cell: Cell) -> tuple[str, ...]:
    ours, difference = cell.ours, cell.difference
    published = "not found" if cell.published is None else f"{cell.published:g}"
    if ours.value is None:
        return (*cell.key, published, "none", "", "", "", ours.reason or "")
    ends = "" if ours.low is None or ours.high is None else f"{ours.low:.4g} – {ours.high:.4g}"
    verdict = "" if difference is None else f"± {cell.column.tolerance:g}: "
    verdict += {True: "yes", False: "no", None: "nothing to compare with"}[cell.within]
    return (
        *(*cell.key, published, f"{ours.value:.4g}", ends, f"{ours.n:,}"),
        *("" if difference is None else f"{difference:+.3g}", verdict),
    )


def _entries() -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from medit_eval.reproduction.page import status
    from medit_eval.reproduction.reading import names, read_entry
    from medit_eval.reproduction.results import read_results

    table = Table("entry", "what", "status", "needs", box=SIMPLE_HEAD)
    for name in names():
        entry = read_entry(name)
        needs = "; ".join(entry.needs.weights)
        table.add_row(name, entry.title, status(entry, read_results(entry)), needs)
    return table


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _records(given: list[str]) -> str | dict[str, str] | None:
    """One file, or files by the names that the entry gives them."""
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise InputError(f"several files of records are NAME=FILE, not {text!r}")
        found[name] = path
    return found or None
