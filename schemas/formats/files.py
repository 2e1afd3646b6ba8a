"""Rows of JSON, JSON Lines and Parquet files, one at a time, so that memory does not grow."""

from __future__ import annotations

import codecs
import json
import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError

_LINES = frozenset({".jsonl", ".ndjson"})
_BATCH = 64
_DIGITS = b"0123456789"


def read_rows(path: Path, *, key: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with their numbers, counted from 0.

    The suffix decides: `.jsonl` and `.ndjson` are JSON Lines, `.parquet` is Parquet, everything
    else is JSON. A byte order mark is skipped, and so are blank lines of JSON Lines. Whole
    numbers stay `int`, of as many digits as Python allows (`sys.get_int_max_str_digits`, 4,300 by
    default); others become `float`.

    Args:
        path: The file.
        key: The key under which a JSON object holds the list of rows, or None where the file
            itself is the list.

    Raises:
        InputError: If the file is missing, empty, malformed, not UTF-8, nested too deeply, holds
            NaN, infinity or a longer whole number, or a row is not an object. Rows before the fault
            have been yielded by then.
    """
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in _LINES:
        return _json_lines(path)
    return _json(path, key)


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    yield number, row
                    number += 1
    except OSError as error:
        raise _unreadable(path, error) from None
    except pa.ArrowException as error:
        raise InputError(f"is not Parquet: {_line(error)}", file=path) from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    with _opened(path) as file:
        for count, line in enumerate(file, start=1):
            where = f"{number} (line {count})"
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                raise InputError("is not UTF-8 text", file=path, row=where) from None
            if not text.strip():
                continue
            try:
                row = json.loads(text, parse_constant=_refuse, parse_float=_finite)
            except json.JSONDecodeError as error:
                raise InputError(f"is not JSON: {error.msg}", file=path, row=where) from None
            except (ValueError, RecursionError) as error:
                raise InputError(f"is not JSON: {_line(error)}", file=path, row=where) from None
            yield number, _object(row, path, where)
            number += 1
    if number == 0:
        raise InputError("holds no rows", file=path)


def _json(path: Path, key: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    import ijson

    number = 0
    with _opened(path) as file:
        _check_outermost(file, path, key)
        # ijson reads dots in a key as levels; the released files have none.
        items = _streamed("items", file, f"{key}.item" if key else "item")
        try:
            for row in items:
                yield number, _object(_floats(row), path, number)
                number += 1
        except UnicodeDecodeError:
            raise InputError("is not UTF-8 text", file=path, row=number) from None
        except ijson.JSONError as error:
            reason = _line(error)
            if "UTF8" in reason:
                raise InputError("is not UTF-8 text", file=path, row=number) from None
            if _has_long_run(reason.encode(), most := sys.get_int_max_str_digits()):
                reason = f"a whole number has more than {most:,} digits"
            raise InputError(f"is not JSON: {reason}", file=path, row=number) from None
        except ArithmeticError:  # of `Decimal`
            reason = "a number is out of range"
            raise InputError(f"is not JSON: {reason}", file=path, row=number) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"is not JSON: {_line(error)}", file=path, row=number) from None
        if number == 0 and key is not None:
            _check_key(file, path, key)


def _streamed(what: str, file: IO[bytes], *arguments: str) -> Iterator[Any]:
    """What a function of ijson makes of a file, from where the file stands.

    The usual backend, in C, is ended by the operating system at a whole number that Python refuses
    for its length, and with it the process (ijson 3.6). So where the file has that many digits in
    a row, be it in a text, which may have them, ijson's slower Python reads it once more and says
    which it is.
    """
    import ijson

    start, count = file.tell(), 0
    try:
        for value in getattr(ijson, what)(_Watched(file), *arguments):
            yield value
            count += 1
    except _LongRunError:
        from ijson.backends import python

        file.seek(start)
        yield from islice(getattr(python, what)(file, *arguments), count, None)


class _LongRunError(Exception):
    """More digits in a row than a whole number may have."""


class _Watched:
    """A file that is not read on where it has too many digits in a row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._most = sys.get_int_max_str_digits()  # 0 stands for any number
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            _LongRunError: If they complete such a run.
        """
        chunk = self._file.read(size)
        joined = self._last + chunk
        if _has_long_run(joined, self._most):
            raise _LongRunError
        self._last = joined[-self._most :]
        return chunk


def _has_long_run(data: bytes, most: int) -> bool:
    """Whether there are more than `most` digits in a row; never where that is 0."""
    if not most:
        return False
    # A run of that length covers one of these places, so that few bytes are looked at.
    for place in range(most, len(data), most + 1):
        before, after = data[place - most : place + 1], data[place + 1 : place + most + 1]
        ending = len(before) - len(before.rstrip(_DIGITS))
        if ending and ending + len(after) - len(after.lstrip(_DIGITS)) > most:
            return True
    return False


def _check_outermost(file: IO[bytes], path: Path, key: str | None) -> None:
    """Leave the file where its value starts, if that is a list or object as expected."""
    start = file.tell()
    lead = b""
    while not lead:
        chunk = file.read(4096)
        if not chunk:
            raise InputError("is empty", file=path)
        lead = chunk.lstrip()
    file.seek(start)
    if key is None and lead[:1] == b"{":
        raise InputError(
            "holds an object, not a list of rows; name the key of the list, "
            "or name the file .jsonl if each line is a row",
            file=path,
        )
    if key is not None and lead[:1] == b"[":
        raise InputError(f"holds a list, not an object with the key {key!r}", file=path)
    if lead[:1] not in (b"{", b"["):
        raise InputError("holds no list of rows", file=path)


def _check_key(file: IO[bytes], path: Path, key: str) -> None:
    """Tell an empty list from none, which look alike to a stream of its items."""
    file.seek(0)
    _skip_mark(file)
    events = _streamed("parse", file)
    if not any(name == key and event == "start_array" for name, event, _ in events):
        raise InputError("is not there, or not a list", file=path, field=key)


def _opened(path: Path) -> IO[bytes]:
    try:
        file = path.open("rb")
        _skip_mark(file)
    except OSError as error:
        raise _unreadable(path, error) from None
    return file


def _skip_mark(file: IO[bytes]) -> None:
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be read: {error.strerror or _line(error)}", file=path)


def _object(row: Any, path: Path, number: int | str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise InputError(f"is a {type(row).__name__}, not an object", file=path, row=number)
    return row


def _floats(value: Any) -> Any:
    """The value with every `Decimal`, which keeps large integers exact in ijson, as a float."""
    if isinstance(value, dict):
        return {name: _floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return _finite(value) if isinstance(value, Decimal) else value


def _finite(number: str | Decimal) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is out of range")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _line(error: Exception) -> str:
    """The first line of an error's message."""
    text = str(error.args[0]) if error.args else ""
    if error.args and isinstance(error.args[0], bytes):
        text = error.args[0].decode("utf-8", "replace")
    return text.strip().split("\n")[0] or type(error).__name__
