"""The pipeline every builder runs through: rows in, validated shards, rejects and a manifest out.

Three phases, each of which leaves files that a later run takes up:

1. *ingest* streams the source once and spools its rows, one file per shard;
2. *build* turns each input shard into an output shard, in any order, on any number of workers;
3. *finish* runs the data-set-level checks and writes rejects, report, card and, last, the manifest.

Shards are cut by source rows, and everything random derives from record ids, so the bytes do not
depend on workers, order or interruptions.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from builders import output
from builders.definition import Build, OpenRecipe, Row, versions
from builders.rejects import SCHEMA as REJECTS
from builders.rejects import RejectLog, gathered
from builders.shards import ShardJob, open_worker, through_steps
from builders.steps import Reject
from builders.tally import Tally
from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.executor import Call, Executor, apart
from schemas.expectations import preload, run_suite
from schemas.findings import Report
from schemas.layout import Layout, read_json, sha256_of, write_json, write_parquet, write_text
from schemas.manifest import Manifest, ShardEntry
from schemas.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        manifest: The finished data set's manifest.
        report: Its validation report; None where the data set was already there.
    """

    manifest: Manifest
    report: Report | None


def run(
    build: Build[Any],
    out: Path,
    executor: Executor,
    progress: Progress,
    *,
    overwrite: bool = False,
    prepare: Callable[[WorkDir], None] | None = None,
    checks_apart: bool = False,
) -> Outcome:
    """Build a data set, or go on with an unfinished build of the same one.

    Args:
        build: The data set.
        out: Its folder.
        executor: Where shards are built.
        progress: Shows how far it is.
        overwrite: Whether a finished data set, or an unfinished other one, may be replaced.
        prepare: Called after the source is read and before records are built.
        checks_apart: Whether the data-set-level checks run in a process of their own. Their
            library takes seconds to import, which then happens while records are built.

    Raises:
        InputError: If the source, the output folder or a generator cannot be used.
    """
    try:
        layout, work = Layout(out), WorkDir(out / ".work")
        fingerprint = build.fingerprint()
        # Before the lock, which would leave a trace; and again, since another build may have ended.
        output.check(layout, work, fingerprint, overwrite)
        if layout.complete and not overwrite and not work.root.exists():
            return Outcome(Manifest.read(out), None)
        with work.locked():
            output.check(layout, work, fingerprint, overwrite)
            if layout.complete and not overwrite:
                outcome = Outcome(Manifest.read(out), None)
            else:
                output.discard(layout, work, fingerprint)
                plan = _ingest(build, work, fingerprint, progress)
                output.tidy(layout, build.split, plan["shards"])
                if prepare is not None:
                    prepare(work)
                with apart(preload) if checks_apart else contextlib.nullcontext(_here) as call:
                    summaries = _build_shards(build, layout, work, plan, executor, progress)
                    outcome = _finish(build, layout, work, plan, summaries, progress, call)
            work.remove()
        return outcome
    except OSError as error:
        if error.errno is None:  # a library's own error, not the system's
            raise
        raise _storage_error(error, out) from error


def rehearse(build: Build[Any], work: WorkDir, open_recipe: OpenRecipe, progress: Progress) -> None:
    """Take every row through a recipe and keep nothing.

    For a recipe that only notes what it would ask of a generator.

    Args:
        build: The data set; its source is ingested into `work` unless that was done before.
        work: The work folder.
        open_recipe: The recipe to use instead of the build's own.
        progress: Shows how far it is.

    Raises:
        InputError: If the source cannot be used.
    """
    plan = _ingest(build, work, build.fingerprint(), progress)
    with (
        contextlib.closing(open_recipe(plan["context"], work.root)) as recipe,
        progress.phase("collecting requests", plan["rows"]) as tick,
    ):
        for shard in range(plan["shards"]):
            rows = [Row(**row) for row in work.read_rows(shard)]
            for start in range(0, len(rows), build.chunk_rows):
                chunk = rows[start : start + build.chunk_rows]
                through_steps(recipe, chunk)
                tick(len(chunk))


def _ingest(
    build: Build[Any], work: WorkDir, fingerprint: str, progress: Progress
) -> dict[str, Any]:
    """Spool the source's rows by shard; the plan, written last, marks this phase as done."""
    if work.plan_path.is_file():
        return read_json(work.plan_path)
    # Now, so that the manifest names what was read, even if a file changes under the build.
    source = build.source.describe()
    rejects = RejectLog(work.rejects)
    seen: set[int] = set()
    rows: list[dict[str, Any]] = []
    shards = total = 0

    def spool() -> None:
        nonlocal shards, rows
        work.write_rows(shards, rows)
        shards, rows = shards + 1, []

    with progress.phase("reading the source", None) as tick:
        for item in build.source.ingest(work.spool):
            tick(1)
            if isinstance(item, Reject):
                rejects.add(item)
                continue
            # A number instead of the id: it is all that grows with the source.
            key = int.from_bytes(hashlib.sha256(item.id.encode()).digest()[:8])
            if key in seen:
                reason = "has the same id or content as an earlier row"
                rejects.add(Reject(item.row, item.id, "ingest", "duplicate", "id", reason))
                continue
            seen.add(key)
            rows.append({"row": item.row, "id": item.id, "fields": item.fields})
            total += 1
            if len(rows) == build.shard_rows:
                spool()
    if rows:
        spool()
    if not shards:
        why = ""
        if rejects.first is not None:
            why = f": every row was rejected, the first because it {rejects.first.reason}"
        raise InputError(f"the source gives no rows{why}")
    rejects.flush()
    context = build.source.context()
    source |= {name: context[name] for name in ("counts", "language") if context.get(name)}
    plan = {
        "fingerprint": fingerprint,
        "shards": shards,
        "rows": total,
        "source": source,
        "context": context,
        "started": _now(),
    }
    write_json(work.plan_path, plan)
    return plan


def _build_shards(
    build: Build[Any],
    layout: Layout,
    work: WorkDir,
    plan: dict[str, Any],
    executor: Executor,
    progress: Progress,
) -> list[dict[str, Any]]:
    count = plan["shards"]
    summaries = {shard: done for shard in range(count) if (done := _finished(layout, work, shard))}
    todo = [shard for shard in range(count) if shard not in summaries]
    open_work = functools.partial(
        open_worker,
        build.open_recipe,
        plan["context"],
        ShardJob(layout, work, build.schema, build.rules, build.split, count, build.chunk_rows),
    )
    with progress.phase("building records", plan["rows"]) as tick:
        tick(sum(summary["rows"] for summary in summaries.values()))
        for summary in executor.run(open_work, todo, tick):
            summaries[summary["shard"]] = summary
    return [summaries[shard] for shard in range(count)]


def _finished(layout: Layout, work: WorkDir, shard: int) -> dict[str, Any] | None:
    """The summary of a shard whose files are still as they were when it was marked."""
    summary = work.done(shard)
    if summary is None or not work.stats(shard).is_file():
        return None
    path = layout.root / summary["path"]
    return summary if path.is_file() and sha256_of(path) == summary["sha256"] else None


def _finish(
    build: Build[Any],
    layout: Layout,
    work: WorkDir,
    plan: dict[str, Any],
    summaries: list[dict[str, Any]],
    progress: Progress,
    call: Call,
) -> Outcome:
    tally, report = Tally(), Report()
    for summary in summaries:
        tally.merge(Tally.from_json(summary["tally"]))
        report.checks.update(summary["checks"])
    later = (reject for summary in summaries for reject in summary["rejects"])
    rejects = gathered(work.rejects, later)
    report.records = tally.totals["records"]
    if not report.records:
        (first,) = rejects.slice(0, 1).to_pylist()
        raise InputError(
            f"no record is left: all {rejects.num_rows} rows were rejected, "
            f"the first because {first['column']} {first['reason']}"
        )
    with progress.phase("checking the data set", None):
        stats = pa.concat_tables(pq.read_table(work.stats(s["shard"])) for s in summaries)
        report.merge(call(run_suite, stats, build.rules))
    output.tidy(layout, build.split, plan["shards"])  # workers of a killed run may end after it
    write_json(layout.validation, report.to_json())
    write_parquet(layout.rejects, rejects.cast(REJECTS))
    source = dict(plan["source"])
    notes = tuple(source.pop("notes", ()))
    manifest = Manifest(
        name=build.name,
        builder=build.builder,
        schema=build.schema.name,
        schema_version=build.schema.version,
        split=build.split,
        source=source,
        arguments={**build.arguments, "fingerprint": plan["fingerprint"]},
        generators=build.generators,
        rules=build.rules,
        counts=tally.counts(_by_value(rejects["rule"])),
        shards=tuple(
            ShardEntry(**{k: s[k] for k in ("path", "records", "bytes", "sha256")})
            for s in summaries
        ),
        files={},
        versions=versions(),
        started=plan["started"],
        finished=_now(),
        notes=notes,
    )
    write_text(layout.card, build.card(manifest))
    files = {p.name: sha256_of(p) for p in (layout.rejects, layout.validation, layout.card)}
    manifest = Manifest(**{**vars(manifest), "files": files})
    manifest.write(layout.root)
    return Outcome(manifest, report)


def _by_value(column: pa.ChunkedArray) -> dict[str, int]:
    counts = column.cast(pa.string()).value_counts()
    return dict(zip(*(counts.field(n).to_pylist() for n in ("values", "counts")), strict=True))


def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _storage_error(error: OSError, out: Path) -> InputError:
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "a file would be larger than the system allows",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return InputError(
        f"{reason}; finished shards are kept, run the same command again to go on",
        file=error.filename or out,
    )
