from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from editors.batching import ACCELERATOR, PROCESSOR, BatchSizer, Bounds, cut

MIB = 2**20
OPEN = Bounds(share=0.5, first_rows=8, first_tokens=256, rows=None, tokens=None, patience=0)


@dataclass
class FakeGauge:
    """A device on which a batch takes what a formula says."""

    room: list[int]
    needs: Callable[[int, int], list[int]]
    taken: list[int] = field(default_factory=list)

    def free(self) -> list[int]:
        return self.room

    def start(self) -> None:
        self.taken = []

    def peak(self) -> list[int]:
        return self.taken


def ran(
    sizer: BatchSizer, gauge: FakeGauge, lengths: list[int], work: str = "", each: int = 1
) -> list[tuple[int, int]]:
    """Rows and columns of the batches that items of some lengths, in order, are run in."""
    shapes = []
    while lengths:
        sizer.look()
        count, columns = cut(
            lengths,
            lambda widest: sizer.rows(work, widest),
            rows=each,
            patience=sizer.bounds.patience,
        )
        rows = count * each
        shapes.append((rows, columns))
        needed = gauge.needs(rows, columns)
        if any(n > room for n, room in zip(needed, gauge.room, strict=True)):
            assert count > 1, "not even one item fits"
            sizer.failed(work, count // 2 * each, columns)
            continue
        with sizer.watching(work, rows, columns):
            gauge.taken = needed
        lengths = lengths[count:]
    return shapes


def test_batches_grow_up_to_the_share_of_memory_and_not_beyond() -> None:
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [rows * MIB])
    found = ran(BatchSizer(gauge, OPEN), gauge, [10] * 5000)
    assert [rows for rows, _ in found[:5]] == [8, 32, 128, 448, 448]
    assert max(rows for rows, _ in found) == 448


@pytest.mark.parametrize(
    "need",
    [
        lambda rows, columns: rows * columns * MIB // 10,
        lambda rows, columns: rows * columns**2 * MIB // 100,
        lambda rows, columns: 3 * MIB + rows * (MIB + columns * MIB // 9 + columns**2 * 1000),
    ],
)
@pytest.mark.parametrize("each", [1, 7])
def test_longer_rows_never_take_more_than_the_share(
    need: Callable[[int, int], int], each: int
) -> None:
    gauge = FakeGauge([400 * MIB], lambda rows, columns: [need(rows, columns)])
    lengths = sorted(range(5, 60)) * 12 + [70] * 40
    for order in (sorted(lengths), lengths):
        found = ran(BatchSizer(gauge, OPEN), gauge, order, each=each)
        assert sum(rows for rows, _ in found) == each * len(order)
        over = [shape for shape in found if need(*shape) > 200 * MIB]
        assert all(rows == each for rows, _ in over), over
        largest = max(need(*shape) for shape in found)
        assert largest > 50 * MIB


def test_the_tightest_of_several_devices_decides() -> None:
    gauge = FakeGauge([1000 * MIB, 100 * MIB], lambda rows, _: [rows * MIB, rows * MIB // 2])
    found = ran(BatchSizer(gauge, OPEN), gauge, [10] * 2000)
    assert max(rows for rows, _ in found) == 96


def test_memory_that_got_less_is_seen_before_the_next_batch() -> None:
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [rows * MIB])
    sizer = BatchSizer(gauge, OPEN)
    ran(sizer, gauge, [10] * 2000)
    gauge.room = [100 * MIB]
    assert max(rows for rows, _ in ran(sizer, gauge, [10] * 200)) == 48


def test_memory_that_runs_out_halves_the_rows_for_good() -> None:
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [MIB if rows < 60 else 2000 * MIB])
    sizer = BatchSizer(gauge, OPEN)
    assert [rows for rows, _ in ran(sizer, gauge, [10] * 200)] == [
        8,
        32,
        128,
        64,
        32,
        32,
        32,
        32,
        32,
    ]
    assert {rows for rows, _ in ran(sizer, gauge, [10] * 128)} == {32}
    assert sizer.rows("", 5) == 64
    assert sizer.rows("", 20) == 16
    assert sizer.rows("another kind of work", 10) == 8


def test_memory_that_runs_out_with_few_rows_of_a_known_length_halves_them_too() -> None:
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [rows * MIB])
    sizer = BatchSizer(gauge, OPEN)
    ran(sizer, gauge, [10] * 2000)
    sizer.failed("", 20, 10)  # somebody else took the memory meanwhile
    assert sizer.rows("", 10) == 20


def test_one_item_is_tried_however_long_it_is() -> None:
    gauge = FakeGauge([10 * MIB], lambda rows, columns: [1])
    sizer = BatchSizer(gauge, OPEN)
    assert ran(sizer, gauge, [100_000], each=7) == [(7, 100_000)]
    assert sizer.rows("other", 10**9) == 1


def test_without_a_gauge_batches_stay_as_large_as_the_first_and_are_halved() -> None:
    sizer = BatchSizer(None, OPEN)
    for _ in range(3):
        sizer.look()
        assert sizer.rows("", 10) == 8
        assert sizer.rows("", 64) == 4
        with sizer.watching("", 8, 10):
            pass
    sizer.failed("", 4, 10)
    assert sizer.rows("", 10) == 4
    sizer.failed("", 2, 10)
    assert sizer.rows("", 10) == 2


def test_few_rows_do_not_make_the_next_batch_small() -> None:
    """Else the same questions would be cut otherwise when they are asked again."""
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [rows * MIB])
    sizer = BatchSizer(gauge, OPEN)
    assert ran(sizer, gauge, [5]) == [(1, 5)]
    assert ran(sizer, gauge, [10] * 8) == [(8, 10)]


def test_a_little_more_free_memory_changes_no_batch() -> None:
    shapes = set()
    for room in range(1000, 1020, 4):
        gauge = FakeGauge([room * MIB], lambda rows, _: [rows * MIB])
        shapes.add(tuple(ran(BatchSizer(gauge, OPEN), gauge, [10] * 2000)))
    assert len(shapes) == 1


def test_kinds_of_work_are_kept_apart_and_a_failure_teaches_nothing_else() -> None:
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [rows * MIB])
    sizer = BatchSizer(gauge, OPEN)
    ran(sizer, gauge, [10] * 500, work="scoring")
    assert sizer.rows("scoring", 10) == 448
    assert sizer.rows("searching", 10) == 8
    with pytest.raises(ValueError, match="bug"), sizer.watching("searching", 8, 10):
        raise ValueError("a bug")
    assert sizer.rows("searching", 10) == 8


def test_what_does_not_pay_is_not_tried() -> None:
    gauge = FakeGauge([10**15], lambda rows, _: [rows])
    found = ran(BatchSizer(gauge, PROCESSOR), gauge, sorted([10] * 500 + [100] * 90 + [600] * 9))
    assert max(rows for rows, _ in found) == 64
    assert max(rows * columns for rows, columns in found) <= 2048
    found = ran(BatchSizer(gauge, ACCELERATOR), gauge, [10] * 5000)
    assert [rows for rows, _ in found] == [64, 256, 1024, 3656]


def test_few_rows_say_little_of_what_many_need() -> None:
    """What does not grow with the rows is most of what one row takes."""
    gauge = FakeGauge([1000 * MIB], lambda rows, _: [40 * MIB + rows * MIB])
    sizer = BatchSizer(gauge, OPEN)
    ran(sizer, gauge, [10])
    assert sizer.rows("", 10) == 8
    ran(sizer, gauge, [10] * 3000)
    assert sizer.rows("", 10) == 384


def test_a_batch_ends_where_padding_wastes_more_than_another_batch_would() -> None:
    def wide(columns: int) -> int:
        return 1000

    assert cut([10, 10, 12, 13, 40, 41], wide) == (4, 13)
    assert cut([10, 10, 12, 13, 40, 41], wide, patience=150) == (6, 41)
    assert cut([10] * 50 + [12] * 3, wide) == (53, 12)
    assert cut([900], wide) == (1, 900)
    # A longer row makes fewer rows fit.
    assert cut([10, 10, 10, 11], lambda columns: 40 // columns) == (3, 10)
    # Rows that come in no order of length.
    assert cut([12, 10, 11, 12], wide) == (4, 12)
    assert cut([10, 10, 10], lambda _: 5, rows=2) == (2, 10)
