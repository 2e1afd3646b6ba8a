"""Rows of tables become sentences, and triples where headings say what the cells are."""

from __future__ import annotations

import pytest

from builders.docmedit.mediawiki import tables
from tests.builders.docmedit.mediawiki.support import TITLES


def stated(*lines: str) -> list[tuple[str, str, str]]:
    """The triples of a table with these lines."""
    found = tables.triples(tables.rows("\n".join(["{|", *lines, "|}"])), TITLES)
    return [(t.subject, t.relation, t.object) for t in found]


def test_rows_of_tables() -> None:
    raw = (
        "{| class=x\n! A !! [[B]]\n|-\n| 1 || style=x | [[c|d]]\n|-\n! 2\n| e\nf\n{|\n| in\n|}\n"
        "|- x\n| || -\n|-\n| " + "g" * 20_001 + "\n|}\n{|\n| h || || i\n"
    )
    texts = [row.text for row in tables.rows(raw)]
    assert texts == ["A: 1; [[B]]: [[c|d]]", "A: 2; [[B]]: e f", "[[B]]: -", "h; i"]
    assert tables.rows("| a || b") == []


def test_a_row_states_what_its_columns_are_called() -> None:
    assert stated(
        '! scope="col" | Name !! Head of state !! [[GDP]] per head',
        "|-",
        "| [[Norway|the Kingdom]] || [[Harald V]]<br>[[Haakon]] || style=x | 87,000",
        "|-",
        "| Peru || '''[[Dina Boluarte]]'''<ref>x</ref>",
        "| 7,126",
    ) == [
        ("the Kingdom", "Head of state", "Harald V"),
        ("the Kingdom", "Head of state", "Haakon"),
        ("the Kingdom", "GDP per head", "87,000"),
        ("Peru", "Head of state", "Dina Boluarte"),
        ("Peru", "GDP per head", "7,126"),
    ]


def test_a_table_without_headings_states_nothing() -> None:
    assert stated("| Norway || Oslo", "|-", "| Peru || Lima") == []
    # Headings beside the rows alone do not say what the cells are.
    assert stated("! Capital\n| Oslo", "|-", "! Currency\n| krone") == []


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        ("| 1999\n! [[Oslo]]\n| Anna Bell", "Oslo"),
        ("| 1999 || Oslo || Anna Bell", "Oslo"),
        ("! 1999\n| Oslo || Anna Bell", "Oslo"),
        ("| May 1999 || Oslo || Anna Bell", "Oslo"),
    ],
)
def test_the_subject_is_the_heading_cell_or_the_first_that_is_no_number(
    row: str, subject: str
) -> None:
    found = stated("! Year !! City !! Mayor", "|-", row)
    assert {about for about, _, _ in found} == {subject}
    assert (subject, "Mayor", "Anna Bell") in found
    assert any(relation == "Year" and "1999" in value for _, relation, value in found)


@pytest.mark.parametrize(
    "row",
    [
        "| || Oslo || Anna Bell",
        "| unknown || 1999 || Anna Bell",
        "| – || Oslo || Anna Bell",
        "| Bern<br>Oslo || 1999 || Anna Bell",
        "| " + "Oslo " * 30 + "|| 1999 || Anna Bell",
        "| 1 || 2 || 3",
        "| colspan=2 | Vacant || Anna Bell",
        "| Oslo || Anna Bell",
        "| Oslo || 1999 || Anna Bell || Carl Dunn",
        "! colspan=3 | Later mayors",
    ],
)
def test_rows_about_nobody_in_particular_state_nothing(row: str) -> None:
    assert stated("! City !! Since !! Mayor", "|-", row) == []


def test_what_is_no_fact_is_left_out() -> None:
    assert stated(
        "! No. !! City !! Ref. !! Image !! !! 2020 !! Mayor !! Motto !! Capital",
        "|-",
        "| 12 || Oslo || [1] || [[File:A.jpg]] || x || 700 || || " + "word " * 60 + "|| Oslo",
    ) == []  # fmt: skip
    assert stated("! Number !! City !! Rank", "|-", "| 12 || Oslo || Gold") == [
        ("Oslo", "Rank", "Gold")
    ]
    assert stated("! City !! Mayor", "|-", "| Oslo || colspan=1 | {{a|b}}") == []


def test_cells_that_go_on_stand_in_every_row() -> None:
    assert stated(
        "! rowspan=2 | Party !! rowspan=2 | Leader !! colspan=2 | Votes",
        "|-",
        "! 2020 !! 2024",
        "|-",
        '| rowspan="2" | Left || Anna Bell || 10 || rowspan=2 | 20',
        "|-",
        "| Carl Dunn || 11",
        "|-",
        "| Right || Ed Low || colspan=2 | withdrew",
    ) == [
        ("Anna Bell", "Party", "Left"),
        ("Anna Bell", "Votes 2020", "10"),
        ("Anna Bell", "Votes 2024", "20"),
        ("Carl Dunn", "Party", "Left"),
        ("Carl Dunn", "Votes 2020", "11"),
        ("Carl Dunn", "Votes 2024", "20"),
        ("Right", "Leader", "Ed Low"),
    ]


def test_how_a_cell_looks_is_not_what_it_says() -> None:
    rows = tables.rows('{|\n! A !! B\n|-\n| bgcolor="pink" {{n/a}}\n| style="x" | c\n|}')
    assert [row.text for row in rows] == ["B: c"]


def test_titles_are_no_names_and_new_headings_take_the_place_of_old_ones() -> None:
    assert stated(
        "! colspan=2 | Mayors",
        "|-",
        "! City !! Mayor",
        "|-",
        "| Oslo || Anna Bell",
        "|-",
        "! colspan=2 | Of the north",
        "|-",
        "| Rome || Dora Dunn",
        "|-",
        "! Town !! Judge",
        "|-",
        "| Bern || Carl Dunn",
    ) == [
        ("Oslo", "Mayor", "Anna Bell"),
        ("Rome", "Mayor", "Dora Dunn"),
        ("Bern", "Judge", "Carl Dunn"),
    ]


@pytest.mark.parametrize(
    "cell", ["colspan=9999 | x", "rowspan=9999 | x", "colspan=0 | x", "y || " * 60, "<a " * 400]
)
def test_odd_tables_state_nothing_wrong(cell: str) -> None:
    found = stated("! City !! Mayor", "|-", f"| {cell}", "|-", "| Oslo || Anna Bell")
    assert all(value in ("Anna Bell", "Oslo") for _, _, value in found)
