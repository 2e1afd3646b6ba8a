"""Runs put side by side: which belong to one editor, and in what they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medit_eval.report import Report
from medit_eval.rescoring import read_report
from medit_eval.runs import SPELLINGS
from medit_eval.studies import run_folders
from schemas.errors import InputError
from schemas.progress import Progress, Quiet

_OF_ORDER = frozenset({"order", "sequence", "records_digest"})
"""Arguments in which the runs of a study's orders differ."""

_FREE = frozenset({"editor", "order", "needs", "memory_sizes", "predictions"}) | SPELLINGS
"""Arguments in which runs may differ and be compared: all else that they asked is the same."""

_OF_MODEL = frozenset({"model_digest", "prompt_format", "max_new_tokens", "top"})
"""Arguments that nobody knows of predictions that another tool made."""

_SHOWN = 80
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Contender:
    """An editor with its settings, on one or several orders of edits.

    Attributes:
        label: What it is called beside the others: the editor's name, with the run's folder where
            several share it.
        runs: Its runs by order of edits; one, of order 0, where the run has no orders.
    """

    label: str
    runs: dict[int, Report]

    @property
    def reports(self) -> tuple[Report, ...]:
        """Its runs."""
        return tuple(self.runs.values())

    def named(self, order: int) -> str:
        """What one of its runs is called."""
        return f"{self.label}, order {order}" if len(self.runs) > 1 else self.label


def read_contenders(
    paths: Sequence[str | Path], progress: Progress | None = None
) -> list[Contender]:
    """The contenders at paths of runs and studies; nothing is written there.

    Raises:
        InputError: If a path holds no run, or a run's folder is damaged.
    """
    progress = progress or Quiet()
    found = [folder for path in paths for folder in run_folders(Path(path))]
    folders = list({folder.resolve(): folder for folder in found}.values())
    reports = []
    with progress.phase("reading runs", len(folders)) as tick:
        for folder in folders:
            reports.append(read_report(folder))
            tick(1)
    return contenders(reports)


def contenders(reports: Sequence[Report]) -> list[Contender]:
    """Runs by contender: those that differ in the order of their edits alone are one's."""
    groups: list[tuple[str, dict[int, Report]]] = []
    for report in reports:
        key, order = _settings(report), int(_arguments(report).get("order", 0))
        home = next((runs for known, runs in groups if known == key and order not in runs), None)
        if home is None:
            groups.append((key, home := {}))
        home[order] = report
    labels = _labels([next(iter(runs.values())) for _, runs in groups])
    return [
        Contender(label, dict(sorted(runs.items())))
        for label, (_, runs) in zip(labels, groups, strict=True)
    ]


def differences(first: Contender, other: Contender) -> list[str]:
    """What keeps two contenders from being compared, argument by argument."""
    if first.runs.keys() != other.runs.keys():
        here, there = (", ".join(map(str, one.runs)) for one in (other, first))
        return [f"the orders of edits are {there} there and {here} here"]
    found = []
    for order, report in first.runs.items():
        old, new = _arguments(report), _arguments(other.runs[order])
        free = _FREE | _OF_MODEL if is_given(old) or is_given(new) else _FREE
        for name in {**old, **new}:
            if name not in free and old.get(name) != new.get(name):
                values = (_short(old.get(name)), _short(new.get(name)))
                found.append(f"{name} is {values[0]} there and {values[1]} here")
    return list(dict.fromkeys(found))


def is_given(arguments: Mapping[str, Any]) -> bool:
    """Whether a run with these arguments is of predictions that another tool made."""
    return "predictions" in arguments


def require_comparable(found: Sequence[Contender]) -> None:
    """Check that all contenders were asked the same of the same model.

    Raises:
        InputError: If not, saying which arguments differ, and both values.
    """
    if len(found) < 2:
        raise InputError("a comparison needs at least two runs of different editors or settings")
    for other in found[1:]:
        if wrong := differences(found[0], other):
            raise InputError(
                f"cannot be compared with {_place(found[0])}: {'; '.join(wrong)}",
                file=_place(other),
            )


def _settings(report: Report) -> str:
    """All that makes a run what it is, but for the order of its edits."""
    arguments = _arguments(report)
    free = SPELLINGS | (_OF_ORDER if arguments.get("checkpoints") else frozenset())
    kept = {name: value for name, value in arguments.items() if name not in free}
    return json.dumps(kept, sort_keys=True, default=str)


def _labels(reports: Sequence[Report]) -> list[str]:
    """A name for each, all different: the editor's, with as much of the path as it takes."""
    names = [report.editor or "editor" for report in reports]
    paths = [() if r.path is None else r.path.resolve().parts for r in reports]
    labels = []
    for place, name in enumerate(names):
        same = [i for i, other in enumerate(names) if other == name]
        if len(same) == 1:
            labels.append(name)
            continue
        longest = max(len(paths[i]) for i in same)
        for count in range(1, longest + 1):
            if len({paths[i][-count:] for i in same}) == len(same):
                labels.append(f"{name} ({'/'.join(paths[place][-count:])})")
                break
        else:
            labels.append(f"{name} ({same.index(place) + 1})")
    return labels


def _place(contender: Contender) -> str:
    path = contender.reports[0].path
    return contender.label if path is None else str(path)


def _arguments(report: Report) -> dict[str, Any]:
    return report.manifest.arguments if report.manifest is not None else {}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
