"""All editors on the testbed models: the table of the README.

    python -m benchmarks.score_editors                      # about half an hour on two cores
    python -m benchmarks.score_editors --write README.md    # paste the table between its markers
    python -m benchmarks.score_editors --counterfact FILE   # CounterFact's records as well

Runs are kept in a folder (`--runs`), so what was interrupted goes on, and what is finished is read.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import medit_eval
from benchmarks.paste import paste
from medit_eval import Report
from medit_eval.summary import ALL, HARMONIC, metric_of
from schemas.progress import Bars

EDITORS = (
    *("none", "memit", "alphaedit", "come", "balancedit", "scr"),
    *("ft", "lora", "rome", "ike", "grace"),
)

AXES = ("reliability", "generality", "locality", "portability")


@dataclass(frozen=True)
class Setting:
    """Records, and how they are edited and asked.

    Attributes:
        title: What the table calls it.
        model: The model.
        records: The records, as `score` takes them.
        protocol: The protocol.
        options: What else `score` is given.
    """

    title: str
    model: str
    records: str
    protocol: str
    options: dict[str, Any]


def main() -> None:
    """Score, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="All editors on the testbed models.")
    parser.add_argument("--limit", type=int, default=100, help="records per setting")
    parser.add_argument("--runs", type=Path, default=Path("runs/editors"))
    parser.add_argument("--flags", type=Path, help="flag records; built where not given")
    parser.add_argument("--counterfact", type=Path, help="CounterFact's records")
    parser.add_argument("--editors", default=",".join(EDITORS), help="with commas between")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args()
    flags = args.flags or _built(args.runs / "flags", args.limit)
    table = _table(list(_settings(flags, args.counterfact)), args.editors.split(","), args)
    print(table)
    if args.write:
        paste(args.write, "score_editors", table)


def _settings(flags: Path, counterfact: Path | None) -> Iterator[Setting]:
    yield Setting("people", "testbed/lm", "testbed/people", "batch", {"batch_size": 100})
    if counterfact is not None:
        known = {"batch_size": 100, "records_format": "counterfact"}
        yield Setting("CounterFact", "testbed/lm", str(counterfact), "batch", known)
    yield Setting("flags", "testbed/vlm", str(flags), "single", {})


def _built(folder: Path, limit: int) -> Path:
    if not (folder / "manifest.json").is_file():
        command = [sys.executable, "-m", "builders.okedit", "build", "--out", str(folder)]
        subprocess.run([*command, "--limit", str(limit)], check=True)
    return folder


def _table(settings: list[Setting], editors: list[str], args: argparse.Namespace) -> str:
    progress = Bars(Console(stderr=True), "questions")
    lines = [
        f"| records | editor | {' | '.join(AXES)} | harmonic mean |",
        "|---|---|" + "---|" * (len(AXES) + 1),
    ]
    for setting in settings:
        for place, editor in enumerate(editors):
            print(f"{setting.title}: {editor}", file=sys.stderr)
            report = medit_eval.score(
                editor,
                setting.model,
                setting.records,
                protocol=setting.protocol,
                limit=args.limit,
                out=args.runs / f"{setting.title.lower()}-{editor}",
                progress=progress,
                **setting.options,
            )
            count = len({prediction.record for prediction in report.raw})
            about = f"`{setting.model}`, {setting.protocol}, {count} records"
            title = "" if place else f"**{setting.title}** on {about}"
            cells = [_cell(report, axis) for axis in (*AXES, HARMONIC)]
            lines.append(f"| {title} | {editor} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(report: Report, axis: str) -> str:
    """Mean and interval of an axis."""
    rows = [row for row in report.rows if (row.axis, row.metric) == (axis, metric_of(axis))]
    found = [row for row in rows if (row.kind, row.subset) == (ALL, ALL)]
    if not found or found[-1].mean != found[-1].mean:
        return found[-1].note or "–" if found else "–"
    row = found[-1]
    return f"{row.mean:.2f} ({row.ci_low:.2f}–{row.ci_high:.2f})"


if __name__ == "__main__":
    main()
