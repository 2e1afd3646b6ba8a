"""Fields of text benchmarks and of MC-MKE find their places, and changes reach the row."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import InputError
from schemas.formats import FORMATS, ImageFolder, ReadContext
from schemas.formats.files import read_rows
from schemas.formats.mc_mke_files import read_joined
from schemas.manifest import Rules
from schemas.records import APART, EditRecord
from schemas.rules import check_record

from .conftest import CAPTION_ROW, KNOWEDIT_ROW, OKEDIT_ROW, ROWS
from .text_rows import (
    FLAT_ROW,
    HUB_ROW,
    IE_ROW,
    IE_TESTED_ROW,
    IRO_ROW,
    MQUAKE_ROW,
    MULTI_ROW,
    RECENT_ROW,
    RIPPLE_ROW,
    SRO_ROW,
    TEXT_ROWS,
    TOWER,
    TWO_EDITS_ROW,
    UNKE_ROW,
    ZSRE_ROW,
    hop,
    rewrite,
)

DATA = Path(__file__).parents[4] / "shared/data"


def read(name: str, row: dict[str, Any], images: ImageFolder | None = None) -> EditRecord:
    return FORMATS[name].read_row(row, images, ReadContext(file="x.json", row=0))


def kinds(record: EditRecord) -> list[tuple[str, str]]:
    return [(probe.axis, probe.kind) for probe in record.probes]


# CounterFact and zsRE ---------------------------------------------------------------------------


def test_counterfact_lists_become_one_probe_each() -> None:
    record = read("multi-counterfact", MULTI_ROW)
    (request,) = record.requests
    assert (request.prompt, request.subject) == ("Ida Holm was born in", "Ida Holm")
    assert (request.target_new, request.target_true) == ("Oslo", "Bergen")
    found = {p.kind: (p.axis, p.expectation, p.prompts, p.answers) for p in record.probes}
    assert found == {
        "edit": ("reliability", "target", (request.prompt,), ("Oslo",)),
        "rephrase": ("generality", "target", tuple(MULTI_ROW["paraphrase_prompts"]), ("Oslo",)),
        "neighborhood": (
            "locality", "unchanged", tuple(MULTI_ROW["neighborhood_prompts"]), ("Bergen",),
        ),
        "attribute": ("locality", "unchanged", ("Kai Dahl was born in",), ("Oslo",)),
        "generation": ("generality", "target", tuple(MULTI_ROW["generation_prompts"]), ()),
    }  # fmt: skip
    assert {"generation", "attribute"} == APART


def test_counterfact_by_its_common_name_is_the_same_record() -> None:
    record = read("counterfact", MULTI_ROW)
    assert record == read("multi-counterfact", MULTI_ROW)
    (request,) = record.requests
    changed = replace(record, requests=(replace(request, target_new="Sund"),))
    row = FORMATS["counterfact"].write_row(changed)
    assert row["requested_rewrite"]["target_new"] == {"str": "Sund"}
    assert row["requested_rewrite"]["prompt"] == "{} was born in"
    assert row["case_id"] == 4


def test_zsre_has_two_readings() -> None:
    mend, rome = read("zsre-mend", ZSRE_ROW), read("zsre-rome", ZSRE_ROW)
    assert (mend.requests[0].target_new, mend.requests[0].target_true) == ("Oslo", "Bergen")
    assert mend.of_kind("edit")[0].answers_pre_edit == ("Bergen", "Bjorgvin")
    assert (rome.requests[0].target_new, rome.requests[0].target_true) == ("Bergen", None)
    assert rome.requests[0].target_new_aliases == ("Bjorgvin",)
    assert mend.of_kind("text")[0].prompts == (ZSRE_ROW["loc"],)
    assert rome.of_kind("text")[0].prompts == (ZSRE_ROW["loc"] + "?",)
    request = replace(rome.requests[0], target_new="Sund")
    row = FORMATS["zsre-rome"].write_row(replace(rome, requests=(request,)))
    assert (row["answers"], row["alt"], row["loc"]) == (
        ["Sund", "Bjorgvin"],
        "Oslo",
        ZSRE_ROW["loc"],
    )


# Blank texts and groups of other names -----------------------------------------------------------

BLANK: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("multi-counterfact", MULTI_ROW, {"paraphrase_prompts": ["", "x"]}, "paraphrase_prompts[0]"),
    ("counterfact", MULTI_ROW, {"neighborhood_prompts": ["a", "  "]}, "neighborhood_prompts[1]"),
    ("multi-counterfact", MULTI_ROW, {"attribute_prompts": ["\t"]}, "attribute_prompts[0]"),
    ("multi-counterfact", MULTI_ROW, {"generation_prompts": [""]}, "generation_prompts[0]"),
    ("mquake", MQUAKE_ROW, {"questions": ["", ""]}, "questions[0]"),
    ("mquake-remastered", HUB_ROW, {"questions": ["a", " "]}, "questions[1]"),
    ("unke", UNKE_ROW, {"sub_question": ["a", ""]}, "sub_question[1]"),
    ("unke", UNKE_ROW, {"sub_answer": ["a", " "]}, "sub_answer[1]"),
    ("okedit", OKEDIT_ROW, {"rephrased_questions": [""]}, "rephrased_questions[0]"),
    ("okedit", OKEDIT_ROW, {"rephrased_questions_train": [""]}, "rephrased_questions_train[0]"),
    ("mmedit", CAPTION_ROW, {"rephrased_questions_train": [" "]}, "rephrased_questions_train[0]"),
    ("mc-mke", IE_TESTED_ROW,
     {"text_generality": {"ie_question_paraphrases": ["a", ""]}},
     "text_generality.ie_question_paraphrases[1]"),
    ("mc-mke", IE_ROW, {"ie_question_paraphrases": {"ie_ques_paraphrases": [""]}},
     "ie_question_paraphrases.ie_ques_paraphrases[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "change", "field"), BLANK)
def test_a_blank_prompt_in_a_list_is_refused(
    name: str, row: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(name, {**row, **change})
    assert str(caught.value) == f"x.json, row 0, field {field!r}: is empty"


@pytest.mark.parametrize(
    ("name", "row", "field"),
    [
        ("counterfact", FLAT_ROW, "target_new"),
        ("counterfact", FLAT_ROW, "prompt"),
        ("easyedit-text", KNOWEDIT_ROW, "target_new"),
        ("zsre-mend", ZSRE_ROW, "alt"),
        ("mmedit", CAPTION_ROW, "alt"),
        ("okedit", OKEDIT_ROW, "counterfact_answer"),
        ("unke", UNKE_ROW, "answer"),
        ("mquake", MQUAKE_ROW, "new_answer"),
    ],
)
def test_a_blank_target_is_refused(name: str, row: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"field '{field}': is missing or empty"):
        read(name, {**row, field: "  "})


def test_blank_questions_that_may_be_left_out_are_not_asked() -> None:
    for name, base, field in (
        ("counterfact", FLAT_ROW, "rephrase_prompt"),
        ("mmedit", CAPTION_ROW, "loc"),
        ("unke", UNKE_ROW, "para_question"),
    ):
        row = {**base, field: " "}
        record = read(name, row)
        assert len(record.probes) == len(read(name, base).probes) - 1
        assert FORMATS[name].write_row(record) == row
    spaced = {**ZSRE_ROW, "answers": [" ", "Bergen"]}
    assert read("zsre-rome", spaced).requests[0].target_new == "Bergen"


@pytest.mark.parametrize(
    ("field", "name"),
    [("portability", "reasoning"), ("portability", "Other"), ("locality", "Reasoning")],
)
def test_groups_of_another_name_are_refused(field: str, name: str) -> None:
    entry = {"prompt": "Where?", "ground_truth": "Oslo"}
    with pytest.raises(InputError, match=f"field '{field}.{name}': is no group; known are Re"):
        read("easyedit-text", {**KNOWEDIT_ROW, field: {name: [entry]}})
    row = {**KNOWEDIT_ROW, field: {name: []}}
    assert FORMATS["easyedit-text"].write_row(read("easyedit-text", row)) == row


# MQuAKE -----------------------------------------------------------------------------------------


def test_mquake_asks_the_edit_the_chain_and_what_stays() -> None:
    record = read("mquake", MQUAKE_ROW)
    (request,) = record.requests
    assert (request.prompt, request.subject) == ("Per Lie is a citizen of", "Per Lie")
    assert request.target_new_aliases == ("Republic of Dalia",)
    by_id = {probe.id: probe for probe in record.probes}
    assert list(by_id) == [
        "edit/0", "rephrase/0", "hop", "single_hop/both/0", "single_hop/new/2", "former_hop/2",
    ]  # fmt: skip
    assert by_id["edit/0"].answers_pre_edit == ("Fjellia", "Kingdom of Fjellia")
    assert by_id["rephrase/0"].prompts == ("Which country is Per Lie a citizen of?",)
    question = by_id["hop"]
    assert (question.axis, question.kind, question.hops) == ("portability", "hop", 2)
    assert question.prompts == tuple(MQUAKE_ROW["questions"])
    assert question.answers == ("Dalby", "Dal City")
    assert question.answers_pre_edit == ("Fjellby", "Fjell City")
    stays = by_id["single_hop/both/0"]
    assert (stays.axis, stays.expectation) == ("locality", "unchanged")
    assert stays.prompts == ("Who built the Ida tower?", "The Ida tower was built by")
    assert stays.answers == ("Per Lie", "P. Lie")


def test_mquake_has_a_request_for_each_edit() -> None:
    record = read("mquake", TWO_EDITS_ROW)
    assert [request.target_new for request in record.requests] == ["Dalia", "Sund"]
    assert len({request.id for request in record.requests}) == 2
    assert [probe.id for probe in record.of_kind("edit")] == ["edit/0", "edit/1"]
    assert record.of_kind("hop")[0].answers_pre_edit[-1] == "Old Fjellby"
    edited = {request.prompt for request in record.requests}
    assert not any(edited & set(probe.prompts) for probe in record.of_kind("single_hop"))


def test_mquake_writes_what_was_changed() -> None:
    record = read("mquake", TWO_EDITS_ROW)
    first, second = record.requests
    probes = tuple(
        replace(probe, answers=("Nes",)) if probe.kind == "hop" else probe
        for probe in record.probes
    )
    changed = replace(record, requests=(first, replace(second, target_new="Nes")), probes=probes)
    row = FORMATS["mquake"].write_row(changed)
    assert row["requested_rewrite"][1]["target_new"] == {"str": "Nes"}
    assert (row["new_answer"], row["new_answer_alias"]) == ("Nes", [])
    assert [entry["answer"] for entry in row["new_single_hops"]] == ["Per Lie", "Dalia", "Nes"]
    assert row["single_hops"] == TWO_EDITS_ROW["single_hops"]
    again = read("mquake", row)
    assert [probe.prompts for probe in again.probes] == [p.prompts for p in record.probes]


def test_a_record_of_another_source_can_be_written_as_mquake() -> None:
    record = replace(read("mquake", MQUAKE_ROW), extra=None)
    row = FORMATS["mquake"].write_row(record)
    assert row["new_single_hops"] == MQUAKE_ROW["new_single_hops"]
    assert row["single_hops"] == MQUAKE_ROW["single_hops"]
    hub = FORMATS["mquake-remastered"].write_row(record)
    assert hub["requested_rewrite"][0]["target_new_str"] == "Dalia"
    assert hub["split"] == {}


def test_remastered_rows_are_mquake_rows_in_flat_form() -> None:
    flat, nested = read("mquake-remastered", HUB_ROW), read("mquake", MQUAKE_ROW)
    for probe, other in zip(flat.probes, nested.probes, strict=True):
        assert probe == other
    assert read("mquake-remastered", MQUAKE_ROW) == nested


OTHER_EDIT = rewrite("Per Lie", "{} is a citizen of", "P27", "Sund", "Fjellia")
SAME_FACT = rewrite("Per Lie", "{} holds a passport of", "P27", "Sund", "Fjellia")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"requested_rewrite": [*MQUAKE_ROW["requested_rewrite"], OTHER_EDIT]},
            r"requested_rewrite\[1\].target_new': is 'Sund', but requested_rewrite\[0\] changes",
        ),
        (
            {"requested_rewrite": [*MQUAKE_ROW["requested_rewrite"], SAME_FACT]},
            r"requested_rewrite\[1\].target_new': is 'Sund', but requested_rewrite\[0\] changes",
        ),
        (
            {
                "new_single_hops": [
                    hop("Whose citizen?", "Per Lie is a citizen of", "Fjellia"),
                    TOWER,
                ]
            },
            r"new_single_hops\[0\].answer': is 'Fjellia', but requested_rewrite\[0\] changes",
        ),
        (
            {"orig": {**MQUAKE_ROW["orig"], "edit_triples": [["Q1", "P84", "Q9"]]}},
            r"orig.new_triples\[0\]': leads from Q1 by P84 to Q2, but an edit leads to Q9",
        ),
        ({"requested_rewrite": []}, "requested_rewrite': holds no edit"),
        ({"questions": []}, "questions': holds no question"),
        ({"single_hops": [{"question": "Who?"}]}, r"single_hops\[0\].cloze': is missing"),
    ],
)
def test_bad_mquake_items(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^x.json, row 0, field '{message}"):
        read("mquake", {**MQUAKE_ROW, **change})


def test_one_fact_may_be_edited_twice_alike() -> None:
    again = {**OTHER_EDIT, "target_new": {"str": "Dalia"}}
    twice = {**MQUAKE_ROW, "requested_rewrite": [*MQUAKE_ROW["requested_rewrite"], again]}
    assert len(read("mquake", twice).requests) == 2


# RippleEdits and UnKE ---------------------------------------------------------------------------


def test_rippleedits_statements_are_taken_apart() -> None:
    (request,) = read("rippleedits", RIPPLE_ROW).requests
    assert request.prompt == "The name of the country of citizenship of Per Lie is"
    assert (request.subject, request.target_new) == ("Per Lie", "Dalia")
    assert request.target_true == "Fjellia"
    (request,) = read("rippleedits", RECENT_ROW).requests
    assert request.prompt == "The name of the sports team which Per Lie is a member of is"
    assert (request.subject, request.target_new) == ("Per Lie", "Sund IF Jr.")
    assert request.target_true is None


@pytest.mark.parametrize(
    ("statement", "prompt", "subject", "target"),
    [
        ("The capital city of the Nes is Is is it.", "The capital city of the Nes is", "the Nes",
         "Is is it"),
        ("Kite Two follows Kite One.", "Kite Two follows", "Kite Two", "Kite One"),
        ("Kite One is followed by Kite Two.", "Kite One is followed by", "Kite One", "Kite Two"),
        ("The names of the siblings of Ida are Bo.", "The names of the siblings of Ida are", "Ida",
         "Bo"),
        ("The name of the award Ida won is Gold.", "The name of the award Ida won is", "Ida",
         "Gold"),
        ("The number of children Ida has is 3.", "The number of children Ida has is", "Ida", "3"),
        ("The name of the anthem that is most likely to be performed in Dalia is Ode.",
         "The name of the anthem that is most likely to be performed in Dalia is", "Dalia", "Ode"),
        ("The name of the currency in Dalia is dal.", "The name of the currency in Dalia is",
         "Dalia", "dal"),
    ],
)  # fmt: skip
def test_statements_without_a_label(statement: str, prompt: str, subject: str, target: str) -> None:
    edit = {"prompt": statement, "subject_id": "Q2", "relation": "ANY", "target_id": "Q77"}
    (request,) = read("rippleedits", {**RIPPLE_ROW, "edit": edit}).requests
    assert (request.prompt, request.subject, request.target_new) == (prompt, subject, target)


DIRECTOR = "The name of the director of {} is"
ANTHEM = "The name of the anthem that is most likely to be performed in {} is"


@pytest.mark.parametrize(
    ("question", "new", "old"),
    [
        (DIRECTOR, "Zed", "Al"),
        (DIRECTOR, "Zed", "Zack"),
        (DIRECTOR, "Ida Holm", "Ida Lie"),
        (DIRECTOR, "Ida", "Ida Lie"),
        (DIRECTOR, "Ida", "Ida"),
        (DIRECTOR, "What is it", "Al"),
        (ANTHEM, "Ode", "Oda"),
        ("The names of the cast members of {} are", "Bo", "Kai"),
        ("{} follows", "Kite One", "Kite Two"),
        ("{} is followed by", "Kite One", "Kite Two"),
    ],
)
@pytest.mark.parametrize("subject", ["Love is Strange", "The Kids Are All Right", "What is Life"])
@pytest.mark.parametrize("fact", ["original_fact", "previous_fact"])
def test_verbs_in_names_are_told_from_the_statement_s(
    question: str, new: str, old: str, subject: str, fact: str
) -> None:
    prompt = question.format(subject)
    edit = {"prompt": f"{prompt} {new}.", "target_id": "Q77", fact: {"prompt": f"{prompt} {old}."}}
    (request,) = read("rippleedits", {**RIPPLE_ROW, "edit": edit}).requests
    assert (request.prompt, request.target_new, request.target_true) == (prompt, new, old)
    # "The" opens most of the benchmark's questions, and so is not taken for part of a name.
    assert request.subject in (subject, subject.removeprefix("The "))


def test_an_old_fact_of_another_wording_parts_no_statement() -> None:
    edit = {"prompt": "The mother tongue of Ida is Dalish.", "target_id": "Q77"}
    for old in ("The mother of Ida is Ane.", "Ida.", "The mother tongue of Ida is", "Is is."):
        changed = {**edit, "original_fact": {"prompt": old}}
        (request,) = read("rippleedits", {**RIPPLE_ROW, "edit": changed}).requests
        assert (request.prompt, request.target_new) == ("The mother tongue of Ida is", "Dalish")
        assert request.target_true is None


def test_rippleedits_groups_are_kinds() -> None:
    record = read("rippleedits", RIPPLE_ROW)
    assert kinds(record) == [
        ("reliability", "edit"),
        ("locality", "relation_specificity"),
        ("portability", "logical_generalization"),
        ("portability", "subject_aliasing"),
        ("portability", "compositionality_i"),
        ("portability", "compositionality_ii"),
    ]
    assert record.of_kind("relation_specificity")[0].answers == ("Ane Moe",)  # not the alias "A"
    assert record.of_kind("subject_aliasing")[0].answers == ("Dalia", "DL")
    assert record.of_kind("compositionality_i")[0].hops == 1


def test_an_edit_that_is_no_statement_is_refused() -> None:
    edit = {**RIPPLE_ROW["edit"], "prompt": "Dalia!", "target_id": "Q0"}
    with pytest.raises(InputError, match=r"field 'edit.prompt': is no statement whose end"):
        read("rippleedits", {**RIPPLE_ROW, "edit": edit})


def test_unke_asks_the_paragraph_and_its_details() -> None:
    record = read("unke", UNKE_ROW)
    assert record.requests[0].target_new == UNKE_ROW["answer"]
    details = record.of_kind("sub_question")
    assert [probe.answers for probe in details] == [("Maps of Dalia.",), ("By night.",)]
    assert {probe.axis for probe in details} == {"portability"}
    with pytest.raises(InputError, match="field 'sub_answer': has 1 entries, and sub_question"):
        read("unke", {**UNKE_ROW, "sub_answer": ["Maps."]})


# MC-MKE and captions ----------------------------------------------------------------------------


def test_mc_mke_edits_bring_their_tests(image_root: Path) -> None:
    images = ImageFolder(image_root)
    record = read("mc-mke", IE_TESTED_ROW, images)
    (request,) = record.requests
    assert (request.target_true, request.target_new) == ("The Grey Kite", "The Red Kite")
    assert request.target_new_aliases == ("Red Kite", "the red kite")
    assert record.scope == "recognition"
    assert kinds(record) == [
        ("reliability", "edit"),
        ("generality", "rephrase"),
        ("generality", "image_other_instance"),
        ("portability", "consistency"),
        ("locality", "unrelated_image"),
    ]
    assert record.of_kind("rephrase")[0].prompts == ("Which book is shown?", "What book is this?")
    assert record.of_kind("consistency")[0].answers == ("Kai Dahl", "K. Dahl")
    assert [p.path for p in record.of_kind("unrelated_image")[0].images] == ["vane.jpg"]
    assert len(read("mc-mke", IE_ROW, images).of_kind("rephrase")[0].prompts) == 3


def test_mc_mke_levels() -> None:
    iro, sro = read("mc-mke", IRO_ROW), read("mc-mke", SRO_ROW)
    assert (iro.requests[0].subject, sro.requests[0].subject) == (None, "The Grey Kite")
    assert iro.of_kind("consistency")[0].prompts == ("The author of The Grey Kite is",)
    assert sro.of_kind("text")[0].answers == ("Dalby", "Dal City")
    changed = replace(sro, requests=(replace(sro.requests[0], target_new="Ida Holm"),))
    assert FORMATS["mc-mke"].write_row(changed)["new_o"] == "Ida Holm"


def test_mc_mke_files_are_joined(tmp_path: Path) -> None:
    def write(name: str, *rows: dict[str, Any]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    other = {**IE_ROW, "ie_edit_input_idx": 6}
    write("final_ie_edit_input.locality.jsonl", IE_ROW, other)
    write("final_ie_test_consistency.jsonl", IE_TESTED_ROW["consistency"],
          {**IE_TESTED_ROW["consistency"], "ie_edit_input_idx": 6})  # fmt: skip
    write("final_ie_locality_test.jsonl", IE_TESTED_ROW["locality"])
    write("final_ie_test_text_generality.jsonl", IE_TESTED_ROW["text_generality"])
    write("final_ie_test_image_generality.jsonl", IE_TESTED_ROW["image_generality"])
    (tmp_path / "ie_consistenct_ignore_idx.json").write_text("[6]")
    (_, first), (_, second) = read_joined(tmp_path)
    assert first == IE_TESTED_ROW
    assert second == other
    write("final_ie_edit_input.copy.jsonl", IE_ROW)
    with pytest.raises(InputError, match="holds two files for edits"):
        list(read_joined(tmp_path))
    for file in tmp_path.glob("*input*"):
        file.unlink()
    with pytest.raises(InputError, match="holds no file of edits"):
        list(read_joined(tmp_path))


NUMBER = "ie_edit_input_idx"


@pytest.mark.parametrize(
    ("edits", "tests", "file", "reason"),
    [
        ([None], [5], "input", r"row 0, field 'ie_edit_input_idx': is missing, and by it"),
        ([[5]], [5], "input", "row 0, field 'ie_edit_input_idx': is a list, not a whole number"),
        (["5"], [5], "input", "row 0, field 'ie_edit_input_idx': is a str, not a whole number"),
        ([True], [5], "input", "row 0, field 'ie_edit_input_idx': is a bool, not a whole"),
        ([5, 6, 5], [], "input", "row 2, field 'ie_edit_input_idx': is edit 5 again; row 0 did"),
        ([5], [None], "locality", r"row 0, field 'ie_edit_input_idx': is missing, and by it"),
        ([5], [5, [6]], "locality", "row 1, field 'ie_edit_input_idx': is a list, not a whole"),
        ([0], ["0"], "locality", "row 0, field 'ie_edit_input_idx': is a str, not a whole"),
        ([5, 6], [6, 6], "locality",
         "row 1, field 'ie_edit_input_idx': answers edit 6 again; row 0 did"),
        ([5, 6], [6, 7], "locality",
         "row 1, field 'ie_edit_input_idx': is 7, and no edit has this number"),
    ],
)  # fmt: skip
def test_mc_mke_files_that_do_not_go_together(
    tmp_path: Path, edits: list[Any], tests: list[Any], file: str, reason: str
) -> None:
    def write(name: str, row: dict[str, Any], numbers: list[Any]) -> None:
        rows = [{**row, NUMBER: number} for number in numbers]
        for made, number in zip(rows, numbers, strict=True):
            if number is None:
                del made[NUMBER]
        (tmp_path / name).write_text("".join(json.dumps(made) + "\n" for made in rows))

    write("ie_input.jsonl", IE_ROW, edits)
    if tests:
        write("ie_locality.jsonl", IE_TESTED_ROW["locality"], tests)
    with pytest.raises(InputError, match=reason) as caught:
        list(read_joined(tmp_path))
    assert caught.value.file == tmp_path / f"ie_{file}.jsonl"


@pytest.mark.parametrize("text", ["{}", '["6"]', "[[6]]", "[6", "[true]"])
def test_a_list_of_ignored_edits_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ie_input.jsonl").write_text(json.dumps(IE_ROW))
    (tmp_path / "ie_ignore.json").write_text(text)
    with pytest.raises(InputError, match="is no") as caught:
        list(read_joined(tmp_path))
    assert caught.value.file == tmp_path / "ie_ignore.json"


def test_pictures_of_mc_mke_cannot_lead_out_of_their_folder(image_root: Path) -> None:
    row = {**IE_ROW, "images": ["/home/someone/.."]}
    with pytest.raises(InputError, match="climbs out of its folder"):
        read("mc-mke", row, ImageFolder(image_root))


def test_captions_are_read_as_they_are(image_root: Path) -> None:
    record = read("mmedit", CAPTION_ROW, ImageFolder(image_root))
    assert record.requests[0].prompt == "a photo of"
    assert record.of_kind("edit")[0].answers == ("a red kite above a long pier",)
    assert record.of_kind("rephrase")[0].prompts == ("an image of",)
    assert len(record.probes) == 5


# All of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(n, r, id=f"{n}: {what}") for n, what, r in ROWS]
)
def test_odd_orders_and_unknown_fields_round_trip(name: str, row: dict[str, Any]) -> None:
    rng = random.Random(7)
    for number in range(4):
        odd = {**copy.deepcopy(row), "more": {"a": [None, 1.5, "ä"]}, f"n{number}": []}
        fields = list(odd.items())
        rng.shuffle(fields)
        odd = dict(fields)
        known = FORMATS[name]
        written = known.write_row(known.read_row(odd))
        assert written == odd
        assert list(written) == list(odd)


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(n, r, id=f"{n}: {what}") for n, what, r in TEXT_ROWS]
)
def test_records_hold_to_the_rules(name: str, row: dict[str, Any], image_root: Path) -> None:
    record = read(name, row, ImageFolder(image_root))
    assert [str(f) for f in check_record(record, Rules()) if "near-dup" not in str(f)] == []


@pytest.mark.parametrize("number", range(len(TEXT_ROWS)))
def test_a_changed_answer_is_written_as_changed(number: int) -> None:
    name, _, row = TEXT_ROWS[number]
    record = read(name, row)
    first = replace(record.requests[0], target_new="the moon", target_new_aliases=())
    changed = replace(record, requests=(first, *record.requests[1:]))
    assert "the moon" in json.dumps(FORMATS[name].write_row(changed))


def test_formats_of_one_request_refuse_several() -> None:
    record = read("mquake", TWO_EDITS_ROW)
    for name in ("multi-counterfact", "zsre-mend", "zsre-rome", "rippleedits", "unke", "mc-mke"):
        with pytest.raises(InputError, match="has 2 requests"):
            FORMATS[name].write_row(record)
    single = read("unke", UNKE_ROW)
    with pytest.raises(InputError, match="field 'subject': is missing"):
        FORMATS["multi-counterfact"].write_row(single)


def test_the_released_unke_file_round_trips() -> None:
    path = DATA / "unke/unke_v2.json"
    if not path.is_file():
        pytest.skip("unke_v2.json is not at hand")
    ids = set()
    for number, row in read_rows(path):
        record = FORMATS["unke"].read_row(row, context=ReadContext(file=path, row=number))
        written = FORMATS["unke"].write_row(record)
        assert (written, list(written)) == (row, list(row))
        assert record.extra_fields.keys() <= {"format", "rest", "order"}
        ids.add(record.id)
    assert len(ids) == 1000


def test_released_flat_counterfact_round_trips() -> None:
    path = DATA / "counterfact/counterfact-edit.json"
    if not path.is_file():
        pytest.skip("counterfact-edit.json is not at hand")
    for number, row in read_rows(path):
        if number == 500:
            break
        assert FORMATS["counterfact"].write_row(FORMATS["counterfact"].read_row(row)) == row
