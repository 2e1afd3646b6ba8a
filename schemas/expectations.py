"""What must hold for a data set as a whole, as a Great Expectations suite on per-record statistics.

The statistics are a small table without images, so that shards can be summarised where they are
made, put together, and judged in one run.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from schemas.documents import DocumentRecord
from schemas.findings import Finding, Report
from schemas.manifest import Rules
from schemas.records import EDIT_TYPES, SCOPES, EditRecord
from schemas.rules import normalised
from schemas.walk import images

if TYPE_CHECKING:
    import pandas as pd

PROMPT_WORDS = (1, 2_000)
"""Words in a question. The upper end leaves room for a passage in front of it."""

ANSWER_WORDS = (1, 1_000)
"""Words in an answer. UnKE's unstructured answers have up to 157."""

BALANCE_FROM = 50
"""Records from which answers are expected to be spread; fewer say little about a distribution."""

TOP_SHARE = 0.25
"""Share that one answer may have where there are many. E-VQA's `yes` has 0.09 of 2,093."""

TOP_SHARE_FEW = 3.0
"""With k distinct answers the share may be this / k: two or three classes need not be even."""

TOP_SHARE_MOST = 0.95
"""Share that one answer may never exceed."""

SPREAD = 0.3
"""Least entropy of the answers, as a share of a uniform distribution's. E-VQA has 0.85."""

MAX_EXAMPLES = 20
"""Records named per failed expectation; a last finding counts the others."""

STATS = pa.schema(
    [
        ("record_id", pa.string()),
        ("file", pa.string()),
        ("prompt_chars", pa.int32()),
        ("prompt_words", pa.int32()),
        ("target_new", pa.string()),
        ("target_new_chars", pa.int32()),
        ("target_new_words", pa.int32()),
        ("target_true_chars", pa.int32()),
        ("target_true_words", pa.int32()),
        ("requests", pa.int32()),
        ("probes", pa.int32()),
        ("images", pa.int32()),
        ("fewest_rephrasings", pa.int32()),
        ("most_rephrasings", pa.int32()),
        ("scope", pa.string()),
        ("edit_type", pa.string()),
        ("edition", pa.string()),
        ("kinds", pa.map_(pa.string(), pa.int32())),
        ("axes", pa.map_(pa.string(), pa.int32())),
    ]
)
"""Columns of the statistics. Lengths are those of the record's longest request; `target_new` is
the first request's, normalised; `edition` is a document's title with its two dates; `kinds` and
`axes` count probes."""


def stats_table(records: Iterable[EditRecord], file: str | None = None) -> pa.Table:
    """One row of statistics per record; tables of several shards go together by concatenation.

    Args:
        records: The records.
        file: Where they are stored, for findings to name.
    """
    return pa.Table.from_pylist([_stats(record, file) for record in records], schema=STATS)


def run_suite(stats: pa.Table, rules: Rules) -> Report:
    """What is wrong with a data set as a whole, and what was checked.

    The report's `records` stays 0, so that it can be merged into that of the records.

    Args:
        stats: Statistics of all its records (`STATS`).
        rules: What it promises.
    """
    report = Report(checks=Counter(["data_set_is_not_empty"]))
    if not stats.num_rows:
        report.add([Finding("dataset", "data_set_is_not_empty", None, "", "has no records")])
        return report
    frame = _frame(stats, rules)
    checks = {
        (check.expectation.expectation_type, check.column): check for check in _checks(frame, rules)
    }
    for result in _validate(frame, [check.expectation for check in checks.values()]):
        config = result["expectation_config"]
        check = checks[config["type"], config["kwargs"]["column"]]
        report.checks[check.rule] += 1
        if not result["success"]:
            report.add(_findings(check, result["result"]))
    return report


def preload() -> None:
    """Import what `run_suite` needs, which takes seconds; for a thread beside other work."""
    _great_expectations()


@dataclass(frozen=True)
class _Check:
    """An expectation, the rule it stands for, and what it expects as a clause."""

    rule: str
    column: str
    expected: str
    expectation: Any


def _checks(frame: pd.DataFrame, rules: Rules) -> Iterator[_Check]:
    gxe = _great_expectations().expectations

    def between(rule: str, column: str, low: float | None, high: float | None) -> _Check:
        expectation = gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high
        )
        return _Check(rule, column, f"expected {_range(low, high)}", expectation)

    def in_set(rule: str, column: str, values: tuple[str, ...]) -> _Check:
        expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values))
        return _Check(rule, column, f"expected one of {', '.join(values)}", expectation)

    yield _Check(
        "record_ids_are_unique",
        "record_id",
        "used by more than one record",
        gxe.ExpectColumnValuesToBeUnique(column="record_id"),
    )
    if frame["edition"].notna().any():
        yield _Check(
            "documents_are_unique",
            "edition",
            "the title and dates of more than one record",
            gxe.ExpectColumnValuesToBeUnique(column="edition"),
        )
    yield between("every_edit_is_judged", "reliability_or_document_probes", 1, None)
    for kind in dict.fromkeys(rules.kinds):
        yield between("required_kinds_are_everywhere", f"{kind}_probes", 1, None)
    if rules.rephrasings is not None:
        for column in ("fewest_rephrasings", "most_rephrasings"):
            yield between("rephrasings_are_constant", column, rules.rephrasings, rules.rephrasings)
    yield between("prompt_lengths_are_plausible", "prompt_words", *PROMPT_WORDS)
    for column in ("target_new_words", "target_true_words"):
        yield between("answer_lengths_are_plausible", column, *ANSWER_WORDS)
    yield in_set("scopes_are_known", "scope", SCOPES)
    yield in_set("edit_types_are_known", "edit_type", EDIT_TYPES)

    answers = sorted(frame["target_new"].unique())
    if len(frame) < BALANCE_FROM:
        return
    most = min(TOP_SHARE_MOST, max(TOP_SHARE, TOP_SHARE_FEW / len(answers)))
    yield between("no_answer_dominates", "target_new_share", None, most)
    if len(answers) > 1:
        yield _Check(
            "answers_are_spread",
            "target_new",
            f"the answers' entropy is less than {SPREAD} of a uniform distribution's",
            gxe.ExpectColumnKLDivergenceToBeLessThan(
                column="target_new",
                partition_object={
                    "values": answers,
                    "weights": [1 / len(answers)] * len(answers),
                },
                threshold=(1 - SPREAD) * math.log(len(answers)),
            ),
        )


def _findings(check: _Check, result: dict[str, Any]) -> Iterator[Finding]:
    if "unexpected_index_list" not in result:
        observed = f"{check.expected} (KL divergence {result['observed_value']:.3f})"
        yield Finding("dataset", check.rule, None, check.column, observed)
        return
    broken = result["unexpected_index_list"]
    for row in broken[:MAX_EXAMPLES]:
        value = row[check.column]
        shown = f"{value:.6g}" if isinstance(value, float) else repr(value)
        reason = f"is {shown}, {check.expected}"
        yield Finding(
            "dataset", check.rule, row["record_id"], check.column, reason, row["file"] or None
        )
    if len(broken) > MAX_EXAMPLES:
        reason = f"{len(broken) - MAX_EXAMPLES:,} more records, {check.expected}"
        yield Finding("dataset", check.rule, None, check.column, reason)


def _range(low: float | None, high: float | None) -> str:
    if low == high:
        return f"{low}"
    if high is None:
        return f"at least {low}"
    return f"at most {high:.3g}" if low is None else f"{low:,} to {high:,}"


def _stats(record: EditRecord, file: str | None) -> dict[str, Any]:
    prompts = [request.prompt for request in record.requests]
    new = [request.target_new for request in record.requests]
    true = [r.target_true for r in record.requests if r.target_true is not None]
    rephrasings = [len(probe.prompts) for probe in record.of_kind("rephrase")]
    return {
        "record_id": record.id,
        "file": file,
        "prompt_chars": _longest_chars(prompts),
        "prompt_words": _longest_words(prompts),
        "target_new": normalised(new[0]) if new else None,
        "target_new_chars": _longest_chars(new),
        "target_new_words": _longest_words(new),
        "target_true_chars": _longest_chars(true),
        "target_true_words": _longest_words(true),
        "requests": len(record.requests),
        "probes": len(record.probes),
        "images": sum(1 for _ in images(record)),
        "fewest_rephrasings": min(rephrasings, default=None),
        "most_rephrasings": max(rephrasings, default=None),
        "scope": record.scope,
        "edit_type": record.edit_type,
        "edition": _edition(record),
        "kinds": sorted(Counter(probe.kind for probe in record.probes).items()),
        "axes": sorted(Counter(probe.axis for probe in record.probes).items()),
    }


def _edition(record: EditRecord) -> str | None:
    if not isinstance(record, DocumentRecord):
        return None
    document = record.document
    return f"{document.title} ({document.snapshot_before} to {document.snapshot_after})"


def _longest_chars(texts: list[str]) -> int | None:
    return max((len(text) for text in texts), default=None)


def _longest_words(texts: list[str]) -> int | None:
    return max((len(text.split()) for text in texts), default=None)


def _frame(stats: pa.Table, rules: Rules) -> pd.DataFrame:
    """The statistics as the suite wants them: one plain column per number."""
    frame = stats.drop_columns(["kinds", "axes"]).to_pandas()
    kinds = [dict(row) for row in stats["kinds"].to_pylist()]
    axes = [dict(row) for row in stats["axes"].to_pylist()]
    for kind in rules.kinds:
        frame[f"{kind}_probes"] = [row.get(kind, 0) for row in kinds]
    frame["reliability_or_document_probes"] = [
        row.get("reliability", 0) + row.get("document", 0) for row in axes
    ]
    frame["target_new"] = frame["target_new"].fillna("")
    counts = frame["target_new"].value_counts()
    frame["target_new_share"] = frame["target_new"].map(counts) / len(frame)
    return frame


def _validate(frame: pd.DataFrame, expectations: list[Any]) -> list[dict[str, Any]]:
    """The suite's results as JSON values, without network, progress bars or log lines."""
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = context.data_sources.pandas_default.read_dataframe(frame).validate(
            gx.ExpectationSuite("medit", expectations=expectations),
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["record_id", "file"],
            },
        )
    results = [entry.to_json_dict() for entry in result.results]
    for entry in results:
        if not entry["result"]:
            raise RuntimeError(f"an expectation failed to run: {entry['exception_info']}")
    return results


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations
        import great_expectations.expectations
    # It sets this level itself, and tells of a folder that it never makes.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return great_expectations
