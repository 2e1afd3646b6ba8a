"""What the shipped testbed models know, as training reported it: a table of docs/results.md.

python -m benchmarks.testbed_models --write docs/results.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.paste import paste
from medit_eval import testbed
from medit_eval.testbed.loop import REPORT
from medit_eval.testbed.quality import BARS
from schemas.layout import read_json


def main() -> None:
    """Print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="What the testbed models know.")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args()
    lines = ["| model | questions | right | bar |", "|---|---|---|---|"]
    for name in testbed.MODELS:
        bars = BARS[name.removeprefix("testbed/")]
        title = f"`{name}`"
        for kind, share in read_json(testbed.path(name) / REPORT)["measured"].items():
            bar = f"{bars[kind]:.2f}" if kind in bars else ""
            lines.append(f"| {title} | {kind} | {share:.3f} | {bar} |")
            title = ""
    table = "\n".join(lines)
    print(table)
    if args.write:
        paste(args.write, "testbed", table)


if __name__ == "__main__":
    main()
