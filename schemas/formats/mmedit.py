"""MMEdit rows (E-VQA, E-IC) and what VLKEB and MMKE-Bench share with them.

Field names as read by `easyeditor/dataset/vqa.py` and `coco_caption.py` of zjunlp/EasyEdit; the
two editor-side fields as in `vqa_eval.json` of donglgcn/EasyEdit, branch MMOKVQA.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import InputError
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe, Sample

REQUIRED = (
    "src", "pred", "rephrase", "alt", "image", "image_rephrase",
    "loc", "loc_ans", "m_loc", "m_loc_q", "m_loc_a",
)  # fmt: skip
"""The fields of every MMEdit row, in the order of the released files."""

DEFAULTS: Mapping[str, Any] = {"pred": ""}
"""Loaders read `pred` but only use it in a condition string, so it may be empty."""

FOREIGN = frozenset({"knowledge_type"})
"""Marks a row of MMKE-Bench, whose questions neither this format nor VLKEB's reads."""

_OTHER_PICTURE = ("image_rephrase", "image_other_instance", "image_augmented")
_UNRELATED_PICTURE = ("unrelated_image", "negative")


def parse(row: Row) -> EditRecord:
    """The record of an MMEdit row.

    A question that exists only for its picture (`image_rephrase`, `m_loc`) is left out of the
    record where that picture is not at hand.
    """
    question, target = row.text("src"), row.text("alt")
    row.text("image")
    image = row.image("image")
    target_true = row.optional_text("pred")
    request = EditRequest(
        id=row.id,
        prompt=question,
        image=image,
        subject=None,
        target_new=target,
        target_true=target_true,
        positives=tuple(
            Sample("rephrase", prompt, image, target)
            for prompt in row.prompts("rephrased_questions_train")
        ),
        negatives=negatives(row, question),
    )
    probes = [edit_probe(request)]
    if (rephrase := row.optional_text("rephrase")) is not None:
        probes.append(reached("rephrase", (rephrase,), image, target))
    if (picture := row.image("image_rephrase")) is not None:
        probes.append(reached("image_rephrase", (question,), picture, target))
    if (prompt := row.optional_text("loc")) is not None:
        answer = row.optional_text("loc_ans")
        probes.append(untouched("text", prompt, None, answer))
    if (prompt := row.optional_text("m_loc_q")) is not None:
        answer, picture = row.optional_text("m_loc_a"), row.image("m_loc")
        if picture is not None:
            probes.append(untouched("unrelated_image", prompt, picture, answer))
    return EditRecord(row.id, (request,), tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The MMEdit fields of a record with one request.

    Raises:
        InputError: If it has several requests.
    """
    only_request(record)
    return shared_fields(record, images)


def only_request(record: EditRecord) -> EditRequest:
    """The one request of a record.

    Raises:
        InputError: If it has several.
    """
    if len(record.requests) != 1:
        count = len(record.requests)
        raise InputError(f"has {count} requests; a row of this format holds one", row=record.id)
    return record.requests[0]


def only_text_request(record: EditRecord) -> EditRequest:
    """The one request of a record, which has no picture.

    Raises:
        InputError: If it has several, or one with a picture.
    """
    request = only_request(record)
    return without_picture(record, request)


def without_picture(record: EditRecord, request: EditRequest) -> EditRequest:
    """The request, which has no picture.

    Raises:
        InputError: If it has one.
    """
    if request.image is not None:
        raise InputError("has a picture, for which this format has no place", row=record.id,
                         field="image")  # fmt: skip
    return request


def shared_fields(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The MMEdit fields of a record's first request, and of the first probe of each kind."""
    request = record.requests[0]
    fields: dict[str, Any] = {"src": request.prompt, "alt": request.target_new}
    if request.target_true is not None:
        fields["pred"] = request.target_true
    if request.image is not None:
        fields["image"] = images.put(request.image)
    if (probe := first(record, "rephrase")) is not None:
        fields["rephrase"] = probe.prompts[0]
    if (probe := first(record, *_OTHER_PICTURE)) is not None and probe.images:
        fields["image_rephrase"] = images.put(probe.images[0])
    if (probe := first(record, "text")) is not None:
        fields["loc"] = probe.prompts[0]
        fields |= answered("loc_ans", probe)
    if (probe := first(record, *_UNRELATED_PICTURE)) is not None and probe.images:
        fields["m_loc"] = images.put(probe.images[0])
        fields["m_loc_q"] = probe.prompts[0]
        fields |= answered("m_loc_a", probe)
    return fields | editor_fields(request)


def editor_fields(request: EditRequest) -> dict[str, Any]:
    """The editor-side samples, under the names that BalancEdit's loaders give them."""
    fields: dict[str, Any] = {}
    prompts = [sample.prompt for sample in request.positives if sample.kind == "rephrase"]
    if prompts:
        fields["rephrased_questions_train"] = prompts
    if request.negatives:
        fields["locality_answer_train"] = request.negatives[0].answer
    return fields


def edit_probe(request: EditRequest, answers_pre_edit: tuple[str, ...] | None = None) -> Probe:
    """The probe that asks the edited question itself."""
    if answers_pre_edit is None:
        answers_pre_edit = () if request.target_true is None else (request.target_true,)
    return Probe(
        id="edit",
        axis="reliability",
        kind="edit",
        expectation="target",
        prompts=(request.prompt,),
        images=() if request.image is None else (request.image,),
        answers=(request.target_new,),
        answers_pre_edit=answers_pre_edit,
    )


def reached(kind: str, prompts: tuple[str, ...], image: EncodedImage | None, answer: str) -> Probe:
    """A generality probe, named by its kind."""
    images = () if image is None else (image,)
    return Probe(kind, "generality", kind, "target", prompts, images, (answer,))


def untouched(kind: str, prompt: str, image: EncodedImage | None, answer: str | None) -> Probe:
    """A locality probe, named by its kind."""
    images = () if image is None else (image,)
    answers = () if answer is None else (answer,)
    return Probe(kind, "locality", kind, "unchanged", (prompt,), images, answers)


def first(record: EditRecord, *kinds: str) -> Probe | None:
    """The first probe of the first of these kinds that the record has."""
    return next((probe for kind in kinds for probe in record.of_kind(kind)), None)


def answered(field: str, probe: Probe) -> dict[str, Any]:
    """A probe's canonical answer as a field; none where it has no answer."""
    return {field: probe.answers[0]} if probe.answers else {}


def negatives(row: Row, question: str) -> tuple[Sample, ...]:
    """The negative sample of a row: the same question, with the answer to keep.

    Its picture is not in the data: BalancEdit asks it about a black one.
    """
    answer = row.optional_text("locality_answer_train")
    return () if answer is None else (Sample("negative", question, None, answer),)


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row."""
    return REQUIRED


FORMAT = Format(
    name="mmedit",
    title="MMEdit",
    files=(OutputFile("mmedit.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults=DEFAULTS,
    foreign=FOREIGN | {"port_new"},  # questions that only VLKEB's reader asks
)
