"""What `score` gives back: tables of a run, as data frames and on the terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.collapse import CollapseRow
from medit_eval.cost import CostRow
from medit_eval.degradation import DegradationRow
from medit_eval.documents.report import (
    COPY,
    EDITED,
    GOLD,
    UNEDITED,
    DocumentRow,
    is_headline,
)
from medit_eval.documents.scores import STRICT
from medit_eval.metrics import HEADLINE, Metric, per_record
from medit_eval.metrics.papers import HARMONICS
from medit_eval.numbers import interval, number
from medit_eval.predictions import Diagnostic, Output, Prediction, Score
from medit_eval.protocols import is_plain
from medit_eval.summary import HARMONIC, Row
from schemas.layout import write_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from medit_eval.runs import RunManifest


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Attributes:
        rows: The summary's lines.
        raw: Every prediction, with what the model said before and after.
        scores: Every metric's judgement of every prediction.
        told: What the editor told of itself after each edit.
        notes: What the reader of the numbers should know.
        path: The run folder, or None.
        about_documents: Scores of rewritten documents, if the records hold any.
        manifest: What was run, and how.
        benchmarks: What came of benchmarks, if any were run.
    """

    rows: tuple[Row, ...]
    raw: tuple[Prediction, ...]
    scores: tuple[Score, ...]
    told: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    path: Path | None = None
    about_documents: tuple[DocumentRow, ...] = ()
    manifest: RunManifest | None = None
    benchmarks: BenchmarkResults = dataclasses.field(default_factory=BenchmarkResults)

    @property
    def editor(self) -> str:
        """The editor's name; empty where nobody knows."""
        described = self.manifest.arguments.get("editor", {}) if self.manifest else {}
        return str(described.get("name", ""))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One line per phase, axis, kind, metric and subset; see `medit_eval.summary.Row`."""
        return frame(Row, self.rows)

    @cached_property
    def documents(self) -> pd.DataFrame:
        """Scores of rewritten documents; see `medit_eval.documents.report.DocumentRow`."""
        return frame(DocumentRow, self.about_documents)

    @cached_property
    def degradation(self) -> pd.DataFrame:
        """What edits cost on benchmarks; see `medit_eval.degradation.DegradationRow`."""
        return frame(DegradationRow, self.benchmarks.degradation)

    @cached_property
    def collapse(self) -> pd.DataFrame:
        """Signs that a model no longer answers; see `medit_eval.collapse.CollapseRow`."""
        return frame(CollapseRow, self.benchmarks.collapse)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Activation, added tokens and latency; see `medit_eval.cost.CostRow`."""
        return frame(CostRow, self.benchmarks.costs)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One line per question and phase: raw outputs (`pre_*`, `post_*`), a column per metric.

        A score that could not be given is NaN; `unscorable` counts why.
        """
        import pandas as pd

        metrics = list(dict.fromkeys(score.metric for score in self.scores))
        values: dict[tuple[str, str, int, str], dict[str, float]] = {}
        for score in self.scores:
            number = float("nan") if score.value is None else score.value
            values.setdefault((score.record, score.probe, score.index, score.phase), {})[
                score.metric
            ] = number
        lines = [{**_flat(row), **values.get(row.key, {})} for row in self.raw]
        columns = [*_columns(), *metrics]
        return pd.DataFrame(lines, columns=columns)

    @cached_property
    def unscorable(self) -> pd.DataFrame:
        """How many questions each metric could not score, by reason."""
        import pandas as pd

        counts = Counter((s.metric, s.reason or "") for s in self.scores if s.value is None)
        lines = [(metric, reason, n) for (metric, reason), n in counts.most_common()]
        return pd.DataFrame(lines, columns=["metric", "reason", "n"])

    @cached_property
    def diagnostics(self) -> pd.DataFrame:
        """What the editor told of itself, such as the size of its memory, over all edits.

        One line per phase and name: over how many edits (n), the mean, the least, the greatest.
        """
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(Diagnostic)]
        told = pd.DataFrame([dataclasses.astuple(row) for row in self.told], columns=columns)
        grouped = told.groupby(["phase", "name"], sort=False)["value"]
        return grouped.agg(n="count", mean="mean", min="min", max="max").reset_index()

    @cached_property
    def routes(self) -> pd.DataFrame:
        """Where an editor with a memory sent each question, and how near the nearest entry was.

        `score` is in the editor's own measure; `ratio` is score over threshold, so that for a
        codebook 1 is the border of an entry.
        """
        import pandas as pd

        lines = []
        for row in self.raw:
            if (route := row.routing) is not None:
                ratio = None
                if route.score is not None and route.threshold:
                    ratio = route.score / route.threshold
                place = (row.record, row.probe, row.index, row.phase, row.axis, row.kind)
                own = None if route.request is None else route.request in row.requests
                ends = (route.request, route.nearest, route.score, route.threshold, ratio, own)
                lines.append((*place, *ends))
        columns = [
            *("record", "probe", "index", "phase", "axis", "kind"),
            *("routed_to", "nearest", "score", "threshold", "ratio", "right_entry"),
        ]
        return pd.DataFrame(lines, columns=columns)

    def distances(self, bins: int = 20) -> pd.DataFrame:
        """A histogram of the nearest entries' scores by axis: one column per axis, one row per bin.

        The index is each bin's lower edge.

        Args:
            bins: Number of bins between the smallest and the greatest score.
        """
        import numpy as np
        import pandas as pd

        found = self.routes.dropna(subset=["score"])
        if found.empty:
            return pd.DataFrame()
        edges = np.histogram_bin_edges(found["score"].to_numpy(dtype=float), bins)
        counts = {
            str(axis): np.histogram(group["score"].to_numpy(dtype=float), edges)[0]
            for axis, group in found.groupby("axis", sort=False)
        }
        return pd.DataFrame(counts, index=pd.Index(edges[:-1], name="score"))

    def value(
        self, axis: str, metric: str, *, kind: str = "all", phase: str | None = None
    ) -> float:
        """The mean in one line of the summary; NaN where there is no such line.

        Args:
            axis: The axis, or `harmonic_mean`.
            metric: The metric.
            kind: The kind; the whole axis by default.
            phase: The phase; the last one that has the line by default.
        """
        found = [
            row.mean
            for row in self.rows
            if (row.axis, row.kind, row.metric, row.subset) == (axis, kind, metric, "all")
            and phase in (None, row.phase)
            and (phase is not None or is_plain(row.phase))
        ]
        return found[-1] if found else float("nan")

    def write(self) -> None:
        """Write the summary, and the other tables that have lines, into the run folder as CSV."""
        if self.path is None:
            return
        write_text(self.path / "summary.csv", self.to_csv())
        others: tuple[tuple[str, type, Sequence[Any]], ...] = (
            ("documents", DocumentRow, self.about_documents),
            ("degradation", DegradationRow, self.benchmarks.degradation),
            ("collapse", CollapseRow, self.benchmarks.collapse),
            ("costs", CostRow, self.benchmarks.costs),
        )
        for name, kind, rows in others:
            if rows:
                write_text(self.path / f"{name}.csv", csv_of(kind, rows))

    def to_csv(self) -> str:
        """The summary as CSV, numbers in full precision, NaN as empty cells."""
        return csv_of(Row, self.rows)

    def table(self, *, everything: bool = False) -> Table:
        """The summary for the terminal.

        Args:
            everything: Whether all metrics and subsets are shown, not the headline alone.
        """
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table

        from schemas.errors import printable

        shown = [row for row in self.rows if everything or _is_headline(row)]
        columns = ("phase", "axis", "kind", "metric", "n", "unscorable", "mean", "95 %", "note")
        table = Table(*columns, box=SIMPLE_HEAD)
        for name in ("n", "unscorable", "mean"):
            table.columns[columns.index(name)].justify = "right"
        table.columns[-1].overflow = "fold"
        for row in shown:
            metric = row.metric if row.subset == "all" else f"{row.metric}, {row.subset}"
            cells = (
                row.phase,
                row.axis,
                row.kind,
                metric,
                f"{row.n:,}",
                f"{row.unscorable:,}" if row.unscorable else "",
                number(row.mean),
                interval(row.ci_low, row.ci_high),
                row.note,
            )
            table.add_row(
                *(escape(printable(cell)) for cell in cells),
                style="bold" if row.kind == "all" else None,
            )
        return table

    def documents_table(self, *, everything: bool = False) -> Table:
        """`documents` for the terminal: one line per track and metric, one column per text.

        Args:
            everything: Whether all metrics are shown, not the most telling ones alone.
        """
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        shown = [row for row in self.about_documents if everything or is_headline(row)]
        outputs = (EDITED, UNEDITED, COPY, GOLD)
        columns = ("phase", "documents, track", "metric", "n", "undefined", *outputs)
        table = Table(*columns, box=SIMPLE_HEAD)
        for column in table.columns[3:]:
            column.justify = "right"
        lines: dict[tuple[str, str, str, str], dict[str, DocumentRow]] = {}
        for row in shown:
            key = (row.phase, row.track, row.family, row.metric)
            lines.setdefault(key, {})[row.output] = row
        for (phase, track, family, metric), found in lines.items():
            counted = found.get(EDITED) or next(iter(found.values()))
            name = metric if family == STRICT else f"{family}: {metric}"
            cells = [number(found[o].mean) if o in found else "" for o in outputs]
            undefined = f"{counted.undefined:,}" if counted.undefined else ""
            table.add_row(phase, track, name, f"{counted.n:,}", undefined, *cells)
        return table

    def diagnostics_table(self) -> Table:
        """`diagnostics` for the terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table("phase", "the editor's own", "n", "mean", "min", "max", box=SIMPLE_HEAD)
        for column in table.columns[2:]:
            column.justify = "right"
        for row in self.diagnostics.to_dict("records"):
            numbers = (_short(row[name]) for name in ("mean", "min", "max"))
            table.add_row(row["phase"], row["name"], f"{row['n']:,}", *numbers)
        return table


def frame(kind: type, rows: Sequence[Any]) -> pd.DataFrame:
    """Rows of a dataclass as a data frame, with its columns where there are no rows."""
    import pandas as pd

    columns = [field.name for field in dataclasses.fields(kind)]
    return pd.DataFrame([dataclasses.astuple(row) for row in rows], columns=columns)


def plain(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows of dataclasses as JSON has them: what is not a finite number is null."""
    return [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in dataclasses.asdict(row).items()
        }
        for row in rows
    ]


def csv_of(kind: type, rows: Sequence[Any]) -> str:
    """Rows of a dataclass as CSV, numbers in full precision, NaN as empty cells."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(kind)])
    for row in rows:
        writer.writerow(["" if v != v else v for v in dataclasses.astuple(row)])
    return buffer.getvalue()


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _is_headline(row: Row) -> bool:
    if row.subset != "all":
        return False
    if row.axis == HARMONIC:
        return (row.metric == "generated" or row.metric in HARMONICS) and row.kind == "all"
    # A paper's metrics are there only where somebody named them.
    return row.metric in HEADLINE or per_record(row.metric)


def _flat(prediction: Prediction) -> dict[str, Any]:
    fields = {name: getattr(prediction, name) for name in _plain_columns()}
    routing = prediction.routing
    fields["routed_to"] = routing.request if routing else None
    for name in ("pre", "post"):
        output: Output | None = getattr(prediction, name)
        for part in _output_columns():
            fields[f"{name}_{part}"] = getattr(output, part) if output is not None else None
    return fields


def _plain_columns() -> list[str]:
    names = [field.name for field in dataclasses.fields(Prediction)]
    return [name for name in names if name not in ("pre", "post", "routing")]


def _output_columns() -> list[str]:
    return [field.name for field in dataclasses.fields(Output)]


def _columns() -> list[str]:
    outputs = [f"{name}_{part}" for name in ("pre", "post") for part in _output_columns()]
    return [*_plain_columns(), "routed_to", *outputs]


def scored(predictions: Sequence[Prediction], metrics: Sequence[Metric]) -> tuple[Score, ...]:
    """Every metric's judgement of every prediction that it applies to."""
    return tuple(
        metric.score(prediction)
        for prediction in predictions
        for metric in metrics
        if metric.applies(prediction)
    )
