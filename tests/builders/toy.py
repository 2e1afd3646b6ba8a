"""A builder of small picture records that can be stopped, killed or broken at a named moment.

`python -m tests.builders.toy OUT ARGUMENTS` builds in a process of its own.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from builders import pipeline
from builders.definition import Build, Row
from builders.pipeline import Outcome, run
from builders.seeds import content_id, seed_for
from builders.steps import Each, Filter, Problem, Reject, Step
from builders.workdir import WorkDir
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.executor import LocalExecutor
from schemas.findings import Report
from schemas.layout import Layout, sha256_of
from schemas.manifest import Manifest, Rules
from schemas.progress import Progress, Quiet
from schemas.records import EditRecord
from tests.factories import RULES, make_record

ROOT = Path(__file__).parents[2]


class BrokenError(Exception):
    """A bug in a recipe."""


class UnportableError(Exception):
    """An error that no other process can rebuild from its message."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(f"{message} ({code})")


@dataclass(frozen=True)
class Hooks:
    """What happens when a build reaches a moment, for example `draft 12`.

    Every moment is noted in `folder/moments`; at `moment` the action follows.
    """

    folder: Path | None = None
    moment: str | None = None
    action: str = "kill"

    def reach(self, moment: str) -> None:
        if self.folder is not None:
            with (self.folder / "moments").open("a") as file:  # short appends are not torn
                file.write(f"{moment}\n")
        if moment != self.moment:
            return
        assert self.folder is not None
        (self.folder / "reached").touch()
        match self.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "wait":
                time.sleep(120)
            case "break":
                raise BrokenError(f"at {moment}")
            case "break badly":
                raise UnportableError(f"at {moment}", code=3)
            case "fill":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "refuse":
                raise InputError("is refused", row=moment)

    def moments(self, prefix: str = "") -> list[str]:
        """The moments that were reached, in order."""
        assert self.folder is not None
        path = self.folder / "moments"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(prefix)]

    def rows(self, kind: str = "draft") -> list[int]:
        """The rows for which a moment of this kind was reached, in order of rows."""
        return sorted(int(line.split()[1]) for line in self.moments(f"{kind} "))


@dataclass(frozen=True)
class ToySource:
    """Rows 0, 1, 2...; `flaws` spoils some of them."""

    rows: int
    seed: int
    flaws: dict[int, str]
    hooks: Hooks

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        spool.mkdir(parents=True, exist_ok=True)
        for row in range(self.rows):
            self.hooks.reach(f"ingest {row}")
            flaw = self.flaws.get(row)
            if flaw == "ingest":
                yield Reject(row, None, "ingest", "blank", "question", "is blank")
                continue
            (spool / f"{row}.txt").write_text(str(seed_for(self.seed, row) % 1000))
            number = row - 1 if flaw == "duplicate" else row
            yield Row(row, content_id(self.seed, number), {"number": number, "flaw": flaw})

    def context(self) -> dict[str, Any]:
        return {"greeting": f"seed {self.seed}"}

    def describe(self) -> dict[str, Any]:
        flaws = {str(row): flaw for row, flaw in self.flaws.items()}
        return {"name": "toy", "rows": self.rows, "seed": self.seed, "flaws": flaws}


@dataclass(frozen=True)
class ToyDraft:
    row: Row
    record: EditRecord


@dataclass(frozen=True)
class ToyRecipe:
    """Records of `tests.factories`, with a note of what the source's spool holds for them."""

    context: dict[str, Any]
    spool: Path
    hooks: Hooks

    @property
    def steps(self) -> Sequence[Step[ToyDraft]]:
        return (Each("note", self._note), Filter("taste", _distaste))

    def draft(self, row: Row) -> ToyDraft | Problem:
        self.hooks.reach(f"draft {row.row}")
        if row.fields["flaw"] == "draft":
            return Problem("no_answer", "answer", "is missing")
        return ToyDraft(row, make_record(row.fields["number"], id=row.id))

    def _note(self, draft: ToyDraft) -> ToyDraft:
        note = (self.spool / f"{draft.row.row}.txt").read_text()
        extra = json.dumps({"note": note, "greeting": self.context["greeting"]})
        return dataclasses.replace(draft, record=dataclasses.replace(draft.record, extra=extra))

    def record(self, draft: ToyDraft) -> EditRecord:
        self.hooks.reach(f"record {draft.row.row}")
        record, flaw = draft.record, draft.row.fields["flaw"]
        request = record.requests[0]
        if flaw == "rule":
            request = dataclasses.replace(request, target_new=" spaced ")
        if flaw == "wordy":
            request = dataclasses.replace(request, target_new="so " * 1000 + "many words")
        if flaw == "large":  # over a megabyte that does not compress
            noise = random.Random(draft.row.row).randbytes(1_200_000).hex()
            record = dataclasses.replace(record, extra=json.dumps({"noise": noise}))
        return dataclasses.replace(record, requests=(request,))

    def close(self) -> None:
        self.hooks.reach("close")


def _distaste(draft: ToyDraft) -> Problem | None:
    if draft.row.fields["flaw"] == "step":
        return Problem("distasteful", "answer", "is distasteful")
    return None


def open_toy(hooks: Hooks, context: dict[str, Any], work: Path) -> ToyRecipe:
    hooks.reach("open")
    return ToyRecipe(context, WorkDir(work).spool, hooks)


def toy_build(
    rows: int = 17,
    seed: int = 0,
    flaws: dict[int, str] | None = None,
    hooks: Hooks | None = None,
    *,
    shard_rows: int = 5,
    chunk_rows: int = 2,
    rules: Rules = RULES,
    arguments: dict[str, Any] | None = None,
) -> Build[ToyDraft]:
    """A data set of `rows` rows, in shards of five."""
    hooks = hooks or Hooks()
    return Build(
        name="Toy",
        builder="toy",
        schema=OKEDIT,
        split="test",
        rules=rules,
        source=ToySource(rows, seed, flaws or {}, hooks),
        open_recipe=functools.partial(open_toy, hooks),
        arguments=arguments or {"seed": seed},
        generators={"text": {"generator": "toy"}},
        card=functools.partial(_card, hooks),
        shard_rows=shard_rows,
        chunk_rows=chunk_rows,
    )


def _card(hooks: Hooks, manifest: Manifest) -> str:
    hooks.reach("card")
    return (
        f"# {manifest.name}\n\n{manifest.counts.records} records, {manifest.source['rows']} rows\n"
    )


def build_toy(
    build: Build[Any],
    out: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    return run(build, out, LocalExecutor(workers), progress or Quiet(), overwrite=overwrite)


def pass_suite(patch: pytest.MonkeyPatch, hooks: Hooks | None = None) -> None:
    """Let the data-set-level checks pass unseen: their library takes seconds to import."""

    def run_suite(stats: pa.Table, rules: Rules) -> Report:
        return Report(checks=Counter({"data_set_is_not_empty": min(1, stats.num_rows)}))

    patch.setattr(pipeline, "run_suite", _noted(hooks or Hooks(), "suite", run_suite))


def files_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by relative path."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != Layout(folder).manifest
    }


def same_data_sets(one: Path, other: Path) -> bool:
    """Whether two builds left the same bytes, but for the times in their manifests."""
    manifests = [
        dataclasses.replace(Manifest.read(folder), started="", finished="")
        for folder in (one, other)
    ]
    return files_of(one) == files_of(other) and manifests[0] == manifests[1]


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Modification time and content of every file."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(out: Path, **arguments: Any) -> subprocess.Popen[str]:
    """Start a build in a process group of its own; `main` has the arguments."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.builders.toy", str(out), json.dumps(arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def _noted(hooks: Hooks, moment: str, call: Callable[..., Any]) -> Callable[..., Any]:
    counter = iter(range(10**9))

    @functools.wraps(call)
    def noted(*args: Any, **kwargs: Any) -> Any:
        hooks.reach(f"{moment} {next(counter)}")
        return call(*args, **kwargs)

    return noted


def main(out: str, arguments: str) -> int:
    """Build, with the pipeline's own moments hooked too; writes its largest memory in KiB.

    Args:
        out: The output folder.
        arguments: JSON with `rows`, `seed`, `flaws`, `workers`, `folder`, `moment`,
            `action`, `file_limit` (bytes), all optional.
    """
    given = json.loads(arguments)
    folder = Path(given["folder"]) if "folder" in given else None
    hooks = Hooks(folder, given.get("moment"), given.get("action", "kill"))
    if limit := given.get("file_limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    patch = pytest.MonkeyPatch()
    pass_suite(patch, hooks)
    patch.setattr(WorkDir, "mark_done", _noted(hooks, "mark", WorkDir.mark_done))
    patch.setattr(WorkDir, "remove", _noted(hooks, "remove", WorkDir.remove))
    patch.setattr(Manifest, "write", _noted(hooks, "manifest", Manifest.write))
    patch.setattr(os, "fsync", _noted(hooks, "fsync", os.fsync))
    flaws = {int(row): flaw for row, flaw in given.get("flaws", {}).items()}
    build = toy_build(given.get("rows", 17), given.get("seed", 0), flaws, hooks)
    try:
        build_toy(
            build,
            Path(out),
            workers=given.get("workers", 1),
            overwrite=given.get("overwrite", False),
        )
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
