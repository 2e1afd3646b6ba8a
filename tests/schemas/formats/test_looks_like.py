"""A row under another format's name is refused, with the name it should have had."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import InputError
from schemas.formats import FORMATS, ReadContext, looks_like
from tests.document_factories import make_document_record

from .conftest import (
    KNOWEDIT_ROW,
    MMEDIT_ROW,
    MMKE_ENTITY_ROW,
    OKEDIT_ROW,
    ONE_HOP_ROW,
    VLKEB_ROW,
)
from .text_rows import (
    FLAT_ROW,
    HUB_ROW,
    IE_ROW,
    MQUAKE_ROW,
    MULTI_ROW,
    RIPPLE_ROW,
    SRO_ROW,
    UNKE_ROW,
    ZSRE_ROW,
)

EXAMPLES: dict[str, dict[str, Any]] = {
    "mmedit": MMEDIT_ROW,
    "vlkeb": VLKEB_ROW,
    "easyedit": MMEDIT_ROW,
    "mmke": MMKE_ENTITY_ROW,
    "mc-mke": IE_ROW,
    "okedit": OKEDIT_ROW,
    "easyedit-text": KNOWEDIT_ROW,
    "counterfact": FLAT_ROW,
    "multi-counterfact": MULTI_ROW,
    "zsre-mend": ZSRE_ROW,
    "zsre-rome": ZSRE_ROW,
    "mquake": MQUAKE_ROW,
    "mquake-remastered": HUB_ROW,
    "rippleedits": RIPPLE_ROW,
    "unke": UNKE_ROW,
    "fruit": FORMATS["fruit"].write_row(make_document_record()),
}

SAME_FIELDS = ({"mmedit", "easyedit"}, {"zsre-mend", "zsre-rome"})
"""Formats that differ in what they make of the same fields."""

READ_TOO = {
    ("counterfact", "multi-counterfact"),  # a form of it
    ("mquake-remastered", "mquake"),  # a form of it
    ("easyedit-text", "counterfact"),  # its loader reads the flat fields as well
    ("vlkeb", "mmedit"),  # a row without questions that chain facts
    ("vlkeb", "easyedit"),  # the same
}
"""A name, and a format whose rows are read under it without loss."""

PAIRS = [
    (given, true)
    for given in FORMATS
    for true in FORMATS
    if given != true
    and (given, true) not in READ_TOO
    and not any({given, true} <= same for same in SAME_FIELDS)
]


def test_every_format_has_an_example() -> None:
    assert EXAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_rows_are_recognised(name: str) -> None:
    found = set(looks_like(EXAMPLES[name]))
    expected: set[str] = next((same for same in SAME_FIELDS if name in same), {name})
    if name == "counterfact":
        expected = {name, "easyedit-text"}
    if name in ("mmedit", "easyedit"):
        expected = {*expected, "vlkeb"}
    assert found == expected


@pytest.mark.parametrize(("given", "true"), PAIRS)
def test_a_wrong_name_is_answered_with_the_right_one(given: str, true: str) -> None:
    context = ReadContext(file="x.json", row=4)
    with pytest.raises(InputError, match=f"x.json, row 4.*; the row looks like .*'{true}'"):
        FORMATS[given].read_row(EXAMPLES[true], context=context)


@pytest.mark.parametrize("given", ["mmedit", "easyedit"])
@pytest.mark.parametrize("row", [VLKEB_ROW, ONE_HOP_ROW], ids=["hops", "second edits"])
def test_portability_questions_are_not_lost(given: str, row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"'port_new'.* no field of .*; .* looks like 'vlkeb'$"):
        FORMATS[given].read_row(row)


@pytest.mark.parametrize(("given", "true"), sorted(READ_TOO))
def test_rows_that_are_read_under_another_name(given: str, true: str) -> None:
    row = EXAMPLES[true]
    record = FORMATS[given].read_row(row)
    assert FORMATS[given].write_row(record) == row
    read_as_itself = FORMATS[true].read_row(row)
    assert [p.prompts for p in record.probes] == [p.prompts for p in read_as_itself.probes]


def test_other_faults_keep_their_own_message() -> None:
    row = {name: value for name, value in MQUAKE_ROW.items() if name != "questions"}
    with pytest.raises(InputError, match="'questions': holds no question") as caught:
        FORMATS["mquake"].read_row(row)
    assert "looks like" not in str(caught.value)
    assert looks_like({"a": 1}) == looks_like({}) == ()
    assert looks_like(SRO_ROW) == ("mc-mke",)
