"""What numbers of fewer bits change in scores, on the testbed.

    python -m benchmarks.bench_precision                              # minutes on two cores
    python -m benchmarks.bench_precision --write docs/performance.md  # paste between the markers

The same edits are made and the same questions asked in float32 and in bfloat16: weights, forwards
and second moments are in that dtype, while log-probabilities, the search for values, sums of
moments and solves are in float32 or float64 in both. On an accelerator TF32 stands beside them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import medit_eval
from benchmarks.measuring import machine, markdown, seconds
from benchmarks.paste import paste
from medit_eval import Report
from medit_eval.summary import ALL, HARMONIC, metric_of

MARKERS = "bench_precision"

AXES = ("reliability", "generality", "locality", "portability", HARMONIC)


@dataclass(frozen=True)
class Run:
    """One run in one precision.

    Attributes:
        name: The precision.
        report: Its report.
        seconds: What the run took.
    """

    name: str
    report: Report
    seconds: float


def main(words: list[str] | None = None) -> None:
    """Score in every precision that the device has, and print the table."""
    parser = argparse.ArgumentParser(description="Scores by precision, on the testbed.")
    parser.add_argument("--editors", default="alphaedit,memit", help="with commas between")
    parser.add_argument("--limit", type=int, default=100, help="records")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args(words)
    found = measured(args.editors.split(","), args.limit, args.device)
    print(found)
    if args.write:
        paste(args.write, MARKERS, found)


def measured(editors: list[str], limit: int, device: str) -> str:
    """The table of some editors, and what it was made on."""
    ways: dict[str, dict[str, Any]] = {
        "float32": {"dtype": "float32"},
        "bfloat16": {"dtype": "bfloat16"},
    }
    if device.startswith("cuda"):
        ways["TF32"] = {"dtype": "float32", "tf32": True}
    rows = []
    for editor in editors:
        runs = [_run(name, editor, limit, device, options) for name, options in ways.items()]
        rows += [_cells(editor, run, runs[0]) for run in runs]
    axes = (axis.replace("_", " ") for axis in AXES)
    columns = ("editor", "precision", *axes, "same answers", "gap of log p", "time")
    return f"{markdown(columns, rows)}\n\n{limit} people edited at once. {machine(device)}"


def _run(name: str, editor: str, limit: int, device: str, options: dict[str, Any]) -> Run:
    print(f"{editor} in {name}", file=sys.stderr)
    start = time.perf_counter()
    report = medit_eval.score(
        editor, "testbed/lm", "testbed/people",
        protocol="batch", batch_size=limit, limit=limit, device=device, **options,
    )  # fmt: skip
    return Run(name, report, time.perf_counter() - start)


def _cells(editor: str, run: Run, exact: Run) -> list[str]:
    """A run beside the one in float32."""
    own = {prediction.key: prediction.post for prediction in run.report.raw}
    pairs = [
        (prediction.post, other)
        for prediction in exact.report.raw
        if prediction.post is not None and (other := own[prediction.key]) is not None
    ]
    same = [a.generation == b.generation for a, b in pairs]
    # Answers whose likelihood was asked about are the same only where they were given.
    gaps = [
        abs(sum(a.logprobs) - sum(b.logprobs)) / len(a.ids)
        for a, b in pairs
        if a.ids and a.ids == b.ids
    ]
    gap = sorted(gaps)[len(gaps) // 2] if gaps else float("nan")
    return [
        editor,
        run.name,
        *(_mean(run.report, axis) for axis in AXES),
        f"{sum(same) / len(same):.1%}" if same else "–",
        f"{gap:.2g}",
        seconds(run.seconds),
    ]


def _mean(report: Report, axis: str) -> str:
    """Mean and interval of an axis."""
    rows = [row for row in report.rows if (row.axis, row.metric) == (axis, metric_of(axis))]
    found = [row for row in rows if (row.kind, row.subset) == (ALL, ALL)]
    if not found or found[-1].mean != found[-1].mean:
        return "–"
    row = found[-1]
    return f"{row.mean:.3f} ({row.ci_low:.3f}–{row.ci_high:.3f})"


if __name__ == "__main__":
    main()
