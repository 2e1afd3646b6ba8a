"""What was edited when, and what was asked when, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medit_eval.contenders import is_given
from medit_eval.protocols import MEMORY_QUESTIONED


def protocol_of(arguments: Mapping[str, Any], counts: Sequence[int], orders: int) -> str:
    """The protocol of a run.

    Args:
        arguments: The run's arguments, as its manifest has them.
        counts: Records of each order.
        orders: Orders of edits that were run.
    """
    count = max(counts, default=0)
    if is_given(arguments):
        return _asked(arguments, count)
    sentences = [_edited(arguments, count, orders)]
    sentences.append(
        "The unedited model was asked the same questions first; locality is agreement with it."
    )
    if sizes := arguments.get("memory_sizes"):
        sentences.append(
            f"Up to {MEMORY_QUESTIONED} records were asked about again with {listed(sizes)} edits "
            "in memory, with routing as it is, forced on and forced off."
        )
    if tasks := arguments.get("benchmarks"):
        when = "at each of these points" if arguments.get("checkpoints") else "after the last edit"
        sentences.append(
            f"{many(len(tasks), 'benchmark')} {'was' if len(tasks) == 1 else 'were'} run before "
            f"the edits and {when}."
        )
    return " ".join(sentences)


def _asked(arguments: Mapping[str, Any], count: int) -> str:
    """What is known of answers that another tool made: which questions they are to."""
    protocol, size = arguments.get("protocol"), int(arguments.get("batch_size", 1))
    by = f", {many(size, 'record')} at a time" if protocol != "single" and size > 1 else ""
    marks = arguments.get("checkpoints")
    after = f", after {listed(marks)} {'edit' if list(marks) == [1] else 'edits'}" if marks else ""
    return (
        f"The questions are those of the protocol {protocol} on {many(count, 'record')}{by}{after};"
        " the answers are another tool's, and whether its edits were made as this protocol says is "
        "not recorded. Locality is agreement with the unedited model's answers in the same file."
    )


def _edited(arguments: Mapping[str, Any], count: int, orders: int) -> str:
    protocol, size = arguments.get("protocol"), int(arguments.get("batch_size", 1))
    records, were = many(count, "record"), "was" if count == 1 else "were"
    if protocol == "single":
        return (
            f"Each of {records} was edited alone: its questions were asked, and its edit was taken "
            "back before the next one."
        )
    groups = -(-count // size)
    if protocol == "batch":
        if groups <= 1:
            return (
                f"The {records} {were} edited with one call; then all questions were asked, and "
                "the edits were taken back."
            )
        return (
            f"The {records} were edited in {groups:,} batches of up to {size:,}: after each call "
            "the questions of its records were asked, and its edits were taken back."
        )
    each = "one by one" if size == 1 else f"{size:,} at a time"
    drawn = ""
    if arguments.get("checkpoints"):
        drawn = (
            f", in {many(orders, 'order')} drawn from seed {arguments.get('seed', 0)} "
            f"(number {arguments.get('order', 0)})"
            if orders == 1
            else f", in each of {orders:,} orders drawn from seed {arguments.get('seed', 0)}"
        )
    begin = f"{records} {were} edited {each}{drawn}, and nothing was taken back"
    if marks := arguments.get("checkpoints"):
        edits = "edit" if list(marks) == [1] else "edits"
        return (
            f"{begin}; after {listed(marks)} {edits}, all questions about the edits made so far "
            "were asked, and of all records those that no edit should change."
        )
    return f"{begin}; questions were asked right after their own edit, and all again at the end."


def many(count: int, thing: str) -> str:
    """A number of things: `1 record`, `20 records`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def listed(values: Sequence[object]) -> str:
    """Things in a row: `1, 10 and 100`."""
    texts = [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
