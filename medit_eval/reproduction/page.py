"""The ledger as a page: all entries with their status, then each with its numbers and settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from medit_eval.reproduction.entry import NOT_FOUND, Entry, Line, Table
from medit_eval.reproduction.numbers import Number
from medit_eval.reproduction.reading import ENTRIES, names, read_entry, settings_of
from medit_eval.reproduction.results import Results, read_results
from schemas.layout import write_text

NOT_YET = "not yet run"

_HEAD = """\
# Reproduction ledger

What papers publish, what this package runs to see it again, and what came out. Made by
`python -m medit_eval reproduce --ledger docs/ledger.md` from the files in
`medit_eval/reproduction/entries/`; edit those.

```bash
python -m medit_eval reproduce --list
python -m medit_eval reproduce alphaedit-llama3 --data DIR             # as the entry says
python -m medit_eval reproduce alphaedit-llama3 --data DIR --write     # and keep the numbers here
python -m medit_eval reproduce alphaedit-llama3 --data DIR --limit 50  # a small shape
```

`--data` names the folder that holds the entry's files. A run that broke off goes on where it
stopped. What is run otherwise than an entry says (`--model`, `--records`, `--limit`, `--dtype`,
`--set`, other benchmarks) is written down beside the numbers: with a limit the run is a *small
shape*, else *deviating*, and neither is kept here. The device is recorded, and no deviation.

**Published numbers** are *first-hand* where they were read in the paper or its code, and
*second-hand* where in somebody's notes or a transcription. *Not found* says that the paper has the
number and that nobody at hand could read it; none is filled in. The tolerance is how far ours may
be from the published number, in the column's unit.
"""


def write_ledger(path: Path, folder: Path = ENTRIES) -> None:
    """Write the page of all entries.

    Raises:
        InputError: If an entry or its results cannot be read.
    """
    write_text(path, ledger(folder))


def ledger(folder: Path = ENTRIES) -> str:
    """The page of all entries, which depends on their files alone."""
    found = [
        (entry, read_results(entry)) for entry in (read_entry(n, folder) for n in names(folder))
    ]
    rows = [
        (
            f"[{entry.name}](#{entry.name})",
            f"[{entry.arxiv}](https://arxiv.org/abs/{entry.arxiv})",
            status(entry, results),
            f"{entry.needs.hardware}; {'; '.join((*entry.needs.weights, *entry.needs.data))}",
        )
        for entry, results in found
    ]
    parts = [_HEAD, _grid(("entry", "paper", "status", "needs"), rows)]
    parts += ["\n".join(_entry(entry, results)) for entry, results in found]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def status(entry: Entry, results: Results) -> str:
    """How far an entry was run, and how many numbers are within tolerance."""
    if not results.runs:
        return NOT_YET
    both = inside = 0
    for table in entry.tables:
        for row in table.rows:
            for column, published in zip(table.columns, row.values, strict=True):
                ours = results.number((table.name, row.name, column.name))
                if ours is not None and ours.value is not None and published != NOT_FOUND:
                    both += 1
                    inside += abs(ours.value - float(published)) <= column.tolerance
    done = len(results.runs)
    part = "" if done == len(entry.runs) else f"{done} of {len(entry.runs)} runs; "
    return f"{part}{inside} of {both} numbers within tolerance"


def _entry(entry: Entry, results: Results) -> Iterator[str]:
    yield f"## {entry.name}"
    yield f"\n**{entry.title}**. {entry.paper},"
    yield f"arXiv [{entry.arxiv}](https://arxiv.org/abs/{entry.arxiv}). {entry.what}"
    yield f"\nStatus: {status(entry, results)}."
    needs = entry.needs
    yield f"\n- hardware: {needs.hardware}"
    yield f"- weights: {'; '.join(needs.weights)}"
    yield f"- data: {'; '.join(needs.data)}"
    yield f"- time: {needs.hours}"
    for table in entry.tables:
        yield from _table(table, results)
    if results.runs:
        yield "\n### Our runs\n"
        heads = ("run", "date", "device", "commit", "records", "weights", "versions")
        yield _grid(heads, [
            (
                name, facts.date, facts.device, facts.commit, f"{facts.count:,}, {facts.records}",
                facts.weights, ", ".join(f"{n} {v}" for n, v in facts.versions.items()),
            )
            for name, facts in results.runs.items()
        ])  # fmt: skip
    yield "\n### Settings\n"
    yield _grid(("setting", "value", "source"), _settings(entry))
    yield "\n### Known deviations\n"
    yield from (f"- {text}" for text in entry.deviations)


def _table(table: Table, results: Results) -> Iterator[str]:
    yield f"\n### {table.name}\n"
    heads = ("", *(f"{column.name} ({column.unit})" for column in table.columns))
    rows: list[tuple[str, ...]] = []
    for row in table.rows:
        rows.append((f"{row.name}, published", *map(printed, row.values)))
        rows.append((f"{row.name}, ours", *_ours(table, row, results)))
    rows.append(("tolerance", *(f"± {c.tolerance:g}" if c.ours else "–" for c in table.columns)))
    yield _grid(heads, rows)
    yield f"\nTolerance: {table.tolerance_reason}\n"
    for row in table.rows:
        ran = f"run `{row.run}`{f', {row.at}' if row.at else ''}"
        yield f"- {row.name}: {row.source} ({row.confidence}); {row.without or ran}"
    for column in table.columns:
        if column.without:
            yield f"- {column.name}: ours is not there, {column.without}"


def _ours(table: Table, row: Line, results: Results) -> Iterator[str]:
    for column, published in zip(table.columns, row.values, strict=True):
        ours = results.number((table.name, row.name, column.name))
        if row.run is None or column.ours is None:
            yield "–"
        elif ours is None:
            yield NOT_YET
        else:
            yield shown(ours, published, column.tolerance)


def printed(published: float | str) -> str:
    """A published number, or that it was not found."""
    return published if isinstance(published, str) else f"{published:g}"


def shown(ours: Number, published: float | str, tolerance: float) -> str:
    """A number of ours with its interval, n, and difference from the published one."""
    if ours.value is None:
        return f"none: {ours.reason}"
    text = f"{ours.value:.4g}"
    if ours.low is not None and ours.high is not None:
        text += f" ({ours.low:.4g} – {ours.high:.4g})"
    text += f", n = {ours.n:,}"
    if published == NOT_FOUND:
        return text
    difference = ours.value - float(published)
    inside = "within" if abs(difference) <= tolerance else "**outside**"
    return f"{text}; {difference:+.3g}, {inside}"


def _settings(entry: Entry) -> list[tuple[str, str, str]]:
    """Every setting with its source; runs are named where they differ."""
    groups: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in entry.runs:
        for name, value, source in settings_of(entry, run):
            groups[name][value, source].append(run.name)
    rows = []
    for name, found in groups.items():
        for (value, source), runs in found.items():
            which = "" if len(runs) == len(entry.runs) else f" ({', '.join(runs)})"
            rows.append((f"`{name}`{which}", value, source))
    return rows


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in line)} |"
        for line in lines
    )
