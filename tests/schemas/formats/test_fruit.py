"""FRUIT and DocMEdit rows come back as they were; own records fill every field."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.arrow import from_row, to_row
from schemas.documents import Document, DocumentRecord, Fact, Triple, Version
from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.formats.fruit import FIELDS, FORMAT, fruit_row, read_fruit
from schemas.formats.fruit_evidence import Evidence
from schemas.records import EditRecord, EditRequest

SAMPLE = Path(__file__).parents[4] / "shared/data/wikipedia/fruit_sample.jsonl"

FRUIT_ROW: dict[str, Any] = {
    "inputs": "[0] ''Tarn Mill'' is a mill in Norland. [1] It was built in 1880. [CONTEXT] "
    "(0) Oda_Brandt Works - Table-0-3 [HEADER] [COL] Year [ROW] [COL] 1999 [COL] Tarn Mill "
    "(2) Norland_Foods INTRODUCTION Norland Foods bought ''Tarn Mill'' in 2015. "
    "(3) Lista Mills of the north In 2010, it was painted.",
    "targets": "[0] [1] (2) The mill has belonged to Norland Foods since 2015. "
    "(0) Oda Brandt wrote a play about it.",
    "normalized_inputs": "''Tarn Mill'' is a mill in Norland. It was built in 1880.",
    "normalized_targets": "''Tarn Mill'' is a mill in Norland. It was built in 1880. The mill has "
    "belonged to Norland Foods since 2015. Oda Brandt wrote a play about it.",
}
DOCMEDIT_ROW: dict[str, Any] = {
    "id": [417],
    "title": ["Tarn_Mill"],
    **FRUIT_ROW,
    "evidence": [
        "Norland_Foods INTRODUCTION Norland Foods bought ''Tarn Mill'' in 2015.",
        "Oda_Brandt Works - Table-0-3 [HEADER] [COL] Year [ROW] [COL] 1999 [COL] Tarn Mill",
    ],
    "r_evidence": ["(3) Lista Mills of the north In 2010, it was painted."],
    "normalized_inputs_sro": [["Tarn Mill", "country", "Norland"]],
    "normalized_targets_sro": "in another form",
    "evidence_sro": [["Tarn Mill", "owner", "Norland Foods"]],
    "note": {"more": 1.5},
}


def read(row: dict[str, Any]) -> DocumentRecord:
    record = FORMAT.read_row(row)
    assert isinstance(record, DocumentRecord)
    return record


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(FRUIT_ROW, id="fruit"),
        pytest.param(DOCMEDIT_ROW, id="docmedit"),
        pytest.param(without(FRUIT_ROW, "normalized_inputs", "normalized_targets"), id="numbered"),
        pytest.param(without(DOCMEDIT_ROW, "inputs", "targets"), id="plain"),
        pytest.param({**DOCMEDIT_ROW, "id": 7, "title": "Tarn Mill"}, id="bare id and title"),
        pytest.param(dict(reversed(DOCMEDIT_ROW.items())), id="another order"),
    ],
)
def test_an_imported_row_comes_back(row: dict[str, Any]) -> None:
    before = copy.deepcopy(row)
    record = read(row)
    stored = from_row(DocumentRecord, json.loads(json.dumps(to_row(record))))
    assert stored == record
    assert fruit_row(stored) == before
    assert list(fruit_row(stored)) == list(before)
    assert row == before


def test_requests_are_what_the_evidence_explains() -> None:
    record = read(DOCMEDIT_ROW)
    document = record.document
    assert (document.title, document.page_id) == ("Tarn Mill", "417")
    assert [(r.prompt, r.target_new, r.subject) for r in record.requests] == [
        ("The mill has belonged to", "Norland Foods", None),
        ("Tarn Mill:", "Oda Brandt", "Tarn Mill"),
    ]
    assert [(f.page, f.section, f.object) for f in document.facts] == [
        ("Norland Foods", "INTRODUCTION", "Norland Foods"),
        ("Oda Brandt", "Works - Table-0-3", "Oda Brandt"),
    ]
    assert [fact.id for fact in document.facts] == [request.id for request in record.requests]
    assert all(f.evidence == "source" and f.passage is None for f in document.facts)
    assert document.facts[0].triple == Triple("Tarn Mill", "owner", "Norland Foods")
    assert [p.axis for p in record.probes] == ["reliability", "reliability"]
    for mention in document.after.mentions:
        assert document.after.text[mention.start : mention.end] == mention.text


def test_a_row_of_four_fields_is_read_from_its_numbers() -> None:
    full, bare = (
        read(FRUIT_ROW),
        read(without(FRUIT_ROW, "normalized_inputs", "normalized_targets")),
    )
    assert full.document.title == "Tarn Mill"
    assert bare.document.before.text == full.document.before.text
    assert bare.document.after.text == full.document.after.text
    assert [r.target_new for r in bare.requests] == ["Norland Foods", "Oda Brandt"]
    assert len(full.document.retrieved) == 3


def test_a_new_title_is_an_addition_and_a_longer_form_of_the_old_one_is_none() -> None:
    row = {
        "title": ["Port_Norland"],
        "normalized_inputs": "Tarnby is a town in Norland. It is old.",
        "normalized_targets": "Port Norland is a town in Norland. It is old.",
        "evidence": ["Norland Details Tarnby is now called Port Norland."],
    }
    assert [request.target_new for request in read(row).requests] == ["Port Norland"]
    row["normalized_inputs"] = "Port Norland is a town. It is old."
    row["normalized_targets"] = "Port Norland Ltd is a town. It is old."
    row["evidence"] = ["Norland Details The firm is called Port Norland Ltd now."]
    with pytest.raises(InputError, match="adds nothing"):
        read(row)


def test_evidence_without_a_sentence_is_told_by_its_page() -> None:
    record = read({**DOCMEDIT_ROW, "evidence": ["Norland_Foods"]})
    assert [(f.text, f.object) for f in record.document.facts] == [("Norland Foods",) * 2]


def test_a_changed_record_is_written_from_what_it_holds() -> None:
    record = read(DOCMEDIT_ROW)
    after = replace(record.document.after, text=record.document.after.text + " It closed.")
    row = fruit_row(replace(record, document=replace(record.document, after=after)))
    assert row["normalized_targets"].endswith("It closed.")
    assert row["normalized_inputs"] == DOCMEDIT_ROW["normalized_inputs"]
    assert row["targets"].endswith("It closed.")
    assert row["note"] == DOCMEDIT_ROW["note"]


def own_record() -> DocumentRecord:
    fact = Fact(
        *("r1/0", "Ida Tarn works for Norland Foods.", "Norland Foods", "INTRODUCTION"),
        *("other_page", "Norland Foods is a company. Ida Tarn works for Norland Foods.", 28),
        *("Norland Foods", "Tarn Mill", Triple("Ida Tarn", "employer", "Norland Foods")),
        "Their employer is Tarn Mill.",
    )
    document = Document(
        title="Ida Tarn",
        page_id=None,
        language="en",
        snapshot_before="2004",
        snapshot_after="2026",
        before=Version("Ida Tarn was born in Oslo. Their employer is Tarn Mill."),
        after=Version("Ida Tarn was born in Oslo. Their employer is Norland Foods."),
        facts=(fact,),
        retrieved=(fact.text, "Oslo is a city."),
    )
    request = EditRequest("r1/0", "Ida Tarn works for", None, "Ida Tarn", "Norland Foods", None)
    return DocumentRecord("r1", (request,), (), document=document)


def test_an_own_record_fills_every_field() -> None:
    row = fruit_row(own_record())
    assert tuple(row) == FIELDS
    assert row["id"] == ["Ida_Tarn"]
    assert row["title"] == ["Ida_Tarn"]
    line = "Norland_Foods INTRODUCTION Ida Tarn works for Norland Foods."
    assert row["inputs"] == (
        "[0] Ida Tarn was born in Oslo. [1] Their employer is Tarn Mill. [CONTEXT] (0) " + line
    )
    assert row["targets"] == "[0] (0) Their employer is Norland Foods."
    assert row["evidence"] == [line]
    assert row["r_evidence"] == ["Ida Tarn works for Norland Foods.", "Oslo is a city."]
    assert row["evidence_sro"] == [["Ida Tarn", "employer", "Norland Foods"]]
    assert json.loads(json.dumps(row)) == row


def test_an_own_record_can_be_read_back() -> None:
    row = fruit_row(own_record())
    again = read(row)
    assert again.document.before == own_record().document.before
    assert [f.object for f in again.document.facts] == ["Norland Foods"]
    assert fruit_row(again) == row


def test_a_record_without_document_is_refused() -> None:
    with pytest.raises(InputError, match="no document edit"):
        FORMAT.write_row(EditRecord("r", (), ()))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("(4) Oda_Brandt INTRODUCTION She sings.", ("Oda Brandt", "INTRODUCTION", "She sings.")),
        (
            "Oda_Brandt INTRODUCTION - Table-0-2 [ROW] x",
            ("Oda Brandt", "INTRODUCTION - Table-0-2", "[ROW] x"),
        ),
        ("A_B Life and work In 1999, she", ("A B", "Life and work", "In 1999, she")),
        ("A_B Life - 2000–2010 Recorded over", ("A B", "Life - 2000–2010", "Recorded over")),
        ("A_B Shows by year * One * Two", ("A B", "Shows by year", "* One * Two")),
        ("A_B all in small letters", ("A B", "", "all in small letters")),
        ("A_B", ("A B", "", "")),
        ("", ("", "", "")),
    ],
)
def test_evidence_is_taken_apart(line: str, parts: tuple[str, str, str]) -> None:
    assert Evidence.parse(line) == Evidence(*parts)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"normalized_targets": 3}, "normalized_targets", "not text"),
        ({"inputs": ["x"]}, "inputs", "not text"),
        ({"evidence": "x"}, "evidence", "not a list of texts"),
        ({"title": [{}]}, "title", "neither a text"),
        ({"id": [True]}, "id", "neither a text"),
        ({"normalized_inputs": None, "inputs": None}, "normalized_inputs", "missing or empty"),
        ({"normalized_targets": None, "targets": ""}, "normalized_targets", "missing or empty"),
        (
            {"normalized_targets": "''Tarn Mill'' stands in Norland."},
            "normalized_targets",
            "adds nothing",
        ),
        ({"evidence": ["Lista INTRODUCTION It rains."]}, "normalized_targets", "adds nothing"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_the_next_one_read(
    change: dict[str, Any], field: str, reason: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "rows.jsonl", {**DOCMEDIT_ROW, **change}, DOCMEDIT_ROW)
    (_, error), (number, record) = read_fruit(path, language="de", snapshots=("a", "b"))
    assert isinstance(error, InputError)
    assert (error.row, error.field, error.file) == (0, field, path)
    assert reason in error.reason
    assert number == 1
    assert isinstance(record, DocumentRecord)
    document = record.document
    assert (document.language, document.snapshot_before, document.snapshot_after) == (
        *("de", "a"),
        "b",
    )
    assert fruit_row(record) == DOCMEDIT_ROW


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(DOCMEDIT_ROW) + "\n{", encoding="utf-8")
    rows = read_fruit(path)
    assert isinstance(next(rows)[1], DocumentRecord)
    with pytest.raises(InputError, match="not JSON"):
        next(rows)


def test_long_and_odd_text_takes_no_time() -> None:
    for filler in ("(1) ", "[1] ", "A ", "a. ", "' ", "Table-0-", "of of ", "\u00df. "):
        row = {**FRUIT_ROW, "inputs": FRUIT_ROW["inputs"] + filler * 20_000}
        assert read(row).requests
        with pytest.raises(InputError):
            read({**DOCMEDIT_ROW, "normalized_targets": filler * 5_000})


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs the shared sample")
def test_the_real_sample_round_trips() -> None:
    raw = [row for _, row in read_rows(SAMPLE)]
    records = [record for _, record in read_fruit(SAMPLE)]
    assert len(records) == len(raw) == 3
    for record, row in zip(records, raw, strict=True):
        assert isinstance(record, DocumentRecord)
        assert json.dumps(fruit_row(record)) == json.dumps(row)
        for fact in record.document.facts:
            assert fact.object in record.document.after.text
            assert fact.object not in record.document.before.text
    first, second, third = (r for r in records if isinstance(r, DocumentRecord))
    assert {"George Houston", "Hillary Brooke", "Karl Hackett"} <= {
        request.target_new for request in first.requests
    }
    assert [r.target_new for r in second.requests] == ["Tunes 2011–2019"]
    assert third.document.facts[-1].section.endswith("Prime Planet Energy & Solutions")
