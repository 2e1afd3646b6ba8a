"""What a pass over a data set's small columns tells, and which records to show of it.

No picture is read, so a data set of any size is surveyed at the speed of its text.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import schema_of
from schemas.errors import InputError
from schemas.records import AXES, EDIT_TYPES, PROBE_KINDS, SCOPES

_LEAVES = {
    "scope",
    "edit_type",
    "probes.axis",
    "probes.kind",
    "probes.prompts",
    "probes.images.path",  # gives the number of pictures without their bytes
}
_STRATA = tuple(itertools.product((*SCOPES, None), (*EDIT_TYPES, None)))


@dataclass(frozen=True)
class KindCount:
    """How many probes of one axis and kind there are, with their queries and pictures."""

    axis: str
    kind: str
    probes: int
    queries: int
    pictures: int

    @property
    def description(self) -> str:
        """What the kind asks, or nothing where the builders do not know it."""
        return PROBE_KINDS.get(self.kind, "")


@dataclass(frozen=True)
class Overview:
    """Counts of a whole data set.

    Attributes:
        strata: For each record, in order, the number of its (scope, edit type) pair; uint8.
        kinds: Counts by axis and kind, in the order of reports.
    """

    strata: np.ndarray
    kinds: tuple[KindCount, ...]

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.strata)

    @property
    def scopes(self) -> Counter[str]:
        """Records by scope."""
        return self._count(0)

    @property
    def edit_types(self) -> Counter[str]:
        """Records by edit type."""
        return self._count(1)

    def _count(self, part: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for pair, records in zip(
            _STRATA, np.bincount(self.strata, minlength=len(_STRATA)), strict=True
        ):
            if records:
                counts[pair[part] or "not given"] += int(records)
        return counts


def survey(shards: list[Path]) -> Overview:
    """Count what the shards hold.

    Raises:
        InputError: If a shard cannot be read, is of another schema or holds unknown values.
    """
    numbers = {pair: number for number, pair in enumerate(_STRATA)}
    strata = [np.zeros(0, np.uint8)]
    kinds: dict[tuple[str, str], np.ndarray] = {}
    for path in shards:
        file = open_shard(path)
        leaves = [c.path for c in file.schema if _without_lists(c.path) in _LEAVES]
        try:
            for batch in file.iter_batches(batch_size=1024, columns=leaves):
                scopes, edit_types = (batch[n].to_pylist() for n in ("scope", "edit_type"))
                pairs = zip(scopes, edit_types, strict=True)
                strata.append(np.array([numbers[pair] for pair in pairs], np.uint8))
                _count_probes(batch["probes"].flatten(), kinds)
        except KeyError as error:
            raise InputError(f"has {error.args[0]} as scope and edit type", file=path) from None
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"cannot be read: {error}", file=path) from None
        if unknown := [pair for pair in kinds if pair[0] not in AXES or not pair[1]]:
            raise InputError(f"has a probe with {unknown[0]} as axis and kind", file=path)
    order = sorted(kinds, key=lambda pair: report_order(*pair))
    return Overview(
        np.concatenate(strata),
        tuple(KindCount(*pair, *(int(n) for n in kinds[pair])) for pair in order),
    )


def sample(strata: np.ndarray, limit: int, seed: int) -> list[int]:
    """Rows to show, ascending: evenly spaced in each stratum, strata in proportion.

    Every stratum gets a row while there are any left to give, so that rare kinds of record are
    seen. Rows are spaced over the whole data set, hence over its shards.
    """
    if limit >= len(strata):
        return list(range(len(strata)))
    found, counts = np.unique(strata, return_counts=True)
    sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
    largest = sorted(sizes, key=lambda s: (-sizes[s], s))
    seats = dict.fromkeys(largest[:limit], 1)
    for _ in range(limit - len(seats)):  # D'Hondt: never more seats than a stratum has records
        seats[max(seats, key=lambda s: sizes[s] / (seats[s] + 1))] += 1
    start = random.Random(seed).random()
    rows: list[int] = []
    for stratum, count in seats.items():
        members = np.flatnonzero(strata == stratum)
        places = ((np.arange(count) + start) * len(members) / count).astype(int)
        rows.extend(members[places].tolist())
    return sorted(rows)


def open_shard(path: Path) -> pq.ParquetFile:
    """A shard, opened so that reading does not hold whole columns of pictures.

    Raises:
        InputError: If it is no Parquet file, or of another schema.
    """
    try:
        file = pq.ParquetFile(path, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a readable Parquet file: {error}", file=path) from None
    schema = schema_of(file.schema_arrow)
    if not file.schema_arrow.equals(schema.arrow):
        raise InputError(f"is not of schema {schema.name}, version {schema.version}", file=path)
    return file


def report_order(axis: str, kind: str) -> tuple[int, int, str]:
    """Sort key that puts axes and kinds in the order of reports, unknown kinds last."""
    known = list(PROBE_KINDS)
    return AXES.index(axis), known.index(kind) if kind in known else len(known), kind


def _count_probes(probes: pa.StructArray, kinds: dict[tuple[str, str], np.ndarray]) -> None:
    """Add [probes, queries, pictures] of these probes to `kinds`."""
    prompts, pictures = (
        probes.field(name).value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        for name in ("prompts", "images")
    )
    table = pa.table(
        {
            "axis": probes.field("axis"),
            "kind": probes.field("kind"),
            "probes": np.ones(len(probes), np.int64),
            "queries": (prompts * np.maximum(pictures, 1)).astype(np.int64),
            "pictures": pictures.astype(np.int64),
        }
    )
    sums = table.group_by(["axis", "kind"]).aggregate(
        [("probes", "sum"), ("queries", "sum"), ("pictures", "sum")]
    )
    for row in sums.to_pylist():
        more = np.array([row["probes_sum"], row["queries_sum"], row["pictures_sum"]])
        pair = (row["axis"], row["kind"])
        kinds[pair] = kinds[pair] + more if pair in kinds else more


def _without_lists(leaf: str) -> str:
    """A Parquet leaf's path without the levels that only lists need."""
    return re.sub(r"\.list\.(element|item)(?=\.|$)", "", leaf)
