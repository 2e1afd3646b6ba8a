"""The three levels of MC-MKE's edits, and how each names its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Level:
    """How one level of edits names its fields.

    Attributes:
        number: The edit's number.
        required: The fields of every edit.
        cloze: The statement to complete, which is edited.
        question: The same as a question.
        true: The answer before the edit.
        new: The answer after it; `_alias` behind it names its aliases.
        paraphrases: The questions of `text_generality`.
        consistency: The picture, the statement and the answer of `consistency`.
        locality: The question and the answer of an entry of `locality`.
    """

    number: str
    required: tuple[str, ...]
    cloze: str
    question: str
    true: str
    new: str
    paraphrases: str
    consistency: tuple[str, str, str]
    locality: tuple[str, str]


IE = Level(
    number="ie_edit_input_idx",
    required=("relation", "e_ent", "new_e_ent", "ie_question", "ie_cloze", "new_e_ent_alias",
              "images"),
    cloze="ie_cloze",
    question="ie_question",
    true="e_ent",
    new="new_e_ent",
    paraphrases="ie_question_paraphrases",
    consistency=("consistency_iro_image", "consistency_iro_input_cloze",
                 "consistency_iro_output"),
    locality=("ie_question", "orig_loc_ent"),
)  # fmt: skip
IRO = Level(
    number="iro_edit_input_idx",
    required=("s", "r", "o", "new_o", "images", "iro_question", "iro_cloze", "new_o_alias"),
    cloze="iro_cloze",
    question="iro_question",
    true="o",
    new="new_o",
    paraphrases="iro_question_paraphrases",
    consistency=("consistency_image", "consistency_sro_cloze", "new_o"),
    locality=("iro_question", "orig_loc_output_ent"),
)
SRO = Level(
    number="sro_edit_input_idx",
    required=("s", "r", "o", "new_o", "question", "cloze", "new_o_alias"),
    cloze="cloze",
    question="question",
    true="o",
    new="new_o",
    paraphrases="sro_question_paraphrases",
    consistency=("consistency_data_image", "consistency_data_irocloze", "consistency_new_o"),
    locality=("sro_question", "orig_loc_output_ent"),
)


def level_of(fields: Mapping[str, Any]) -> Level:
    """The level of an edit, by its fields."""
    return IE if "ie_cloze" in fields else IRO if "iro_cloze" in fields else SRO
