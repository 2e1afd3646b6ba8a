from __future__ import annotations

from dataclasses import replace

import pytest

from builders.okedit.draft import Answer, Draft, Picture, Question, assemble
from builders.okedit.scope import TRUTH_TABLE, rows, verdict
from schemas.records import PROBE_KINDS, Axis, Probe, Scope
from schemas.rules import EXPECTED
from tests.builders.okedit.support import draft, jpeg

# Written out once more, from what each question means rather than from the table's own code.
MEANT: dict[str, tuple[str, str]] = {
    "edit": ("reliability", "reliability"),
    "rephrase": ("generality", "generality"),
    "image_augmented": ("generality", "generality"),
    "image_other_instance": ("generality", "generality"),
    "image_rephrase": ("generality", "generality"),
    "text_only": ("locality", "generality"),
    "same_image": ("portability", "locality"),
    "negative": ("locality", "locality"),
    "unrelated_image": ("locality", "locality"),
    "text": ("locality", "locality"),
    "one_hop": ("portability", "portability"),
    "two_hop": ("portability", "portability"),
}


def full_draft(scope: Scope) -> Draft:
    """A draft with every kind of probe."""
    kinds = ("text_only", "same_image", "one_hop", "two_hop", "text")
    asked = tuple(
        Question(kind, f"Question {kind}?", Answer(f"after {kind}"), Answer(f"before {kind}"))
        for kind in kinds
    )
    return draft(
        scope=scope,
        rephrasings=("a?", "b?"),
        augmented=(Picture(jpeg(1)),),
        other_instances=(Picture(jpeg(2)), Picture(jpeg(3))),
        rephrased_images=(Picture(jpeg(4)),),
        negatives=(
            Picture(jpeg(5), Answer("green"), "x", None, 1.0, "near"),
            Picture(jpeg(6), Answer("otter"), "y", "What animal is this?", 2.0, "far"),
        ),
        unrelated=Picture(jpeg(7), Answer("bread"), "z", "What is sold here?"),
        questions=asked,
    )


def probes(scope: Scope) -> dict[str, Probe]:
    return {probe.kind: probe for probe in assemble(full_draft(scope)).probes}


@pytest.mark.parametrize("kind", MEANT)
@pytest.mark.parametrize(("place", "scope"), [(0, "recognition"), (1, "knowledge")])
def test_every_kind_measures_what_its_scope_makes_it(kind: str, place: int, scope: Scope) -> None:
    axis: Axis
    axis, expectation = verdict(kind, scope)
    assert axis == MEANT[kind][place]
    assert expectation == ("unchanged" if axis == "locality" else "target")


# Kinds that come from the files of others and carry their own expectations.
FOREIGN = {
    *("hop", "subject_aliasing", "logical_generalization", "relation_specificity"),
    *("forgetfulness", "neighborhood", "single_hop", "former_hop", "consistency"),
    *("compositionality_i", "compositionality_ii", "sub_question", "generation", "attribute"),
}


OF_DOCUMENTS = {
    *("question", "unchanged_sentence", "related_document", "random_document"),
    *("rewrite", "rewrite_related", "rewrite_random"),
}


def test_the_table_covers_all_kinds_that_the_builder_writes() -> None:
    assert set(TRUTH_TABLE) == set(MEANT) == set(PROBE_KINDS) - FOREIGN - OF_DOCUMENTS


@pytest.mark.parametrize("scope", ["recognition", "knowledge"])
def test_assembled_records_obey_the_table(scope: Scope) -> None:
    record = assemble(full_draft(scope))
    assert {probe.kind for probe in record.probes} == set(MEANT)
    for probe in record.probes:
        assert (probe.axis, probe.expectation) == verdict(probe.kind, scope)
        assert probe.expectation == EXPECTED[probe.axis]


def test_a_question_by_name_has_no_picture_and_one_about_the_same_picture_has_it() -> None:
    for scope in ("recognition", "knowledge"):
        made = probes(scope)
        assert made["text_only"].images == made["text"].images == ()
        assert made["same_image"].images == made["one_hop"].images == made["edit"].images
        assert len(made["edit"].images) == 1


def test_a_negatives_answer_is_given_only_where_it_answers_the_edited_question() -> None:
    first, second = assemble(full_draft("knowledge")).of_kind("negative")
    assert (first.id, second.id) == ("negative", "negative-2")
    assert first.answers == ("green",)
    assert second.answers == ()
    assert first.prompts == second.prompts == ("What color is the bus?",)
    assert (first.distance, first.grade, second.grade) == (1.0, "near", "far")


def test_an_editors_negative_asks_the_question_that_its_answer_answers() -> None:
    start = full_draft("recognition")
    record = assemble(replace(start, negatives=(), editor_negatives=start.negatives))
    samples = record.requests[0].negatives
    assert [(s.prompt, s.answer) for s in samples] == [
        ("What color is the bus?", "green"),
        ("What animal is this?", "otter"),
    ]
    assert record.of_kind("negative") == ()


def test_answers_before_the_edit_are_left_out_where_nothing_changes() -> None:
    made = probes("recognition")
    assert made["edit"].answers == ("blue",)
    assert made["edit"].answers_pre_edit == ("red",)
    assert made["text"].answers_pre_edit == ("before text",)
    unchanged = replace(
        full_draft("knowledge"),
        questions=(Question("same_image", "Which?", Answer("it"), Answer("it")),),
    )
    (probe,) = assemble(unchanged).of_kind("same_image")
    assert probe.answers_pre_edit == ()


def test_hops_are_counted() -> None:
    made = probes("recognition")
    assert (made["one_hop"].hops, made["two_hop"].hops, made["same_image"].hops) == (1, 2, None)


def test_the_table_in_words_has_a_row_per_kind() -> None:
    table = {kind: (first, second) for kind, first, second in rows()}
    assert table["same_image"] == ("portability (target)", "locality (unchanged)")
    assert table["text_only"] == ("locality (unchanged)", "generality (target)")
    assert list(table) == list(TRUTH_TABLE)
