from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import Any

import pytest

from builders.workdir import WorkDir
from schemas.errors import InputError


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    return WorkDir(tmp_path / "out/.work")


def test_rows_come_back_as_they_were(work: WorkDir):
    rows: list[dict[str, Any]] = [
        {"row": 0, "id": "a", "fields": {"text": "über\n\u2028 \ud800", "n": None, "f": 0.1}},
        {"row": 1, "id": "b", "fields": {}},
    ]
    work.write_rows(3, rows)
    assert work.read_rows(3) == rows
    assert work.input(3).name == "00003.jsonl"


def test_an_unmarked_shard_is_not_done(work: WorkDir):
    assert work.done(0) is None
    work.mark_done(1, {"shard": 1})
    assert work.done(0) is None
    assert work.done(1) == {"shard": 1}


def test_a_mark_can_be_renewed(work: WorkDir):
    work.mark_done(1, {"rows": 1})
    work.mark_done(1, {"rows": 2})
    assert work.done(1) == {"rows": 2}


def test_files_of_different_shards_are_apart(work: WorkDir):
    paths = {path for n in (1, 11, 10**5) for path in (work.input(n), work.stats(n))}
    assert len(paths) == 6
    assert all(work.root in path.parents for path in [*paths, work.plan_path, work.spool])


def test_a_held_lock_refuses_a_second_holder(work: WorkDir):
    with work.locked():
        with pytest.raises(InputError, match="out: another build is writing here"), work.locked():
            pass
        # The refusal must not have freed the first one's lock.
        with pytest.raises(InputError, match="another build is writing here"), work.locked():
            pass


def test_a_lock_ends_with_its_block(work: WorkDir):
    with pytest.raises(KeyError), work.locked():
        raise KeyError
    with work.locked():
        pass


def test_a_folder_can_be_removed_while_its_lock_is_held(work: WorkDir):
    with work.locked():
        work.remove()
    assert not work.root.exists()
    with work.locked():
        assert work.root.is_dir()


def test_a_lock_on_a_removed_file_is_taken_again(work: WorkDir, monkeypatch: pytest.MonkeyPatch):
    """The holder before may remove the folder after this process opened the file in it."""
    flock, calls = fcntl.flock, iter([True])

    def late(file: Any, operation: int) -> None:
        if next(calls, False):
            shutil.rmtree(work.root)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with work.locked(), pytest.raises(InputError), work.locked():
        pass


def test_clearing_keeps_the_lock_alone(work: WorkDir):
    with work.locked():
        work.write_rows(0, [])
        work.mark_done(0, {})
        work.plan_path.write_text("{}")
        (work.root / "requests.sqlite").touch()
        work.clear()
        assert [path.name for path in work.root.iterdir()] == ["lock"]
        with pytest.raises(InputError), work.locked():
            pass


def test_clearing_deletes_the_plan_first(work: WorkDir, monkeypatch: pytest.MonkeyPatch):
    """Killed halfway, no marks may be left beside a plan that they no longer match."""
    with work.locked():
        work.mark_done(0, {})
        work.plan_path.write_text("{}")

        def fails(path: Path) -> None:
            assert not work.plan_path.exists()
            raise OSError("killed")

        monkeypatch.setattr(shutil, "rmtree", fails)
        with pytest.raises(OSError, match="killed"):
            work.clear()


def test_removing_what_is_not_there_is_fine(work: WorkDir):
    work.remove()
