"""Protocols as plans: in which order records are edited, asked and taken back.

- `single`: edit one record, ask its questions, take it back.
- `batch`: edit `batch_size` records with one call, ask their questions, take them back.
- `sequential`: edit `batch_size` records after the other, never taking back; ask each group's
  questions right after its edit, and everything again at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from schemas.errors import InputError
from schemas.records import EditRecord

Protocol = Literal["single", "batch", "sequential"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)

MEMORY_QUESTIONED = 100
"""Records that are asked about at each memory size, at least where there are as many."""


@dataclass(frozen=True)
class Step:
    """One edit, if any, and the questions after it.

    Attributes:
        phase: What the answers are filed under.
        edit: Records whose requests are put into the model with one call.
        ask: Records whose questions are asked then.
        force: How routing is forced while they are asked.
    """

    phase: str
    edit: tuple[EditRecord, ...]
    ask: tuple[EditRecord, ...]
    force: Literal["on", "off"] | None = None


Episode = tuple[Step, ...]
"""Steps between two unedited models: edits add up within one, and none outlives it."""


def plan(protocol: str, records: Sequence[EditRecord], batch_size: int) -> list[Episode]:
    """The episodes of a protocol.

    Raises:
        InputError: If there is no such protocol, or the batch size is not positive.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; known are {', '.join(PROTOCOLS)}")
    if batch_size < 1:
        raise InputError(f"the batch size must be at least 1, not {batch_size}")
    if protocol == "single":
        return [(Step("after", (record,), (record,)),) for record in records]
    groups = _groups(records, batch_size)
    if protocol == "batch":
        return [(Step("after", group, group),) for group in groups]
    steps = [Step("right_after", group, group) for group in groups]
    return [(*steps, Step("at_end", (), tuple(records)))]


def memory_plan(records: Sequence[EditRecord], sizes: Sequence[int]) -> list[Episode]:
    """Episodes that ask with so many records in memory, routing as it is, forced on, forced off.

    At a size of N, groups of N records are edited, as many groups as it takes to ask about
    `MEMORY_QUESTIONED` records in all, each of which is in memory when it is asked about. Sizes
    above the number of records are left out.

    Raises:
        InputError: If a size is not positive.
    """
    episodes: list[Episode] = []
    for size in sizes:
        if size < 1:
            raise InputError(f"memory sizes must be at least 1, not {size}")
        if size > len(records):
            continue
        count = min(len(records) // size, math.ceil(MEMORY_QUESTIONED / size))
        for group in _groups(records, size)[:count]:
            asked = group[:MEMORY_QUESTIONED]
            name = f"memory-{size}"
            episodes.append(
                (
                    Step(name, group, asked),
                    Step(f"{name}-on", (), asked, force="on"),
                    Step(f"{name}-off", (), asked, force="off"),
                )
            )
    return episodes


def _groups(records: Sequence[EditRecord], size: int) -> list[tuple[EditRecord, ...]]:
    return [tuple(records[start : start + size]) for start in range(0, len(records), size)]
