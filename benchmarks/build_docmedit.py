"""Speed and memory of building from two Wikipedia dumps, each figure beside a plain reference.

    python -m benchmarks.build_docmedit            # everything, about ten minutes
    python -m benchmarks.build_docmedit --large 4000 --rounds 1   # a quick look
    python -m benchmarks.build_docmedit --write README.md   # paste the table between its markers

The dumps are generated: see `benchmarks.generated_wiki`. What is compared, everything in processes
of its own:

- *decompressing*: both files are unpacked and thrown away;
- *plain mwxml*: both are gone through with `mwxml`, page by page, and nothing is done with them;
- *ingest*: `DumpSource.ingest` to its last row, the join of the snapshots included;
- *whole build*: the command line to validated shards, Python's start and all checks included, with
  the time and memory of its child processes.
"""

from __future__ import annotations

import argparse
import bz2
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.generated_wiki import generate
from benchmarks.paste import paste
from benchmarks.processes import Taken, take
from schemas.manifest import Manifest


def main() -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Speed and memory of a build from two dumps.")
    parser.add_argument("--pages", type=int, default=2_000, help="pages of the small pair")
    parser.add_argument("--large", type=int, default=20_000, help="pages of the large pair")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each measurement")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        what, folder = args.measure
        print(json.dumps(asdict(_measured(_TASKS[what], Path(folder)))))
        return
    table = _table(args.pages, args.large, args.rounds)
    print(table)
    if args.write:
        paste(args.write, "build_docmedit", table)


def _table(pages: int, large: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        small_folder, large_folder = Path(name) / "small", Path(name) / "large"
        generate(small_folder, pages)
        size = generate(large_folder, large)
        runs: dict[str, list[Taken]] = {what: [] for what in (*_TASKS, "build")}
        for _ in range(rounds):  # alternating, so that a slow spell of the machine hits all
            for what in runs:
                runs[what].append(_taken(what, large_folder))
        small = {what: _taken(what, small_folder) for what in ("ingest", "build")}
        made = Manifest.read(large_folder / "docs").counts
    middle = {what: statistics.median(taken.cpu for taken in done) for what, done in runs.items()}
    speed = {what: 2 * large / cpu for what, cpu in middle.items()}
    wall = 2 * large / statistics.median(taken.seconds for taken in runs["build"])
    rows = [
        (
            "decompressing alone",
            f"{speed['decompress']:,.0f} pages/s",
            "",
        ),
        ("plain `mwxml`", f"{speed['mwxml']:,.0f} pages/s", ""),
    ]
    for what, label in (("ingest", "ingest"), ("build", "whole build, to validated shards")):
        against = (
            f"{speed[what] / speed['mwxml']:.0%} of plain `mwxml`, "
            f"{speed[what] / speed['decompress']:.0%} of decompressing alone"
        )
        if what == "build":
            against += f"; {wall:,.0f} pages/s by the clock"
        rows.append((label, f"{speed[what]:,.0f} pages/s", against))
    for what, label in (("ingest", "ingest"), ("build", "whole build, all processes")):
        peak, little = max(taken.peak for taken in runs[what]), small[what].peak
        rows.append(
            (
                f"peak memory of {label}",
                f"{peak / 2**20:,.0f} MiB",
                f"{peak / little:.2f}x that of {pages:,} pages ({little / 2**20:,.0f} MiB)",
            )
        )
    lines = "\n".join(f"| {what} | {figure} | {against} |" for what, figure, against in rows)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    rejects = sum(made.rejects_by_rule.values())
    return (
        "| what | measured | compared with |\n|---|---|---|\n"
        f"{lines}\n\nTwo dumps of {large:,} pages each ({size / 2**20:,.0f} MiB of XML) that give "
        f"{made.records:,} records and {rejects:,} rejects. "
        f"Pages per second of one core's time. Measured on {machine}."
    )


def _decompress(folder: Path) -> None:
    for path in sorted(folder.glob("*.bz2")):
        with bz2.open(path) as file:
            while file.read(1 << 18):
                pass


def _mwxml(folder: Path) -> None:
    import mwxml

    for path in sorted(folder.glob("*.bz2")):
        with bz2.open(path) as file:
            for page in mwxml.Dump.from_file(file):
                for _ in page:  # pyright: ignore[reportGeneralTypeIssues]
                    pass


def _ingest(folder: Path) -> None:
    from builders.docmedit.mediawiki.source import DumpSource

    first, second = sorted(folder.glob("*.bz2"))
    spool = folder / "spool"
    for _ in DumpSource(first, second).ingest(spool):
        pass
    shutil.rmtree(spool)


_TASKS: dict[str, Callable[[Path], None]] = {
    "decompress": _decompress,
    "mwxml": _mwxml,
    "ingest": _ingest,
}


def _measured(task: Callable[[Path], None], folder: Path) -> Taken:
    start, cpu = time.perf_counter(), time.process_time()
    task(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Taken(time.perf_counter() - start, time.process_time() - cpu, peak)


def _taken(what: str, folder: Path) -> Taken:
    """What a task takes in a process of its own, or the whole command."""
    if what == "build":
        first, second = sorted(folder.glob("*.bz2"))
        command = [sys.executable, "-m", "builders.docmedit", "build", "--source", "dumps"]
        command += ["--before", str(first), "--after", str(second), "--overwrite"]
        return take([*command, "--out", str(folder / "docs")])
    command = [sys.executable, "-m", "benchmarks.build_docmedit", "--measure", what, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Taken(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
