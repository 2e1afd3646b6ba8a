"""`python -m schemas`: validate a data set, or show what a schema's fields mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.cli import run
from schemas.errors import InputError, printable

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.findings import Finding, Report

EXAMPLES = 3
"""Findings shown for each rule; `--json` gives all."""

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="A data set's folder, or one .parquet file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the full report as JSON.")] = False,
) -> None:
    """Check a data set: Arrow types, every record, and the data set as a whole.

    Exits with 0 where nothing is wrong, with 1 where something is, and with 2 where there is
    nothing to validate.
    """
    from schemas.validate import validate as validate_path

    report = validate_path(path)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _print_report(path, report)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def show(
    schema: Annotated[str, typer.Argument(help="The schema's name, for example okedit.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the fields of a schema: types, whether they may be null, and what they mean."""
    import dataclasses

    from schemas.arrow import SCHEMAS
    from schemas.describe import describe

    if schema not in SCHEMAS:
        raise InputError(f"there is no schema {schema!r}; known are {', '.join(SCHEMAS)}")
    found = SCHEMAS[schema]
    fields = describe(found)
    if as_json:
        value = {
            "schema": found.name,
            "version": found.version,
            "fields": [dataclasses.asdict(field) for field in fields],
        }
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    rows = [(f.path, f.type, "null" if f.nullable else "", f.description) for f in fields]
    table = _table(f"{found.name}, version {found.version}", ("field", "type", "or", "meaning"))
    for row in rows:
        table.add_row(*_plain(row))
    _print(table)


def _print_report(path: Path, report: Report) -> None:
    by_rule: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        by_rule.setdefault((finding.rule, finding.layer), []).append(finding)
    if by_rule:
        table = _table("", ("rule", "layer", "count", "examples"))
        for (rule, layer), findings in by_rule.items():
            examples = "\n".join(_line(finding) for finding in findings[:EXAMPLES])
            table.add_row(*_plain((rule, layer, f"{len(findings):,}")), examples)
        _print(table)
    checks = f"{report.records:,} records, {len(report.checks)} rules checked"
    if report.ok:
        typer.echo(f"{printable(str(path))} is valid: {checks}.")
    else:
        count = f"{len(report.findings):,} finding{'s' * (len(report.findings) != 1)}"
        rules = f"{len(by_rule)} rule{'s' * (len(by_rule) != 1)}"
        typer.echo(f"{printable(str(path))} is not valid: {count} of {rules}; {checks}.")


def _line(finding: Finding) -> str:
    where = [part for part in (finding.file, finding.record, finding.column) if part]
    return _plain([f"{' '.join(where)}: {finding.reason}" if where else finding.reason])[0]


def _plain(texts: Sequence[str]) -> list[str]:
    """Text from data, kept from being read as markup or as commands to the terminal."""
    from rich.markup import escape

    return [escape(printable(text)) for text in texts]


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*columns, title=title or None, title_justify="left", box=SIMPLE_HEAD)
    table.columns[-1].overflow = "fold"
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200  # nobody resizes a pipe: keep paths and reasons on one line
    console.print(table)


if __name__ == "__main__":
    run(app)
