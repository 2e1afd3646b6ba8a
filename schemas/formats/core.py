"""The round trip that every foreign format shares.

A format says two things: how a row becomes a record (`parse`) and which fields a record gives
back (`render`). `Format` compares the two when it reads a row and keeps what `render` would not
restore (unknown fields, odd spellings, paths of absent pictures) in the record's `extra`. So

    write_row(read_row(row)) == row

holds for every row that is accepted, and a record that was changed since, or that never was a
row, is written from what it holds now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.formats.images import ImageFolder, ImageSink, KeepPaths
from schemas.formats.rows import NO_CONTEXT, ReadContext, Row
from schemas.images import ImageError
from schemas.records import EditRecord, Provenance


@dataclass(frozen=True)
class OutputFile:
    """One file of an exported data set.

    Attributes:
        name: Its name.
        key: The key of the object that holds the rows, or None where the file is a plain list.
        fields: The fields of a row that go into it, or None for all.
        but: The fields that do not, where `fields` is None.
        lines: Whether every row stands on a line of its own, without a list around them.
    """

    name: str
    key: str | None = None
    fields: frozenset[str] | None = None
    but: frozenset[str] = frozenset()
    lines: bool = False

    def part(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a row that goes into this file."""
        if self.fields is None:
            return {name: value for name, value in row.items() if name not in self.but}
        return {name: value for name, value in row.items() if name in self.fields}


@dataclass(frozen=True)
class Format:
    """A foreign row format.

    Attributes:
        name: As given on the command line.
        title: What it is, for people.
        files: The files that an export consists of.
        required: The fields that a written row must have, in order, given those that the record
            gives. Their order is the row's.
        parse: Row -> record.
        render: Record -> the fields that it holds; a field it holds nothing for is left out.
        defaults: Values for required fields that loaders accept when nothing is known.
        aliases: Other names of fields: alias -> canonical name.
        marks: Fields with a default that all the same tell rows of this format from others.
        foreign: Fields that no row of this format has, but rows of a similar one do.
        forms: Formats that circulate under this name too. A row that fits one of them is read as
            that, and its record is written as that.
        joined: Reads a folder whose files hold one data set together, as rows with their numbers;
            None where one file is a data set.
    """

    name: str
    title: str
    files: tuple[OutputFile, ...]
    required: Callable[[Mapping[str, Any]], tuple[str, ...]]
    parse: Callable[[Row], EditRecord]
    render: Callable[[EditRecord, ImageSink], dict[str, Any]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    forms: tuple[Format, ...] = ()
    joined: Callable[[Path], Iterator[tuple[int, dict[str, Any]]]] | None = None

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has the fields by which this format is told, and none that are foreign.

        Those are the fields that it requires and has no default for, and its marks.
        """
        return self._misfit(row) is None

    def read_row(
        self,
        row: Mapping[str, Any],
        images: ImageFolder | None = None,
        context: ReadContext = NO_CONTEXT,
    ) -> EditRecord:
        """The record that a row describes.

        Args:
            row: The row, a JSON object.
            images: Where its pictures are, or None to keep their paths only.
            context: Where the row comes from, and whether pictures may be missing.

        Raises:
            InputError: If a field is missing, has another type, names a picture that cannot be
                used, the row is no JSON object, or it has the fields of another format.
        """
        for form in self.forms:
            if form.fits(row):
                return form.read_row(row, images, context)
        try:
            return self._read(row, images, context)
        except RecursionError:
            raise InputError("is nested too deeply", file=context.file, row=context.row) from None

    def _read(
        self, row: Mapping[str, Any], images: ImageFolder | None, context: ReadContext
    ) -> EditRecord:
        try:
            row_id = f"{self.name}-{_digest(row)}"
        except (TypeError, ValueError) as error:
            raise InputError(f"is not a JSON object: {error}", file=context.file,
                             row=context.row) from None  # fmt: skip
        names = self._names(row)
        canonical = {names.get(name, name): value for name, value in row.items()}
        if len(canonical) != len(row):
            raise InputError("names one field twice", file=context.file, row=context.row)
        self._check_fields(row, context)
        record = self.parse(Row(canonical, images, context, row_id))
        if context.source is not None:
            copied = (Provenance(part, context.source, "source") for part in ("requests", "probes"))
            record = replace(record, provenance=tuple(copied))
        return replace(record, extra=self._leftovers(record, row, canonical, names))

    def write_row(self, record: EditRecord, images: ImageSink | None = None) -> dict[str, Any]:
        """The row that describes a record.

        Args:
            record: The record; its `extra` is used if this format wrote it.
            images: Where its pictures go, or None to write their paths only.

        Raises:
            InputError: Naming the record and the field that this format requires and the record
                lacks, or what it holds that the format has no place for.
        """
        kept = record.extra_fields
        for form in self.forms:
            if kept.get("format") == form.name:
                return form.write_row(record, images)
        try:
            fields = self.render(record, KeepPaths() if images is None else images)
        except ImageError as error:
            raise InputError(str(error), row=record.id) from None
        if kept.get("format") != self.name:
            kept = {}
        rest: dict[str, Any] = kept.get("rest", {})
        for name, digest in kept.get("read_as", {}).items():
            # The record still says what was read, so the row's own wording stands.
            if name in fields and _digest(fields[name]) == digest:
                del fields[name]
        fields = {**rest, **fields}
        written: dict[str, Any] = {}
        for name in self.required(fields):
            if name in fields:
                written[name] = fields[name]
            elif name in kept.get("absent", ()):
                continue
            elif name in self.defaults:
                written[name] = self.defaults[name]
            else:
                raise InputError(
                    f"the record has nothing for it, and {self.title} requires it",
                    row=record.id,
                    field=name,
                )
        written.update((name, value) for name, value in fields.items() if name not in written)
        names = kept.get("names", {})
        row = {names.get(name, name): value for name, value in written.items()}
        return {name: row[name] for name in _ordered(row, kept.get("order", ()))}

    def _misfit(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        """A field by which a row is not of this format, and in which way; None if it is."""
        names = self._names(row)
        there = {names.get(name, name): value for name, value in row.items()}
        for name in self.required(there):
            needed = name in self.marks or name not in self.defaults
            if needed and name not in there:
                return name, f"is missing, and {self.title} requires it"
        if strange := sorted(self.foreign & there.keys()):
            return strange[0], f"is no field of {self.title}"
        return None

    def _check_fields(self, row: Mapping[str, Any], context: ReadContext) -> None:
        """Refuse a row that has not the fields of this format but those of others."""
        misfit = self._misfit(row)
        if misfit is None:
            return
        from schemas.formats import looks_like

        if others := looks_like(row):
            names = " or ".join(map(repr, others))
            raise InputError(
                f"{misfit[1]}; the row looks like {names}",
                file=context.file,
                row=context.row,
                field=misfit[0],
            )

    def _names(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Alias -> canonical name, for the aliases that a row uses."""
        return {
            alias: name for alias, name in self.aliases.items() if alias in row and name not in row
        }

    def _leftovers(
        self,
        record: EditRecord,
        row: Mapping[str, Any],
        canonical: Mapping[str, Any],
        names: Mapping[str, str],
    ) -> str | None:
        """The `extra` that makes `write_row` give the row back."""
        bare = self.render(replace(record, extra=None), KeepPaths())
        other = {n: v for n, v in bare.items() if n not in canonical or canonical[n] != v}
        rest = {n: v for n, v in canonical.items() if n not in bare or n in other}
        absent = [n for n in self.required({**bare, **rest}) if n not in canonical]
        kept: dict[str, Any] = {
            "format": self.name,
            "rest": rest,
            "read_as": {n: _digest(v) for n, v in other.items()},
            "absent": absent,
            "names": {name: alias for alias, name in names.items()},
        }

        def pack() -> str | None:
            filled = {key: value for key, value in kept.items() if value}
            return json.dumps(filled, ensure_ascii=False) if len(filled) > 1 else None

        written = self.write_row(replace(record, extra=pack()))
        if list(written) != list(row):
            kept["order"] = list(row)
        return pack()


def _ordered(row: Mapping[str, Any], order: Iterable[str]) -> list[str]:
    first = [name for name in order if name in row]
    seen = set(first)
    return first + [name for name in row if name not in seen]


def _digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
