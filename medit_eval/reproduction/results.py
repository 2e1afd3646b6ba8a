"""Our numbers of an entry, in a file beside it: `NAME.results.json`.

Only runs as the entry describes them are written there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medit_eval.reproduction.entry import Entry
from medit_eval.reproduction.numbers import Cell, Number
from medit_eval.reproduction.tables import read_into
from medit_eval.runs import RunManifest
from schemas.errors import InputError
from schemas.layout import read_json, write_json


@dataclass(frozen=True)
class RunFacts:
    """How a run of ours came about.

    Attributes:
        date: When it began.
        device: What it ran on.
        commit: The commit of this package; `none` outside a checkout.
        weights: A digest of the model's weights.
        records: A digest of the records.
        count: How many they were.
        versions: Versions of what shapes the numbers.
    """

    date: str
    device: str
    commit: str
    weights: str
    records: str
    count: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class KeptNumber:
    """A number of ours with its place.

    Attributes:
        table: The table.
        row: Its row.
        column: Its column.
        run: The run that it is of.
        value: As in `Number`, like all that follows.
        low: Lower end.
        high: Upper end.
        n: Values.
        reason: Why there is none.
    """

    table: str
    row: str
    column: str
    run: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str | None = None

    @property
    def number(self) -> Number:
        """The number alone."""
        return Number(self.value, self.low, self.high, self.n, self.reason)


@dataclass(frozen=True)
class Results:
    """All that was run of an entry.

    Attributes:
        runs: The runs by name.
        numbers: Their numbers.
    """

    runs: Mapping[str, RunFacts] = field(default_factory=dict)
    numbers: tuple[KeptNumber, ...] = ()

    def number(self, key: tuple[str, str, str]) -> Number | None:
        """The number of a cell; None where its run was not run."""
        for kept in self.numbers:
            if (kept.table, kept.row, kept.column) == key:
                return kept.number
        return None


def results_path(entry: Entry) -> Path:
    """Where the numbers of an entry are."""
    return entry.file.with_name(f"{entry.name}.results.json")


def read_results(entry: Entry) -> Results:
    """Our numbers of an entry; none where it was not run.

    Raises:
        InputError: If the file holds something else.
    """
    path = results_path(entry)
    if not path.is_file():
        return Results()
    return read_into(Results, read_json(path), path.name)


def write_results(
    entry: Entry, manifests: Mapping[str, RunManifest], cells: Sequence[Cell]
) -> Path:
    """Keep the numbers of runs, beside those of other runs of the entry.

    Raises:
        InputError: If the file cannot be written.
    """
    before, path = read_results(entry), results_path(entry)
    runs = {**before.runs, **{name: facts_of(found) for name, found in manifests.items()}}
    numbers = [kept for kept in before.numbers if kept.run not in manifests]
    for cell in cells:
        if cell.row.run in manifests:
            number = dataclasses.asdict(cell.ours)
            numbers.append(KeptNumber(*cell.key, run=str(cell.row.run), **number))
    places = [
        (table.name, row.name, column.name)
        for table in entry.tables
        for row in table.rows
        for column in table.columns
    ]
    numbers = [kept for kept in numbers if (kept.table, kept.row, kept.column) in places]
    numbers.sort(key=lambda kept: places.index((kept.table, kept.row, kept.column)))
    found: dict[str, Any] = {
        "runs": {
            run.name: dataclasses.asdict(runs[run.name]) for run in entry.runs if run.name in runs
        },
        "numbers": [
            {name: value for name, value in dataclasses.asdict(kept).items() if value is not None}
            for kept in numbers
        ],
    }
    try:
        write_json(path, found)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"the numbers cannot be written: {reason}", file=path) from None
    return path


def facts_of(manifest: RunManifest) -> RunFacts:
    """How a run came about, from its manifest."""
    last = manifest.sittings[-1] if manifest.sittings else None
    return RunFacts(
        date=manifest.started[:10],
        device=last.machine.get("device", "not recorded") if last else "not recorded",
        commit=(last.commit if last else None) or "none",
        weights=str(manifest.model.get("weights", "not recorded")),
        records=str(manifest.arguments.get("records_digest", "not recorded")),
        count=int(manifest.arguments.get("record_count", 0)),
        versions=dict(manifest.versions),
    )
