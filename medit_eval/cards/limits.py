"""What a run cannot say, each limit as one sentence with its number, and only where it holds.

A limit is found in the run's own files. Nothing is said because it might be so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from editors.presets import OWN, STAND_IN
from medit_eval.cards.facts import TEACHER_FORCED, Facts, Number
from medit_eval.cards.protocol import listed, many
from medit_eval.collapse import SAFETY
from medit_eval.metrics import HEADLINE
from medit_eval.models import TESTBED
from medit_eval.numbers import number
from medit_eval.pages.tables import AXES
from medit_eval.provenance import UNTOLD
from medit_eval.summary import HARMONIC

WIDE = 0.1
"""Width of an interval from which it is told."""

FEW_KINDS = 2
"""Kinds of probes up to which an axis is said to rest on few."""

FEW_ORDERS = 5
"""Orders of edits below which they are said to be few."""

CEILING = 0.98
"""Score of the unedited model from which a benchmark shows no gain."""

COARSE = 5.0
"""Points from which the smallest detectable change of a benchmark is told."""

TALKS = 0.01
"""Share of questions from which a memory that answers them is told of."""


def limits(facts: Facts) -> tuple[str, ...]:
    """All limits of a card, the weightiest first."""
    found = (
        _of_editor, _of_model, _of_size, _without_width, _of_orders, _of_failures, _of_axes,
        _of_kinds, _of_knowledge, _of_ways, _of_memory, _of_benchmarks, _of_making,
    )  # fmt: skip
    return tuple(chain.from_iterable(limit(facts) for limit in found))


def _of_editor(facts: Facts) -> Iterator[str]:
    if facts.reports[0].editor == "none":
        yield f"No edit was made: these are the {facts.records:,} records' unedited answers."
    sources = Counter(setting.source for setting in facts.manifests[0].settings)
    names = {
        source: [s.name for s in facts.manifests[0].settings if s.source == source]
        for source in sources
    }
    for source, told in (
        (STAND_IN, "published for GPT-J, which stands in for this model"),
        (
            OWN,
            "this project's own choice for this model, and not published by the method's authors",
        ),
        (UNTOLD, "chosen by the editor, which does not say from where"),
    ):
        if count := sources[source]:
            yield f"{_settings(count)} {told}: {', '.join(names[source])}."
    if not facts.manifests[0].settings:
        yield "The run did not record where any of its editor's settings are from."


def _settings(count: int) -> str:
    return f"{count} setting is" if count == 1 else f"{count} settings are"


def _of_model(facts: Facts) -> Iterator[str]:
    about, arguments = facts.manifests[0].model, facts.arguments
    name = str(arguments.get("model", ""))
    if name.startswith(TESTBED):
        size = int(about.get("parameters", 0))
        counted = f" of {size / 1e6:.1f} million parameters" if size else ""
        yield (
            f"{name} is a small model{counted}, trained on an invented world: what edits do to it "
            "need not hold for a large model."
        )
    if about.get("chat_template") and arguments.get("prompt_format") != "chat":
        asked = sum(sum(kinds.values()) for kinds in facts.questions.values())
        yield (
            f"The model has a chat template, and all {many(asked, 'question')} were put to it as "
            f"{arguments.get('prompt_format')} prompts."
        )


def _of_size(facts: Facts) -> Iterator[str]:
    free = [
        n
        for n in facts.numbers
        if n.metric in HEADLINE and n.axis != HARMONIC and n.known and n.width == n.width
    ]
    if not free:
        return
    widest = max(free, key=lambda n: n.width)
    if widest.width >= WIDE:
        yield (
            f"With {many(facts.records, 'record')}, the widest 95 % interval of free generation, "
            f"that of {widest.axis}, spans {widest.width:.2f} (n {widest.n:,})."
        )


def _without_width(facts: Facts) -> Iterator[str]:
    flat = [
        n for n in facts.numbers
        if n.metric in HEADLINE and n.known and n.width == 0 and n.mean in (0.0, 1.0)
    ]  # fmt: skip
    for value, word in ((1.0, "come out wrong"), (0.0, "come out right")):
        axes = {n.axis: n.n for n in flat if n.mean == value}
        if axes:
            # All of N alike: the exact one-sided 95 % bound of the share that is not.
            records = max(1, min(facts.different, *axes.values()))
            bound = 100 * (1 - 0.05 ** (1 / records))
            yield (
                f"Every score of {listed(list(axes))} is {value:.0f}, so the interval has no "
                f"width; up to {bound:.0f} % of further records could still {word} (exact 95 % "
                f"bound for {many(records, 'record')})."
            )


def _of_orders(facts: Facts) -> Iterator[str]:
    protocol = facts.arguments.get("protocol")
    orders = len(facts.reports)
    if protocol == "single" and not facts.given:
        yield (
            "Never more than 1 edit was in the model: what becomes of many at once is not known."
        )
    if protocol == "sequential" and orders == 1:
        yield "1 order of edits: how far the numbers depend on the order is not known."
    elif protocol == "sequential" and orders < FEW_ORDERS:
        yield f"{orders} orders of edits say little of how far the numbers depend on the order."


def _of_failures(facts: Facts) -> Iterator[str]:
    if facts.failed_edits:
        yield (
            f"{facts.failed_edits:,} of {facts.records:,} edits failed; their questions are left "
            "out of the means, and not counted as wrong."
        )
    free = [n for n in facts.numbers if n.metric in HEADLINE and n.n + n.unscorable]
    lost = max(free, key=lambda n: n.unscorable / (n.n + n.unscorable), default=None)
    if lost is not None and lost.unscorable and not facts.failed_edits:
        yield (
            f"{lost.unscorable:,} of {lost.n + lost.unscorable:,} questions on {lost.axis} could "
            "not be scored."
        )


def _of_axes(facts: Facts) -> Iterator[str]:
    for kind, note in facts.weak.items():
        yield f"{kind}: {note}."
    missing = [axis for axis in AXES if facts.number(axis) is None]
    if missing and facts.numbers:
        mean = facts.number(HARMONIC)
        over = f"; the harmonic mean is {mean.note.split(';')[0]}" if mean is not None else ""
        axes = "1 axis has" if len(missing) == 1 else f"{len(missing)} axes have"
        yield f"{axes} no number: {listed(missing)}{over}."


def _of_kinds(facts: Facts) -> Iterator[str]:
    for axis in ("generality", "locality"):
        kinds = list(facts.questions.get(axis, {}))
        if 0 < len(kinds) <= FEW_KINDS:
            kind = many(len(kinds), "kind")
            yield f"{axis.capitalize()} rests on {kind} of probes alone: {listed(kinds)}."


def _of_knowledge(facts: Facts) -> Iterator[str]:
    known = facts.share("locality", "pre_edit_right")
    if known is not None and known[0] < 0.5:
        yield (
            f"The unedited model was right on {known[0]:.2f} of the locality questions (n "
            f"{known[1]:,}): locality is mostly agreement with wrong answers."
        )
    already = facts.share("reliability", "pre_edit_target")
    if already is not None and already[0] > 0:
        yield (
            f"The unedited model gave the new answer already to {already[0]:.2f} of the edited "
            f"questions (n {already[1]:,})."
        )


def _of_ways(facts: Facts) -> Iterator[str]:
    pairs: list[tuple[Number, Number]] = []
    for axis in AXES:
        free, forced = facts.number(axis), facts.number(axis, TEACHER_FORCED)
        if free is not None and forced is not None:
            pairs.append((free, forced))
    if pairs:
        free, forced = max(pairs, key=lambda pair: abs(pair[1].mean - pair[0].mean))
        yield (
            "Teacher-forced numbers see the right answer's tokens and cannot be compared with free "
            f"generation: on {free.axis} they are {number(forced.mean)} and {number(free.mean)}."
        )
    if judge := facts.manifests[0].reporting.get("judge"):
        judged = [n.n for n in facts.numbers if n.metric == "judged"]
        yield f"{sum(judged):,} verdicts are those of a model, {judge}, whose errors are not known."


def _of_memory(facts: Facts) -> Iterator[str]:
    shares = {axis: facts.share(axis, "activation") for axis in AXES}
    found = {axis: share for axis, share in shares.items() if share is not None}
    if not found:
        return
    told = [f"{mean:.2f} of {axis} questions" for axis, (mean, _) in found.items()]
    yield f"The editor's memory answered {listed(told)}; all others the unedited model did."
    mean, n = found.get("locality", (0.0, 0))
    if mean >= TALKS:
        yield (
            f"It answered {mean:.2f} of the locality questions (n {n:,}), which no edit should "
            "reach."
        )
    if facts.arguments.get("protocol") == "single" and not facts.arguments.get("memory_sizes"):
        yield "With 1 edit in memory there is no other entry to mistake it for."


def _of_benchmarks(facts: Facts) -> Iterator[str]:
    rows = facts.reports[0].benchmarks.degradation
    if not rows:
        yield "0 general benchmarks were run: what else the edits cost is not known."
        return
    last = rows[-1].phase
    for row in rows:
        if row.phase != last or row.task in SAFETY or row.unit != "points":
            continue
        if row.chance is not None and row.skill_lost != row.skill_lost:
            yield (
                f"{row.task}: the unedited model scores {row.unedited:.2f}, not clearly above "
                f"chance ({row.chance:.2f}), so that there is nothing to lose."
            )
        elif row.unedited >= CEILING:
            yield (
                f"{row.task}: the unedited model scores {row.unedited:.2f}, so that only losses "
                "can show."
            )
        if row.detectable >= COARSE and not facts.several:
            yield (
                f"{row.task}: with {row.n:,} items in {row.units:,} independent groups, changes "
                f"below {row.detectable:.1f} points would mostly be missed."
            )
    for row in (row for report in facts.reports for row in report.benchmarks.collapse):
        if row.phase == last and row.collapsed:
            yield f"{row.task}: the model no longer answers ({row.verdict}; n {row.n:,})."


def _of_making(facts: Facts) -> Iterator[str]:
    sittings = [s for manifest in facts.manifests for s in manifest.sittings]
    changed = sum(1 for s in sittings if s.commit is not None and s.commit.endswith("changes"))
    if changed:
        which = many(len(sittings), "sitting")
        yield f"{changed} of {which} ran from a checkout with uncommitted changes."
    broken = sum(1 for manifest in facts.manifests if len(manifest.sittings) > 1)
    machines = {tuple(sorted(s.machine.items())) for s in sittings}
    if broken:
        yield f"{many(broken, 'run')} broke off and went on, on {many(len(machines), 'machine')}."
    for note in dict.fromkeys(note for manifest in facts.manifests for note in manifest.notes):
        yield f"Note of the run: {note}."
