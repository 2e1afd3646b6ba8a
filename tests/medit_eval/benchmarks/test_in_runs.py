"""Benchmarks in the course of a run: when they are run, kept, left out, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

pytest.importorskip("lm_eval")

from editors.lm import LM
from medit_eval import Report, rescore, score
from medit_eval.benchmarks.results import read_results
from medit_eval.curves import curves
from medit_eval.protocols import draw
from schemas.errors import InputError
from schemas.records import EditRecord
from tests.medit_eval.benchmarks.yaml_tasks import write_task
from tests.medit_eval.support import Oracle, Remembering, person
from tests.tiny_models import tiny

COUNT = 6


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    return [person(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two tasks: where the people of the records were born, as before the edits, and of zinc."""
    root = tmp_path_factory.mktemp("tasks")
    rows = {
        "born": [
            {
                "question": f"Where was Ann {n} born?",
                "choices": [f"Oslo {n}", f"Rome {n}"],
                "gold": 0,
            }
            for n in range(COUNT + 2)
        ],
        "zinc": [
            {"question": f"Is zinc number {n} a metal?", "choices": ["yes", "no"], "gold": n % 2}
            for n in range(10)
        ],
    }
    return [write_task(root, name, items) for name, items in rows.items()]


def run(editor: Any, lm: LM, records: Any, tmp_path: Path, **options: Any) -> Report:
    return score(
        editor,
        lm,
        records,
        **{
            "protocol": "sequential",
            "checkpoints": (1, 4),
            "cache": tmp_path / "cache",
            "max_new_tokens": 4,
            "metrics": ["generated", "unchanged_generated"],
            **options,
        },
    )


def test_a_model_that_is_not_changed_loses_nothing(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path
) -> None:
    report = run(Oracle(), lm, records, tmp_path, benchmarks=tasks[1])
    rows = report.benchmarks.degradation
    assert [(row.phase, row.task, row.n) for row in rows] == [
        ("edits-1", "zinc", 10),
        ("edits-4", "zinc", 10),
    ]
    for row in rows:
        assert row.edited == row.unedited
        assert row.difference == 0.0
        assert row.verdict.startswith("no detectable change")
        assert row.chance == 0.5
    assert list(report.degradation["task"]) == ["zinc", "zinc"]
    assert {row.phase for row in report.benchmarks.collapse} == {"unedited", "edits-1", "edits-4"}


def test_items_whose_answer_an_edit_changes_are_left_out_and_counted(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path
) -> None:
    report = run(Oracle(), lm, records, tmp_path, benchmarks=tasks, out=tmp_path / "run")
    counts = {(r.phase, r.task): (r.n, r.excluded) for r in report.benchmarks.degradation}
    assert counts == {
        ("edits-1", "born"): (COUNT + 1, 1),
        ("edits-4", "born"): (COUNT - 2, 4),
        ("edits-1", "zinc"): (10, 0),
        ("edits-4", "zinc"): (10, 0),
    }
    edited = {r.id.removeprefix("r") for r in draw(records, 4, 0, 0)}
    assert report.benchmarks.excluded["edits-4"]["born"] == {f"born:{n}" for n in edited}
    again = rescore(tmp_path / "run")
    assert_frame_equal(again.degradation, report.degradation)
    assert again.benchmarks.answers == report.benchmarks.answers
    assert (tmp_path / "run" / "degradation.csv").read_text().count("born") == 2


@pytest.mark.parametrize("protocol", ["single", "batch"])
def test_a_model_that_does_not_hold_all_edits_is_no_model_to_benchmark(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path, protocol: str
) -> None:
    options: Any = {"protocol": protocol, "checkpoints": (), "batch_size": 2}
    with pytest.raises(InputError, match="a model that holds all edits"):
        run(Oracle(), lm, records, tmp_path, benchmarks=tasks, **options)


def test_one_batch_and_the_end_of_a_sequence_are_benchmarked(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path
) -> None:
    for protocol, phase in (("batch", "after"), ("sequential", "at_end")):
        report = run(
            Oracle(), lm, records, tmp_path, benchmarks=tasks[1], checkpoints=(), protocol=protocol
        )
        assert [row.phase for row in report.benchmarks.degradation] == [phase]


def test_a_killed_run_asks_no_benchmark_twice(
    lm: LM,
    records: list[EditRecord],
    tasks: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import medit_eval.benchmarks.run as running

    expected = run(Oracle(), lm, records, tmp_path, benchmarks=tasks)
    real, asked = running.run, []

    def counted(model: Any, benchmarks: Any, *, phase: str, **options: Any) -> Any:
        if len(asked) == 5:  # both tasks before, both at one edit, the first one at four
            raise KeyboardInterrupt
        asked.append((phase, benchmarks[0].info.task))
        return real(model, benchmarks, phase=phase, **options)

    monkeypatch.setattr(running, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(), lm, records, tmp_path, benchmarks=tasks, out=tmp_path / "run")
    assert asked[-1] == ("edits-4", "born")
    kept = read_results(tmp_path / "run" / "benchmarks").answers
    assert {(a.phase, a.task) for a in kept} == set(asked)

    edits: list[str] = []
    edit = Remembering._edit
    monkeypatch.setattr(
        Remembering, "_edit", lambda self, r: (edits.append(r[0].id), edit(self, r))
    )
    asked.clear()
    report = run(Oracle(), lm, records, tmp_path, benchmarks=tasks, out=tmp_path / "run")
    assert asked == [("edits-4", "zinc")]
    assert edits == []  # the state at the checkpoint was kept
    assert_frame_equal(report.degradation, expected.degradation)
    assert report.to_csv() == expected.to_csv()


def test_a_run_with_other_items_is_another_run(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path
) -> None:
    run(Oracle(), lm, records, tmp_path, benchmarks=tasks[1], out=tmp_path / "run")
    with pytest.raises(InputError, match="other arguments: benchmarks is"):
        run(
            Oracle(), lm, records, tmp_path,
            benchmarks=tasks[1], benchmark_limit=5, out=tmp_path / "run",
        )  # fmt: skip
    with pytest.raises(InputError, match="other arguments: benchmarks is"):
        run(Oracle(), lm, records, tmp_path, out=tmp_path / "run")


def test_an_unknown_benchmark_is_refused_before_anything_is_edited(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="world_knowledge"):
        run(Oracle(), lm, records, tmp_path, benchmarks="world_knowlege")


def test_curves_hold_benchmarks_from_no_edit_on(
    lm: LM, records: list[EditRecord], tasks: list[str], tmp_path: Path
) -> None:
    reports = [
        run(Oracle(), lm, records, tmp_path, benchmarks=tasks, order=order) for order in (0, 1, 2)
    ]
    points = {(p.series, p.edits): p for p in curves(reports)}
    assert {edits for series, edits in points if series == "zinc"} == {0, 1, 4}
    assert points["zinc", 4].mean == points["zinc", 0].mean
    assert (points["zinc", 4].orders, points["zinc", 4].n) == (3, 30)
    assert points["born", 4].n == 3 * (COUNT - 2)
    reached = points["reliability", 4]
    assert (reached.mean, reached.n, reached.editor) == (1.0, 9, "oracle")
    assert points["retention", 4].n == 3
    assert ("retention", 1) not in points
    assert points["generality", 4].mean == 0.0
