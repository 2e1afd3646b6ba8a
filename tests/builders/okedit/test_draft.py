from __future__ import annotations

from dataclasses import replace

from builders.okedit.draft import Answer, Picture, Question, assemble
from schemas.manifest import Rules
from schemas.records import Provenance, Sample
from schemas.rules import check_record
from tests.builders.okedit.support import draft, jpeg


def test_an_answer_lists_its_canonical_wording_first() -> None:
    assert Answer("cat", ("a cat", "cats")).all == ("cat", "a cat", "cats")


def test_fields_are_set_together_with_their_origin() -> None:
    start = draft()
    origin = Provenance("requests.facts", "tests", "source")
    changed = start.with_(origin, facts=("It is so.",))
    assert changed.facts == ("It is so.",)
    assert changed.provenance == (origin,)
    assert (start.facts, start.provenance) == ((), ())


def test_a_draft_knows_its_kinds_of_questions() -> None:
    asked = draft(questions=(Question("text", "Who?", None),))
    assert asked.has("text")
    assert not asked.has("same_image")


def test_the_smallest_draft_is_a_valid_record() -> None:
    record = assemble(draft(image=None, rephrasings=("a?",)))
    assert check_record(record, Rules()) == []
    assert [probe.kind for probe in record.probes] == ["edit", "rephrase"]
    assert all(probe.images == () for probe in record.probes)
    assert record.requests[0].image is None


def test_an_empty_picture_list_makes_no_probe() -> None:
    kinds = {probe.kind for probe in assemble(draft()).probes}
    assert kinds == {"edit"}


def test_all_accepted_wordings_reach_request_and_probes() -> None:
    start = draft(old=Answer("red", ("crimson",)), new=Answer("blue", ("navy",)))
    record = assemble(start)
    assert record.requests[0].target_new_aliases == ("navy",)
    assert record.probes[0].answers == ("blue", "navy")
    assert record.probes[0].answers_pre_edit == ("red", "crimson")


def test_an_editors_samples_are_apart_from_the_probes() -> None:
    record = assemble(
        draft(
            rephrasings=("probe?",),
            editor_rephrasings=("editor?",),
            augmented=(Picture(jpeg(1)),),
            editor_pictures=(("image_augmented", Picture(jpeg(2))),),
            negatives=(Picture(jpeg(3), Answer("green"), distance=1.0),),
            editor_negatives=(
                Picture(jpeg(4), Answer("grey"), distance=2.0),
                Picture(jpeg(5)),  # nobody knows its answer, so it teaches nothing
            ),
            given_negatives=(Sample("negative", "What color is the bus?", None, "pink"),),
        )
    )
    (request,) = record.requests
    assert [(s.kind, s.prompt, s.answer) for s in request.positives] == [
        ("rephrase", "editor?", "blue"),
        ("image_augmented", "What color is the bus?", "blue"),
    ]
    assert [(s.answer, s.distance) for s in request.negatives] == [("pink", None), ("grey", 2.0)]
    assert check_record(record, Rules(rephrasings=1)) == []


def test_an_unrelated_picture_without_a_question_asks_nothing() -> None:
    record = assemble(draft(unrelated=Picture(jpeg(1), Answer("x"), "x", None)))
    assert record.of_kind("unrelated_image") == ()


def test_probes_of_one_kind_are_numbered() -> None:
    asked = tuple(Question("text", f"Who is {i}?", Answer("x")) for i in range(3))
    record = assemble(replace(draft(), questions=asked))
    assert [probe.id for probe in record.of_kind("text")] == ["text", "text-2", "text-3"]


def test_what_the_draft_knows_of_itself_reaches_the_record() -> None:
    record = assemble(
        draft(
            edit_type="text",
            edit_type_votes=("text", "text", "image_text"),
            edit_type_reason="because",
            third="green",
            third_object="a green bus",
            facts=("The bus is blue.",),
            subject="the bus",
            extra='{"a": 1}',
        )
    )
    assert (record.scope, record.edit_type) == ("recognition", "text")
    assert record.edit_type_votes == ("text", "text", "image_text")
    assert record.edit_type_reason == "because"
    assert (record.image_object, record.third_answer) == ("a red bus", "green")
    assert record.third_object == "a green bus"
    assert record.requests[0].facts == ("The bus is blue.",)
    assert record.requests[0].subject == "the bus"
    assert record.extra_fields == {"a": 1}
