from __future__ import annotations

from collections.abc import Sequence

import pytest

from builders.definition import Row
from builders.shards import through_steps
from builders.steps import Each, Filter, Problem, Reject, Step
from schemas.records import EditRecord


def halve(number: int) -> int | Problem:
    return Problem("odd", "number", f"is {number}") if number % 2 else number // 2


class Numbers:
    """A recipe whose drafts are numbers; negative ones cannot be drafted."""

    def __init__(self, *steps: Step[int]) -> None:
        self._steps = steps

    @property
    def steps(self) -> Sequence[Step[int]]:
        return self._steps

    def draft(self, row: Row) -> int | Problem:
        number = row.fields["number"]
        return Problem("negative", "number", "is negative") if number < 0 else number

    def record(self, draft: int) -> EditRecord:
        raise NotImplementedError

    def close(self) -> None:
        pass


def rows(*numbers: int) -> list[Row]:
    return [Row(10 + i, f"id{i}", {"number": number}) for i, number in enumerate(numbers)]


def test_each_changes_every_draft_on_its_own():
    assert Each("halve", halve)([4, 3, 0]) == [2, Problem("odd", "number", "is 3"), 0]


def test_a_filter_keeps_drafts_as_they_are():
    problem = Problem("small", "number", "is small")
    step = Filter[int]("large", lambda number: problem if number < 3 else None)
    assert step([2, 3, 4]) == [problem, 3, 4]


def test_a_filter_keeps_drafts_that_count_as_false():
    assert Filter[int]("any", lambda number: None)([0]) == [0]


def test_rejects_name_row_id_and_step():
    made = through_steps(Numbers(Each("halve", halve), Each("again", halve)), rows(8, 2, -1, 7))
    assert made == [
        2,
        Reject(11, "id1", "again", "odd", "number", "is 1"),
        Reject(12, "id2", "draft", "negative", "number", "is negative"),
        Reject(13, "id3", "halve", "odd", "number", "is 7"),
    ]


def test_a_step_sees_all_drafts_that_are_left_at_once():
    seen: list[list[int]] = []

    class Watching:
        name = "watch"

        def __call__(self, drafts: Sequence[int]) -> list[int | Problem]:
            seen.append(list(drafts))
            return list(drafts)

    through_steps(Numbers(Watching(), Each("halve", halve), Watching()), rows(8, 7, -2, 4))
    assert seen == [[8, 7, 4], [4, 2]]


def test_a_step_that_loses_a_draft_is_a_bug():
    class Losing:
        name = "lose"

        def __call__(self, drafts: Sequence[int]) -> list[int | Problem]:
            return list(drafts[1:])

    with pytest.raises(ValueError, match="shorter"):
        through_steps(Numbers(Losing()), rows(1, 2))


def test_no_rows_make_nothing():
    assert through_steps(Numbers(Each("halve", halve)), []) == []
