"""The released scorer's numbers: the same as its formulas give, quirks and all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medit_eval.documents.compat import (
    NAMES,
    CompatScore,
    added_pieces,
    compat_score,
    cut,
    released_mean,
)
from schemas.formats.fruit_evidence import evidence_lines
from tests.medit_eval.documents.articles import AFTER, BEFORE, ESTONIA, make_document, make_fact

LINE = "Paris Rome Ada Bo the a of in was is 3.5 1990 Dr. U.S. café É und x — ( ) ''"
WORDS = LINE.split()
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join), max_size=5).map(
    ". ".join
)


def capitals(text: str) -> list[str]:
    return [word for word in text.split() if word[:1].isupper()]


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=3))
def test_the_fast_scorer_agrees_with_the_literal_one(
    before: str, after: str, output: str, evidence: list[str]
) -> None:
    literal = pytest.importorskip("tests.reference.docmedit_scorer")
    output = output.strip()  # the literal version takes outputs as already cut
    score = compat_score(before, after, output, evidence, capitals)
    expected = CompatScore(
        dr=literal.document_rouge(before, after, output),
        de=literal.document_entity(before, after, output, capitals),
        er=tuple(literal.edit_rouge(before, output, evidence)),
        ee=tuple(literal.edit_entity(before, after, output, evidence, capitals)),
        rse=literal.rouge_side_effect(before, after, output),
        ese=literal.entity_side_effect(before, after, output, capitals),
    )
    for name in NAMES:
        assert score.of(name) == pytest.approx(expected.of(name), nan_ok=True), name


def test_copying_the_input_is_rewarded() -> None:
    score = compat_score(BEFORE, AFTER, BEFORE, evidence_lines(ESTONIA))
    assert score.dr > 0.5  # nearly every piece counts as an addition, here as in the release
    assert (score.rse, score.ese) == (1.0, 1.0)
    assert score.de == 0.0


def test_a_sentence_that_was_kept_counts_as_an_addition() -> None:
    sentence = "Estonia is a country in Northern Europe"
    assert sentence in added_pieces(BEFORE, AFTER)


def test_abbreviations_and_decimals_fall_apart() -> None:
    assert "5 percent of Dr" in added_pieces("", "About 3.5 percent of Dr. Tamm's firms.")


def test_no_fact_to_score_is_undefined_and_not_drawn() -> None:
    score = compat_score("Old.", "Old. Ada.", "Old. Ada.", ["nothing"], capitals)
    assert all(math.isnan(value) for value in score.ee)
    assert score.de == 1.0


def test_a_fact_without_entity_takes_the_mean_of_the_others() -> None:
    evidence = ["Ada. won", "nothing", "Bo. lost"]
    score = compat_score("Old.", "Old. Ada. Bo.", "Old. Ada.", evidence, capitals)
    assert score.ee == (1.0, 0.5, 0.0)


def test_nothing_to_keep_is_one_for_rouge_and_zero_for_entities() -> None:
    score = compat_score("old words", "New text.", "whatever", [], capitals)
    assert (score.rse, score.ese) == (1.0, 0.0)


def test_the_mean_of_de_leaves_out_zeros() -> None:
    scores = [
        compat_score("x.", "x. Ada.", output, [], capitals) for output in ("x. Ada.", "x.", "x.")
    ]
    assert released_mean("DE", scores) == 1.0
    assert released_mean("DE", scores[1:]) == 0.0
    assert released_mean("DR", []) != released_mean("DR", [])  # NaN


def test_means_over_facts_are_pooled() -> None:
    many = compat_score("x.", "x. Ada. Bo.", "x. Ada.", ["Ada."] * 3, capitals)
    one = compat_score("x.", "x. Ada. Bo.", "x. Ada.", ["Bo."], capitals)
    assert released_mean("EE", [many, one]) == 0.75


@pytest.mark.parametrize(
    ("output", "left"),
    [
        ("Updated version: New text. Article: next", "New text."),
        ("Article: New text.Acticle: next", "New text."),
        ("  New text.\n", "New text."),
        ("New. Updated version: again Article: more", "New."),
        ("", ""),
    ],
)
def test_markers_of_the_prompt_are_cut(output: str, left: str) -> None:
    assert cut(output) == left


def test_evidence_names_its_page_once() -> None:
    fact = make_fact("It fell.", "fell", page="Rome Italy", section="")
    assert evidence_lines(make_document("a", "b", [fact, fact])) == ["Rome_Italy It fell."]


def test_empty_texts_and_no_evidence() -> None:
    score = compat_score("", "", "", [])
    assert score.er == ()
    assert math.isnan(score.values()["EE"])
    assert set(score.values()) == set(NAMES)
