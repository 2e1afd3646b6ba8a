"""All editors on documents to be brought up to date: a table of docs/results.md.

    python -m benchmarks.score_documents                          # about ten minutes on two cores
    python -m benchmarks.score_documents --write docs/results.md  # paste it between its markers

Runs are kept in a folder (`--runs`), so what was interrupted goes on, and what is finished is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

import medit_eval
from benchmarks.paste import paste
from benchmarks.score_editors import EDITORS
from medit_eval import Report
from medit_eval.documents.report import COPY, EDITED, GOLD, UNEDITED
from medit_eval.documents.tracks import TRACKS
from schemas.progress import Bars

METRICS = ("facts_recall", "facts_precision", "additions_f1", "removals", "retention")


def main() -> None:
    """Score, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="All editors on documents.")
    parser.add_argument("--records", default="testbed/documents")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs/documents"))
    parser.add_argument("--editors", default=",".join(EDITORS), help="with commas between")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args()
    editors = [editor for editor in args.editors.split(",") if editor != "none"]
    reports = {}
    for editor in editors:
        print(editor, file=sys.stderr)
        reports[editor] = medit_eval.score(
            editor,
            "testbed/lm",
            args.records,
            protocol="batch",
            batch_size=100,
            limit=args.limit,
            out=args.runs / editor,
            progress=Bars(Console(stderr=True), "questions"),
        )
    table = "\n".join(_table(reports))
    print(table)
    if args.write:
        paste(args.write, "score_documents", table)


def _table(reports: dict[str, Report]) -> Iterator[str]:
    """One block per track, for tracks cannot be compared."""
    yield f"| track | text | {' | '.join(name.replace('_', ' ') for name in METRICS)} | n |"
    yield "|---|---|" + "---|" * (len(METRICS) + 1)
    one = next(iter(reports.values()))
    for track in TRACKS:
        lines = [(text, _cells(one, track, text)) for text in (COPY, GOLD, UNEDITED)]
        lines += [(editor, _cells(report, track, EDITED)) for editor, report in reports.items()]
        for place, (text, cells) in enumerate(lines):
            yield f"| {'' if place else f'**{track}**'} | {text} | {' | '.join(cells)} |"


def _cells(report: Report, track: str, output: str) -> Sequence[str]:
    rows = {
        row.metric: row
        for row in report.about_documents
        if (row.track, row.output, row.family) == (track, output, "strict")
    }
    means = [rows[name].mean if name in rows else float("nan") for name in METRICS]
    count = rows[METRICS[0]].n if rows else 0
    return [*("–" if mean != mean else f"{mean:.2f}" for mean in means), str(count)]


if __name__ == "__main__":
    main()
