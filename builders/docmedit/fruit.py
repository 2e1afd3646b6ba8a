"""FRUIT and DocMEdit files as a source: rows that others built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.definition import Row
from builders.docmedit.draft import Asked, Draft
from builders.docmedit.record import record_id
from builders.steps import Reject
from schemas.arrow import to_row
from schemas.documents import DocumentRecord
from schemas.errors import InputError
from schemas.formats.fruit import read_fruit
from schemas.layout import sha256_of


@dataclass(frozen=True)
class FruitSource:
    """Rows of a JSON Lines file in FRUIT's fields, which are also DocMEdit's.

    Attributes:
        path: The file.
        limit: Rows to read, or None for all.
    """

    path: Path
    limit: int | None = None

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The rows as drafts."""
        for number, found in read_fruit(self.path):
            if self.limit is not None and number >= self.limit:
                return
            if isinstance(found, InputError):
                yield Reject(number, None, "ingest", "row", found.field or "", found.reason)
            else:
                yield Row(number, record_id(found.document), to_row(_draft(found)))

    def context(self) -> dict[str, Any]:
        """Nothing: every row stands alone."""
        return {}

    def describe(self) -> dict[str, Any]:
        """The file with its digest."""
        return {
            "name": "fruit",
            "title": f"the file {self.path.name}",
            "licence": "unknown",
            "files": {self.path.name: sha256_of(self.path)},
            "notes": [
                "The source names no dates, no passages and no old values: those are empty, and "
                "prompts are cut from the sentences that the later text adds."
            ],
        }


def _draft(record: DocumentRecord) -> Draft:
    asked = tuple(Asked(request.prompt, request.subject) for request in record.requests)
    return Draft(record.document, asked, extra=record.extra)
