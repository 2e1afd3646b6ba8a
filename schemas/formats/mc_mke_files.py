"""MC-MKE's files: one of edits and one of each kind of test, joined by the edit's number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.formats.mc_mke_levels import IE, IRO, SRO, level_of

_TESTS = ("text_generality", "image_generality", "consistency", "locality")


def read_joined(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The edits of a level with their tests, and the rows' numbers.

    Args:
        folder: The level's folder, such as `edit_inputs/ie_edit`. Its files are told by what the
            released ones have in their names: `input`, and the name of each test.

    Raises:
        InputError: If there is no file of edits, there are two for one thing, or one cannot be
            read.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jsonl", ".json"))
    edits = _one([file for file in files if "input" in file.name], folder, "edits ('input')")
    if edits is None:
        raise InputError("holds no file of edits, whose name has 'input' in it", file=folder)
    tests: dict[str, dict[Any, dict[str, Any]]] = {}
    for name in _TESTS:
        fitting = [f for f in files if name in f.name and f != edits and "ignore" not in f.name]
        file = _one(fitting, folder, name)
        rows = read_rows(file) if file is not None else ()
        tests[name] = {row.get(_level_of_test(row)): row for _, row in rows}
    ignored = _ignored(files)
    for number, row in read_rows(edits):
        key = row.get(level_of(row).number)
        found = {name: tests[name][key] for name in _TESTS if key in tests[name]}
        if key in ignored:  # the released scorer leaves them out: their answer does not change
            found.pop("consistency", None)
        yield number, {**row, **found}


def _level_of_test(row: Mapping[str, Any]) -> str:
    numbers = (level.number for level in (IE, IRO, SRO) if level.number in row)
    return next(numbers, "")


def _one(files: list[Path], folder: Path, what: str) -> Path | None:
    if len(files) > 1:
        names = " and ".join(file.name for file in files[:2])
        raise InputError(f"holds two files for {what}: {names}", file=folder)
    return files[0] if files else None


def _ignored(files: list[Path]) -> set[Any]:
    """The numbers of edits whose consistency is not asked."""
    lists = [file for file in files if "ignore" in file.name]
    try:
        return {number for file in lists for number in json.loads(file.read_text("utf-8"))}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"is no list of numbers: {error}", file=lists[0]) from None
