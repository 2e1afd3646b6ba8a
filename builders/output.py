"""The output folder: whose it is, and what in it may go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.layout import SHARD_NAME, Layout, read_json
from schemas.manifest import Manifest

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+\.tmp")
"""How `schemas.layout.atomic_write` names a file that is not whole yet."""


def check(layout: Layout, work: WorkDir, fingerprint: str, overwrite: bool) -> None:
    """Refuse a folder that holds something else than this build; changes nothing.

    Raises:
        InputError: If it holds another data set, finished or not, that may not be replaced, or
            files that are none of a data set.
    """
    root = layout.root
    if root.exists() and not root.is_dir():
        raise InputError("is a file, not a folder", file=root)
    if layout.complete:
        same = Manifest.read(root).arguments.get("fingerprint") == fingerprint
        if not (same or overwrite):
            raise InputError(
                "holds a finished data set; choose another --out, or replace it with --overwrite",
                file=root,
            )
    elif work.plan_path.is_file():
        if not overwrite and read_json(work.plan_path)["fingerprint"] != fingerprint:
            raise InputError(
                "holds an unfinished build with other arguments or library versions; give the "
                "same ones to go on with it, or start again with --overwrite",
                file=root,
            )
    elif root.is_dir() and any(path != work.root for path in root.iterdir()):
        raise InputError("is not empty and holds no data set; choose another --out", file=root)


def discard(layout: Layout, work: WorkDir, fingerprint: str) -> None:
    """Drop an unfinished build of something else; a finished data set stays for now.

    That goes when the source of its successor is read (`tidy`), so a source that cannot be used
    costs nobody a data set. An unfinished build of the same data set is gone on with.
    """
    if layout.complete:
        work.clear()
    elif work.plan_path.is_file() and read_json(work.plan_path)["fingerprint"] != fingerprint:
        for path in _own_files(layout):
            path.unlink()
        with contextlib.suppress(OSError):  # not empty, or not there
            layout.data.rmdir()
        work.clear()  # last: as long as there is a plan, this is an unfinished build


def tidy(layout: Layout, split: str, count: int) -> None:
    """Delete what earlier builds left, the manifest first, but for shards of these names.

    Only files that a build wrote go: what else is in the folder stays.
    """
    layout.manifest.unlink(missing_ok=True)
    mine = {layout.shard(split, index, count) for index in range(count)}
    for path in _own_files(layout):
        if path not in mine:
            path.unlink(missing_ok=True)


def _own_files(layout: Layout) -> Iterator[Path]:
    """Shards, the files beside them, and what killed processes left of either."""
    beside = (layout.rejects, layout.validation, layout.card, layout.manifest)
    for folder in (layout.root, layout.data):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            temporary = _TEMPORARY.fullmatch(path.name)
            final = path.with_name(temporary["name"]) if temporary else path
            if final in beside or (folder == layout.data and SHARD_NAME.fullmatch(final.name)):
                yield path
