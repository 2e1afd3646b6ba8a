"""`reproduce`: run what an entry of the ledger describes, and put ours beside the published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medit_eval.reproduction.entry import (
    ENTRIES,
    NOT_FOUND,
    UNRECORDED,
    Entry,
    Run,
    read_entry,
)
from medit_eval.reproduction.numbers import Cell, Number, number_of
from medit_eval.reproduction.results import write_results
from schemas.errors import InputError
from schemas.plugins import hint
from schemas.progress import Progress

if TYPE_CHECKING:
    from editors.lm import LM
    from medit_eval.report import Report
    from medit_eval.runs import RunManifest

OUT = Path("reproductions")
"""The folder of run folders where nobody names one."""

Kind = Literal["reproduction", "small shape", "deviating"]
"""What a run counts as: with a limit it is a small shape, with any other override it deviates."""

LIMITS = ("limit ", "benchmark limit ")
"""What overrides begin with that make a run small."""


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


@dataclass(frozen=True)
class _Wanted:
    """What a user wants otherwise than an entry says."""

    model: Any
    records: Mapping[str, str]
    limit: int | None
    dtype: str | None
    editor_options: Mapping[str, Any]
    benchmarks: Sequence[str]
    benchmark_data: str | Path | None
    benchmark_limit: int | None

    def overrides(self, runs: Sequence[Run]) -> Iterator[str]:
        """Each in words."""
        if self.limit is not None and any(run.limit != self.limit for run in runs):
            yield f"{LIMITS[0]}{self.limit}"
        if self.benchmark_limit is not None:
            yield f"{LIMITS[1]}{self.benchmark_limit}"
        if self.model is not None:
            yield f"model {getattr(self.model, 'name', self.model)}"
        yield from (f"{name} from {path}" for name, path in self.records.items())
        if self.dtype is not None and any(run.dtype != self.dtype for run in runs):
            yield f"dtype {self.dtype}"
        yield from (f"{name} = {value}" for name, value in self.editor_options.items())
        if self.benchmarks:
            yield f"benchmarks {', '.join(map(str, self.benchmarks))}"
        if self.benchmark_data is not None:
            yield f"benchmark data from {self.benchmark_data}"


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
    wanted = _Wanted(
        model, _records(entry, chosen, records), limit, dtype, dict(editor_options or {}),
        tuple(benchmarks), benchmark_data, benchmark_limit,
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
    calls = _calls(entry, chosen, wanted, Path(data))
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


def _records(
    entry: Entry, runs: Sequence[Run], given: str | Path | Mapping[str, str | Path] | None
) -> dict[str, str]:
    """Other files of records, by the name that the entry gives them."""
    known = list(dict.fromkeys(run.records for run in runs))
    if given is None:
        return {}
    if isinstance(given, str | Path):
        if len(known) > 1:
            raise InputError(
                f"the entry {entry.name!r} reads {' and '.join(known)}: say which one is replaced, "
                f"as {known[0]}=FILE"
            )
        return {known[0]: str(given)}
    for name in given:
        if name not in known:
            raise InputError(f"the entry {entry.name!r} reads no {name!r}; {hint(name, known)}")
    return {name: str(path) for name, path in given.items()}


def _calls(
    entry: Entry, runs: Sequence[Run], wanted: _Wanted, data: Path
) -> dict[str, dict[str, Any]]:
    """The arguments of `score` for each run; what is missing shows before a model is loaded."""
    from medit_eval.benchmarks.tasks import require_harness
    from medit_eval.sources import load

    seen: set[tuple[Any, ...]] = set()
    calls: dict[str, dict[str, Any]] = {}
    for run in runs:
        limit = run.limit if wanted.limit is None else wanted.limit
        path = _file(data, run.records, run.records_format, wanted.records.get(run.records))
        images = None if run.images is None else _folder(data, run.images)
        references = None
        if run.references is not None:
            references = _file(data, run.references, "texts to compare with", None)
        key = (path, run.records_format, images, limit)
        if key not in seen:
            seen.add(key)
            found = load(path, records_format=run.records_format, images=images, limit=limit)
            if run.limit is not None and wanted.limit is None and len(found) < run.limit:
                raise InputError(
                    f"holds {len(found):,} records, and the entry {entry.name!r} takes the first "
                    f"{run.limit:,}; fewer are a small shape, --limit",
                    file=path,
                )
            if run.records not in wanted.records:
                _same_file(path, run)
        benchmarks = list(wanted.benchmarks or run.benchmarks) if run.benchmarks else []
        if benchmarks:
            require_harness()
        calls[run.name] = {
            "records": str(path),
            "records_format": run.records_format,
            "images": images,
            "references": references,
            "limit": limit,
            "protocol": run.protocol,
            "batch_size": run.batch_size,
            "checkpoints": run.checkpoints,
            "metrics": list(run.metrics) or None,
            "benchmarks": benchmarks,
            "benchmark_data": wanted.benchmark_data if benchmarks else None,
            "benchmark_limit": wanted.benchmark_limit if benchmarks else None,
            "recogniser": run.recogniser,
            "max_new_tokens": run.max_new_tokens,
            "seed": run.seed,
            "editor_options": _options(entry, run, wanted.editor_options) or None,
        }
    _require_known(runs, wanted.editor_options)
    return calls


def _file(data: Path, name: str, what: str, other: str | None) -> Path:
    path = data / name if other is None else Path(other)
    if path.exists():
        return path
    if other is not None:
        raise InputError("does not exist", file=path)
    raise InputError(
        f"is not there ({what}): put {name} into the folder that --data names"
        + (", or name another file with --records" if what != "texts to compare with" else ""),
        file=path,
    )


def _folder(data: Path, name: str) -> Path:
    path = data / name
    if not path.is_dir():
        raise InputError(
            f"is not there (pictures): put {name} into the folder that --data names", file=path
        )
    return path


def _same_file(path: Path, run: Run) -> None:
    from schemas.layout import sha256_of

    if run.records_digest != UNRECORDED and path.is_file():
        found = sha256_of(path)
        if found != run.records_digest:
            raise InputError(
                f"is another file than the entry's: its SHA-256 is {found}, not "
                f"{run.records_digest}; name it with --records to run it all the same",
                file=path,
            )


def _options(entry: Entry, run: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    from editors.registry import option_names

    known = option_names(run.editor)
    return {**entry.options_of(run), **{n: value for n, value in given.items() if n in known}}


def _require_known(runs: Sequence[Run], given: Mapping[str, Any]) -> None:
    from editors.registry import option_names

    known = sorted({option for run in runs for option in option_names(run.editor)})
    for name in given:
        if name not in known:
            raise InputError(f"no editor of these runs has an option {name!r}; {hint(name, known)}")


def _reports(
    runs: Sequence[Run],
    calls: Mapping[str, dict[str, Any]],
    wanted: _Wanted,
    root: Path,
    device: str | None,
    cache: str | Path | None,
    progress: Progress | None,
) -> dict[str, Report]:
    from medit_eval.scoring import score

    reports: dict[str, Report] = {}
    loaded: tuple[Any, LM] | None = None
    for run in sorted(runs, key=lambda run: (run.model, run.prompt_format, run.dtype)):
        kind = (run.model if wanted.model is None else "given", run.prompt_format, run.dtype)
        if loaded is None or loaded[0] != kind:
            loaded = None  # one model at a time
            loaded = kind, _model(run, wanted, device)
        reports[run.name] = score(
            run.editor,
            loaded[1],
            out=root / run.name,
            cache=cache,
            progress=progress,
            **calls[run.name],
        )
    return reports


def _model(run: Run, wanted: _Wanted, device: str | None) -> LM:
    """The weights of a run.

    Raises:
        InputError: If they are not there.
    """
    from medit_eval.models import resolve

    try:
        return resolve(
            run.model if wanted.model is None else wanted.model,
            prompt_format=run.prompt_format,
            device=device,
            dtype=wanted.dtype or run.dtype,
        )
    except InputError as error:
        if wanted.model is not None:
            raise
        raise InputError(
            f"the run {run.name!r} needs the weights of {run.model}, which cannot be loaded: put "
            "them into the cache of Hugging Face, or name another model with --model "
            f"({error.reason[:200]})"
        ) from None


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
