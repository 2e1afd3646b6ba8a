"""Entry files to entries, and every setting of an entry with its source."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path

from medit_eval.reproduction.entry import UNRECORDED, Entry, Run
from medit_eval.reproduction.tables import read_into
from schemas.errors import InputError
from schemas.plugins import hint

ENTRIES = Path(__file__).parent / "entries"
"""The folder of the entries that come with this package."""


def names(folder: Path = ENTRIES) -> list[str]:
    """The names of all entries, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_entry(name: str, folder: Path = ENTRIES) -> Entry:
    """The entry of a name.

    Raises:
        InputError: If there is none, or its file has a missing or wrong field.
    """
    known = names(folder)
    if name not in known:
        raise InputError(f"there is no entry {name!r}; {hint(name, known)}")
    path = folder / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not TOML: {error}", file=path.name) from None
    common = table.pop("common", {})
    runs = table.get("runs")
    if not isinstance(common, dict):
        raise InputError("is not a table", file=path.name, field="common")
    if isinstance(runs, list):
        table["runs"] = [{**common, **run} if isinstance(run, dict) else run for run in runs]
    for own in ("name", "file"):
        if own in table:
            raise InputError("is that of the file, and not written", file=path.name, field=own)
    entry = read_into(Entry, table, path.name)
    entry = dataclasses.replace(entry, name=name, file=path)
    written = {run["name"]: tuple(run) for run in table["runs"]}
    used: set[str] = set()
    for run in entry.runs:
        for setting in _written(entry, run, written[run.name]):
            if entry.source(run, setting) is None:
                raise InputError("is missing", file=path.name, field=f"sources.{setting}")
            used |= {f"{run.name}.{setting}", f"{run.editor}.{setting}", setting}
    for key in entry.sources:
        if key not in used:
            raise InputError(
                "is the source of nothing that is set", file=path.name, field=f"sources.{key}"
            )
    return entry


def settings_of(entry: Entry, run: Run) -> Iterator[tuple[str, str, str]]:
    """Name, value as text and source of all that is set for a run, in order."""
    plain = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
    for name, value in [*plain.items(), *entry.options_of(run).items()]:
        source = entry.source(run, name)
        if name != "name" and value not in (None, ()):
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield name, text, source or (UNRECORDED if value == UNRECORDED else "default here")


def _written(entry: Entry, run: Run, fields: tuple[str, ...]) -> Iterator[str]:
    """The settings of a run that somebody chose, and so have a source."""
    yield from (name for name in fields if name != "name")
    yield from entry.options_of(run)
