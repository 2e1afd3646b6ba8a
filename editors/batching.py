"""How many rows of a batch fit into memory, learned from the batches that ran.

What a batch adds to the memory in use, its peak, grows with its rows, and with their columns at
most by the square (attention; all else grows with the columns or not at all). So a batch that ran
bounds one of other rows and columns. Peaks of different kinds of work, such as scoring and
searching for values with gradients, say nothing about each other and are kept apart.

R rows, T columns, which is tokens with their pads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from editors.gauges import Gauge

GROWTH = 4
"""How many times the tokens of the largest batch so far the next one may have."""


@dataclass(frozen=True)
class Bounds:
    """What bounds batches beside the memory that they are found to need.

    Attributes:
        share: Share of the free memory that a batch may take.
        first_rows: Rows of the first batch of a kind of work, of which nothing is known.
        first_tokens: Tokens of it.
        rows: Rows beyond which more do not pay; None where they always do.
        tokens: Tokens beyond which more do not pay; None where they always do.
        patience: Padding, in tokens, that costs no more than another batch would.
    """

    share: float
    first_rows: int
    first_tokens: int
    rows: int | None
    tokens: int | None
    patience: int


ACCELERATOR = Bounds(
    share=0.75, first_rows=64, first_tokens=8192, rows=None, tokens=None, patience=4096
)
"""On an accelerator, where a forward takes about as long for one row as for many. Its kernels are
launched one after another: some 20 ms for a model of 32 blocks, in which one that is busy reads
thousands of tokens. A quarter of the memory is left for answers that come out longer than those
seen, and for what lies between the pieces in use."""

PROCESSOR = Bounds(share=0.5, first_rows=64, first_tokens=2048, rows=64, tokens=2048, patience=256)
"""On a processor. `testbed/lm` reads and writes most tokens per second in batches of 16 to 64 rows
of 10 tokens, 8 to 32 of 50, 4 to 16 of 175 and 4 to 8 of 300: beyond, what a layer puts out no
longer fits into the cache; see docs/performance.md."""


@dataclass
class _Seen:
    """What is known of one kind of work.

    Attributes:
        tokens: R T of the largest batch that ran.
        most: The most R T that a batch may have since memory ran out; None where it never did.
        needs: By columns, the most rows seen and the bytes that a row took on each device.
    """

    tokens: int = 0
    most: int | None = None
    needs: dict[int, tuple[int, tuple[float, ...]]] = field(default_factory=dict)

    def note(self, rows: int, columns: int, each: tuple[float, ...]) -> None:
        """Keep what a row took; that of few is inflated by what does not grow with rows."""
        most, known = self.needs.get(columns, (0, each))
        if rows >= 2 * most:
            self.needs[columns] = rows, each
        elif 2 * rows >= most:
            worse = tuple(max(pair) for pair in zip(each, known, strict=True))
            self.needs[columns] = max(rows, most), worse

    def need(self, columns: int) -> tuple[float, ...] | None:
        """At most what a row of so many columns takes on each device; None if nobody knows."""
        below = [seen for seen in self.needs if seen <= columns]
        if not below:
            return self.needs[min(self.needs)][1] if self.needs else None
        scale = (columns / max(below)) ** 2
        most = (max(values) for values in zip(*(self.needs[c][1] for c in below), strict=True))
        return tuple(scale * value for value in most)


class BatchSizer:
    """Finds how many rows the next batch may have."""

    def __init__(self, gauge: Gauge | None, bounds: Bounds) -> None:
        """Know nothing yet.

        Args:
            gauge: Watches the memory; without one, batches stay as large as the first.
            bounds: What bounds them beside it.
        """
        self.bounds = bounds
        self._gauge = gauge
        self._seen: dict[str, _Seen] = {}
        self._free: tuple[float, ...] = (1.0,)

    def look(self) -> None:
        """Look how much memory is free, before a batch is cut."""
        if self._gauge is not None:
            self._free = tuple(map(float, self._gauge.free()))

    def rows(self, work: str, columns: int) -> int:
        """Rows that the next batch may have, at least one.

        Args:
            work: The kind of work.
            columns: Columns of its longest row.
        """
        bounds, seen = self.bounds, self._seen.get(work, _Seen())
        found = [bounds.rows]
        found += [most // columns for most in (bounds.tokens, seen.most) if most is not None]
        first = min(bounds.first_rows, bounds.first_tokens // columns)
        found.append(max(first, GROWTH * seen.tokens // columns))
        need = seen.need(columns)
        if need is not None:
            found += [
                int(bounds.share * free / each)
                for free, each in zip(self._free, need, strict=True)
                if each > 0
            ]
        most = max(1, min(limit for limit in found if limit is not None))
        # Three binary digits of it: a little more or less of free memory should change no batch,
        # for results depend on batches by rounding.
        spare = max(0, most.bit_length() - 3)
        return most >> spare << spare

    @contextmanager
    def watching(self, work: str, rows: int, columns: int) -> Iterator[None]:
        """Learn from the batch that is run in the context, unless it fails."""
        if self._gauge is None:
            yield
            return
        self._gauge.start()
        yield
        each = tuple(peak / rows for peak in self._gauge.peak())
        seen = self._seen.setdefault(work, _Seen())
        seen.tokens = max(seen.tokens, rows * columns)
        seen.note(rows, columns, each)

    def failed(self, work: str, rows: int, columns: int) -> None:
        """Learn that memory ran out.

        Args:
            work: The kind of work.
            rows: How many rows are to be tried instead.
            columns: Columns of the batch that failed; the tokens of these rows are the most from
                now on.
        """
        seen = self._seen.setdefault(work, _Seen())
        seen.most = min(rows * columns, seen.most or rows * columns)


def cut(
    lengths: Iterable[int],
    limit: Callable[[int], int],
    *,
    rows: int = 1,
    patience: int = 0,
) -> tuple[int, int]:
    """How many of the items that come next go into one batch, at least one, and its columns.

    A batch ends where its rows would be too many, or where more than a quarter of its tokens would
    be padding and that is more than `patience`.

    Args:
        lengths: The columns of the items' rows, in the order in which they come.
        limit: The most rows of a batch with so many columns.
        rows: Rows that each item makes.
        patience: See above.
    """
    count = widest = filled = 0
    most = None
    for length in lengths:
        columns = max(widest, length)
        if most is None or columns != widest:
            most = limit(columns)
        whole = (count + 1) * rows * columns
        padding = whole - filled - rows * length
        wasteful = padding > max(patience, whole // 4)
        if count and ((count + 1) * rows > most or wasteful):
            break
        count, widest, filled = count + 1, columns, filled + rows * length
    return count, widest
