"""Counts of a data set, gathered shard by shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.manifest import Counts
from schemas.records import EditRecord

_COUNTERS = ("probes", "queries", "scopes", "edit_types", "totals")


@dataclass
class Tally:
    """Running counts; two of them add up.

    Attributes:
        probes: Probes by `axis/kind`.
        queries: Prompt-image pairs by `axis/kind`.
        scopes: Records by scope.
        edit_types: Records by edit type.
        totals: Records, images, fallbacks.
    """

    probes: Counter[str] = field(default_factory=Counter)
    queries: Counter[str] = field(default_factory=Counter)
    scopes: Counter[str] = field(default_factory=Counter)
    edit_types: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    def add(self, record: EditRecord) -> None:
        """Count one record."""
        self.totals["records"] += 1
        self.scopes[record.scope or "unknown"] += 1
        self.edit_types[record.edit_type or "unknown"] += 1
        for probe in record.probes:
            key = f"{probe.axis}/{probe.kind}"
            self.probes[key] += 1
            self.queries[key] += len(probe.prompts) * max(1, len(probe.images))
            self.totals["images"] += len(probe.images)
        for request in record.requests:
            pictures = (request, *request.positives, *request.negatives)
            self.totals["images"] += sum(p.image is not None for p in pictures)
        self.totals["fallbacks"] += sum(p.fallback for p in record.provenance)

    def merge(self, other: Tally) -> None:
        """Add another tally's counts."""
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))

    def to_json(self) -> dict[str, dict[str, int]]:
        """The counts as JSON values."""
        return {name: dict(sorted(getattr(self, name).items())) for name in _COUNTERS}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tally:
        """The tally that `to_json` described."""
        return cls(**{name: Counter(value[name]) for name in _COUNTERS})

    def counts(self, rejects_by_rule: Mapping[str, int]) -> Counts:
        """The counts as the manifest holds them."""
        return Counts(
            records=self.totals["records"],
            rejects=sum(rejects_by_rule.values()),
            rejects_by_rule=dict(sorted(rejects_by_rule.items())),
            probes_by_kind={k: (n, self.queries[k]) for k, n in sorted(self.probes.items())},
            scopes=dict(sorted(self.scopes.items())),
            edit_types=dict(sorted(self.edit_types.items())),
            images=self.totals["images"],
            fallbacks=self.totals["fallbacks"],
        )
