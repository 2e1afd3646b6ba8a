from __future__ import annotations

from pathlib import Path

from builders.rejects import SCHEMA, RejectLog, gathered
from builders.steps import Reject


def reject(row: int, rule: str = "style_only") -> Reject:
    return Reject(row, None, "ingest", rule, "after", "changed, but no entity was added")


def test_rejects_come_back_by_row_whatever_part_they_are_in(tmp_path: Path) -> None:
    log = RejectLog(tmp_path / "rejects")
    rows = [*range(25_000, 0, -1)]
    for row in rows:
        log.add(reject(row, "moved" if row % 2 else "style_only"))
    log.flush()
    assert len(list((tmp_path / "rejects").iterdir())) == 3
    late = {"row": 0, "id": "r0", "step": "validate", "rule": "x", "column": "y", "reason": "z"}
    table = gathered(tmp_path / "rejects", [late]).cast(SCHEMA)
    assert table["row"].to_pylist() == [0, *reversed(rows)]
    assert table["id"].to_pylist()[:2] == ["r0", None]
    assert table["rule"].to_pylist()[:3] == ["x", "moved", "style_only"]


def test_equal_reasons_are_held_once(tmp_path: Path) -> None:
    log = RejectLog(tmp_path / "rejects")
    for row in range(20_000):
        log.add(reject(row))
    log.flush()
    assert gathered(tmp_path / "rejects", []).nbytes / 20_000 < 40


def test_a_new_log_forgets_an_earlier_attempt(tmp_path: Path) -> None:
    first = RejectLog(tmp_path / "rejects")
    first.add(reject(1))
    first.flush()
    again = RejectLog(tmp_path / "rejects")
    again.flush()
    assert again.first is None
    assert gathered(tmp_path / "rejects", []).num_rows == 0


def test_the_first_reject_is_remembered(tmp_path: Path) -> None:
    log = RejectLog(tmp_path / "rejects")
    log.add(reject(7))
    log.add(reject(3))
    assert log.first == reject(7)
