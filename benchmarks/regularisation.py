"""MEMIT and AlphaEdit as curves over what holds an edit back, on people that `testbed/lm` knows.

    python -m benchmarks.regularisation                         # about ten minutes on two cores
    python -m benchmarks.regularisation --write docs/results.md # the table, and the picture beside

One point of a method says little: more weight on what should stay makes any of them miss more edits
and break less. Runs are kept in a folder (`--runs`), so what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

import medit_eval
from benchmarks.paste import paste
from medit_eval import Report
from medit_eval.summary import metric_of
from schemas.progress import Bars

MEMIT_WEIGHTS = (300.0, 1000.0, 2000.0, 4000.0)
"""λ, the weight of the covariance."""

ALPHAEDIT_THRESHOLDS = (0.003, 0.005, 0.01, 0.03, 0.1)
"""Share of the covariance's energy that the null space may hold."""

PICTURE = "regularisation.png"


def main() -> None:
    """Score, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="MEMIT and AlphaEdit over their regularisation.")
    parser.add_argument("--limit", type=int, default=100, help="people to edit")
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--points", type=int, default=len(ALPHAEDIT_THRESHOLDS), help="per method")
    parser.add_argument("--runs", type=Path, default=Path("runs/regularisation"))
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args()
    points = list(_points(args))
    table = _table(points)
    print(table)
    if args.write:
        paste(args.write, "regularisation", table)
        _draw(points, args.write.parent / PICTURE)


def _points(args: argparse.Namespace) -> Iterator[tuple[str, str, Report]]:
    """Method, setting, and what came of it."""
    progress = Bars(Console(stderr=True), "questions")
    settings: list[tuple[str, str, dict[str, Any]]] = [
        ("memit", f"λ = {weight:g}", {"moment_weight": weight})
        for weight in MEMIT_WEIGHTS[: args.points]
    ]
    settings += [
        ("alphaedit", f"energy {share:g}", {"threshold_rule": "energy", "threshold": share})
        for share in ALPHAEDIT_THRESHOLDS[: args.points]
    ]
    for editor, name, options in settings:
        print(f"{editor}: {name}", file=sys.stderr)
        report = medit_eval.score(
            editor,
            "testbed/lm",
            "testbed/people",
            protocol="sequential",
            batch_size=args.batch_size,
            limit=args.limit,
            editor_options=options,
            out=args.runs / f"{editor}-{name.split()[-1]}",
            progress=progress,
        )
        yield editor, name, report


def _values(report: Report) -> tuple[float, float, float, float]:
    """Reliability right after, then reliability, generality and locality at the end."""
    right_after = report.value("reliability", metric_of("reliability"), phase="right_after")
    reliability, generality, locality = (
        report.value(axis, metric_of(axis), phase="at_end")
        for axis in ("reliability", "generality", "locality")
    )
    return right_after, reliability, generality, locality


def _table(points: list[tuple[str, str, Report]]) -> str:
    lines = [
        "| editor | setting | reliability right after | at the end | generality | locality |",
        "|---|---|---|---|---|---|",
    ]
    for editor, name, report in points:
        cells = " | ".join(f"{value:.2f}" for value in _values(report))
        lines.append(f"| {editor} | {name} | {cells} |")
    return "\n".join(lines)


def _draw(points: list[tuple[str, str, Report]], path: Path) -> None:
    """A curve per method: reliability and generality against locality, all at the end."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    # Labels on the side where the other method's curve is not.
    for editor, mark, offset, side in (
        ("memit", "o-", -6, "right"),
        ("alphaedit", "s-", 6, "left"),
    ):
        of_editor = [(name, _values(report)) for who, name, report in points if who == editor]
        localities = [values[3] for _, values in of_editor]
        for panel, place in zip(panels, (1, 2), strict=True):
            panel.plot(localities, [values[place] for _, values in of_editor], mark, label=editor)
        for name, values in of_editor:
            panels[1].annotate(name, (values[3], values[2]), xytext=(offset, 0), fontsize=7,
                               ha=side, va="center", textcoords="offset points")  # fmt: skip
    for panel, name in zip(panels, ("reliability", "generality"), strict=True):
        panel.set(xlabel="locality at the end", title=f"{name} at the end", ylim=(0, 1.05))
        panel.margins(x=0.25)
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
