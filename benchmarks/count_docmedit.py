"""What the builder makes of two real snapshots, beside counts made by others: a table.

    python -m benchmarks.count_docmedit BEFORE AFTER --write README.md

The counts beside were made independently, for the two miniature dumps of the English Wikipedia
that the DBpedia extraction framework comes with (2020-06-11 and 2021-12-13).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.paste import paste
from builders.docmedit.build import build
from builders.docmedit.options import Options
from schemas.progress import Quiet

INDEPENDENT = {
    "articles in both snapshots": 21,
    "with a changed introduction": 17,
    "with a newly linked entity": 12,
}


def main() -> None:
    """Build, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="What the builder makes of two dumps.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args()
    options = Options(source="dumps", before=args.before, after=args.after)
    with tempfile.TemporaryDirectory() as folder:
        outcome = build(options, None, Path(folder) / "docs", Quiet())
    manifest = outcome.manifest
    counts = Counter(manifest.source["counts"])  # what never happened is not counted
    told = counts["disambiguation"]  # pages that are no articles here
    both = counts["introduction_changed"] + counts["introduction_unchanged"] + told
    ours = (both, counts["introduction_changed"], counts["updated"])
    lines = ["| | counted independently | by medit |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {count} | {own} |"
        for (name, count), own in zip(INDEPENDENT.items(), ours, strict=True)
    ]
    lines.append(f"| validated records | | {manifest.counts.records} |")
    table = "\n".join(lines)
    print(table)
    if args.write:
        paste(args.write, "count_docmedit", table)


if __name__ == "__main__":
    main()
