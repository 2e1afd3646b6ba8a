from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from schemas.images import EncodedImage
from schemas.manifest import Rules
from schemas.records import EditRecord, Provenance, Sample
from schemas.rules import RULES as ROW_RULES
from schemas.rules import check_record, normalised
from tests.factories import (
    RULES,
    encode,
    make_bare_record,
    make_full_record,
    make_image,
    make_probe,
    make_probes,
    make_record,
    make_request,
)

Change = Callable[[EditRecord], EditRecord]
Case = tuple[str, str, str, Change]

BLANK = encode(Image.new("RGB", (48, 48), "grey"))
CUT = EncodedImage(make_image(4, 128, "JPEG").bytes[:500])


def request(**overrides: Any) -> Change:
    return lambda record: dataclasses.replace(record, requests=(make_request(**overrides),))


def probe(index: int, **overrides: Any) -> Change:
    def change(record: EditRecord) -> EditRecord:
        probes = list(record.probes)
        probes[index] = dataclasses.replace(probes[index], **overrides)
        return dataclasses.replace(record, probes=tuple(probes))

    return change


def extra_probe(**overrides: Any) -> Change:
    return lambda record: dataclasses.replace(
        record, probes=(*record.probes, make_probe(**overrides))
    )


def whole(**overrides: Any) -> Change:
    return lambda record: dataclasses.replace(record, **overrides)


def positive(**overrides: Any) -> Change:
    sample = dataclasses.replace(make_request().positives[0], **overrides)
    return request(positives=(sample,))


def negative(**overrides: Any) -> Change:
    sample = dataclasses.replace(make_request().negatives[0], **overrides)
    return request(negatives=(sample,))


CASES: list[Case] = [
    ("record_is_complete", "requests", "nothing to edit", lambda _: dataclasses.replace(
        make_record(), requests=())),
    ("record_is_complete", "probes[4].prompts", "is empty", extra_probe(prompts=())),
    ("ids_are_unique", "id", "is empty", whole(id="")),
    ("ids_are_unique", "requests[0].id", "is empty", request(id="")),
    ("ids_are_unique", "requests[1].id", "'request-0', like that of 0",
     whole(requests=(make_request(), make_request()))),
    ("ids_are_unique", "probes[4].id", "'edit', like that of 0", extra_probe(id="edit")),
    ("text_is_clean", "requests[0].facts[0]", "U+0000 at position 1", request(facts=("a\0b",))),
    ("text_is_clean", "requests[0].facts[0]", "U+000D", request(facts=("a\r\nb",))),
    ("text_is_clean", "probes[4].answers[0]", "U+D83D", extra_probe(answers=("a \ud83d b",))),
    ("text_is_clean", "edit_type_reason", "U+001B", whole(edit_type_reason="\x1b[2J")),
    ("text_is_clean", "provenance[0].model", "U+0085",
     whole(provenance=(Provenance("id", "s", "g", model="a\x85b"),))),
    ("text_is_clean", "probes[4].prompts[0]", "20,001 characters", extra_probe(
        prompts=("x" * 20_001,))),
    ("text_is_clean", "requests[0].target_new", "10,001 characters", request(
        target_new="x" * 10_001)),
    ("text_is_clean", "requests[0].subject", "1,001 characters", request(subject="x" * 1_001)),
    ("questions_are_not_blank", "requests[0].facts[0]", "is blank", request(facts=(" \n",))),
    ("questions_are_not_blank", "probes[4].prompts[0]", "is blank", extra_probe(prompts=("",))),
    ("answers_are_plain", "requests[0].target_new_aliases[0]", "is empty",
     request(target_new_aliases=("",))),
    ("answers_are_plain", "probes[4].answers[0]", "' New City', with whitespace", extra_probe(
        answers=(" New City",))),
    ("answers_are_plain", "requests[0].positives[0].answer", "whitespace", positive(
        answer="Newland 0\n")),
    ("target_is_new", "requests[0].target_new", "same as target_true", request(
        target_true="ＮＥＷＬＡＮＤ  0.")),
    ("target_is_new", "requests[0].target_new_aliases[0]", "same as target_true", request(
        target_true="The new land 0")),
    ("target_is_new", "requests[0].target_new", "same as third_answer", whole(
        third_answer="newland 0!")),
    ("target_is_new", "third_answer", "same as target_true", whole(third_answer="oldland 0")),
    ("rephrasings_differ", "probes[1].prompts[1]", "like prompt 0", probe(
        1, prompts=("Whose flag?", "whose  FLAG"))),
    ("rephrasings_differ", "probes[1].prompts[0]", "own prompt", probe(
        1, prompts=("Which country's flag is this", "Whose flag?"))),
    ("rephrasings_differ", "probes[1].prompts", "has 3 rephrasings, not 2", probe(
        1, prompts=("Whose flag?", "Flag of whom?", "Flies where?"))),
    ("axes_fit_expectations", "probes[4].expectation", "portability expects 'target'",
     extra_probe(expectation="unchanged")),
    ("axes_fit_expectations", "probes[3].expectation", "locality expects 'unchanged'", probe(
        3, expectation="target", answers=("Farland",))),
    ("targets_have_answers", "probes[4].answers", "is empty", extra_probe(answers=())),
    ("kinds_are_well_formed", "probes[4].kind", "'One hop'", extra_probe(kind="One hop")),
    ("kinds_are_well_formed", "requests[0].positives[0].kind", "''", positive(kind="")),
    ("required_kinds_are_there", "probes", "no probe of kind 'negative'", whole(
        probes=make_probes()[:3])),
    ("requests_have_images", "requests[0].image", "is null", lambda record: dataclasses.replace(
        record, requests=(make_request(image=None, positives=()),))),
    ("images_decode", "probes[4].images[0]", "cannot be decoded", extra_probe(images=(CUT,))),
    ("images_are_not_blank", "probes[4].images[0]", "is blank", extra_probe(images=(BLANK,))),
    ("negatives_look_different", "probes[3].images[0]", "near-duplicate of requests[0].image",
     probe(3, images=(make_image(0, 64, "JPEG"),))),
    ("negatives_look_different", "probes[3].images[0]", "near-duplicate of probes[2].images[0]",
     probe(3, images=(make_image(2, 64, "JPEG"),))),
    ("negatives_look_different", "probes[4].images[0]", "near-duplicate of requests[0].image",
     extra_probe(axis="locality", expectation="unchanged", images=(make_image(0),),
                 prompts=("which country's flag is this",))),
    ("negatives_look_different", "requests[0].negatives[0].image", "near-duplicate of requests",
     negative(image=make_image(0, 64, "JPEG"))),
    ("editors_see_no_probe", "requests[0].positives[0].prompt", "like probes[1].prompts[0]",
     positive(prompt="whose flag is shown")),
    ("editors_see_no_probe", "requests[0].negatives[0].image", "same file as probes[3].images[0]",
     negative(image=make_image(3))),
    ("editors_see_no_probe", "requests[0].negatives[0].image",
     "near-duplicate of probes[3].images[0]", negative(image=make_image(3, 64, "JPEG"))),
    ("numbers_make_sense", "probes[4].distance", "is nan", extra_probe(distance=float("nan"))),
    ("numbers_make_sense", "requests[0].negatives[0].distance", "is -1", negative(distance=-1.0)),
    ("numbers_make_sense", "probes[4].hops", "is 0", extra_probe(hops=0)),
    ("provenance_names_fields", "provenance[0].field", "is blank", whole(
        provenance=(Provenance(" ", "s", "g"),))),
    ("extra_is_an_object", "extra", "is not JSON", whole(extra="{")),
    ("extra_is_an_object", "extra", "is not a JSON object", whole(extra="[1]")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "column", "reason", "change"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_each_rule_broken_once_is_exactly_that_finding(
    rule: str, column: str, reason: str, change: Change
):
    record = change(make_record())
    findings = check_record(record, RULES)
    assert [(f.layer, f.rule, f.record, f.column) for f in findings] == [
        ("rows", rule, record.id, column)
    ]
    assert reason in findings[0].reason


def test_every_rule_has_a_case():
    assert {rule.__name__ for rule in ROW_RULES} == {case[0] for case in CASES}


def test_a_record_without_probes_judges_nothing():
    findings = check_record(dataclasses.replace(make_bare_record(), probes=()), Rules())
    assert [(f.rule, f.column) for f in findings] == [("record_is_complete", "probes")]


@pytest.mark.parametrize("record", [make_record(), make_full_record()], ids=["usual", "full"])
def test_valid_records_have_no_findings(record: EditRecord):
    assert check_record(record, RULES) == []


def test_text_only_records_are_valid_unless_images_are_promised():
    assert check_record(make_bare_record(), Rules()) == []
    assert [f.rule for f in check_record(make_bare_record(), Rules(images=True))] == [
        "requests_have_images"
    ]


def test_any_number_of_rephrasings_is_valid_without_a_promise():
    record = probe(1, prompts=("Whose flag?",))(make_record())
    assert check_record(record, dataclasses.replace(RULES, rephrasings=None)) == []


def test_lines_and_tabs_are_clean_text():
    assert check_record(request(facts=("a\n\tb",))(make_record()), RULES) == []


def test_foreign_kinds_and_the_document_axis_are_free():
    free = extra_probe(axis="document", kind="my_kind_2", expectation="unchanged", answers=())
    assert check_record(free(make_record()), RULES) == []


def test_other_questions_about_the_edited_picture_are_no_negatives():
    same = extra_probe(
        axis="locality", kind="same_image", expectation="unchanged", images=(make_image(0),)
    )
    sample = Sample("same_image", "How many colours has it?", make_image(0), "three")
    record = same(request(negatives=(sample,))(make_record()))
    assert check_record(record, RULES) == []


def test_slight_changes_of_the_edited_picture_may_be_on_both_sides():
    question = make_request().prompt
    changed = Sample("image_augmented", question, make_image(0, 64, "JPEG"), "Newland 0")
    both = extra_probe(kind="image_augmented", axis="generality", prompts=(question,),
                       images=(make_image(0, 80, "JPEG"),))  # fmt: skip
    record = both(request(positives=(changed,))(make_record()))
    assert check_record(record, RULES) == []
    same = both(request(positives=(dataclasses.replace(changed, image=make_image(0, 80, "JPEG")),))
                (make_record()))  # fmt: skip
    assert [f.rule for f in check_record(same, RULES)] == ["editors_see_no_probe"]


def test_everything_wrong_is_reported_at_once():
    change = whole(extra="{", third_answer="newland 0")
    assert [f.rule for f in check_record(change(make_record()), RULES)] == [
        "target_is_new",
        "extra_is_an_object",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Côte d’Ivoire", "CÔTE D’IVOIRE"),
        ("Straße", "STRASSE"),
        ("ﬁve", "Five"),
        ("two  words\n", "Two words"),
        ("Yes.", "yes"),
        ("はい。", "はい"),
        ("ａｂｃ！", "abc"),
        ("é", "e\u0301"),
    ],
)
def test_equal_texts_after_normalisation(one: str, other: str):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("C", "C#"), ("C", "C++"), ("?", "!"), ("5", "50")])
def test_texts_that_stay_apart(one: str, other: str):
    assert normalised(one) != normalised(other)
