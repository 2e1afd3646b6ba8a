"""The files of a snapshot: which there are, what date they name, and how they are opened."""

from __future__ import annotations

import bz2
import gzip
import re
from pathlib import Path
from typing import BinaryIO, cast

from schemas.errors import InputError

_PART = re.compile(r"\.xml(?:-p\d+p\d+)?(?:\.(bz2|gz))?$")
_SEVEN = re.compile(r"\.xml(?:-p\d+p\d+)?\.7z$|\.7z$")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")
_NUMBER = re.compile(r"(\d+)")

_PROLOG = 65_536
"""Bytes in which the root element must begin."""


def parts(path: Path) -> list[Path]:
    """The export's files in order: the file itself, or those of a folder.

    Raises:
        InputError: If there are none, or they are packed with 7-Zip.
    """
    if path.is_dir():
        found = [p for p in path.iterdir() if p.is_file()]
        exports = [p for p in found if _PART.search(p.name)]
        if not exports:
            for packed in sorted(p for p in found if _SEVEN.search(p.name)):
                raise _seven(packed)
            raise InputError("holds no .xml, .xml.bz2 or .xml.gz files", file=path)
        return sorted(exports, key=lambda p: _natural(p.name))
    if not path.is_file():
        raise InputError("does not exist", file=path)
    if _SEVEN.search(path.name):
        raise _seven(path)
    if not _PART.search(path.name):
        raise InputError("is no MediaWiki export: give .xml, .xml.bz2 or .xml.gz", file=path)
    return [path]


def date_in_name(path: Path) -> str | None:
    """The date that a file's or folder's name holds, in ISO 8601, or None."""
    found = _DATE.search(path.name)
    return "-".join(found.groups()) if found else None


def open_part(path: Path) -> BinaryIO:
    """The export's XML as bytes.

    Raises:
        InputError: If the file cannot be opened.
    """
    kind = _PART.search(path.name)
    try:
        if kind and kind[1] == "bz2":
            return cast(BinaryIO, bz2.open(path, "rb"))
        if kind and kind[1] == "gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None


def check_prolog(head: bytes, path: Path) -> None:
    """Refuse what stands before the root element and a parser would act upon.

    A document type can define entities that grow a thousandfold, or name other files. It can only
    stand before the root element, and no export has one.

    Args:
        head: The first bytes, `prolog_size()` of them or the whole file.
        path: The file, for the message.

    Raises:
        InputError: If there is a document type, another encoding, or another root element.
    """
    text = head.removeprefix(b"\xef\xbb\xbf")
    while True:
        text = text.lstrip(b" \t\r\n")
        if text.startswith(b"<?"):
            declaration, closed, text = text.partition(b"?>")
            encoding = re.search(rb"encoding\s*=\s*[\"']([^\"']*)", declaration)
            if encoding and encoding[1].lower() not in (b"utf-8", b"utf8", b"us-ascii", b"ascii"):
                raise InputError("is not in UTF-8", file=path)
        elif text.startswith(b"<!--"):
            _, closed, text = text.partition(b"-->")
        else:
            break
        if not closed:
            text = b""
    if re.match(rb"<mediawiki[\s>/]", text):
        return
    if text.startswith(b"<!"):
        raise InputError(
            "declares a document type or entities, which no MediaWiki export does: not read",
            file=path,
        )
    if not text:
        raise InputError("is no MediaWiki export: it holds no <mediawiki> element", file=path)
    raise InputError("is no MediaWiki export: it does not begin with <mediawiki>", file=path)


def prolog_size() -> int:
    """Bytes that `check_prolog` wants to see."""
    return _PROLOG


def _seven(path: Path) -> InputError:
    return InputError(
        "is packed with 7-Zip: unpack it (`7z x`) or take the .xml.bz2 of the same date", file=path
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `part2` before `part10`."""
    return [(int(s), "") if s.isdigit() else (0, s) for s in _NUMBER.split(name)]
