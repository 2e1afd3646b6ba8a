"""Strict scores: what copying, the gold and nothing at all must get, and what each number sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medit_eval.documents.entities import Entity
from medit_eval.documents.strict import DocumentScore, repetition, strict_score
from schemas.documents import Document, Triple
from tests.medit_eval.documents.articles import (
    AFTER,
    BEFORE,
    ESTONIA,
    FACTS,
    make_document,
    make_fact,
)

GROUPS = ("additions", "entities", "numbers", "facts", "triples")

NAMES = [
    "Ada Bo",
    "Cy",
    "Dr. Dee",
    "U.S. Army",
    "Eve of the East",
    "2.5",
    "1990",
    "May",
    "the Films",
]
SENTENCES = st.builds(
    "{} {} {}{}".format,
    st.sampled_from([*NAMES, "He", "Since then", "In", "it"]),
    st.sampled_from(["met", "is no. 5 of", "was", "and"]),
    st.sampled_from(NAMES),
    st.sampled_from([".", "?", "", " etc.", "\n"]),
)
BODIES = st.lists(SENTENCES, max_size=6)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Articles whose gold keeps some sentences, drops, adds and moves others."""
    old, new = draw(BODIES), draw(BODIES)
    kept = [sentence for sentence in old if draw(st.booleans())]
    after = draw(st.permutations([*kept, *new]))
    maybe = st.none() | st.sampled_from([*NAMES, *old])
    facts = [
        make_fact(
            draw(SENTENCES),
            draw(st.sampled_from(NAMES)),
            id=f"f{number}",
            object_old=draw(maybe),
            statement_old=draw(maybe),
            triple=Triple(draw(st.sampled_from(NAMES)), "r", draw(st.sampled_from(NAMES))),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    triples = st.lists(
        st.builds(Triple, st.sampled_from(NAMES), st.just("r"), st.sampled_from(NAMES)), max_size=3
    )
    return make_document(
        " ".join(old), " ".join(after), facts, title="Cy", triples=(draw(triples), draw(triples))
    )


def defined(score: DocumentScore, *names: str) -> list[float]:
    values = score.values()
    return [values[name] for name in names if not math.isnan(values[name])]


@settings(max_examples=80, deadline=None)
@given(documents())
def test_copying_the_input_adds_nothing_and_keeps_all(document: Document) -> None:
    score = strict_score(document, document.before.text)
    for group in GROUPS:
        rates = getattr(score, group)
        assert math.isnan(rates.precision), group
        assert defined(score, f"{group}_recall", f"{group}_f1") in ([], [0.0, 0.0]), group
    assert set(defined(score, "retention", "retention_rouge")) <= {1.0}
    assert set(defined(score, "removals")) <= {0.0}


@settings(max_examples=80, deadline=None)
@given(documents())
def test_the_gold_gets_one_everywhere(document: Document) -> None:
    score = strict_score(document, document.after.text)
    names = [f"{group}_{part}" for group in GROUPS for part in ("precision", "recall", "f1")]
    names += ["removals", "retention", "retention_rouge", "length_ratio", "exact"]
    assert set(defined(score, *names)) <= {1.0}
    for group in GROUPS:
        rates = getattr(score, group)
        # The evidence may back names although no fact can be asked for.
        if group != "facts" or not math.isnan(rates.recall):
            assert math.isnan(rates.recall) == math.isnan(rates.precision), group


@settings(max_examples=50, deadline=None)
@given(documents())
def test_an_empty_output_keeps_nothing(document: Document) -> None:
    score = strict_score(document, "")
    assert set(defined(score, "retention", "retention_rouge")) <= {0.0}
    assert set(defined(score, "removals")) <= {1.0}
    for group in GROUPS:
        assert set(defined(score, f"{group}_recall", f"{group}_f1")) <= {0.0}, group
    assert math.isnan(score.repetition)
    assert all(math.isnan(getattr(score, group).precision) for group in GROUPS)


@settings(max_examples=60, deadline=None)
@given(documents(), BODIES.map(" ".join))
def test_every_number_is_a_share_or_undefined(document: Document, output: str) -> None:
    values = strict_score(document, output).values()
    assert values.pop("length_ratio") >= 0 or document.after.text.strip(" .?\n") == ""
    assert all(math.isnan(value) or 0 <= value <= 1 for value in values.values())


@settings(max_examples=50, deadline=None)
@given(documents(), BODIES.map(" ".join))
def test_an_invented_name_costs_precision_and_no_recall(document: Document, output: str) -> None:
    plain = strict_score(document, output)
    worse = strict_score(document, f"{output}\nIt is owned by Zorblax Quux.")
    assert worse.entities.precision <= (
        1 if math.isnan(plain.entities.precision) else plain.entities.precision
    )
    assert worse.facts.precision < 1
    assert defined(worse, "entities_recall") == defined(plain, "entities_recall")


def replaced(old: str, new: str, text: str = AFTER) -> DocumentScore:
    assert old in text
    return strict_score(ESTONIA, text.replace(old, new))


def test_a_perfect_rewrite_without_what_nobody_could_know() -> None:
    score = replaced(" It is known for Jaan Kross.", "")
    assert all(getattr(score, group).f1 == 1.0 for group in GROUPS)
    assert score.exact == 0.0


def test_one_fact_of_two() -> None:
    score = replaced(" Alar Karis has been its president since 2021.", "")
    assert (score.facts.precision, score.facts.recall) == (1.0, 0.5)
    assert (score.numbers.precision, score.numbers.recall) == (1.0, 0.5)
    assert math.isnan(score.entities.precision)
    assert (score.entities.recall, score.entities.f1) == (0.0, 0.0)
    assert score.additions.precision == 1.0
    assert 0 < score.additions.recall < 1


def test_a_wrong_name_is_wrong() -> None:
    score = replaced("Alar Karis", "Olga Nuut")
    assert (score.entities.precision, score.entities.recall) == (0.0, 0.0)
    assert score.facts.recall == 0.5
    assert score.facts.precision == pytest.approx(3 / 4)  # euro, 2011, 2021; not Olga Nuut


def test_what_the_evidence_has_and_the_gold_not_is_faithful() -> None:
    fact = make_fact("Alar Karis of Tartu was elected.", "Alar Karis")
    document = make_document("Old is here.", "Old is here. Alar Karis won.", [fact])
    score = strict_score(document, "Old is here. Alar Karis won. He is from Tartu.")
    assert score.facts.precision == 1.0
    assert score.entities.precision == 0.5


def test_an_object_that_the_sentence_already_had_is_no_news() -> None:
    fact = make_fact("The euro came in 2011 to Estonia.", "2011")
    again = make_fact("The euro is the currency.", "Estonia", id="b")
    before, after = "Estonia uses the kroon today.", "Estonia uses the euro since 2011."
    document = make_document(before, after, [fact, again])
    assert strict_score(document, after).facts.recall == 1.0
    assert strict_score(document, "Estonia uses the kroon now.").facts.recall == 0.0
    alone = make_document(before, after, [again])
    assert math.isnan(strict_score(alone, after).facts.recall)


def test_stale_statements_must_go() -> None:
    assert strict_score(ESTONIA, f"{AFTER} Its currency is the kroon.").removals == 0.0
    assert strict_score(ESTONIA, f"{AFTER} It pays in kroon coins.").removals == 0.0
    assert strict_score(ESTONIA, AFTER).removals == 1.0


def test_the_past_may_be_told() -> None:
    after = "Until 2011 the currency was the kroon, now the euro. Tallinn is old."
    document = make_document("Its currency is the kroon. Tallinn is old.", after, FACTS)
    paraphrase = "In 2011 the euro took the place of the kroon. Tallinn is old."
    still = "The currency that they use is the kroon. Tallinn is old."
    assert strict_score(document, after).removals == 1.0
    assert strict_score(document, paraphrase).removals == 1.0
    assert strict_score(document, still).removals == 0.0
    assert strict_score(document, document.before.text).removals == 0.0


def test_a_statement_without_old_object() -> None:
    fact = make_fact("It ended.", "ended", statement_old="It goes on.")
    document = make_document("It goes on. Rome.", "It ended. Rome.", [fact])
    assert strict_score(document, "It goes on. Rome.").removals == 0.0
    assert strict_score(document, "Rome.").removals == 1.0


def test_what_the_gold_keeps_is_not_stale() -> None:
    fact = make_fact("It grew.", "grew", object_old="Rome", statement_old="Rome is old.")
    document = make_document("Rome is old.", "Rome is old. It grew.", [fact])
    assert math.isnan(strict_score(document, "Rome is old.").removals)


def test_retention_is_word_by_word_and_rouge_is_not() -> None:
    score = replaced("in Northern Europe", "in the north of Europe")
    assert score.retention == 0.5
    assert 0.75 < score.retention_rouge < 1.0


def test_abbreviations_do_not_break_retention() -> None:
    shuffled = " ".join(reversed(BEFORE.split(". It"))).strip()
    assert strict_score(ESTONIA, shuffled).retention_rouge > 0.5
    assert strict_score(ESTONIA, BEFORE.replace(". ", ".\n")).retention == 1.0


def test_nothing_to_keep_and_nothing_to_add() -> None:
    other = make_document("Old words here.", "Entirely other text.", [make_fact("x", "y")])
    assert math.isnan(strict_score(other, "Old words here.").retention)
    same = make_document("Same is here.", "Same is here.", [make_fact("x", "y")])
    score = strict_score(same, "Same is here. Zorblax came.")
    assert (score.additions.precision, score.entities.precision) == (0.0, 0.0)
    assert math.isnan(score.additions.recall)
    assert math.isnan(score.additions.f1)
    assert math.isnan(score.facts.recall)


def test_triples_need_subject_or_title_beside_the_object() -> None:
    assert replaced("its currency is", "it pays with").triples.recall == 0.0
    assert replaced("its currency is", "Estonia pays with").triples.recall == 1.0
    stale = replaced("its currency is the euro", "the currency of Estonia is still the kroon")
    assert (stale.triples.precision, stale.triples.recall) == (0.0, 0.0)


def test_an_extractor_of_ones_own() -> None:
    def extract(sentence: str, document: Document) -> list[Triple]:
        words = sentence.rstrip(".").split()
        return [Triple(words[0], words[1], words[-1])] if "owns" in words else []

    fact = make_fact("Ada owns Rome.", "Rome")
    document = make_document("Bo owns Bonn.", "Bo owns Bonn. Ada owns Rome. Cy owns Kyiv.", [fact])
    score = strict_score(
        document, "Bo owns Bonn. Ada owns Rome. Ada owns Mars. Cy owns Kyiv.", None, extract
    )
    assert (score.triples.precision, score.triples.recall) == (0.5, 1.0)


def test_a_recogniser_of_ones_own() -> None:
    def find(text: str) -> Sequence[Entity]:
        return [Entity("karis", "name")] if "Karis" in text else []

    assert strict_score(ESTONIA, AFTER, find).entities.f1 == 1.0
    assert math.isnan(strict_score(ESTONIA, AFTER, find).numbers.recall)


def test_repetition_counts_rows_of_four_words() -> None:
    assert math.isnan(repetition(["a"] * 3))
    assert repetition(list("abcde")) == 0.0
    assert repetition(list("abcdabcd")) == pytest.approx(1 / 5)
    assert strict_score(ESTONIA, "again and again " * 50).repetition > 0.9


def test_another_script_is_scored_where_it_can_be() -> None:
    fact = make_fact(
        "首都は東京です。", "東京", object_old="京都", statement_old="首都は京都です。"
    )
    document = make_document(
        "首都は京都です。国は日本です。", "首都は東京です。国は日本です。", [fact], language="xx"
    )
    copied = strict_score(document, document.before.text)
    rewritten = strict_score(document, document.after.text)
    assert (copied.facts.recall, copied.retention, copied.removals) == (0.0, 1.0, 0.0)
    assert (rewritten.facts.recall, rewritten.retention, rewritten.removals) == (1.0, 1.0, 1.0)
    assert math.isnan(rewritten.entities.recall)
