"""Tables of document scores: baselines, means, coverage and intervals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from medit_eval.documents import copy_input, gold, score_documents
from medit_eval.documents.compat import NAMES
from tests.medit_eval.documents.articles import ESTONIA, make_document, make_fact

QUIET = make_document("Old is here.", "Old is there.", [make_fact("x", "y")], title="Quiet")
PAIR = [ESTONIA, QUIET]


def test_copying_beside_the_gold() -> None:
    copied = score_documents([(d, copy_input(d)) for d in PAIR])
    best = score_documents([(d, gold(d)) for d in PAIR])
    assert copied.mean("strict", "facts_f1").mean == 0.0
    assert copied.mean("strict", "retention").mean == 1.0
    assert math.isnan(copied.mean("strict", "additions_precision").mean)
    assert best.mean("strict", "facts_f1").mean == 1.0
    assert copied.mean("docmedit_compat", "DR").mean > 0.3
    assert copied.mean("docmedit_compat", "DE").mean == 0.0
    assert copied.mean("docmedit_compat", "DE").n == 0


def test_undefined_is_counted_and_left_out() -> None:
    table = score_documents([(d, gold(d)) for d in PAIR])
    row = table.mean("strict", "facts_recall")
    assert (row.n, row.undefined, row.mean) == (1, 1, 1.0)
    assert math.isnan(table.strict[1]["facts_recall"])
    assert math.isnan(row.ci_low)  # one document does not vary
    edit_entity = table.mean("docmedit_compat", "EE")
    assert (edit_entity.n, edit_entity.undefined) == (2, 1)


def test_every_metric_has_a_row_and_a_value() -> None:
    table = score_documents([(d, copy_input(d)) for d in PAIR])
    assert len(table.docmedit_compat) == len(table.strict) == 2
    assert [row.metric for row in table.means if row.family == "docmedit_compat"] == list(NAMES)
    assert [row.metric for row in table.means if row.family == "strict"] == list(table.strict[0])
    with pytest.raises(KeyError):
        table.mean("strict", "DR")


def test_the_page_on_metrics_names_them_all() -> None:
    page = Path(__file__).parents[3] / "docs" / "document-metrics.md"
    text = page.read_text(encoding="utf-8")
    table = score_documents([(ESTONIA, "")])
    for row in table.means:
        group = row.metric.rsplit("_", 1)[0]
        assert f"`{row.metric}`" in text or f"`{group}_*`" in text or "facts_f1" in row.metric


def test_intervals_are_over_documents_and_repeatable() -> None:
    pairs = [
        (make_document("Old.", "New is here.", [make_fact("New", "New")], title=str(number)), text)
        for number, text in enumerate(["New is here.", "Old."] * 5)
    ]
    first, again = score_documents(pairs, seed=1), score_documents(pairs, seed=1)
    row = first.mean("strict", "exact")
    assert row == again.mean("strict", "exact")
    assert row.mean == 0.5
    assert 0 < row.ci_low < 0.5 < row.ci_high < 1
    alone = score_documents([(ESTONIA, gold(ESTONIA)), (ESTONIA, copy_input(ESTONIA))])
    assert alone.mean("strict", "exact").mean == 0.5
    assert math.isnan(alone.mean("strict", "exact").ci_low)  # two outputs, but one document


def test_records_of_one_title_are_drawn_apart() -> None:
    pairs = [(ESTONIA, gold(ESTONIA)), (ESTONIA, copy_input(ESTONIA))] * 5
    row = score_documents(pairs, records=[str(n) for n in range(10)]).mean("strict", "exact")
    assert 0 < row.ci_low < 0.5 < row.ci_high < 1
    with pytest.raises(ValueError, match="10 pairs"):
        score_documents(pairs, records=["a"])


def test_nothing_to_score() -> None:
    table = score_documents([])
    assert table.strict == ()
    assert all(row.n == 0 for row in table.means)
