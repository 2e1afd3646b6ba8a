"""OKEDIT rows: OK-VQA annotations with counterfactual answers, joined with their questions.

The release has two files, as OK-VQA does: annotations and questions, joined by `question_id`.
A row here is that join. Pictures are not named in rows but found by id, in three folders:

    val2014/COCO_val2014_<image_id, 12 digits>.jpg   the edited picture
    generality/<question_id>/0.jpg ... 9.jpg         pictures that show the same thing
    locality/<question_id>/0.png                     a picture that shows something else

`ImageFolder(mounts=...)` brings them together where they lie apart. Field names as read by
`easyeditor/dataset/okvqa.py` and written by `vqautils/` of donglgcn/EasyEdit, branch MMOKVQA.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.files import read_rows
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest, EditType, Probe, Sample

_SOURCE_IMAGE = re.compile(r"(?:.*/)?COCO_(?:train|val)2014_(\d{12})\.jpg")
_TYPES: Mapping[EditType, str] = {"text": "text based", "image_text": "image-text based"}
_QUESTION_ONLY = frozenset({"question", "rephrased_questions"})
_JOINED_BY = frozenset({"question_id", "image_id"})


def parse(row: Row) -> EditRecord:
    """The record of a joined OKEDIT row.

    A question that exists only for its pictures is left out where they are not at hand.
    """
    number, picture_number = _whole_number(row, "question_id"), _whole_number(row, "image_id")
    question, target = row.text("question"), row.text("counterfact_answer")
    humans = _human_answers(row)
    image = row.image_at(source_path(picture_number), "image_id")
    request = EditRequest(
        id=str(number),
        prompt=question,
        image=image,
        subject=None,
        target_new=target,
        target_true=humans[0] if humans else None,
        positives=tuple(
            Sample("rephrase", prompt, image, target)
            for prompt in row.prompts("rephrased_questions_train")
        ),
        negatives=mmedit.negatives(row, question),
    )
    probes = [mmedit.edit_probe(request, tuple(dict.fromkeys(humans)))]
    if rephrased := row.prompts("rephrased_questions"):
        probes.append(mmedit.reached("rephrase", rephrased, image, target))
    if pictures := row.images_in(f"generality/{number}"):
        probe = mmedit.reached("image_rephrase", (question,), None, target)
        probes.append(replace(probe, images=pictures))
    third = row.optional_text("locality_answer")
    other = row.image_at(_locality_path(number))
    if third is not None and other is not None:
        probes.append(mmedit.untouched("negative", question, other, third))
    return EditRecord(
        id=str(number),
        requests=(request,),
        probes=tuple(probes),
        edit_type=_edit_type(row.optional_text("counterfact_type")),
        edit_type_reason=row.optional_text("counterfact_type_reason"),
        image_object=row.optional_text("image_object"),
        third_answer=third,
        third_object=row.optional_text("locality_image_object"),
    )


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The OKEDIT fields of a record; its pictures go where the loader looks for them.

    The loader finds questions and pictures by number. Where a record's id or its picture's name
    holds none, a digest of it serves.

    Raises:
        InputError: If it has several requests.
    """
    if len(record.requests) != 1:
        count = len(record.requests)
        raise InputError(f"has {count} requests; a row of this format holds one", row=record.id)
    request = record.requests[0]
    number = _number(record.id)
    fields: dict[str, Any] = {
        "question_id": number,
        "question": request.prompt,
        "counterfact_answer": request.target_new,
    }
    if request.image is not None:
        named = _SOURCE_IMAGE.fullmatch(request.image.path or "")
        fields["image_id"] = int(named[1]) if named else _digest_number(request.image.bytes)
        images.put(request.image, source_path(fields["image_id"]))
    if request.target_true is not None:
        fields["answers"] = [{"answer_id": 1, "answer": request.target_true}]
    if (probe := mmedit.first(record, "rephrase")) is not None:
        fields["rephrased_questions"] = list(probe.prompts)
    if (probe := mmedit.first(record, "image_rephrase", "image_other_instance")) is not None:
        _put_generality(number, probe, images)
    third = record.third_answer
    if (probe := mmedit.first(record, "negative", "unrelated_image")) is not None and probe.images:
        images.put(probe.images[0], _locality_path(number))
        third = probe.answers[0] if probe.answers else third
    optional = {
        "locality_answer": third,
        "locality_image_object": record.third_object,
        "image_object": record.image_object,
        "counterfact_type": _TYPES[record.edit_type] if record.edit_type else None,
        "counterfact_type_reason": record.edit_type_reason,
    }
    fields.update((name, value) for name, value in optional.items() if value is not None)
    return fields | mmedit.editor_fields(request)


def read_joined(annotations: Path, questions: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of the released file pair, with their number among the annotations.

    The questions are held in memory (5,046 in the release); annotations are streamed. A question
    without an annotation is left out, as by the released loader.

    Raises:
        InputError: If a file cannot be read, an annotation has no question, or a question
            appears twice or belongs to another picture.
    """
    by_id: dict[Any, dict[str, Any]] = {}
    for number, entry in read_rows(questions, key="questions"):
        key = _join_key(entry, questions, number)
        if key in by_id:
            raise InputError(f"repeats question {key}", file=questions, row=number)
        by_id[key] = entry
    for number, entry in read_rows(annotations, key="annotations"):
        key = _join_key(entry, annotations, number)
        if key not in by_id:
            raise InputError(f"has no question {key} in {questions.name}", file=annotations,
                             row=number, field="question_id")  # fmt: skip
        asked = by_id[key]
        for name in asked.keys() & entry.keys():
            if asked[name] != entry[name]:
                raise InputError(f"differs from {questions.name} for question {key}",
                                 file=annotations, row=number, field=name)  # fmt: skip
        yield number, {**entry, **asked}


def source_path(image_id: int) -> str:
    """Path of a picture of COCO's 2014 validation split."""
    return f"val2014/COCO_val2014_{image_id:012d}.jpg"


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that the released loader reads."""
    return (
        "image_id", "question_id", "question_type", "answers", "image_object",
        "counterfact_answer", "counterfact_type", "counterfact_type_reason", "locality_answer",
        "question", "rephrased_questions",
    )  # fmt: skip


def _locality_path(question_id: int) -> str:
    return f"locality/{question_id}/0.png"


def _put_generality(question_id: int, probe: Probe, images: ImageSink) -> None:
    # Pillow opens by content, so the name's suffix need not fit.
    width = len(str(len(probe.images) - 1))
    for index, image in enumerate(probe.images):
        images.put(image, f"generality/{question_id}/{index:0{width}d}.jpg")


def _number(record_id: str) -> int:
    digits = record_id.isascii() and record_id.isdigit()
    return int(record_id) if digits else _digest_number(record_id.encode())


def _digest_number(data: bytes) -> int:
    """A whole number of at most 12 digits, which is how long COCO's are."""
    return int(hashlib.sha256(data).hexdigest(), 16) % 10**12


def _whole_number(row: Row, field: str) -> int:
    value = row.fields.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise row.error("is not a whole number", field)
    return value


def _human_answers(row: Row) -> list[str]:
    entries = row.objects("answers")
    found = [entry.get("answer") for entry in entries]
    if not all(isinstance(answer, str) and answer for answer in found):
        raise row.error("has an entry without a text under 'answer'", "answers")
    return [str(answer) for answer in found]


def _edit_type(text: str | None) -> EditType | None:
    """The type that free wording means; the authors' prompts say "text base" as well."""
    words = (text or "").lower().replace("-", " ").strip()
    if words.startswith("image text"):
        return "image_text"
    return "text" if words.startswith("text") else None


def _join_key(entry: Mapping[str, Any], file: Path, number: int) -> int:
    key = entry.get("question_id")
    if not isinstance(key, int):
        raise InputError("is not a whole number", file=file, row=number, field="question_id")
    return key


_FILES = (
    OutputFile("mscoco_val2014_annotations.json", "annotations", but=_QUESTION_ONLY),
    OutputFile("OpenEnded_mscoco_val2014_questions.json", "questions", _QUESTION_ONLY | _JOINED_BY),
)


def read_folder(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The joined rows of the two files in a folder, under the names that an export gives them."""
    annotations, questions = (folder / file.name for file in _FILES)
    yield from read_joined(annotations, questions)


FORMAT = Format(
    name="okedit",
    title="OKEDIT",
    files=_FILES,
    required=required,
    parse=parse,
    render=render,
    defaults={
        "question_type": "",
        "image_object": "",
        "counterfact_type": "",
        "counterfact_type_reason": "",
    },
    joined=read_folder,
)
