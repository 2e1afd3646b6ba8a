"""Findings of validation, and the report that collects them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Layer = Literal["types", "rows", "dataset"]
"""Arrow types, rules on single records, or expectations on the whole data set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        layer: The layer of validation that found it.
        rule: Short name of the broken rule.
        record: The record's id, or None where it concerns the whole file or data set.
        column: The field's path.
        reason: What is wrong, as a clause.
        file: The file, relative to the data set's folder.
    """

    layer: Layer
    rule: str
    record: str | None
    column: str
    reason: str
    file: str | None = None


@dataclass
class Report:
    """All findings about a data set, and what was checked.

    Attributes:
        records: Records that were read.
        findings: Everything that is wrong, in reading order.
        checks: How often each rule was applied, by rule name.
    """

    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, findings: Iterable[Finding]) -> None:
        """Collect findings."""
        self.findings.extend(findings)

    def merge(self, other: Report) -> None:
        """Add what another report holds."""
        self.records += other.records
        self.findings.extend(other.findings)
        self.checks.update(other.checks)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, free of times and paths of a machine."""
        return {
            "ok": self.ok,
            "records": self.records,
            "checks": dict(sorted(self.checks.items())),
            "by_rule": dict(sorted(Counter(f.rule for f in self.findings).items())),
            "findings": [
                {name: getattr(f, name) for name in Finding.__slots__} for f in self.findings
            ],
        }
