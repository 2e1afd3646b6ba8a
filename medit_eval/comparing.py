"""Editors compared on the same questions: means, differences with intervals, and ranks.

All numbers of one line rest on the same questions: those that every editor has a score for. The
means are those of the summary (`medit_eval.summary`): over an axis's kinds, each counting the same.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medit_eval.contenders import Contender, is_given, read_contenders, require_comparable
from medit_eval.degradation import ALPHA
from medit_eval.metrics import HEADLINE
from medit_eval.orders import UNBOUND, two_level
from medit_eval.paired import Comparison, compare
from medit_eval.report import csv_of, plain
from medit_eval.significance import holm
from medit_eval.standings import BENCHMARK, Cell, Standing, cells_of, standings
from medit_eval.summary import ALL, MEASURES
from schemas.errors import InputError
from schemas.layout import write_json, write_text
from schemas.progress import Progress


@dataclass(frozen=True)
class Difference:
    """One editor against another on the same questions of one axis or benchmark.

    Numbers are NaN where nothing can be said.

    Attributes:
        phase: When they were asked.
        series: The axis, or the benchmark's task.
        metric: The metric.
        way: How it looks at an answer; see `medit_eval.metrics.core.Way`.
        better: Whether a `higher` or a `lower` score is better.
        first: One editor.
        second: The other.
        orders: Orders of edits that it rests on.
        n: Questions that every compared editor has a score for.
        left_out: Questions that one of them has none for.
        mean_first: The first one's mean on these questions.
        mean_second: The second one's.
        difference: The second's mean minus the first's.
        ci_low: Lower end of its paired 95 % interval.
        ci_high: Upper end.
        fell: Questions whose score is lower with the second.
        rose: Questions whose score is higher with it.
        p: Two-sided p of the test that suits the data.
        p_holm: The same, corrected for all pairs and axes or tasks beside it; see `family`.
        test: Which test that is.
        verdict: What may be said, in words.
    """

    phase: str
    series: str
    metric: str
    way: str
    better: str
    first: str
    second: str
    orders: int
    n: int
    left_out: int
    mean_first: float
    mean_second: float
    difference: float
    ci_low: float
    ci_high: float
    fell: int
    rose: int
    p: float
    p_holm: float
    test: str
    verdict: str


@dataclass(frozen=True)
class Compared:
    """What comes of comparing editors.

    Attributes:
        contenders: The editors and their runs.
        standings: Each editor's means and ranks.
        differences: Every pair of editors on every axis and benchmark.
        notes: What the reader of the numbers should know.
    """

    contenders: tuple[Contender, ...]
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write all of it as JSON, or the differences as CSV, as the file's name asks.

        Raises:
            InputError: If the name asks for something else.
        """
        if suffix_of(path) == ".csv":
            write_text(path, csv_of(Difference, self.differences))
            return
        runs = [
            {"editor": one.label, "order": order, "folder": str(report.path or "")}
            for one in self.contenders
            for order, report in one.runs.items()
        ]
        write_json(
            path,
            {
                "runs": runs,
                "standings": plain(self.standings),
                "differences": plain(self.differences),
                "notes": list(self.notes),
            },
        )


def suffix_of(path: Path) -> str:
    """The kind of file that a comparison is written to.

    Raises:
        InputError: If its name ends in neither .json nor .csv.
    """
    if path.suffix not in (".json", ".csv"):
        raise InputError("a comparison is written to a .json or a .csv file", file=path)
    return path.suffix


def compare_runs(runs: Sequence[str | Path], progress: Progress | None = None) -> Compared:
    """Compare the editors of runs and studies, paired by question.

    Args:
        runs: Run folders, and folders of studies.
        progress: Shows how far it is.

    Raises:
        InputError: If a folder is damaged or holds no run, or the runs do not go together.
    """
    return compare_contenders(read_contenders(runs, progress))


def compare_contenders(found: Sequence[Contender]) -> Compared:
    """Compare editors, paired by question.

    Raises:
        InputError: If their runs do not go together.
    """
    require_comparable(found)
    manifest = found[0].reports[0].manifest
    seed = int(manifest.arguments["seed"]) if manifest is not None else 0
    cells = list(cells_of(found))
    made = [row for cell in cells for row in _differences(cell, seed)]
    return Compared(
        tuple(found),
        tuple(row for cell in cells for row in standings(cell, seed)),
        tuple(_corrected(made)),
        tuple(_notes(found)),
    )


def family(row: Difference) -> tuple[str, str]:
    """What a difference is corrected together with: its phase, and its measure or metric."""
    measures = {metric: name for name, pair in MEASURES.items() for metric in pair}
    return row.phase, BENCHMARK if row.way == BENCHMARK else measures.get(row.metric, row.metric)


def _differences(cell: Cell, seed: int) -> Iterator[Difference]:
    for first, second in itertools.combinations(cell.values, 2):
        found, low, high, p = _paired(cell, first, second, seed)
        yield Difference(
            phase=cell.phase,
            series=cell.series,
            metric=cell.metric,
            way=cell.way,
            better=cell.better,
            first=first,
            second=second,
            orders=len(cell.asked),
            n=found.n,
            left_out=cell.left_out,
            mean_first=found.before,
            mean_second=found.after,
            difference=found.difference,
            ci_low=low,
            ci_high=high,
            fell=found.fell,
            rose=found.rose,
            p=p,
            p_holm=float("nan"),
            test=found.test,
            verdict="",
        )


def _paired(
    cell: Cell, first: str, second: str, seed: int
) -> tuple[Comparison, float, float, float]:
    """The comparison of two editors, the interval of their difference, and its p.

    With several orders the interval is that of `two_level`, and p the greater of two: that of
    `two_level`, which knows how orders vary, and one over records or items alone.
    """
    before, after = (
        [value for order in cell.asked for value in cell.values[name][order]]
        for name in (first, second)
    )
    asked = list(cell.asked.values())
    owners = [owner for part in asked for owner in part.owners]
    weights = [weight for part in asked for weight in part.weights]

    # Without weights where all count the same: then flips of single questions can be tested.
    share = None if len(set(np.round(weights, 12))) == 1 else weights
    found = compare(before, after, clusters=owners, weights=share, bounds=cell.bounds, seed=seed)
    if len(set(owners)) < 2:
        nan = float("nan")
        return replace(found, test="none"), nan, nan, nan
    if len(cell.asked) == 1:
        return found, found.low, found.high, found.p
    gaps = {}
    for order, part in cell.asked.items():
        gap = np.subtract(cell.values[second][order], cell.values[first][order])
        gaps[str(order)] = part.owners, list(gap)
    counts = {str(order): list(part.counts) for order, part in cell.asked.items()}
    least, greatest = cell.bounds or UNBOUND
    span = (least - greatest, greatest - least)
    over = two_level(gaps, seed=seed, weights=counts, bounds=span)
    p = max(found.p, over.p) if over.p == over.p and found.p == found.p else float("nan")
    return replace(found, test="two-level"), over.low, over.high, p


def _corrected(rows: Sequence[Difference]) -> Iterator[Difference]:
    families: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        families[family(row)].append(row.p)
    queues = {name: iter(holm(values)) for name, values in families.items()}
    for row in rows:
        done = replace(row, p_holm=next(queues[family(row)]))
        yield replace(done, verdict=_verdict(done))


def _verdict(row: Difference) -> str:
    if row.p_holm != row.p_holm:
        return "cannot be told: too few records or orders"
    if row.p_holm > ALPHA:
        return "no detectable difference"
    wins = row.difference > 0 if row.better == "higher" else row.difference < 0
    return f"{row.second if wins else row.first} is better"


def _notes(found: Sequence[Contender]) -> list[str]:
    notes = [
        f"{contender.named(order)}: the run is not complete"
        for contender in found
        for order, report in contender.runs.items()
        if report.manifest is not None and not report.manifest.complete
    ]
    weak = (
        f"{row.axis}, {row.kind}, is left out as {row.note}"
        for report in found[0].reports
        for row in report.rows
        if row.kind != ALL and row.metric in HEADLINE and row.note.startswith("not measurable")
    )
    notes += dict.fromkeys(weak)
    versions: dict[str, set[str]] = defaultdict(set)
    for contender in found:
        for report in contender.reports:
            known: Mapping[str, str] = report.manifest.versions if report.manifest else {}
            for name, version in known.items():
                versions[name].add(version)
    notes += [
        f"the runs were made with different versions of {name}: {', '.join(sorted(several))}"
        for name, several in versions.items()
        if len(several) > 1
    ]
    notes += [
        f"{contender.label}: another tool's predictions; of which model and prompts is not known"
        for contender in found
        if any(is_given(r.manifest.arguments) for r in contender.reports if r.manifest is not None)
    ]
    if len(found[0].runs) == 1:
        notes.append("one order of edits: how much orders vary is not known")
    return notes
