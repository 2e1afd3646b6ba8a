"""The parts of a card that state what came of a run, and what could not be scored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from medit_eval.cards.facts import FAILED, Facts, Number, unique
from medit_eval.cards.protocol import many
from medit_eval.cards.texts import Grid, Section
from medit_eval.curves import RETENTION
from medit_eval.documents.report import EDITED, UNEDITED, DocumentRow, is_headline
from medit_eval.metrics import METRICS, way_of
from medit_eval.numbers import interval, number
from medit_eval.pages.cells import phase_name, share
from medit_eval.pages.tables import AXES, WAYS
from medit_eval.summary import HARMONIC

_TITLES: Mapping[str, str] = {
    "generation": "free generation",
    "teacher-forced": "teacher-forced",
    "probability": "probability",
    "judge": "judging model",
}

_REASONS = 4
"""Reasons that are told apart in one list."""


def results_section(facts: Facts) -> Section:
    """The headline table, then benchmarks and documents where there are any."""
    grids = [_headline(facts)] if facts.numbers else []
    lines = []
    if facts.numbers:
        lines.append(
            "Each cell: mean, 95 % interval, n questions scored. Kinds of probes count the same; "
            "intervals are by bootstrap over "
            + ("orders of edits and records." if facts.several else "records.")
        )
    else:
        lines.append("Nothing has been asked as yet.")
    if facts.several:
        tasks = _tasks_of_points(facts)
        grids += [tasks] if tasks else []
    else:
        grids += [grid for grid in (_degradation(facts), _documents(facts)) if grid is not None]
        lines += _costs(facts)
    return Section("Results", tuple(grids), tuple(lines))


def metrics_section(facts: Facts) -> Section:
    """What the metrics say that the card names, a line each."""
    named = unique(n.metric for n in facts.numbers if n.axis != HARMONIC)
    named += [m for m in _unscorable(facts) if m not in named]
    known = {metric.name: metric for metric in METRICS}
    lines = []
    for name in named:
        if name in known:
            meaning = known[name].meaning
        elif name == "judged":
            meaning = "A judging model, asked three times, calls the free answer right."
        else:
            meaning = "A metric of the user's own, which the run does not describe."
        lines.append(f"{name} ({_TITLES.get(way_of(name), way_of(name))}): {meaning}")
    if any(n.axis == RETENTION for n in facts.numbers):
        lines.append("retention: reliability of the edits made before the last checkpoint.")
    if facts.reports[0].about_documents:
        lines.append("Metrics of rewritten documents are in docs/document-metrics.md of medit.")
    return Section("What the metrics mean", lines=tuple(lines))


def missing_section(facts: Facts) -> Section:
    """What could not be scored, and why."""
    lines = []
    total = len(facts.predictions)
    edits = Counter({r: n for r, n in facts.failures.items() if r.startswith(FAILED)})
    if edits:
        lines.append(
            f"Failed edits: {facts.failed_edits:,} of {facts.records:,} records, with "
            f"{many(sum(edits.values()), 'question')}: {_counted(edits)}"
        )
    else:
        none = "the file names none" if facts.given else f"none of {facts.records:,}"
        lines.append(f"Failed edits: {none}.")
    if other := facts.failures - edits:
        lines.append(
            f"Not judged by any metric: {sum(other.values()):,} of {many(total, 'question')} "
            f"(over all phases): {_counted(other)}"
        )
    lines += [
        f"{metric}: {many(sum(reasons.values()), 'question')} not scored: {_counted(reasons)}"
        for metric, reasons in _unscorable(facts).items()
    ]
    lines += [f"{kind}: {note}." for kind, note in facts.weak.items()]
    lines += [
        f"No questions on {axis}."
        for axis in AXES
        if axis not in facts.questions and facts.phase is not None
    ]
    for row in facts.reports[0].benchmarks.degradation if not facts.several else ():
        if row.phase == _benchmark_phase(facts) and (row.unscorable or row.excluded):
            lines.append(
                f"{row.task}: {row.unscorable:,} items without a score, {row.excluded:,} left out "
                "because an edit changed their answer."
            )
    return Section("What is not in the scores", lines=tuple(lines))


def _headline(facts: Facts) -> Grid:
    ways = [way for way, _ in WAYS if any(n.way == way for n in facts.numbers)]
    phases = unique(n.phase for n in facts.numbers)
    by_place = {(n.phase, n.axis, n.way): n for n in facts.numbers}
    rows = []
    for phase in phases:
        for axis in unique(n.axis for n in facts.numbers if n.phase == phase):
            found = [by_place.get((phase, axis, way)) for way in ways]
            asked = f", {phase_name(phase)}" if len(phases) > 1 else ""
            rows.append((f"{axis.replace('_', ' ')}{asked}", *map(_cell, found)))
    first = "axis" if len(phases) > 1 else f"axis, {phase_name(phases[0])}"
    width = round(0.74 / max(1, len(ways)), 2)
    titles = (_TITLES[way] for way in ways)
    return Grid((first, *titles), tuple(rows), (0.17, *(width,) * len(ways)))


def _cell(found: Number | None) -> str:
    if found is None:
        return "–"
    if not found.known:
        return f"– ({found.note or 'nothing scored'}; n {found.n:,})"
    bounds = interval(found.low, found.high) or "no interval"
    lost = f", {found.unscorable:,} unscorable" if found.unscorable else ""
    return f"{number(found.mean)} ({bounds}) n {found.n:,}{lost}"


def _benchmark_phase(facts: Facts) -> str | None:
    phases = unique(row.phase for row in facts.reports[0].benchmarks.degradation)
    return phases[-1] if phases else None


def _degradation(facts: Facts) -> Grid | None:
    last = _benchmark_phase(facts)
    rows = []
    for row in facts.reports[0].benchmarks.degradation:
        if row.phase == last:
            points = row.unit == "points"
            change = f"{row.difference:+.1f} points" if points else f"× {row.difference:.3g}"
            bounds = interval(row.ci_low, row.ci_high, 1 if points else 3)
            change = f"{change} ({bounds})" if row.difference == row.difference else "–"
            rows.append(
                (row.task, row.metric, f"{row.n:,}", number(row.unedited), number(row.edited),
                 change, row.verdict)
            )  # fmt: skip
    if not rows or last is None:
        return None
    columns = (f"benchmark, {phase_name(last)}", "metric", "n", "unedited", "edited",
               "difference", "what may be said")  # fmt: skip
    return Grid(columns, tuple(rows), (0.17, 0.13, 0.05, 0.1, 0.09, 0.15, 0.19))


def _tasks_of_points(facts: Facts) -> Grid | None:
    unedited = {p.series: p for p in facts.points if not p.edits}
    rows = []
    for point in facts.last:
        if point.series in (*AXES, RETENTION):
            continue
        before = unedited.get(point.series)
        bounds = interval(point.ci_low, point.ci_high)
        rows.append(
            (point.series, point.metric, f"{point.n:,}",
             "–" if before is None else number(before.mean), f"{number(point.mean)} ({bounds})")
        )  # fmt: skip
    if not rows:
        return None
    name = f"benchmark, after {many(facts.last[0].edits, 'edit')}"
    columns = (name, "metric", "n", "unedited", "edited")
    return Grid(columns, tuple(rows), (0.25, 0.2, 0.08, 0.12, 0.27))


def _documents(facts: Facts) -> Grid | None:
    """Scores of rewritten documents: a line per metric, a column per track."""
    kept: dict[tuple[str, str], dict[str, DocumentRow]] = {}
    for row in facts.reports[0].about_documents:
        if is_headline(row) and row.phase == facts.phase and row.output in (EDITED, UNEDITED):
            kept.setdefault((row.metric, row.track), {})[row.output] = row
    found = {key: rows[EDITED] for key, rows in kept.items() if EDITED in rows}
    if not found:
        return None
    tracks = unique(track for _, track in found)
    rows = [
        (metric, *(_of_document(found.get((metric, track)), kept[metric, track].get(UNEDITED))
                   if (metric, track) in found else "" for track in tracks))
        for metric in unique(metric for metric, _ in found)
    ]  # fmt: skip
    width = round(0.7 / len(tracks), 2)
    titles = [f"track {track}" if track else "of facts" for track in tracks]
    columns = ("rewritten documents", *titles)
    return Grid(columns, tuple(rows), (0.2, *(width,) * len(tracks)))


def _of_document(after: DocumentRow | None, before: DocumentRow | None) -> str:
    if after is None or not after.n:
        return "– (n 0)"
    lost = after.undefined + after.unasked
    parts = (
        f"{number(after.mean)} ({interval(after.ci_low, after.ci_high)}) n {after.n:,}",
        f"{lost:,} undefined or not asked" if lost else "",
        "" if before is None else f"unedited {number(before.mean)}",
    )
    return ", ".join(part for part in parts if part)


def _costs(facts: Facts) -> list[str]:
    """What answering cost, beside the unedited model, whose times may be from an earlier run."""
    parts = []
    for row in facts.reports[0].benchmarks.costs:
        if row.phase == _benchmark_phase(facts):
            memory = ""
            if row.activated == row.activated:
                memory = f", {share(row.activated)} of the items answered by the editor's memory"
            parts.append(
                f"{row.task} {number(1000 * row.seconds, 1)} ms "
                f"({number(1000 * row.seconds_unedited, 1)}) and {number(row.tokens, 1)} tokens "
                f"({number(row.tokens_unedited, 1)}){memory}"
            )
    if not parts:
        return []
    return [
        f"Cost of a request (unedited): {'; '.join(parts)}. Times compare only where both ran "
        "alone on one machine."
    ]


# What is missing --------------------------------------------------------------------------------


def _unscorable(facts: Facts) -> dict[str, Counter[str]]:
    """By metric, the reasons of questions that it alone could not score, over all phases."""
    found: dict[str, Counter[str]] = {}
    for report in facts.reports:
        whole = {p.key for p in report.raw if p.failure is not None}
        for score in report.scores:
            if score.value is None and score.key not in whole:
                found.setdefault(score.metric, Counter())[score.reason or "no reason given"] += 1
    return found


def _counted(reasons: Counter[str]) -> str:
    """Reasons with their numbers, the commonest first; ids are left out, so that like stay one."""
    merged: Counter[str] = Counter()
    for reason, count in reasons.items():
        merged[re.sub(r"\brecord \S+", "another record", reason)] += count
    shown = merged.most_common(_REASONS)
    if len(merged) == 1:
        return f"{shown[0][0]}."
    parts = [f"{reason} ({count:,})" for reason, count in shown]
    if len(merged) > _REASONS:
        rest = sum(merged.values()) - sum(count for _, count in shown)
        parts.append(f"{len(merged) - _REASONS:,} other reasons ({rest:,})")
    return f"{'; '.join(parts)}."
