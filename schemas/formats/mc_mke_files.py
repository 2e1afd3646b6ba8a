"""MC-MKE's files: one of edits and one of each kind of test, joined by the edit's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.formats.mc_mke_levels import IE, IRO, SRO, Level, level_of
from schemas.layout import read_json

_TESTS = ("text_generality", "image_generality", "consistency", "locality")


def read_joined(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The edits of a level with their tests, and the rows' numbers.

    Args:
        folder: The level's folder, such as `edit_inputs/ie_edit`. Its files are told by what the
            released ones have in their names: `input`, and the name of each test.

    Raises:
        InputError: If there is no file of edits, there are two for one thing, one cannot be read,
            a row has no number, two rows of a file have the same, or a test has one that no edit
            has; the last shows after all edits.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jsonl", ".json"))
    edits = _one([file for file in files if "input" in file.name], folder, "edits ('input')")
    if edits is None:
        raise InputError("holds no file of edits, whose name has 'input' in it", file=folder)
    tests: dict[str, Mapping[int, _Numbered]] = {}
    for name in _TESTS:
        fitting = [f for f in files if name in f.name and f != edits and "ignore" not in f.name]
        file = _one(fitting, folder, name)
        found = () if file is None else _numbered(file, _level_of_test, "answers")
        tests[name] = {test.number: test for test in found}
    ignored = _ignored(files)
    known: set[int] = set()
    for edit in _numbered(edits, level_of, "is"):
        known.add(edit.number)
        fields = {
            name: tests[name][edit.number].fields for name in _TESTS if edit.number in tests[name]
        }
        if edit.number in ignored:  # the released scorer leaves them out: their answer stays
            fields.pop("consistency", None)
        yield edit.row, {**edit.fields, **fields}
    for test in (test for found in tests.values() for test in found.values()):
        if test.number not in known:
            raise test.error(f"is {test.number}, and no edit has this number")


@dataclass(frozen=True)
class _Numbered:
    """A row of a file with the number of its edit, and the field that holds it."""

    file: Path
    row: int
    field: str
    fields: Mapping[str, Any]

    @property
    def number(self) -> int:
        return self.fields[self.field]

    def error(self, reason: str) -> InputError:
        return InputError(reason, file=self.file, row=self.row, field=self.field)


def _numbered(
    file: Path, level: Callable[[Mapping[str, Any]], Level], verb: str
) -> Iterator[_Numbered]:
    """The rows of a file, each with a number of its own."""
    seen: dict[int, int] = {}
    for number, fields in read_rows(file):
        row = _Numbered(file, number, level(fields).number, fields)
        if row.field not in fields:
            raise row.error("is missing, and by it edits and tests are joined")
        if not _whole(row.number):
            raise row.error(f"is a {type(row.number).__name__}, not a whole number")
        if (first := seen.setdefault(row.number, number)) != number:
            raise row.error(f"{verb} edit {row.number} again; row {first} did")
        yield row


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _level_of_test(fields: Mapping[str, Any]) -> Level:
    """The level of a test, by its number; where it has none, any will do to say so."""
    return next((level for level in (IE, IRO, SRO) if level.number in fields), IE)


def _one(files: list[Path], folder: Path, what: str) -> Path | None:
    if len(files) > 1:
        names = " and ".join(file.name for file in files[:2])
        raise InputError(f"holds two files for {what}: {names}", file=folder)
    return files[0] if files else None


def _ignored(files: list[Path]) -> set[int]:
    """The numbers of edits whose consistency is not asked."""
    found: set[int] = set()
    for file in files:
        if "ignore" in file.name:
            numbers = read_json(file)
            if not isinstance(numbers, list) or not all(map(_whole, numbers)):
                raise InputError("is no list of whole numbers", file=file)
            found.update(numbers)
    return found
