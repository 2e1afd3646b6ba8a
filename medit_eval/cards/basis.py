"""The parts of a card that state what was run, on what, and with which settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from medit_eval.cards.facts import Facts, unique
from medit_eval.cards.protocol import listed, many
from medit_eval.cards.texts import Grid, Section
from medit_eval.runs import RunManifest

UNKNOWN = "not recorded"
"""What is said of what a run did not write down."""

_SCORES = frozenset({"python", "medit", "numpy"})
"""Packages that the scores of given answers depend on."""


def place(text: str) -> str:
    """A path of a machine as its last part: what is published tells nothing of where it lay."""
    return Path(text).name if text.startswith(("/", "~", "./", "../")) else text


def run_section(facts: Facts) -> Section:
    """What was run, on what, with what."""
    if facts.given:
        return _given_section(facts)
    arguments = facts.arguments
    about = facts.manifests[0].model
    drawn = ["the editor's random choices", "the bootstrap"]
    drawn += ["which records are edited in which order"] if arguments.get("checkpoints") else []
    rows = [
        ("records", _records(facts)),
        ("questions", _questions(facts)),
        ("model", f"{place(str(arguments.get('model', UNKNOWN)))}; {_model(about, arguments)}"),
        ("model digests", _digests(arguments, about)),
        ("prompts, decoding", _decoding(arguments)),
        ("seed", f"{arguments.get('seed', UNKNOWN)}, from which follow {listed(drawn)}"),
    ]  # fmt: skip
    if arguments.get("benchmarks"):
        rows.append(("benchmarks", _benchmarks(facts)))
    rows += [
        *_judged(facts),
        ("hardware", _hardware(facts.manifests)),
        ("software", _software(facts.manifests)),
        ("time", f"{_time(facts.manifests)}; answers of the unedited model may be from a cache"),
    ]
    return _what_was_run(rows)


def _given_section(facts: Facts) -> Section:
    """The same of answers that another tool made: what was scored, and with what."""
    arguments = facts.arguments
    drawn = ["the bootstrap"]
    drawn += ["the order in which records are asked about"] if arguments.get("checkpoints") else []
    files = unique(
        f"{Path(str(m.arguments.get('predictions_file', UNKNOWN))).name}, SHA-256 "
        f"{m.arguments.get('predictions')}"
        for m in facts.manifests
    )
    rows = [
        ("records", _records(facts)),
        ("questions", _questions(facts)),
        (
            "answers",
            f"another tool's: {'; '.join(files)}. How they were made is {UNKNOWN}: neither the "
            "model, nor prompts, decoding, seed, hardware and software",
        ),
        (
            "seed of the scoring",
            f"{arguments.get('seed', UNKNOWN)}, from which {'follow' if drawn[1:] else 'follows'} "
            f"{listed(drawn)}",
        ),
        *_judged(facts),
        ("software of the scoring", _software(facts.manifests, _SCORES)),
        ("time of the scoring", _time(facts.manifests)),
    ]
    return _what_was_run(rows)


def _what_was_run(rows: Sequence[tuple[str, str]]) -> Section:
    return Section("What was run", (Grid(("", ""), tuple(rows), (0.16, 0.8)),))


def _judged(facts: Facts) -> list[tuple[str, str]]:
    """The judging models, where there are any."""
    judges = unique(str(m.reporting["judge"]) for m in facts.manifests if m.reporting.get("judge"))
    return [("judging model", "; ".join(judges))] if judges else []


def settings_section(facts: Facts) -> Section:
    """Every setting of the editor, with its source."""
    title = f"Editor: {facts.reports[0].editor or UNKNOWN}"
    if facts.given:
        return Section(title, lines=(f"It is another tool's; its settings are {UNKNOWN}.",))
    recorded = facts.manifests[0].settings
    if recorded:
        lines = [(s.name, s.value, s.source) for s in recorded]
    else:
        lines = [(name, value, UNKNOWN) for name, value in _flat(facts.arguments.get("editor"))]
    by_source: dict[str, list[str]] = {}
    for name, value, source in lines:
        by_source.setdefault(source, []).append(f"{name} = {place(value)}")
    rows = [(", ".join(settings), source) for source, settings in by_source.items()]
    described = facts.arguments.get("editor", {})
    kind = described.get("class", UNKNOWN) if isinstance(described, Mapping) else UNKNOWN
    if not rows:
        return Section(title, lines=(f"{kind} has no settings.",))
    grid = Grid(
        ("settings", "from"), ((f"class = {kind}", "the user's choice"), *rows), (0.58, 0.38)
    )
    return Section(title, (grid,))


def _records(facts: Facts) -> str:
    arguments = facts.arguments
    names = unique(place(str(m.arguments.get("records", UNKNOWN))) for m in facts.manifests)
    edits = {(n, q) for n, r in enumerate(facts.reports) for p in r.raw for q in p.requests}
    digests = unique(str(m.arguments.get("records_digest", UNKNOWN)) for m in facts.manifests)
    counts = unique(f"{count:,}" for count in facts.counts)
    each = f" in each of {len(facts.counts)} orders" if len(facts.counts) > 1 else ""
    documents = arguments.get("document_count")
    return (
        f"{listed(names)}: {' or '.join(counts)} records{each}, {many(len(edits), 'edit')}"
        f"{f', {documents:,} with a document' if documents else ''}; digest "
        f"{', '.join(digests)}"
    )


def _questions(facts: Facts) -> str:
    found = facts.questions
    if not found:
        return "none asked as yet"
    parts = [
        f"{axis} {sum(kinds.values()):,} "
        f"({', '.join(f'{kind} {count:,}' for kind, count in kinds.items())})"
        for axis, kinds in found.items()
    ]
    total = sum(sum(kinds.values()) for kinds in found.values())
    return f"{total:,}: {'; '.join(parts)}"


def _model(about: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    if not about:
        return f"its type, size and dtype are {UNKNOWN}"
    size = int(about.get("parameters", 0))
    shown = f"{size / 1e9:,.2f} billion" if size >= 1e9 else f"{size / 1e6:,.1f} million"
    return (
        f"{about.get('type')}, {about.get('layers')} layers of width {about.get('width')}, {shown} "
        f"parameters, {about.get('dtype')}"
        f"{', matrix products of its forwards in TF32' if arguments.get('tf32') else ''}"
    )


def _digests(arguments: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    whole = f"{arguments.get('model_digest', UNKNOWN)} (with tokenizer and libraries)"
    return f"weights {about.get('weights', UNKNOWN)}; {whole}"


def _decoding(arguments: Mapping[str, Any]) -> str:
    needs = arguments.get("needs", ())
    parts = [
        f"prompts {arguments.get('prompt_format', UNKNOWN)}",
        f"free answers greedy, at most {arguments.get('max_new_tokens', UNKNOWN)} tokens, up to "
        "the end token or the end of the line",
    ]
    if "likelihood" in needs:
        parts.append(f"answers also scored token by token, ordered top {arguments.get('top')} kept")
    if "continuation" in needs:
        parts.append("edited questions also continued by 100 tokens")
    return "; ".join(parts)


def _benchmarks(facts: Facts) -> str:
    infos = {info.task: info for report in facts.reports for info in report.benchmarks.tasks}
    parts = []
    for task, digest in facts.arguments["benchmarks"].items():
        info = infos.get(task)
        asked = "" if info is None else f" {many(info.items, 'item')}, {many(info.shots, 'shot')},"
        parts.append(f"{task}:{asked} digest {digest}")
    return "; ".join(parts)


def _hardware(manifests: Sequence[RunManifest]) -> str:
    sittings = [s for manifest in manifests for s in manifest.sittings]
    if not sittings:
        return UNKNOWN
    return "; or ".join(unique(_machine(s.machine) for s in sittings))


def _machine(found: Mapping[str, str]) -> str:
    counted = f"{found['devices']} devices, " if "devices" in found else ""
    parts = [
        f"{counted}{found.get('device', UNKNOWN)}",
        found.get("processor", ""),
        f"cores: {found.get('cores', UNKNOWN)}, threads used: {found.get('threads', UNKNOWN)}",
        f"{found['memory']} of main memory" if "memory" in found else "",
        found.get("system", ""),
    ]
    return ", ".join(part for part in parts if part)


def _software(manifests: Sequence[RunManifest], shown: Collection[str] | None = None) -> str:
    """Versions of all packages, or of some."""
    lines = []
    for manifest in manifests:
        names = [
            f"{name} {version}"
            for name, version in manifest.versions.items()
            if shown is None or name in shown
        ]
        commits = unique(s.commit or "not from a checkout" for s in manifest.sittings)
        lines.append(f"{', '.join(names)}; commit of medit: {', '.join(commits) or UNKNOWN}")
    return "; or ".join(unique(lines))


def _time(manifests: Sequence[RunManifest]) -> str:
    """From when to when, and how long it was worked on as far as that is known."""
    started, ends = min(m.started for m in manifests), [m.finished for m in manifests]
    finished = [end for end in ends if end is not None]
    if len(finished) < len(ends):
        return f"begun {started}, not complete"
    seconds = sum(
        (
            _moment(end) - _moment(m.sittings[-1].started if m.sittings else m.started)
        ).total_seconds()
        for m, end in zip(manifests, finished, strict=True)
    )
    broken = any(len(m.sittings) > 1 for m in manifests)
    last = " in the last sitting of each run" if broken else ""
    several = f", {many(len(manifests), 'run')} of" if len(manifests) > 1 else ","
    whole = " in all" if len(manifests) > 1 else ""
    return f"{started} to {max(finished)}{several} {seconds:,.0f} s{whole}{last}"


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0).astimezone()


def _flat(described: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Settings of a run that did not write down their sources."""
    if not isinstance(described, Mapping):
        return []
    found = []
    for name, value in described.items():
        if not prefix and name in ("name", "class"):
            continue
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", str(value)))
    return found
