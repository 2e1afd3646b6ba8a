"""One shard, start to end: rows through the steps, records through the row rules, files, mark."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from builders.definition import OpenRecipe, Recipe, Row
from builders.steps import Problem, Reject
from builders.tally import Tally
from builders.workdir import WorkDir
from schemas.arrow import Schema
from schemas.executor import Tick, Work
from schemas.layout import Layout, sha256_of, write_parquet
from schemas.manifest import Rules


@dataclass(frozen=True)
class ShardJob:
    """What all shards of a build have in common.

    Attributes:
        layout: Where shards go.
        work: Where their rows are and their marks go.
        schema: The schema of the records.
        rules: What the records promise.
        split: The split's name.
        count: How many shards there are.
        chunk_rows: Rows that go through the steps together.
    """

    layout: Layout
    work: WorkDir
    schema: Schema[Any]
    rules: Rules
    split: str
    count: int
    chunk_rows: int


@contextlib.contextmanager
def open_worker(open_recipe: OpenRecipe, context: dict[str, Any], job: ShardJob) -> Iterator[Work]:
    """The function that builds one shard, with a recipe that stays open for all of them."""
    with contextlib.closing(open_recipe(context, job.work.root)) as recipe:
        yield functools.partial(build_shard, recipe, job)


def build_shard(recipe: Recipe[Any], job: ShardJob, shard: int, tick: Tick) -> dict[str, Any]:
    """Build one shard: drafts through the steps, records through the row rules, files, mark."""
    from schemas.expectations import stats_table
    from schemas.validate import RowChecker

    rows = [Row(**row) for row in job.work.read_rows(shard)]
    checker = RowChecker(job.rules)
    tally, records, rejects = Tally(), [], []
    for start in range(0, len(rows), job.chunk_rows):
        chunk = rows[start : start + job.chunk_rows]
        for row, made in zip(chunk, through_steps(recipe, chunk), strict=True):
            if isinstance(made, Reject):
                rejects.append(made)
                continue
            record = recipe.record(made)
            if findings := checker.check(record):
                first = findings[0]
                rejects.append(
                    Reject(row.row, row.id, "validate", first.rule, first.column, first.reason)
                )
                continue
            tally.add(record)
            records.append(record)
        tick(len(chunk))
    path = job.layout.shard(job.split, shard, job.count)
    write_parquet(path, job.schema.table(records))
    write_parquet(job.work.stats(shard), stats_table(records))
    summary = {
        "shard": shard,
        "rows": len(rows),
        "path": path.relative_to(job.layout.root).as_posix(),
        "records": len(records),
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "tally": tally.to_json(),
        "checks": dict(sorted(checker.checks.items())),
        "rejects": [asdict(reject) for reject in rejects],
    }
    job.work.mark_done(shard, summary)
    return summary


def through_steps(recipe: Recipe[Any], rows: Sequence[Row]) -> list[Any]:
    """The drafts of some rows after all steps, or the reject that each ended in."""
    made: list[Any] = []
    for row in rows:
        draft = recipe.draft(row)
        made.append(_reject(row, "draft", draft) if isinstance(draft, Problem) else draft)
    for step in recipe.steps:
        alive = [i for i, draft in enumerate(made) if not isinstance(draft, Reject)]
        for i, draft in zip(alive, step([made[i] for i in alive]), strict=True):
            made[i] = _reject(rows[i], step.name, draft) if isinstance(draft, Problem) else draft
    return made


def _reject(row: Row, step: str, problem: Problem) -> Reject:
    return Reject(row.row, row.id, step, problem.rule, problem.column, problem.reason)
