"""Speed and memory of reading two Wikipedia dumps, each figure beside a plain reference.

    python -m benchmarks.build_docmedit            # everything, about six minutes
    python -m benchmarks.build_docmedit --large 4000 --rounds 1   # a quick look
    python -m benchmarks.build_docmedit --write README.md   # paste the table between its markers

The dumps are generated: two snapshots of a wiki in which one page of a hundred changes. What is
compared, everything in processes of its own on one core:

- *decompressing*: both files are unpacked and thrown away;
- *plain mwxml*: both are gone through with `mwxml`, page by page, and nothing is done with them;
- *ingest*: `DumpSource.ingest` to its last row, the join of the snapshots included.
"""

from __future__ import annotations

import argparse
import bz2
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.paste import paste

CHANGED = 100
"""One page in so many changes between the snapshots."""

_HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<siteinfo><sitename>Generated</sitename><dbname>generatedwiki</dbname><case>first-letter</case>
<namespaces><namespace key="0" case="first-letter" /><namespace key="1">Talk</namespace>
<namespace key="6">File</namespace><namespace key="14">Category</namespace></namespaces></siteinfo>
"""

_WORDS = (
    "river valley council founded railway station bridge museum family company engineer painter "
    "harbour market church school province northern early large several known later became moved "
    "built opened century village region population district festival library castle mountain"
)


def main() -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Speed and memory of reading two dumps.")
    parser.add_argument("--pages", type=int, default=2_000, help="pages of the small pair")
    parser.add_argument("--large", type=int, default=20_000, help="pages of the large pair")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each measurement")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        what, folder = args.measure
        print(json.dumps(_measured(_TASKS[what], Path(folder))))
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
        runs: dict[str, list[dict[str, float]]] = {what: [] for what in _TASKS}
        for _ in range(rounds):  # alternating, so that a slow spell of the machine hits all
            for what in _TASKS:
                runs[what].append(_in_process(what, large_folder))
        small = _in_process("ingest", small_folder)["peak"]
    speed = {
        what: 2 * large / statistics.median(run["cpu"] for run in done)
        for what, done in runs.items()
    }
    peak = max(run["peak"] for run in runs["ingest"])
    rows = [
        (
            f"ingest of two dumps of {large:,} pages, one in {CHANGED} changed",
            f"{speed['ingest']:,.0f} pages/s",
            f"{speed['ingest'] / speed['mwxml']:.0%} of plain `mwxml` "
            f"({speed['mwxml']:,.0f} pages/s), {speed['ingest'] / speed['decompress']:.0%} of "
            f"decompressing alone ({speed['decompress']:,.0f} pages/s)",
        ),
        (
            f"peak memory, {large:,} pages per dump ({size / 2**20:,.0f} MiB of XML)",
            f"{peak / 2**20:,.0f} MiB",
            f"{peak / small:.2f}x that of {pages:,} ({small / 2**20:,.0f} MiB)",
        ),
    ]
    lines = "\n".join(f"| {what} | {figure} | {against} |" for what, figure, against in rows)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return (
        "| what | measured | compared with |\n|---|---|---|\n"
        f"{lines}\n\nPages per second of one core's time. Measured on {machine}."
    )


def generate(folder: Path, pages: int) -> int:
    """Write two snapshots of a generated wiki.

    Args:
        folder: Where `wiki-20230101.xml.bz2` and `wiki-20240101.xml.bz2` go.
        pages: Pages of each.

    Returns:
        The size of their XML in bytes.
    """
    folder.mkdir(parents=True)
    size = 0
    for year, is_later in ((2023, False), (2024, True)):
        with bz2.open(folder / f"wiki-{year}0101.xml.bz2", "wb", compresslevel=9) as file:
            for text in _xml(pages, year, is_later):
                raw = text.encode()
                size += len(raw)
                file.write(raw)
    return size


def _xml(pages: int, year: int, is_later: bool) -> Iterator[str]:
    yield _HEAD
    for number in range(pages):
        changed = is_later and number % CHANGED == 0
        stamp = f"{year if changed or number == 1 else 2022}-0{1 if is_later else 6}-01T00:00:00Z"
        if not is_later and number == 1:
            stamp = "2022-12-01T00:00:00Z"
        yield (
            f"<page><title>{_title(number)}</title><ns>0</ns><id>{number + 1}</id><revision>"
            f"<id>{number * 10 + changed}</id><timestamp>{stamp}</timestamp><contributor>"
            f"<username>Somebody</username><id>7</id></contributor><model>wikitext</model>"
            f"<format>text/x-wiki</format><text bytes='9' xml:space='preserve'>"
            f"{_article(number, pages, changed)}</text><sha1>x</sha1></revision></page>\n"
        )
    yield "</mediawiki>\n"


def _title(number: int) -> str:
    return f"Place {number}"


def _article(number: int, pages: int, changed: bool) -> str:
    """Wikitext of some 6 kB: a box, an introduction with links, sections."""
    draw = random.Random(number)
    words = _WORDS.split()

    def sentence(link: str = "") -> str:
        text = " ".join(draw.choices(words, k=draw.randint(8, 20)))
        return f"{text.capitalize()}{link}."

    def link() -> str:
        return f" near [[{_title(draw.randrange(pages))}]]"

    box = f"{{{{Infobox settlement\n| name = {_title(number)}\n| population = {number}\n}}}}\n"
    opening = f"'''{_title(number)}''' is a town in [[{_title((number + 7) % pages)}|the valley]]. "
    parts = [box, opening, *(sentence(link()) + " " for _ in range(4))]
    for section in range(6):
        lines = (
            " ".join(sentence(link() if draw.random() < 0.3 else "") for _ in range(5))
            for _ in range(2)
        )
        parts.append(f"\n== {words[section].capitalize()} ==\n" + "\n\n".join(lines) + "\n")
    if changed:  # a new neighbour, and a sentence about it on the neighbour's page
        other = _title((number + CHANGED) % pages)
        parts.insert(2, f"Since then it has belonged to the county of [[{other}]]. ")
        first = _title((number - CHANGED) % pages)
        parts.append(f"\nThe county also took in the old town of [[{first}]] in that year.\n")
    return "".join(parts)


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


def _measured(task: Callable[[Path], None], folder: Path) -> dict[str, float]:
    start, cpu = time.perf_counter(), time.process_time()
    task(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": peak,
    }


def _in_process(what: str, folder: Path) -> Any:
    command = [sys.executable, "-m", "benchmarks.build_docmedit", "--measure", what, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
