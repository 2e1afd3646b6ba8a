"""Speed and memory of the OKEDIT builder, each figure beside a plain reference from the same run.

    python -m benchmarks.build_okedit            # everything, about 15 minutes on two cores
    python -m benchmarks.build_okedit --records 100 --large 300   # a quick look
    python -m benchmarks.build_okedit --write README.md   # paste the table between its markers

What is compared:

- *plain loop*: renders, encodes and writes exactly the pictures that the build draws, and does
  nothing else: no questions, no validation, no resuming, one process;
- *ideal*: requests in flight at a time divided by the server's latency.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.paste import paste
from benchmarks.processes import take

Line = tuple[str, str, str]
"""What, figure, compared with."""


def main() -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Speed and memory of the OKEDIT builder.")
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each short measurement")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    parser.add_argument("--plain-loop", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain_loop is not None:
        print(json.dumps(_plain_loop(args.plain_loop)))
        return
    table = _table(args.records, args.large, args.rounds)
    print(table)
    if args.write:
        paste(args.write, "build_okedit", table)


def _table(records: int, large: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            *_building(records, large, rounds, Path(folder)),
            *_text(),
            _help(rounds),
        ]
    rows = "\n".join(f"| {what} | {figure} | {against} |" for what, figure, against in lines)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return f"| what | measured | compared with |\n|---|---|---|\n{rows}\n\nMeasured on {machine}."


def _building(records: int, large: int, rounds: int, folder: Path) -> list[Line]:
    plain, one, two = [], [], []
    small_peak = 0
    for _ in range(rounds):  # alternating, so that a slow spell of the machine hits all three
        plain.append(_in_process(["--plain-loop", str(records)])["seconds"])
        one.append(_build(records, 1, folder)[0])
        seconds, small_peak = _build(records, 2, folder)
        two.append(seconds)
    big_seconds, big_peak = _build(large, 2, folder)
    loop, single, double = map(statistics.median, (plain, one, two))
    return [
        (
            f"{records:,} records, one worker",
            f"{records / single:.1f} records/s",
            f"{single / loop:.2f}x the time of the plain loop ({records / loop:.1f} records/s)",
        ),
        (
            f"{records:,} records, two workers",
            f"{records / double:.1f} records/s",
            f"{single / double:.2f}x as fast as one worker",
        ),
        (f"{large:,} records, two workers", f"{large / big_seconds:.1f} records/s", ""),
        (
            f"peak memory at {large:,} records",
            f"{big_peak / 2**20:,.0f} MiB",
            f"{big_peak / small_peak:.2f}x that at {records:,} ({small_peak / 2**20:,.0f} MiB)",
        ),
    ]


def _build(records: int, workers: int, folder: Path) -> tuple[float, int]:
    """Wall time in seconds and peak memory in bytes, over all processes, of one whole command."""
    out = folder / "flags"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "builders.okedit", "build", "--out", str(out)]
    command += ["--limit", str(records), "--workers", str(workers)]
    taken = take(command)
    return taken.seconds, taken.peak


Drawing = tuple[str, str, Any]
"""`render` or `render_unrelated`, the key of what to draw, and its scene or seed."""


def _plain_loop(records: int) -> dict[str, float]:
    """Seconds that a fresh process takes to draw, encode and write the pictures of a build."""
    shards = _drawings(records)
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(
            target=_draw_all, args=(shards, Path(folder))
        )
        start = time.perf_counter()
        process.start()
        process.join()
        return {"seconds": time.perf_counter() - start}


def _draw_all(shards: Sequence[Sequence[Drawing]], folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from builders.atlas.scenes import encode, render
    from builders.atlas.unrelated import render_unrelated
    from builders.okedit.options import Options

    size = Options().image_size
    draw = {"render": render, "render_unrelated": render_unrelated}
    for number, drawings in enumerate(shards):
        images = [encode(draw[name](key, scene, size)) for name, key, scene in drawings]
        table = pa.table({"image": pa.array(images, pa.binary())})
        pq.write_table(table, folder / f"{number}.parquet", compression="zstd")


def _drawings(records: int) -> list[list[Drawing]]:
    """What a build draws, by shard; found by building without writing."""
    from builders.definition import Row
    from builders.okedit.build import open_recipe
    from builders.okedit.models import Models
    from builders.okedit.options import Options
    from builders.okedit.sources import flags
    from builders.shards import through_steps

    noted: list[Drawing] = []

    def noting(name: str) -> None:
        real = getattr(flags, name)

        def note(key: str, scene: Any, size: int) -> Any:
            noted.append((name, key, scene))
            return real(key, scene, size)

        setattr(flags, name, note)

    noting("render")
    noting("render_unrelated")
    options = Options(limit=records)
    source = options.make_source()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for row in source.ingest(Path(folder)) if isinstance(row, Row)]
        recipe = open_recipe(options, Models(), 1, source.context(), Path(folder))
        shards = []
        for start in range(0, len(rows), options.shard_rows):
            through_steps(recipe, rows[start : start + options.shard_rows])
            shards.append(noted.copy())
            noted.clear()
    return shards


def _text() -> list[Line]:
    from benchmarks.text_generation import measure

    measured = measure()
    latency = f"{1000 * measured['latency_s']:.0f} ms"
    return [
        (
            f"text requests, {rate['name']}, a server with {latency} latency",
            f"{rate['per_second']:,.0f} requests/s",
            f"{rate['share_of_ideal']:.0%} of the ideal {rate['ideal_per_second']:,.0f}",
        )
        for rate in measured["rates"]
    ]


def _help(rounds: int) -> Line:
    command = [sys.executable, "-m", "builders.okedit", "--help"]
    times = []
    for _ in range(max(5, rounds)):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return "`python -m builders.okedit --help`", f"{statistics.median(times):.2f} s", ""


def _in_process(arguments: Sequence[str]) -> Any:
    command = [sys.executable, "-m", "benchmarks.build_okedit", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    main()
