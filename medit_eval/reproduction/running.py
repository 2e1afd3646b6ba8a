"""`reproduce`: run what an entry of the ledger describes, and put ours beside the published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medit_eval.reproduction.calls import LIMITS, Wanted, calls_of, model_of, records_of
from medit_eval.reproduction.entry import NOT_FOUND, Entry, Run
from medit_eval.reproduction.numbers import Cell, Number, number_of
from medit_eval.reproduction.reading import ENTRIES, read_entry
from medit_eval.reproduction.results import write_results
from schemas.errors import InputError
from schemas.progress import Progress

if TYPE_CHECKING:
    from editors.lm import LM
    from medit_eval.report import Report
    from medit_eval.runs import RunManifest

OUT = Path("reproductions")
"""The folder of run folders where nobody names one."""

Kind = Literal["reproduction", "small shape", "deviating"]
"""What a run counts as: with a limit it is a small shape, with any other override it deviates."""


@dataclass(frozen=True)
class Reproduction:
    """What came of an entry.

    Attributes:
        entry: The entry.
        kind: What it counts as.
        overrides: What was run otherwise than the entry says, in words.
        cells: Every published number beside ours, or the reason why there is none.
        root: The folder of its runs.
        written: The file that holds our numbers, if they were kept.
    """

    entry: Entry
    kind: Kind
    overrides: tuple[str, ...]
    cells: tuple[Cell, ...]
    root: Path
    written: Path | None = None

    @property
    def compared(self) -> list[Cell]:
        """The cells with both numbers."""
        return [cell for cell in self.cells if cell.difference is not None]

    @property
    def verdict(self) -> str:
        """What may be said, in a sentence."""
        both = self.compared
        inside = sum(cell.within is True for cell in both)
        said = f"{inside} of {len(both)} numbers are within tolerance"
        if not both:
            said = "no number is there on both sides"
        if self.kind == "reproduction":
            return f"{said}."
        what = "a small shape" if self.kind == "small shape" else "deviating"
        return f"{said}; this run is {what} ({', '.join(self.overrides)}) and no reproduction."


def reproduce(
    name: str,
    *,
    model: Any = None,
    records: str | Path | Mapping[str, str | Path] | None = None,
    limit: int | None = None,
    data: str | Path = ".",
    out: str | Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    runs: Sequence[str] = (),
    editor_options: Mapping[str, Any] | None = None,
    benchmarks: Sequence[str] = (),
    benchmark_data: str | Path | None = None,
    benchmark_limit: int | None = None,
    recogniser: str | None = None,
    write: bool = False,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    entries: Path = ENTRIES,
) -> Reproduction:
    """Run an entry of the ledger, and put our numbers beside the published ones.

    Every run has a folder of its own below `out`, and one that broke off goes on there.

    Args:
        name: The entry.
        model: Another model: a folder, a Hub id, or an `LM`. Like all that the entry says
            otherwise, it is written down, and the run is no reproduction.
        records: Another file of records; by the entry's file names where it has several.
        limit: Records, from the first on.
        data: The folder that holds the entry's files under their names.
        out: The folder of the runs; `reproductions/NAME` by default.
        device: Where models go. It is recorded, and no override.
        dtype: Another dtype of the weights.
        runs: Runs of the entry, by name; all by default.
        editor_options: Other hyperparameters, for every editor that has them.
        benchmarks: Other benchmarks, or YAML files of the same name.
        benchmark_data: A folder with files of benchmarks.
        benchmark_limit: Items per benchmark at most.
        recogniser: Another spaCy pipeline for entities in documents, or `form` for none.
        write: Keep our numbers in the ledger; for a run without overrides alone.
        cache: Folder of the unedited model's answers.
        progress: Shows how far it is.
        entries: The folder of entries.

    Raises:
        InputError: If there is no such entry, a file or model is not there or another one, or
            numbers are to be kept that are no reproduction.
    """
    entry = read_entry(name, entries)
    chosen = [entry.run(run) for run in runs] or list(entry.runs)
    wanted = Wanted(
        model, records_of(entry, chosen, records), limit, dtype, dict(editor_options or {}),
        tuple(benchmarks), benchmark_data, benchmark_limit, recogniser,
    )  # fmt: skip
    overrides = tuple(wanted.overrides(chosen))
    if write and overrides:
        raise InputError(
            "only a run without overrides is kept in the ledger; this one has "
            f"{', '.join(overrides)}"
        )
    kind: Kind = "deviating" if overrides else "reproduction"
    if any(words.startswith(LIMITS) for words in overrides):
        kind = "small shape"
    calls = calls_of(entry, chosen, wanted, Path(data))
    root = OUT / name if out is None else Path(out)
    reports = _reports(chosen, calls, wanted, root, device, cache, progress)
    cells = tuple(_cells(entry, reports, chosen))
    written = None
    if write:
        manifests: dict[str, RunManifest] = {
            run: report.manifest for run, report in reports.items() if report.manifest is not None
        }
        written = write_results(entry, manifests, cells)
    return Reproduction(entry, kind, overrides, cells, root, written)


def _reports(
    runs: Sequence[Run],
    calls: Mapping[str, dict[str, Any]],
    wanted: Wanted,
    root: Path,
    device: str | None,
    cache: str | Path | None,
    progress: Progress | None,
) -> dict[str, Report]:
    from medit_eval.scoring import score

    reports: dict[str, Report] = {}
    loaded: tuple[Any, LM] | None = None
    for run in sorted(runs, key=lambda run: (run.pinned, run.prompt_format, run.dtype)):
        kind = (run.pinned if wanted.model is None else "given", run.prompt_format, run.dtype)
        if loaded is None or loaded[0] != kind:
            loaded = None  # one model at a time
            loaded = kind, model_of(run, wanted, device)
        reports[run.name] = score(
            run.editor,
            loaded[1],
            out=root / run.name,
            cache=cache,
            progress=progress,
            **calls[run.name],
        )
    return reports


def _cells(entry: Entry, reports: Mapping[str, Report], chosen: Sequence[Run]) -> Iterator[Cell]:
    names = {run.name for run in chosen}
    for table in entry.tables:
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                if row.run is None:
                    ours = Number(reason=row.without)
                elif row.run not in names:
                    ours = Number(reason=f"the run {row.run!r} was not chosen")
                else:
                    ours = number_of(reports[row.run], column, row)
                published = None if value == NOT_FOUND else float(value)
                yield Cell(table, row, column, published, ours)
