from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from schemas.expectations import MAX_EXAMPLES, STATS, run_suite, stats_table
from schemas.findings import Finding
from schemas.manifest import Rules
from schemas.records import EditRecord
from tests.factories import (
    RULES,
    make_bare_record,
    make_full_record,
    make_probes,
    make_record,
    make_request,
)


def text_records(answers: Sequence[str]) -> list[EditRecord]:
    """Text-only records, one per answer."""
    bare = make_bare_record()
    return [
        dataclasses.replace(
            bare,
            id=f"r{i}",
            requests=(dataclasses.replace(bare.requests[0], id=f"q{i}", target_new=answer),),
        )
        for i, answer in enumerate(answers)
    ]


def findings(records: Sequence[EditRecord], rules: Rules = RULES) -> list[Finding]:
    return run_suite(stats_table(records), rules).findings


def rules_broken(records: Sequence[EditRecord], rules: Rules = RULES) -> list[str]:
    return [finding.rule for finding in findings(records, rules)]


def test_statistics_of_a_record():
    (row,) = stats_table([make_full_record()], "data/a.parquet").to_pylist()
    assert row["record_id"] == "record-0"
    assert row["file"] == "data/a.parquet"
    assert row["prompt_chars"] == len("Which country's flag is this?")
    assert row["prompt_words"] == 5
    assert (row["target_new"], row["target_new_words"]) == ("newland 0", 2)
    assert (row["target_true_chars"], row["target_true_words"]) == (9, 2)
    assert (row["requests"], row["probes"], row["images"]) == (1, 5, 8)
    assert (row["fewest_rephrasings"], row["most_rephrasings"]) == (2, 2)
    assert dict(row["kinds"])["rephrase"] == 1
    assert dict(row["axes"]) == {
        "reliability": 1, "generality": 2, "locality": 1, "portability": 1,
    }  # fmt: skip


def test_statistics_of_what_is_not_there_are_null():
    (row,) = stats_table([make_bare_record()]).to_pylist()
    for column in ("target_true_chars", "fewest_rephrasings", "scope", "edit_type", "file"):
        assert row[column] is None
    assert row["images"] == 0


def test_tables_of_shards_go_together():
    parts = [stats_table([make_record(i)]) for i in range(3)]
    assert pa.concat_tables(parts) == stats_table([make_record(i) for i in range(3)])
    assert stats_table([]).schema == STATS


def test_a_few_good_records_have_no_findings():
    report = run_suite(stats_table([make_record(i) for i in range(5)]), RULES)
    assert report.findings == []
    assert report.records == 0
    assert report.checks["required_kinds_are_everywhere"] == 3
    assert report.checks["record_ids_are_unique"] == 1
    assert "no_answer_dominates" not in report.checks  # five answers say nothing


def test_one_bare_record_has_no_findings():
    assert findings([make_bare_record()], Rules()) == []


def test_no_records_at_all():
    assert rules_broken([]) == ["data_set_is_not_empty"]


def test_repeated_ids_name_record_and_file():
    stats = pa.concat_tables(
        [stats_table([make_record(1), make_record(2)], "a"), stats_table([make_record(1)], "b")]
    )
    found = run_suite(stats, RULES).findings
    assert [(f.rule, f.record, f.file) for f in found] == [
        ("record_ids_are_unique", "record-1", "a"),
        ("record_ids_are_unique", "record-1", "b"),
    ]
    assert {f.layer for f in found} == {"dataset"}


def test_a_record_without_a_required_kind_is_named():
    records = [make_record(0), make_record(1, probes=make_probes(1)[:3])]
    (found,) = findings(records)
    assert (found.rule, found.record) == ("required_kinds_are_everywhere", "record-1")
    assert (found.column, found.reason) == ("negative_probes", "is 0, expected at least 1")


def test_another_number_of_rephrasings_is_named():
    edit, rephrase, *rest = make_probes(1)
    fewer = dataclasses.replace(rephrase, prompts=rephrase.prompts[:1])
    (found, _) = findings([make_record(0), make_record(1, probes=(edit, fewer, *rest))])
    assert (found.rule, found.record) == ("rephrasings_are_constant", "record-1")
    assert found.reason == "is 1, expected 2"


def test_records_that_nothing_judges():
    probes = make_probes()[1:]
    assert rules_broken([make_record(probes=probes)], Rules()) == ["every_edit_is_judged"]


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"prompt": "word " * 2_001}, "prompt_lengths_are_plausible"),
        ({"target_new": "a " * 1_001}, "answer_lengths_are_plausible"),
        ({"target_true": " "}, "answer_lengths_are_plausible"),
    ],
)
def test_lengths(overrides: dict[str, Any], rule: str):
    record = make_record(requests=(make_request(**overrides),))
    assert rules_broken([record]) == [rule]


def test_unknown_scopes_and_types():
    stats = stats_table([make_record()])
    for column in ("scope", "edit_type"):
        i = stats.schema.get_field_index(column)
        stats = stats.set_column(i, STATS.field(column), pa.array(["colour"]))
    assert [f.rule for f in run_suite(stats, RULES).findings] == [
        "scopes_are_known",
        "edit_types_are_known",
    ]


def test_an_answer_that_dominates_is_named_a_bounded_number_of_times():
    records = text_records(["Ann"] * 80 + [f"Name {i}" for i in range(40)])
    found = findings(records, Rules())
    assert {f.rule for f in found} == {"no_answer_dominates"}
    assert len(found) == MAX_EXAMPLES + 1
    assert found[0].reason == "is 0.666667, expected at most 0.25"
    assert found[-1].reason == "60 more records, expected at most 0.25"


def test_answers_that_are_hardly_spread():
    records = text_records(["yes"] * 95 + ["no"] * 5)
    assert rules_broken(records, Rules()) == ["answers_are_spread"]


@pytest.mark.parametrize(
    "answers",
    [
        ["yes"] * 70 + ["no"] * 30,
        [f"country {i % 80}" for i in range(600)],
        ["Euro"] * 130 + [f"country {i % 80}" for i in range(470)],
        # As in E-VQA: a few frequent short answers and a long tail.
        ["yes"] * 185 + ["no"] * 109 + ["1"] * 59 + ["2"] * 55 + [f"a {i}" for i in range(1685)],
        ["same"] * 49,
    ],
    ids=["two classes", "flags", "currencies", "E-VQA", "few records"],
)
def test_usual_distributions_have_no_findings(answers: list[str]):
    random.Random(0).shuffle(answers)
    assert findings(text_records(answers), Rules()) == []


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    findings([make_record(0), make_record(0)])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
