"""Whose the output folder is: what a build refuses, keeps and replaces."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.manifest import Manifest
from tests.builders.toy import (
    Hooks,
    build_toy,
    files_of,
    pass_suite,
    same_data_sets,
    start,
    toy_build,
    tree,
    wait_until,
)


@pytest.fixture(autouse=True)
def _without_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_suite(monkeypatch)


def stop(out: Path, folder: Path, moment: str, rows: int = 17, seed: int = 0) -> None:
    """Leave an unfinished build that got as far as `moment`."""
    folder.mkdir()
    hooks = Hooks(folder, moment, "refuse")
    with pytest.raises(InputError, match="is refused"):
        build_toy(toy_build(rows, seed, hooks=hooks), out)


# Finished data sets


def test_the_same_arguments_leave_a_finished_data_set_alone(tmp_path: Path):
    out = tmp_path / "out"
    first = build_toy(toy_build(), out)
    before, hooks = tree(out), Hooks(tmp_path)
    again = build_toy(toy_build(hooks=hooks), out)
    assert again.report is None
    assert again.manifest == first.manifest
    assert tree(out) == before
    assert not (out / ".work").exists()
    assert hooks.moments() == []


@pytest.mark.parametrize("other", [{"seed": 1}, {"rows": 18}, {"flaws": {3: "step"}}])
def test_other_arguments_do_not_touch_a_finished_data_set(tmp_path: Path, other: dict):
    out = tmp_path / "out"
    build_toy(toy_build(), out)
    before = tree(out)
    with pytest.raises(InputError, match=r"holds a finished data set.* --overwrite"):
        build_toy(toy_build(**other), out)
    assert tree(out) == before
    assert not (out / ".work").exists()


@pytest.mark.parametrize("rows", [4, 17, 30])
def test_overwriting_leaves_what_a_fresh_build_leaves(tmp_path: Path, rows: int):
    out = tmp_path / "out"
    build_toy(toy_build(rows, seed=1), out)
    assert build_toy(toy_build(), out, overwrite=True).report is not None
    build_toy(toy_build(), tmp_path / "fresh")
    assert same_data_sets(out, tmp_path / "fresh")


def test_overwriting_the_same_data_set_builds_it_again(tmp_path: Path):
    out, hooks = tmp_path / "out", Hooks(tmp_path)
    build_toy(toy_build(), out)
    before = files_of(out)
    build_toy(toy_build(hooks=hooks), out, overwrite=True)
    assert hooks.rows("draft") == list(range(17))
    assert files_of(out) == before


def test_overwriting_deletes_nothing_that_is_not_a_builds_own(tmp_path: Path):
    out = tmp_path / "out"
    build_toy(toy_build(30, seed=1), out)
    foreign = ["notes.txt", "data/notes.parquet", "data/.notes.txt.12.tmp", "photos/cat.png"]
    for name in foreign:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(name)
    build_toy(toy_build(), out, overwrite=True)
    assert all((out / name).read_text() == name for name in foreign)
    build_toy(toy_build(), tmp_path / "fresh")
    assert files_of(out).keys() == files_of(tmp_path / "fresh").keys() | set(foreign)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_source_that_cannot_be_used_costs_no_finished_data_set(tmp_path: Path, rows: int):
    out = tmp_path / "out"
    build_toy(toy_build(), out)
    before = tree(out)
    hooks = Hooks(tmp_path, "ingest 1", "refuse")
    with pytest.raises(InputError):
        build_toy(toy_build(rows, hooks=hooks), out, overwrite=True)
    assert {
        name: file for name, file in tree(out).items() if not name.startswith(".work")
    } == before
    assert build_toy(toy_build(), out).report is None
    assert tree(out) == before
    assert not (out / ".work").exists()


# Unfinished builds


def test_an_unfinished_build_is_not_gone_on_with_by_other_arguments(tmp_path: Path):
    out = tmp_path / "out"
    stop(out, tmp_path / "hooks", "draft 8")
    before = tree(out)
    with pytest.raises(InputError, match="holds an unfinished build with other arguments"):
        build_toy(toy_build(seed=1), out)
    assert tree(out) == before


@pytest.mark.parametrize("moment", ["draft 8", "card"])
@pytest.mark.parametrize("rows", [4, 30])
def test_an_unfinished_build_is_replaced_if_asked(tmp_path: Path, moment: str, rows: int):
    out = tmp_path / "out"
    stop(out, tmp_path / "hooks", moment)
    build_toy(toy_build(rows, seed=1), out, overwrite=True)
    build_toy(toy_build(rows, seed=1), tmp_path / "fresh")
    assert same_data_sets(out, tmp_path / "fresh")


def test_the_same_command_goes_on_even_if_it_says_overwrite(tmp_path: Path):
    """A killed `--overwrite` is taken up by the same words, as its error message promises."""
    out = tmp_path / "out"
    build_toy(toy_build(seed=1), out)
    hooks = Hooks(tmp_path, "draft 12", "refuse")
    with pytest.raises(InputError, match="is refused"):
        build_toy(toy_build(hooks=hooks), out, overwrite=True)
    (tmp_path / "again").mkdir()
    hooks = Hooks(tmp_path / "again")
    build_toy(toy_build(hooks=hooks), out, overwrite=True)
    assert hooks.rows("draft") == list(range(10, 17))
    build_toy(toy_build(), tmp_path / "fresh")
    assert same_data_sets(out, tmp_path / "fresh")


@pytest.mark.parametrize("moment", ["ingest 3", "ingest 12"])
@pytest.mark.parametrize("unfinished", [False, True])
def test_a_replacement_that_fails_while_reading_can_be_tried_again(
    tmp_path: Path, moment: str, unfinished: bool
):
    out = tmp_path / "out"
    if unfinished:
        stop(out, tmp_path / "old", "card", seed=1)
    else:
        build_toy(toy_build(seed=1), out)
    hooks = Hooks(tmp_path, moment, "refuse")
    with pytest.raises(InputError, match="is refused"):
        build_toy(toy_build(hooks=hooks), out, overwrite=True)
    build_toy(toy_build(), out, overwrite=True)
    build_toy(toy_build(), tmp_path / "fresh")
    assert same_data_sets(out, tmp_path / "fresh")


def test_a_build_that_failed_while_reading_does_not_bind_the_folder(tmp_path: Path):
    out = tmp_path / "out"
    stop(out, tmp_path / "hooks", "ingest 12")
    build_toy(toy_build(4, seed=1), out)
    build_toy(toy_build(4, seed=1), tmp_path / "fresh")
    assert same_data_sets(out, tmp_path / "fresh")


# Folders of others


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "data/train.parquet", "README.md", ".git/config"])
def test_a_folder_of_something_else_is_never_touched(tmp_path: Path, name: str, overwrite: bool):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    before = tree(out)
    with pytest.raises(InputError, match="is not empty and holds no data set"):
        build_toy(toy_build(), out, overwrite=overwrite)
    assert tree(out) == before
    assert not (out / ".work").exists()


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"manifest_version": 3}'])
def test_a_foreign_manifest_protects_its_folder(tmp_path: Path, content: str):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(content)
    (out / "README.md").write_text("A browser extension")
    before = tree(out)
    with pytest.raises(InputError, match=r"manifest\.json"):
        build_toy(toy_build(), out, overwrite=True)
    assert tree(out) == before


def test_an_empty_folder_is_used(tmp_path: Path):
    (tmp_path / "out").mkdir()
    assert build_toy(toy_build(2), tmp_path / "out").report is not None


def test_missing_parents_are_made(tmp_path: Path):
    build_toy(toy_build(2), tmp_path / "a/b/out")
    assert Layout(tmp_path / "a/b/out").complete


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_no_output_folder(tmp_path: Path, overwrite: bool):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="out: is a file, not a folder"):
        build_toy(toy_build(), tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_below_a_file_is_refused_with_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"[Nn]ot a directory"):
        build_toy(toy_build(), tmp_path / "file/out")


# Two at a time


def test_a_second_build_of_the_same_folder_is_refused(tmp_path: Path):
    out = tmp_path / "out"
    process = start(out, folder=str(tmp_path), moment="draft 8", action="wait")
    try:
        wait_until((tmp_path / "reached").exists)
        before = tree(out)
        for overwrite in (False, True):
            with pytest.raises(InputError, match="another build is writing here"):
                build_toy(toy_build(), out, overwrite=overwrite)
        with pytest.raises(InputError, match="another build is writing here"):
            build_toy(toy_build(seed=1), out, overwrite=True)
        assert tree(out) == before
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert build_toy(toy_build(), out).report is not None


def test_a_build_that_ended_in_between_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another process may finish between the first look at the folder and the lock."""
    out, hooks = tmp_path / "out", Hooks(tmp_path)
    locked, calls = WorkDir.locked, iter([True])

    def late(self: WorkDir):
        if next(calls, False):
            build_toy(toy_build(), out)
        return locked(self)

    monkeypatch.setattr(WorkDir, "locked", late)
    outcome = build_toy(toy_build(hooks=hooks), out)
    assert outcome.report is None
    assert outcome.manifest == Manifest.read(out)
    assert hooks.moments() == []
    assert not (out / ".work").exists()


def test_another_data_set_that_ended_in_between_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    locked, calls = WorkDir.locked, iter([True])

    def late(self: WorkDir):
        if next(calls, False):
            build_toy(toy_build(seed=1), out)
        return locked(self)

    monkeypatch.setattr(WorkDir, "locked", late)
    with pytest.raises(InputError, match="holds a finished data set"):
        build_toy(toy_build(), out)
    assert Manifest.read(out).arguments["seed"] == 1
