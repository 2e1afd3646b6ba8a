"""Protocols as plans: in which order records are edited, asked and taken back.

- `single`: edit one record, ask its questions, take it back.
- `batch`: edit `batch_size` records with one call, ask their questions, take them back.
- `sequential`: edit `batch_size` records after the other, never taking back; ask each group's
  questions right after its edit, and everything again at the end. With checkpoints, everything is
  asked at each of them instead: the edits made so far, and what edits should leave alone of all
  records of the sequence, those yet to be edited among them, so that all checkpoints are compared
  on the same questions.
"""

from __future__ import annotations

import math
import random
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
        watch: Records of which only the questions are asked that edits should leave alone.
        edits: Edits that are in the model then, where it is a checkpoint of a sequence.
        benchmarks: Whether benchmarks are run then.
    """

    phase: str
    edit: tuple[EditRecord, ...]
    ask: tuple[EditRecord, ...]
    force: Literal["on", "off"] | None = None
    watch: tuple[EditRecord, ...] = ()
    edits: int | None = None
    benchmarks: bool = False


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
        return [(Step("after", group, group, benchmarks=len(groups) == 1),) for group in groups]
    steps = [Step("right_after", group, group) for group in groups]
    return [(*steps, Step("at_end", (), tuple(records), benchmarks=True))]


def checkpoint_phase(edits: int) -> str:
    """What answers after so many edits are filed under."""
    return f"{_EDITS}{edits}"


def edits_of(phase: str) -> int | None:
    """The number of edits of a checkpoint's phase; None for other phases."""
    number = phase.removeprefix(_EDITS)
    return int(number) if phase.startswith(_EDITS) and number.isdecimal() else None


def is_plain(phase: str) -> bool:
    """Whether routing is as it is, and the memory holds what the protocol put there."""
    return not phase.startswith(_MEMORY)


def reachable(checkpoints: Sequence[int], batch_size: int, count: int) -> tuple[int, ...]:
    """The checkpoints that so many records reach, in order.

    Raises:
        InputError: If one is not positive, none is reached, or the batch size does not divide the
            steps between them.
    """
    wanted = sorted(set(checkpoints))
    if not wanted or wanted[0] < 1:
        raise InputError("checkpoints count edits, so each is at least 1")
    last = 0
    for checkpoint in wanted:
        if (checkpoint - last) % batch_size:
            raise InputError(
                f"a batch size of {batch_size} does not divide the {checkpoint - last} edits from "
                f"{last} to the checkpoint {checkpoint}"
            )
        last = checkpoint
    reached = tuple(checkpoint for checkpoint in wanted if checkpoint <= count)
    if not reached:
        raise InputError(
            f"the first checkpoint is {wanted[0]} edits, and there are {count} records"
        )
    return reached


def draw(records: Sequence[EditRecord], size: int, seed: int, order: int) -> list[EditRecord]:
    """The records of one order of edits: a sample without replacement, in random order.

    Orders of one seed differ in which records are edited and when. The sample of a longer order
    begins with that of a shorter one.
    """
    chosen = list(records)
    random.Random(f"order {order} of {seed}").shuffle(chosen)
    return chosen[:size]


def sequence(
    records: Sequence[EditRecord], batch_size: int, checkpoints: Sequence[int]
) -> list[Episode]:
    """The one episode of a sequence with checkpoints.

    Args:
        records: The records, in order; those behind the last checkpoint are left out.
        batch_size: Records that are edited with one call.
        checkpoints: As `reachable` gives them.
    """
    chosen = tuple(records[: checkpoints[-1]])
    steps: list[Step] = []
    for end in range(batch_size, len(chosen) + 1, batch_size):
        group = chosen[end - batch_size : end]
        if end in checkpoints:
            phase = checkpoint_phase(end)
            steps.append(
                Step(phase, group, chosen[:end], watch=chosen[end:], edits=end, benchmarks=True)
            )
        else:
            steps.append(Step(checkpoint_phase(end), group, ()))
    return [tuple(steps)]


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
            name = f"{_MEMORY}{size}"
            episodes.append(
                (
                    Step(name, group, asked),
                    Step(f"{name}-on", (), asked, force="on"),
                    Step(f"{name}-off", (), asked, force="off"),
                )
            )
    return episodes


_EDITS, _MEMORY = "edits-", "memory-"


def _groups(records: Sequence[EditRecord], size: int) -> list[tuple[EditRecord, ...]]:
    return [tuple(records[start : start + size]) for start in range(0, len(records), size)]
