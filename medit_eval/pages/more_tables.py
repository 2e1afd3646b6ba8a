"""Tables of benchmarks, documents, and what editors and metrics tell."""

from __future__ import annotations

from collections.abc import Sequence

from medit_eval.collapse import SAFETY
from medit_eval.contenders import Contender
from medit_eval.documents.report import is_headline
from medit_eval.metrics import way_of
from medit_eval.numbers import interval, number
from medit_eval.pages.cells import Cell, Table, phase_name, runs_of, share, shown


def degradation_table(found: Sequence[Contender]) -> Table:
    """What edits cost on benchmarks, but for safety tasks."""
    rows = [
        (
            *map(Cell, (name, phase_name(row.phase), row.task)),
            Cell(row.metric, (row.kind,)),
            Cell(f"{row.n:,}", (f"{row.unscorable:,} unscorable", f"{row.excluded:,} excluded")),
            Cell(
                number(row.unedited),
                () if row.chance is None else (f"chance {number(row.chance)}",),
            ),
            Cell(number(row.edited)),
            _change(row.difference, row.ci_low, row.ci_high, row.unit == "points"),
            Cell(f"{row.worse:,} / {row.better:,}"),
            Cell(number(row.p_holm), (row.test,)),
            Cell(share(row.skill_lost)),
            Cell(row.verdict),
        )
        for name, report in runs_of(found)
        for row in report.benchmarks.degradation
        if row.task not in SAFETY
    ]
    return Table(
        "degradation",
        "What edits cost on benchmarks",
        "The edited model against the unedited one on the same items: paired 95 % intervals, items "
        "that came out worse and better, p corrected by Holm over the tasks of a phase, share of "
        "the skill above chance that is lost.",
        ("editor", "asked", "benchmark", "metric", "n", "unedited", "edited", "difference",
         "worse / better", "p (Holm)", "skill lost", "what may be said"),
        tuple(rows),
        frozenset(range(4, 11)),
    )  # fmt: skip


def _change(difference: float, low: float, high: float, points: bool) -> Cell:
    if difference != difference:
        return Cell("–")
    if points:
        return Cell(f"{difference:+.1f} pt", shown(interval(low, high, 1)))
    return Cell(f"× {difference:.3g}", shown(interval(low, high)))


def collapse_table(found: Sequence[Contender]) -> Table:
    """Signs that a model no longer answers, and beside them scores of safety tasks."""
    rows = []
    for name, report in runs_of(found):
        safety = {
            (row.phase, row.task): row
            for row in report.benchmarks.degradation
            if row.task in SAFETY
        }
        for row in report.benchmarks.collapse:
            score = safety.get((row.phase, row.task))
            shares = (row.empty, row.unparsable, row.repeating, row.constant, row.nonfinite)
            rows.append(
                (
                    Cell(name),
                    Cell(phase_name(row.phase)),
                    Cell(row.task, ("safety",) if row.safety else ()),
                    Cell(f"{row.n:,}"),
                    *map(Cell, map(share, shares)),
                    Cell(number(row.perplexity_ratio)),
                    Cell("")
                    if score is None
                    else Cell(number(score.edited), (f"unedited {number(score.unedited)}",)),
                    Cell(row.verdict),
                )
            )
    return Table(
        "collapse",
        "Does the model still answer?",
        "Shares of answers that say nothing, whatever their score. A mute model says nothing "
        "unsafe, so scores of safety tasks are shown here alone.",
        ("editor", "asked", "benchmark", "n", "empty", "unparsable", "repeating", "constant",
         "not finite", "perplexity ratio", "safety score", "verdict"),
        tuple(rows),
        frozenset(range(3, 11)),
    )  # fmt: skip


def costs_table(found: Sequence[Contender]) -> Table:
    """Activation, added tokens and latency."""
    rows = [
        (
            *map(Cell, (name, phase_name(row.phase), row.task, f"{row.n:,}")),
            Cell(share(row.activated)),
            Cell(number(row.tokens, 1), (f"unedited {number(row.tokens_unedited, 1)}",)),
            Cell(number(row.tokens_ratio, 2)),
            Cell(
                number(1000 * row.seconds, 1),
                (f"unedited {number(1000 * row.seconds_unedited, 1)}",),
            ),
            Cell(number(row.seconds_ratio, 2)),
        )
        for name, report in runs_of(found)
        for row in report.benchmarks.costs
    ]
    return Table(
        "costs",
        "What answering costs",
        "Share of items that the editor's memory answered, tokens of a prompt, milliseconds of a "
        "request; × is the ratio to the unedited model. Time is comparable only between runs that "
        "ran alone on one machine.",
        ("editor", "asked", "benchmark", "n", "activated", "tokens", "×", "ms", "×"),
        tuple(rows),
        frozenset(range(3, 9)),
    )


def documents_table(found: Sequence[Contender]) -> Table:
    """Scores of rewritten documents."""
    rows = []
    for name, report in runs_of(found):
        for row in filter(is_headline, report.about_documents):
            missing = (f"{row.undefined:,} undefined", f"{row.unasked:,} not asked")
            cells = (name, phase_name(row.phase), row.track, row.output, row.metric)
            estimate = Cell(number(row.mean), shown(interval(row.ci_low, row.ci_high)))
            rows.append((*map(Cell, cells), Cell(f"{row.n:,}", missing), estimate))
    return Table(
        "documents",
        "Rewritten documents",
        "Strict scores of what was written, by generation. Tracks are not comparable.",
        ("editor", "asked", "track", "text", "metric", "n", "mean"),
        tuple(rows),
        frozenset((5, 6)),
    )


def diagnostics_table(found: Sequence[Contender]) -> Table:
    """What editors tell of themselves."""
    rows = []
    for name, report in runs_of(found):
        if not report.told:
            continue
        for row in report.diagnostics.to_dict("records"):
            values = (f"{row[key]:.4g}" for key in ("mean", "min", "max"))
            cells = (name, phase_name(row["phase"]), row["name"], f"{row['n']:,}", *values)
            rows.append(tuple(map(Cell, cells)))
    return Table(
        "diagnostics",
        "What editors tell of themselves",
        "After each edit, such as the size of a memory.",
        ("editor", "asked", "what", "n", "mean", "least", "greatest"),
        tuple(rows),
        frozenset(range(3, 7)),
    )


def unscorable_table(found: Sequence[Contender]) -> Table:
    """How many questions each metric could not score, by reason."""
    rows = [
        tuple(
            map(Cell, (name, row["metric"], way_of(row["metric"]), f"{row['n']:,}", row["reason"]))
        )
        for name, report in runs_of(found)
        for row in report.unscorable.to_dict("records")
    ]
    return Table(
        "unscorable",
        "What could not be scored, and why",
        "Over all phases.",
        ("editor", "metric", "scored by", "n", "reason"),
        tuple(rows),
        frozenset((3,)),
    )
