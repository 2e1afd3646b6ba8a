from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from schemas.arrow import DOCMEDIT, OKEDIT, SCHEMAS, Schema, schema_of
from schemas.describe import describe
from schemas.document_rules import DOCUMENT_RULES, check_document
from schemas.documents import Document, Mention, Version
from schemas.validate import validate
from tests.document_factories import AFTER, BEFORE, make_document, make_document_record

Change = Callable[[Document], Document]


def fact(**overrides: Any) -> Change:
    return lambda document: replace(document, facts=(replace(document.facts[0], **overrides),))


def whole(**overrides: Any) -> Change:
    return lambda document: replace(document, **overrides)


def mentions(*found: Mention) -> Change:
    return lambda document: replace(document, after=Version(AFTER, mentions=found))


CASES: tuple[tuple[str, str, str, Change], ...] = (
    ("document_is_clean", "title", "is blank", whole(title=" ")),
    ("document_is_clean", "before.text", "holds U+0007", whole(before=Version(BEFORE + "\x07"))),
    ("document_is_clean", "retrieved[0]", "characters", whole(retrieved=("a" * 30_000,))),
    ("document_changes", "after.text", "the same as before", whole(before=Version(AFTER))),
    ("document_changes", "snapshot_after", "on both sides", whole(snapshot_before="2021-01-01")),
    ("document_changes", "facts", "is empty", whole(facts=())),
    ("mentions_point_at_their_text", "mentions[0]", "points at 'Ada'", mentions(
        Mention(0, 3, "Eva", "Eva"))),
    ("mentions_point_at_their_text", "mentions[1]", "begins before", mentions(
        Mention(0, 3, "Ada", "Ada Berg"), Mention(0, 8, "Ada Berg", "Ada Berg"))),
    ("mentions_point_at_their_text", "mentions[0].entity", "is blank", mentions(
        Mention(0, 3, "Ada", " "))),
    ("facts_are_requested", "facts[0].id", "no request's", fact(id="other")),
    ("facts_show_in_the_article", "facts[0].object", "not in the after", fact(object="Equinor")),
    ("evidence_stands_in_its_page", "facts[0].start", "points at", fact(start=1)),
    ("evidence_stands_in_its_page", "facts[0].start", "not both", fact(passage=None)),
    ("evidence_stands_in_its_page", "facts[0].page", "is blank", fact(page="")),
    ("old_statements_are_outdated", "statement_old", "not in the before", fact(
        statement_old="Ada Berg is rich.")),
    ("old_statements_are_outdated", "statement_old", "still in the after", fact(
        statement_old="Ada Berg was born in Oslo.")),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "column", "reason", "change"), CASES)
def test_breaking_a_rule_is_told(rule: str, column: str, reason: str, change: Change) -> None:
    record = make_document_record()
    findings = check_document(replace(record, document=change(record.document)))
    found = [f for f in findings if f.rule == rule]
    assert found, findings
    assert found[0].column.startswith("document.")
    assert column in found[0].column
    assert reason in found[0].reason


def test_every_rule_has_a_case() -> None:
    cases = {rule for rule, *_ in CASES} | {"requests_can_be_told_apart"}
    assert {rule.__name__ for rule in DOCUMENT_RULES} == cases


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"id": "f9"}, "like that of 0"),
        ({"id": "f9", "prompt": "Eva Berg works for"}, "'Ada Berg', not in the prompt"),
    ],
)
def test_requests_that_cannot_be_told_apart_are_told(second: dict[str, str], reason: str) -> None:
    record = make_document_record()
    (one,) = record.requests
    both = replace(record, requests=(one, replace(one, **second)))
    (finding,) = check_document(both)
    assert (finding.rule, finding.column.split("[")[0]) == (
        "requests_can_be_told_apart",
        "requests",
    )
    assert reason in finding.reason


def test_two_facts_with_one_id_are_told() -> None:
    record = make_document_record()
    (one,) = record.document.facts
    twice = replace(record.document, facts=(one, one))
    reasons = [f.reason for f in check_document(replace(record, document=twice))]
    assert any("like that of an earlier fact" in reason for reason in reasons)


def test_the_end_of_a_longer_sentence_is_no_statement() -> None:
    old, new = "Macedonia is a country.", "North Macedonia is a country."
    document = replace(
        fact(statement_old=old, object="North Macedonia")(make_document()),
        before=Version(old),
        after=Version(new),
    )
    record = make_document_record(document=document)
    assert "old_statements_are_outdated" not in {f.rule for f in check_document(record)}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_every_field_of_a_schema_has_a_meaning(schema: Schema[Any]) -> None:
    assert [field.path for field in describe(schema) if not field.description] == []


def test_documents_survive_parquet_and_are_told_by_their_columns(tmp_path: Any) -> None:
    record = make_document_record()
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(DOCMEDIT.table([record]), path)
    table = pq.read_table(path)
    assert list(DOCMEDIT.records(table)) == [record]
    assert schema_of(table.schema.remove_metadata()) is DOCMEDIT
    assert schema_of(OKEDIT.arrow) is OKEDIT
    assert validate(path).ok


def test_the_same_title_and_dates_twice_are_told(tmp_path: Any) -> None:
    record = make_document_record()
    again = replace(
        record,
        id="other",
        requests=tuple(replace(r, id="f9") for r in record.requests),
        document=replace(
            record.document, facts=tuple(replace(f, id="f9") for f in record.document.facts)
        ),
    )
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(DOCMEDIT.table([record, again]), path)
    rules = {finding.rule for finding in validate(path).findings}
    assert rules == {"documents_are_unique"}
