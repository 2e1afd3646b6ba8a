"""Entries of the ledger: what a paper ran and published, each setting and number with its source.

An entry is a TOML file in `entries/`, under its name. `[common]` holds what all `[[runs]]` share;
`[options.NAME]` the hyperparameters of an editor, or of the run of that name; `[sources]` says of
each setting that is written anywhere where it is from, by its name, or by `EDITOR.name` or
`RUN.name` where that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medit_eval.options import setting_value
from schemas.errors import InputError
from schemas.plugins import hint

UNRECORDED = "not recorded by the paper"
"""What is said of what a paper does not tell."""

NOT_FOUND = "not found"
"""The value of a number that the paper has and nobody at hand could read."""

Confidence = Literal["first-hand", "second-hand", "not found"]
"""Whether a number was read in the paper, in somebody's notes on it, or nowhere."""

Place = Literal["summary", "documents", "benchmarks"]
"""Which table of a run holds a number."""


@dataclass(frozen=True)
class Column:
    """One column of a published table.

    Attributes:
        name: Its heading.
        unit: In which unit the paper prints it.
        ours: Where a run's report has it: `summary AXIS/KIND/METRIC`, `documents METRIC` of
            DocMEdit's metrics, or `benchmarks TASK`.
        scale: What ours is multiplied by to be in that unit.
        tolerance: How far ours may be from the published number, in that unit.
        without: Why a run gives no such number; in place of `ours`.
    """

    name: str
    unit: str
    ours: str | None = None
    scale: float = 1.0
    tolerance: float = 0.0
    without: str | None = None

    def __post_init__(self) -> None:
        if (self.ours is None) == (self.without is None):
            raise InputError("says where ours is from, or `without` says why not", field="ours")
        if self.ours is not None:
            place, _, what = self.ours.partition(" ")
            parts = 3 if place == "summary" else 1
            if place not in ("summary", "documents", "benchmarks") or (
                len([part for part in what.split("/") if part]) != parts
            ):
                raise InputError(
                    "is not `summary AXIS/KIND/METRIC`, `documents METRIC` or `benchmarks TASK`, "
                    f"but {self.ours!r}",
                    field="ours",
                )
            if not self.tolerance > 0:
                raise InputError("is missing or not above 0", field="tolerance")


@dataclass(frozen=True)
class Line:
    """One row of a published table.

    Attributes:
        name: What the paper calls it.
        values: A number per column, or `not found`.
        source: Where they were read.
        confidence: How surely.
        run: The run that ours are of.
        at: Which part of the run: a phase; of documents `TRACK OUTPUT`; of benchmarks
            `unedited` or a phase such as `edits-10`. By default the last phase.
        without: Why nothing here runs this; in place of `run`.
    """

    name: str
    values: tuple[float | Literal["not found"], ...]
    source: str
    confidence: Confidence
    run: str | None = None
    at: str = ""
    without: str | None = None

    def __post_init__(self) -> None:
        if (self.run is None) == (self.without is None):
            raise InputError("names a run, or `without` says why there is none", field="run")
        found = any(value != NOT_FOUND for value in self.values)
        if found == (self.confidence == NOT_FOUND):
            raise InputError("does not go with the values", field="confidence")


@dataclass(frozen=True)
class Table:
    """A published table, or a part of one.

    Attributes:
        name: What it is about.
        tolerance_reason: Why the tolerances are what they are.
        columns: Its columns.
        rows: Its rows.
    """

    name: str
    tolerance_reason: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row.values) != len(self.columns):
                raise InputError(
                    f"holds {len(row.values)} numbers for {len(self.columns)} columns",
                    field=f"rows[{number}].values",
                )


@dataclass(frozen=True)
class Needs:
    """What a run takes.

    Attributes:
        hardware: The machine, as far as known.
        weights: The models.
        data: The files, and where they are from.
        hours: How long, as far as known.
    """

    hardware: str
    weights: tuple[str, ...]
    data: tuple[str, ...]
    hours: str


@dataclass(frozen=True)
class Run:
    """What is run; most fields are arguments of `medit_eval.score`.

    Attributes:
        name: Its name, and that of its folder.
        editor: The editor.
        model: The model's id on the Hub.
        records: The file or folder of records, below the folder of data.
        records_format: Its format.
        protocol: In which order records are edited.
        revision: The model's commit, tag or branch on the Hub, which is the one loaded.
        records_digest: SHA-256 of the file of records.
        images: The folder of their pictures, below the folder of data.
        references: The file of texts for the consistency metric, below the folder of data.
        limit: Records, from the first on.
        batch_size: Records that are edited with one call.
        checkpoints: Numbers of edits after which everything is asked.
        metrics: What is measured.
        benchmarks: General benchmarks.
        recogniser: The spaCy pipeline that finds entities in documents.
        prompt_format: How prompts are put.
        max_new_tokens: Length of a free answer.
        dtype: Of the weights.
        seed: What everything random derives from.
    """

    name: str
    editor: str
    model: str
    records: str
    records_format: str
    protocol: Literal["single", "batch", "sequential"]
    revision: str = UNRECORDED
    records_digest: str = UNRECORDED
    images: str | None = None
    references: str | None = None
    limit: int | None = None
    batch_size: int | None = None
    checkpoints: tuple[int, ...] = ()
    metrics: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    recogniser: str | None = None
    prompt_format: Literal["plain", "qa", "chat"] = "plain"
    max_new_tokens: int = 32
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise InputError("cannot be the name of a folder", field="name")
        for name in ("records", "images", "references"):
            value = getattr(self, name)
            if value is not None and (Path(value).is_absolute() or ".." in Path(value).parts):
                raise InputError("leaves the folder of data", field=name)

    @property
    def pinned(self) -> str:
        """The model as it is loaded: with its revision, where the entry records one."""
        return self.model if self.revision == UNRECORDED else f"{self.model}@{self.revision}"


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger.

    Attributes:
        name: Its name, that of its file.
        file: Its file.
        title: What it is about.
        paper: The paper.
        arxiv: The paper's number on arXiv.
        what: What is run, in a few sentences.
        needs: What that takes.
        runs: What is run.
        options: Hyperparameters by editor or run.
        sources: Where each setting is from.
        tables: What the paper publishes.
        deviations: How a run here is known to differ from the paper's.
    """

    title: str
    paper: str
    arxiv: str
    what: str
    needs: Needs
    runs: tuple[Run, ...]
    sources: Mapping[str, str]
    tables: tuple[Table, ...]
    deviations: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = ""
    file: Path = Path()

    def __post_init__(self) -> None:
        known = [run.name for run in self.runs]
        if len(set(known)) != len(known) or not known:
            raise InputError("has no run, or two of one name", field="runs")
        for place, table in enumerate(self.tables):
            for number, row in enumerate(table.rows):
                if row.run is not None and row.run not in known:
                    raise InputError(
                        f"there is no run {row.run!r}; {hint(row.run, known)}",
                        field=f"tables[{place}].rows[{number}].run",
                    )

    def run(self, name: str) -> Run:
        """The run of a name.

        Raises:
            InputError: If there is none.
        """
        known = {run.name: run for run in self.runs}
        if name not in known:
            raise InputError(
                f"the entry {self.name!r} has no run {name!r}; {hint(name, list(known))}"
            )
        return known[name]

    def options_of(self, run: Run) -> dict[str, Any]:
        """The hyperparameters of a run: those of its editor, and above them its own."""
        found = {**self.options.get(run.editor, {}), **self.options.get(run.name, {})}
        return {name: setting_value(value) for name, value in found.items()}

    def source(self, run: Run, setting: str) -> str | None:
        """Where a setting of a run is from."""
        keys = (f"{run.name}.{setting}", f"{run.editor}.{setting}", setting)
        return next((self.sources[key] for key in keys if key in self.sources), None)
