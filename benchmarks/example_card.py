"""The evaluation card that docs show: a small real run of MEMIT on `testbed/lm`.

    python -m benchmarks.example_card --out docs   # about a minute on two cores

The run is kept in a folder (`--runs`), so what was interrupted goes on, and what is finished is
read. Run it from a clean checkout: the card says which commit it is of.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from rich.console import Console

import medit_eval
from schemas.progress import Bars

NAME = "evaluation-card"


def main() -> None:
    """Score, and write the card."""
    parser = argparse.ArgumentParser(description="The evaluation card that docs show.")
    parser.add_argument("--limit", type=int, default=20, help="records")
    parser.add_argument("--runs", type=Path, default=Path("runs/card"))
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the card")
    args = parser.parse_args()
    medit_eval.score(
        "memit",
        "testbed/lm",
        "testbed/people",
        protocol="batch",
        limit=args.limit,
        benchmarks="smoke",
        out=args.runs,
        # Of its own, so that the unedited model is timed in this run.
        cache=args.runs.with_name(f"{args.runs.name}-cache"),
        progress=Bars(Console(stderr=True), "questions"),
    )
    (made,) = medit_eval.card(args.runs)
    for path in dataclasses.replace(made, name=NAME).write(args.out):
        print(path)


if __name__ == "__main__":
    main()
