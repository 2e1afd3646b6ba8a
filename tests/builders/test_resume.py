"""Builds that are killed, interrupted or run out of space, and the runs that take them up."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.layout import Layout
from tests.builders.toy import (
    Hooks,
    build_toy,
    pass_suite,
    same_data_sets,
    start,
    toy_build,
    wait_until,
)

FLAWS = {2: "ingest", 7: "step", 11: "rule"}
GIVEN = {"flaws": FLAWS}


@pytest.fixture(autouse=True)
def _without_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_suite(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        pass_suite(patch)
        build_toy(toy_build(flaws=FLAWS), out)
    return out


def rerun(out: Path, folder: Path, undisturbed: Path) -> Hooks:
    """Run again in this process; the result is as if nothing had happened."""
    folder.mkdir()
    hooks = Hooks(folder)
    build_toy(toy_build(flaws=FLAWS, hooks=hooks), out)
    assert same_data_sets(out, undisturbed)  # which counts every file, temporary ones as well
    assert not (out / ".work").exists()
    return hooks


def finished_rows(out: Path) -> set[int]:
    """The rows of the shards that are marked as finished."""
    done = WorkDir(out / ".work").root / "done"
    shards = [int(mark.stem) for mark in done.glob("*.json")] if done.is_dir() else []
    rows = [row for row in range(17) if FLAWS.get(row) != "ingest"]
    return {row for shard in shards for row in rows[5 * shard : 5 * shard + 5]}


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def assert_gone(workers: list[psutil.Process]) -> None:
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end with the test, however that ends."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# kill -9


def _slow(moment: str) -> object:
    return pytest.param(moment, marks=pytest.mark.slow)


KILLED_AT = [
    _slow("ingest 9"),  # while the source is read
    _slow("draft 0"),  # before the first record
    "record 8",  # within a shard
    _slow("mark 1"),  # between a shard's files and its mark
    _slow("draft 11"),  # between two shards
    _slow("suite 0"),  # after the last shard
    _slow("card"),  # before the card
    "manifest 0",  # between card and manifest
    _slow("remove 0"),  # after the manifest
]


@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_killed_build_is_taken_up(moment: str, tmp_path: Path, undisturbed: Path):
    out = tmp_path / "out"
    process = start(out, **GIVEN, folder=str(tmp_path), moment=moment)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, error
    assert Layout(out).complete == (moment == "remove 0")
    kept = finished_rows(out) if moment != "remove 0" else set(range(17))
    hooks = rerun(out, tmp_path / "again", undisturbed)
    assert not kept & set(hooks.rows("draft")), "finished shards are not built again"
    read = moment.startswith("ingest")
    assert bool(hooks.rows("ingest")) == read, "the source is read once"


WRITES = 22
"""Files that a build of the toy data set writes, one after the other."""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(WRITES))
def test_a_build_killed_within_any_write_is_taken_up(
    number: int, tmp_path: Path, undisturbed: Path
):
    """Right before each fsync, when the temporary file is there and the final one is not."""
    out = tmp_path / "out"
    process = start(out, **GIVEN, folder=str(tmp_path), moment=f"fsync {number}")
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, error
    assert list(out.rglob(".*.tmp"))
    kept = finished_rows(out)
    hooks = rerun(out, tmp_path / "again", undisturbed)
    assert not kept & set(hooks.rows("draft"))


@pytest.mark.slow
def test_every_write_is_covered(tmp_path: Path):
    process = start(tmp_path / "out", **GIVEN, folder=str(tmp_path))
    assert process.wait(60) == 0
    process.communicate()
    assert len(Hooks(tmp_path).moments("fsync")) == WRITES


@pytest.mark.parametrize("moment", ["record 3", pytest.param("draft 16", marks=pytest.mark.slow)])
def test_workers_end_with_a_killed_parent_and_the_build_is_taken_up(
    moment: str, tmp_path: Path, undisturbed: Path, started: list[subprocess.Popen[str]]
):
    out = tmp_path / "out"
    given = {**GIVEN, "workers": 2, "folder": str(tmp_path), "moment": moment, "action": "wait"}
    process = start(out, **given)
    started.append(process)
    wait_until((tmp_path / "reached").exists)
    workers = workers_of(process)
    process.kill()
    process.wait()
    assert_gone(workers)
    kept = finished_rows(out)
    hooks = rerun(out, tmp_path / "again", undisturbed)
    assert not kept & set(hooks.rows("draft"))


def test_a_killed_worker_ends_the_build_with_a_sentence_and_it_is_taken_up(
    tmp_path: Path, undisturbed: Path
):
    out = tmp_path / "out"
    hooks = Hooks(tmp_path, "record 13")
    with pytest.raises(InputError, match=r"a worker process died .* run the same command again"):
        build_toy(toy_build(flaws=FLAWS, hooks=hooks), out, workers=2)
    kept = finished_rows(out)
    assert not kept & {11, 12, 13, 14, 15}
    again = rerun(out, tmp_path / "again", undisturbed)
    assert not kept & set(again.rows("draft"))


# Ctrl-C


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_interrupt_ends_all_at_once_and_the_build_is_taken_up(
    workers: int, tmp_path: Path, undisturbed: Path, started: list[subprocess.Popen[str]]
):
    out = tmp_path / "out"
    given = {**GIVEN, "workers": workers, "moment": "record 8", "action": "wait"}
    process = start(out, **given, folder=str(tmp_path))
    started.append(process)
    wait_until((tmp_path / "reached").exists)
    children = workers_of(process) if workers > 1 else []
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in error
    if workers > 1:
        assert_gone(children)
    assert not list(out.rglob(".*.tmp")) or workers > 1
    rerun(out, tmp_path / "again", undisturbed)


# Storage


def test_a_file_over_the_systems_limit_ends_the_build_with_a_sentence(
    tmp_path: Path,
):
    """RLIMIT_FSIZE makes the kernel itself refuse a write, in the middle of shard 2."""
    out, flaws = tmp_path / "out", {11: "large"}
    process = start(out, flaws=flaws, file_limit=400_000, folder=str(tmp_path))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error.count("\n") == 1
    assert "a file would be larger than the system allows; finished shards are kept" in error
    assert not list(out.rglob(".*.tmp"))
    (tmp_path / "again").mkdir()
    hooks = Hooks(tmp_path / "again")
    build_toy(toy_build(flaws=flaws, hooks=hooks), out)
    assert hooks.rows("draft") == list(range(10, 17))
    build_toy(toy_build(flaws=flaws), tmp_path / "undisturbed")
    assert same_data_sets(out, tmp_path / "undisturbed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB; needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "medit-test", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_build_with_a_sentence(workers: int, small_disk: Path, tmp_path: Path):
    out, build = small_disk / "out", toy_build(flaws={11: "large"})
    with pytest.raises(InputError, match="the disk is full; finished shards are kept") as raised:
        build_toy(build, out, workers=workers)
    assert str(out) in str(raised.value)
    assert workers > 1 or not list(out.rglob(".*.tmp"))  # another worker is ended as it is
    remount(small_disk, "size=8m")
    hooks = Hooks(tmp_path)
    build_toy(toy_build(flaws={11: "large"}, hooks=hooks), out)
    assert 10 in hooks.rows("draft")
    if workers == 1:  # with two, the disk may be full before the other has finished a shard
        assert not set(range(5)) & set(hooks.rows("draft"))
    build_toy(build, tmp_path / "undisturbed")
    assert same_data_sets(out, tmp_path / "undisturbed")


def test_a_read_only_disk_is_refused_with_a_sentence(small_disk: Path):
    remount(small_disk, "ro")
    with pytest.raises(InputError, match="the file system is read-only"):
        build_toy(toy_build(2), small_disk / "out")


def test_a_finished_data_set_on_a_read_only_disk_is_found(small_disk: Path):
    build_toy(toy_build(2), small_disk / "out")
    remount(small_disk, "ro")
    assert build_toy(toy_build(2), small_disk / "out").report is None


@pytest.mark.parametrize(
    ("number", "sentence", "write"),
    [
        (errno.ENOSPC, "the disk is full", 0),
        (errno.ENOSPC, "the disk is full", 6),
        (errno.ENOSPC, "the disk is full", 20),
        (errno.EDQUOT, "the disk quota is used up", 9),
        (errno.EROFS, "the file system is read-only", 4),
        (errno.EACCES, "permission denied", 17),
        (errno.EIO, os.strerror(errno.EIO), 18),
    ],
)
def test_a_failing_write_ends_the_build_with_a_sentence(
    number: int,
    sentence: str,
    write: int,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """The failure is made up here: every write to the disk passes through fsync."""
    out, writes = tmp_path / "out", iter(range(100))

    def fsync(descriptor: int) -> None:
        if next(writes) == write:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match=f"{sentence}; finished shards are kept"):
            build_toy(toy_build(flaws=FLAWS), out)
    assert not Layout(out).complete
    assert not list(out.rglob(".*.tmp"))
    rerun(out, tmp_path / "again", undisturbed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_within_a_step_keeps_its_own_sentence(workers: int, tmp_path: Path):
    """For example the budget of requests, which ends a build between two shards' marks."""
    hooks = Hooks(tmp_path, "draft 8", "refuse")
    with pytest.raises(InputError, match="is refused") as raised:
        build_toy(toy_build(hooks=hooks), tmp_path / "out", workers=workers)
    assert raised.value.row == "draft 8"


# Damage after the mark


@pytest.mark.parametrize("damage", ["delete", "truncate", "flip", "statistics"])
def test_a_shard_that_changed_after_its_mark_is_built_again(
    damage: str, tmp_path: Path, undisturbed: Path
):
    out = tmp_path / "out"
    hooks = Hooks(tmp_path, "card", "refuse")
    with pytest.raises(InputError):
        build_toy(toy_build(flaws=FLAWS, hooks=hooks), out)
    shard = Layout(out).shard("test", 1, 4)
    content = shard.read_bytes()
    match damage:
        case "delete":
            shard.unlink()
        case "truncate":
            shard.write_bytes(content[:-1])
        case "flip":
            shard.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
        case "statistics":
            WorkDir(out / ".work").stats(1).unlink()
    again = rerun(out, tmp_path / "again", undisturbed)
    assert again.rows("draft") == [6, 7, 8, 9, 10]


# Files for people and for later runs


def test_the_work_folder_holds_nothing_but_what_is_documented(tmp_path: Path):
    hooks = Hooks(tmp_path, "card", "refuse")
    with pytest.raises(InputError):
        build_toy(toy_build(flaws=FLAWS, hooks=hooks), tmp_path / "out")
    work = tmp_path / "out/.work"
    assert {path.name for path in work.iterdir()} == {
        "lock", "plan.json", "rejects", "input", "spool", "stats", "done",
    }  # fmt: skip
    summary = json.loads((work / "done/00001.json").read_text())
    assert summary["rows"] == 5
    assert summary["records"] == 4
    assert [reject["row"] for reject in summary["rejects"]] == [7]
