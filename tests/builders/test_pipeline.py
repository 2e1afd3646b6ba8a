from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from builders import definition, pipeline
from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.executor import OpenWork, Tick
from schemas.layout import Layout, read_json
from schemas.manifest import Manifest
from schemas.progress import Quiet
from schemas.validate import validate
from tests.builders.toy import (
    BrokenError,
    Hooks,
    build_toy,
    files_of,
    pass_suite,
    same_data_sets,
    start,
    toy_build,
)
from tests.factories import RULES

FLAWS = {2: "ingest", 4: "duplicate", 7: "step", 11: "rule", 13: "draft"}


@pytest.fixture(autouse=True)
def _without_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_suite(monkeypatch)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawed data set built the plain way, to compare others with."""
    out = tmp_path_factory.mktemp("usual") / "out"
    with pytest.MonkeyPatch.context() as patch:
        pass_suite(patch)
        build_toy(toy_build(flaws=FLAWS), out)
    return out


class Shuffling:
    """An executor that deals with its tasks in any order and hands results back in another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def run(self, open_work: OpenWork, tasks: Sequence[Any], tick: Tick) -> Iterator[Any]:
        with open_work() as work:
            results = [work(task, tick) for task in self._random.sample(list(tasks), k=len(tasks))]
        self._random.shuffle(results)
        yield from results


class Counting:
    """Progress that adds up rows by phase."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()

    @contextlib.contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda rows: self.rows.update({name: rows})


# Bytes depend on the arguments alone.


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_chunks_do_not_change_a_byte(usual: Path, tmp_path: Path, chunk_rows: int):
    build_toy(toy_build(flaws=FLAWS, chunk_rows=chunk_rows), tmp_path / "out")
    assert same_data_sets(tmp_path / "out", usual)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_shards_does_not_change_a_byte(usual: Path, tmp_path: Path, seed: int):
    pipeline.run(toy_build(flaws=FLAWS), tmp_path / "out", Shuffling(seed), Quiet())
    assert same_data_sets(tmp_path / "out", usual)


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_do_not_change_a_byte(usual: Path, tmp_path: Path, workers: int):
    progress = Counting()
    hooks = Hooks(tmp_path)
    build = toy_build(flaws=FLAWS, hooks=hooks)
    build_toy(build, tmp_path / "out", workers=workers, progress=progress)
    assert same_data_sets(tmp_path / "out", usual)
    assert progress.rows["building records"] == 15
    assert 1 <= len(hooks.moments("open")) == len(hooks.moments("close")) <= workers


def test_only_the_manifest_holds_times(
    usual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "_now", lambda: "2001-02-03T04:05:06+00:00")
    build_toy(toy_build(flaws=FLAWS), tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(usual)
    one, other = Manifest.read(tmp_path / "out"), Manifest.read(usual)
    assert one.started == one.finished == "2001-02-03T04:05:06+00:00" != other.finished
    assert dataclasses.replace(one, started=other.started, finished=other.finished) == other


def test_a_finished_data_set_is_whole_and_valid(usual: Path):
    assert validate(usual).findings == []
    manifest = Manifest.read(usual)
    assert [entry.records for entry in manifest.shards] == [5, 3, 4]
    assert manifest.counts.records == 12
    assert manifest.counts.rejects == 5
    assert sorted(path.name for path in usual.iterdir()) == [
        "README.md", "data", "manifest.json", "rejects.parquet", "validation.json",
    ]  # fmt: skip
    assert "started" not in read_json(Layout(usual).validation)


def test_a_recipe_is_opened_and_closed_once(tmp_path: Path):
    hooks = Hooks(tmp_path)
    build_toy(toy_build(hooks=hooks), tmp_path / "out")
    assert hooks.moments("open") == ["open"]
    assert hooks.moments()[-2:] == ["close", "card"]


# The manifest comes last.


@pytest.mark.parametrize("before", [0, 4, 40])
def test_the_manifest_is_absent_until_all_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
):
    out = tmp_path / "out"
    if before:  # a data set to replace: its manifest must not vouch for the new files
        build_toy(toy_build(before, seed=5), out)
    seen: list[tuple[str, bool, dict[str, str]]] = []
    replace = Path.replace

    def spying(self: Path, target: Path) -> Path:
        name = Path(target).relative_to(out).as_posix()
        if not name.startswith(".work"):
            seen.append((name, Layout(out).complete, files_of(out)))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spying)
    build_toy(toy_build(), out, overwrite=True)
    assert len(seen) == 8
    assert not any(complete for _, complete, _ in seen)
    last, _, there = seen[-1]
    there = {name: file for name, file in there.items() if not name.endswith((".tmp", "lock"))}
    assert last == "manifest.json"
    assert files_of(out).items() <= there.items()
    assert all(name.startswith(".work/") for name in there.keys() - files_of(out).keys())


# What is left out.


def test_rejects_are_in_the_order_of_rows_with_their_reasons(usual: Path):
    rejects = pq.read_table(Layout(usual).rejects).to_pylist()
    assert [(r["row"], r["step"], r["rule"], r["column"]) for r in rejects] == [
        (2, "ingest", "blank", "question"),
        (4, "ingest", "duplicate", "id"),
        (7, "taste", "distasteful", "answer"),
        (11, "validate", "answers_are_plain", "requests[0].target_new"),
        (13, "draft", "no_answer", "answer"),
    ]
    assert rejects[0]["id"] is None
    assert rejects[2]["reason"] == "is distasteful"
    assert "whitespace" in rejects[3]["reason"]
    ids = [row["id"] for path in Layout(usual).shards() for row in pq.read_table(path).to_pylist()]
    assert len(ids) == len(set(ids)) == 12
    assert rejects[1]["id"] in ids, "the first of two equal rows is kept"
    assert not {r["id"] for r in rejects[2:]} & set(ids)
    assert Manifest.read(usual).counts.rejects_by_rule == {
        "answers_are_plain": 1, "blank": 1, "distasteful": 1, "duplicate": 1, "no_answer": 1,
    }  # fmt: skip


def test_steps_see_no_draft_that_was_rejected_before(tmp_path: Path):
    hooks = Hooks(tmp_path)
    build_toy(toy_build(10, flaws={1: "draft", 2: "step"}, hooks=hooks), tmp_path / "out")
    assert hooks.rows("record") == [0, 3, 4, 5, 6, 7, 8, 9]


def test_an_empty_shard_keeps_its_place(tmp_path: Path):
    build_toy(toy_build(12, flaws=dict.fromkeys(range(5, 10), "step")), tmp_path / "out")
    assert [entry.records for entry in Manifest.read(tmp_path / "out").shards] == [5, 0, 2]
    assert validate(tmp_path / "out").ok


def test_a_source_without_rows_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"^the source gives no rows$"):
        build_toy(toy_build(0), tmp_path / "out")
    assert not Layout(tmp_path / "out").complete


def test_a_source_of_rejects_alone_is_refused_with_the_first(tmp_path: Path):
    with pytest.raises(InputError, match="every row was rejected, the first because it is blank"):
        build_toy(toy_build(3, flaws=dict.fromkeys(range(3), "ingest")), tmp_path / "out")


def test_a_build_without_records_is_refused_with_the_first_reason(tmp_path: Path):
    flaws = {0: "ingest", 1: "rule", 2: "step"}
    with pytest.raises(InputError, match=r"all 3 rows were rejected, the first because question"):
        build_toy(toy_build(3, flaws=flaws), tmp_path / "out")
    assert not Layout(tmp_path / "out").complete


def test_data_set_level_failures_are_reported_and_the_data_set_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()  # the real checks
    outcome = build_toy(toy_build(12, flaws={5: "wordy"}), tmp_path / "out")
    assert outcome.report is not None
    assert not outcome.report.ok
    written = read_json(Layout(tmp_path / "out").validation)
    assert written == outcome.report.to_json()
    assert written["by_rule"] == {"answer_lengths_are_plausible": 1}
    assert written["records"] == outcome.manifest.counts.records == 12
    assert Manifest.read(tmp_path / "out") == outcome.manifest
    assert build_toy(toy_build(12, flaws={5: "wordy"}), tmp_path / "out").report is None


# Bugs in a recipe.


@pytest.mark.parametrize("moment", ["ingest 3", "open", "draft 8", "record 8", "card"])
def test_a_bug_surfaces_as_itself_and_the_build_can_go_on(usual: Path, tmp_path: Path, moment: str):
    hooks = Hooks(tmp_path, moment, "break")
    with pytest.raises(BrokenError, match=f"^at {moment}$"):
        build_toy(toy_build(flaws=FLAWS, hooks=hooks), tmp_path / "out")
    assert len(hooks.moments("close")) == len(hooks.moments("open")) - (moment == "open")
    assert not Layout(tmp_path / "out").complete
    build_toy(toy_build(flaws=FLAWS), tmp_path / "out")
    assert same_data_sets(tmp_path / "out", usual)


def test_a_librarys_own_error_is_not_taken_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(self: WorkDir, shard: int, rows: list[Any]) -> None:
        raise OSError("cannot identify image file")  # as Pillow says it: no errno

    monkeypatch.setattr(WorkDir, "write_rows", fails)
    with pytest.raises(OSError, match=r"^cannot identify image file$"):
        build_toy(toy_build(), tmp_path / "out")


# The fingerprint.


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Other"},
        {"builder": "other"},
        {"split": "train"},
        {"shard_rows": 6},
        {"arguments": {"seed": 0, "limit": 3}},
        {"generators": {"text": {"generator": "toy", "model": "m"}}},
        {"rules": dataclasses.replace(RULES, rephrasings=3)},
        {"rules": dataclasses.replace(RULES, kinds=("edit",))},
        {"source": toy_build(seed=1).source},
        {"source": toy_build(flaws={3: "step"}).source},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_shapes_the_bytes_changes_the_fingerprint(change: dict[str, Any]):
    build = toy_build()
    assert dataclasses.replace(build, **change).fingerprint() != build.fingerprint()


@pytest.mark.parametrize("name", ["medit", "pyarrow", "pillow"])
def test_library_versions_change_the_fingerprint(name: str, monkeypatch: pytest.MonkeyPatch):
    before = toy_build().fingerprint()
    versions = {**definition.versions(), name: "0.0.0"}
    monkeypatch.setattr(definition, "versions", lambda: versions)
    assert toy_build().fingerprint() != before


def test_how_a_build_is_run_does_not_change_the_fingerprint(tmp_path: Path):
    build = toy_build()
    assert dataclasses.replace(build, chunk_rows=99).fingerprint() == build.fingerprint()
    hooked = toy_build(hooks=Hooks(tmp_path, "draft 1", "wait"))
    assert hooked.fingerprint() == build.fingerprint()


def test_the_manifest_names_the_source_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file that changes under a running build must not lend its digest to the manifest."""
    build = toy_build()
    described = build.source.describe()
    monkeypatch.setattr(
        type(build.source),
        "describe",
        lambda self: {**described, "changed": (tmp_path / "out/.work/plan.json").exists()},
    )
    outcome = build_toy(build, tmp_path / "out")
    assert outcome.manifest.source == {**described, "changed": False}


# Rehearsals and preparation.


def test_a_rehearsal_takes_every_row_through_the_steps_and_keeps_nothing(tmp_path: Path):
    hooks, progress = Hooks(tmp_path), Counting()
    build = toy_build(flaws=FLAWS, hooks=hooks)
    pipeline.rehearse(build, WorkDir(tmp_path / "work"), build.open_recipe, progress)
    assert hooks.rows("draft") == [row for row in range(17) if row not in (2, 4)]
    assert hooks.rows("record") == []
    assert hooks.moments("close") == ["close"]
    assert progress.rows["collecting requests"] == 15
    kept = {path.parent.name for path in tmp_path.rglob("*.parquet")}
    assert kept == {"rejects"}  # of the source, which is read once for rehearsal and build


def test_preparation_comes_between_source_and_records(tmp_path: Path):
    hooks = Hooks(tmp_path)

    def prepare(work: WorkDir) -> None:
        assert read_json(work.plan_path)["rows"] == 17
        hooks.reach("prepare")

    build = toy_build(hooks=hooks)
    pipeline.run(build, tmp_path / "out", Shuffling(0), Quiet(), prepare=prepare)
    order = [m.split()[0] for m in hooks.moments()]
    assert order.index("prepare") == 17 == order.count("ingest")
    assert order.index("draft") > 17


# Memory.


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path):
    """Largest resident set of whole processes, imports included, from 200 to 2000 records."""
    used = []
    for rows in (200, 2000):
        process = start(tmp_path / str(rows), rows=rows)
        out, error = process.communicate(timeout=110)
        assert process.returncode == 0, error
        assert Manifest.read(tmp_path / str(rows)).counts.records == rows
        used.append(int(out))
    assert used[1] <= 1.2 * used[0], used
