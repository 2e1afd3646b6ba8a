"""Validation of a stored data set, in three layers.

1. **types**: every file is whole and has the columns of the schema that it claims.
2. **rows**: every record keeps the row rules (`schemas.rules`).
3. **dataset**: the records together meet the expectations (`schemas.expectations`), and the files
   are those of the manifest.

Files are streamed: besides a few records at a time, only ids and small statistics stay in memory.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import columns
from schemas.arrow import Schema, from_row
from schemas.document_rules import DOCUMENT_RULES, check_document
from schemas.documents import DocumentRecord
from schemas.errors import InputError
from schemas.expectations import STATS, run_suite, stats_table
from schemas.findings import Finding, Report
from schemas.integrity import CHECKS as FILE_CHECKS
from schemas.integrity import check_files, check_shard_names, read_manifest
from schemas.layout import Layout
from schemas.manifest import Rules
from schemas.records import EditRecord
from schemas.rules import RULES, check_record

_BATCH = 16
_RULE_NAMES = tuple(rule.__name__ for rule in RULES)
_DOCUMENT_RULE_NAMES = tuple(rule.__name__ for rule in DOCUMENT_RULES)


@dataclasses.dataclass(frozen=True)
class RowChecker:
    """Applies the row rules to one record after the other.

    Attributes:
        rules: What the data set promises.
        checks: How often each rule was applied so far, for a report.
    """

    rules: Rules
    checks: Counter[str] = dataclasses.field(default_factory=Counter)

    def check(self, record: EditRecord) -> list[Finding]:
        """Everything that is wrong with a record."""
        self.checks.update(_RULE_NAMES)
        findings = check_record(record, self.rules)
        if isinstance(record, DocumentRecord):
            self.checks.update(_DOCUMENT_RULE_NAMES)
            findings += check_document(record)
        return findings


def validate(path: Path) -> Report:
    """Everything that is wrong with a data set.

    Args:
        path: A data set's folder, whose manifest says what it promises, or one Parquet file.

    Raises:
        InputError: If nothing that could be validated is there.
    """
    if path.is_dir():
        return _validate_folder(path)
    if not path.exists():
        raise InputError("does not exist", file=path)
    if path.suffix != ".parquet":
        raise InputError("is neither a data set's folder nor a .parquet file", file=path)
    validation = _Validation(Rules())
    validation.check_file(path, path.name)
    return validation.finish()


def _validate_folder(root: Path) -> Report:
    layout = Layout(root)
    files = {f"data/{file.name}": file for file in layout.shards()}
    manifest, findings = read_manifest(root) if layout.complete else (None, [])
    validation = _Validation(manifest.rules if manifest else Rules())
    rows = {name: validation.check_file(file, name) for name, file in files.items()}
    if manifest is None:
        validation.report.checks["shards_are_all_there"] += 1
        findings += check_shard_names([file.name for file in files.values()])
    else:
        validation.report.checks.update(FILE_CHECKS)
        findings += check_files(root, manifest, rows)
    validation.report.add(findings)
    return validation.finish()


class _Validation:
    """One pass over the files of a data set."""

    def __init__(self, rules: Rules) -> None:
        self.report = Report()
        self._checker = RowChecker(rules)
        self._stats: list[pa.Table] = []
        self._requests: dict[str, str] = {}

    def check_file(self, path: Path, name: str) -> int | None:
        """Check a file's columns and records; gives its rows, or None where it cannot be read."""
        self.report.checks["files_are_readable"] += 1
        try:
            with _open(path) as parquet:
                self.report.checks.update(columns.CHECKS)
                schema, findings = columns.check_columns(parquet.schema_arrow)
                self._add(findings, name)
                if schema is not None:
                    self._check_rows(parquet, schema, name)
                return parquet.metadata.num_rows
        except InputError as error:
            self._add([Finding("types", "files_are_readable", None, "", error.reason)], name)
            return None

    def finish(self) -> Report:
        """The report, with the data set's layer at its end."""
        self.report.checks.update(self._checker.checks)
        stats = pa.concat_tables([STATS.empty_table(), *self._stats])
        # Without statistics it is known already what is wrong, unless nothing was there at all.
        if stats.num_rows or (self.report.ok and not self.report.records):
            self.report.merge(run_suite(stats, self._checker.rules))
        return self.report

    def _check_rows(self, parquet: pq.ParquetFile, schema: Schema[Any], name: str) -> None:
        at = 0
        for rows in _batches(parquet):
            records: list[EditRecord] = []
            for row in rows:
                at += 1
                self.report.records += 1
                self.report.checks["values_have_types"] += 1
                try:
                    record = from_row(schema.record, row)
                except InputError as error:
                    self._add([_bad_value(error, row, at - 1)], name)
                    continue
                if isinstance(record, EditRecord):
                    records.append(record)
                    self._add(self._checker.check(record), name)
                    self._add(self._repeated_requests(record, name), name)
            self._stats.append(stats_table(records, name))

    def _repeated_requests(self, record: EditRecord, name: str) -> list[Finding]:
        self.report.checks["request_ids_are_unique"] += 1
        findings = [
            Finding(
                "dataset",
                "request_ids_are_unique",
                record.id,
                f"requests[{i}].id",
                f"is {request.id!r}, like one in {self._requests[request.id]}",
            )
            for i, request in enumerate(record.requests)
            if request.id in self._requests
        ]
        # Added after the look-up: repeats within one record are the row rules' business.
        for request in record.requests:
            self._requests.setdefault(request.id, f"record {record.id!r} of {name}")
        return findings

    def _add(self, findings: list[Finding], file: str) -> None:
        self.report.add(dataclasses.replace(finding, file=file) for finding in findings)


_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for bytes that are no Parquet, in its own kinds and in Python's."""


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Read in small pieces, as a row group of images may be large.
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except _DAMAGE as error:
        raise _unreadable(error) from None


def _batches(parquet: pq.ParquetFile) -> Iterator[list[dict[str, Any]]]:
    try:
        for batch in parquet.iter_batches(batch_size=_BATCH):
            yield batch.to_pylist()
    except _DAMAGE as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"is not a whole Parquet file: {reason[:200]}")


def _bad_value(error: InputError, row: dict[str, Any], number: int) -> Finding:
    name = row.get("id")
    record = name if isinstance(name, str) and name else f"row {number}"
    return Finding("types", "values_have_types", record, error.field or "", error.reason)
