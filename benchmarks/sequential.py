"""What editors cost over a sequence of edits: the figure and the table of the README.

    python -m benchmarks.sequential                       # about twenty minutes on two cores
    python -m benchmarks.sequential --write README.md --figure docs/sequences.png

Runs are kept in a folder (`--runs`), so what was interrupted goes on, and what is finished is read.
The figure is `figures/curves.png` of the report of these runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import medit_eval
from benchmarks.paste import paste
from medit_eval.curves import Point, curves, series_of
from schemas.errors import InputError
from schemas.progress import Bars

EDITORS = ("alphaedit", "memit", "come", "balancedit", "scr")


def main() -> None:
    """Score, print the table, and paste it and the figure where asked."""
    parser = argparse.ArgumentParser(description="What editors cost over a sequence of edits.")
    parser.add_argument("--checkpoints", default="1,10,50,100", help="with commas between")
    parser.add_argument("--orders", type=int, default=5, help="orders of edits")
    parser.add_argument("--editors", default=",".join(EDITORS), help="with commas between")
    parser.add_argument("--benchmarks", default="default", help="with commas between")
    parser.add_argument("--runs", type=Path, default=Path("runs/sequential"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    parser.add_argument("--figure", type=Path, help="PNG file for the curves")
    args = parser.parse_args()
    found = medit_eval.study(
        args.editors.split(","),
        "testbed/lm",
        "testbed/people",
        args.runs,
        orders=args.orders,
        workers=args.workers,
        options={
            "protocol": "sequential",
            "checkpoints": tuple(map(int, args.checkpoints.split(","))),
            "benchmarks": args.benchmarks.split(","),
        },
        progress=Bars(Console(stderr=True), "runs"),
    )
    if found.failed:
        raise InputError("; ".join(why for _, why in found.failed))
    table = _table(curves([report for _, report in found.done]))
    print(table)
    if args.write:
        paste(args.write, "sequential", table)
    if args.figure:
        with tempfile.TemporaryDirectory() as folder:
            medit_eval.report_pages([args.runs], folder, records=0)
            shutil.copyfile(Path(folder) / "figures" / "curves.png", args.figure)


def _table(points: Sequence[Point]) -> str:
    """One line per editor: everything after the last edits, beside the unedited model."""
    last = max(point.edits for point in points)
    series = series_of(points)
    orders = max(point.orders for point in points)
    lines = [
        f"| after {last} edits, {orders} orders | {' | '.join(f'`{s}`' for s in series)} |",
        "|---" * (1 + len(series)) + "|",
    ]
    unedited = {point.series: point for point in points if not point.edits}
    lines.append(f"| unedited | {' | '.join(_cell(unedited.get(s)) for s in series)} |")
    for editor in dict.fromkeys(point.editor for point in points):
        own = {p.series: p for p in points if p.editor == editor and p.edits == last}
        lines.append(f"| {editor} | {' | '.join(_cell(own.get(s)) for s in series)} |")
    return "\n".join(lines)


def _cell(point: Point | None) -> str:
    if point is None or point.mean != point.mean:
        return "–"
    interval = "" if point.ci_low != point.ci_low else f" ({point.ci_low:.2f}–{point.ci_high:.2f})"
    return f"{point.mean:.2f}{interval}"


if __name__ == "__main__":
    main()
