from __future__ import annotations

from benchmarks.bench_precision import measured


def test_precisions_stand_side_by_side() -> None:
    found = measured(["none"], 1, "cpu").splitlines()
    head, _, exact, half = (line.split(" | ") for line in found[:4])
    assert exact[1] == "float32"
    assert half[1] == "bfloat16"
    at = head.index("same answers")
    assert exact[at] == "100.0%"
    assert exact[at + 1] == "0"
    assert 0 < float(half[at + 1]) < 1
