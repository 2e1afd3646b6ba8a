"""What EasyEdit's current loaders read: multimodal rows and KnowEdit rows.

The multimodal loaders (`vqa.py`, `coco_caption.py`) read MMEdit rows and require every field.
The text loader (`knowedit.py`) reads KnowEdit rows: a prompt about a subject, and questions in
named groups under `portability` and `locality`. Field names as in zjunlp/EasyEdit's
`easyeditor/dataset/` and counted in three KnowEdit-style files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import Axis, EditRecord, EditRequest, Expectation, Probe

_GROUPS: Mapping[str, tuple[Axis, str, Expectation]] = {
    "Reasoning": ("portability", "hop", "target"),
    "Subject_Aliasing": ("portability", "subject_aliasing", "target"),
    "Logical_Generalization": ("portability", "logical_generalization", "target"),
    "Relation_Specificity": ("locality", "relation_specificity", "unchanged"),
    "Forgetfulness": ("locality", "forgetfulness", "unchanged"),
}
_GROUP_OF = {(axis, kind): group for group, (axis, kind, _) in _GROUPS.items()}
_HOP_KINDS = ("one_hop", "two_hop", "hop")


def parse_text(row: Row) -> EditRecord:
    """The record of a KnowEdit row."""
    prompt, target = row.text("prompt"), row.text("target_new")
    truths = _answers(row, "ground_truth", row.fields.get("ground_truth"))
    request = EditRequest(
        id=row.id,
        prompt=prompt,
        image=None,
        subject=row.text("subject"),
        target_new=target,
        target_true=truths[0] if truths else None,
    )
    probes = [mmedit.edit_probe(request, truths)]
    if (rephrase := row.optional_text("rephrase_prompt")) is not None:
        probes.append(mmedit.reached("rephrase", (rephrase,), None, target))
    for field in ("portability", "locality"):
        probes += _grouped(row, field)
    if (asked := row.optional_text("locality_prompt")) is not None:
        answer = row.optional_text("locality_ground_truth")
        probes.append(mmedit.untouched("text", asked, None, answer))
    return EditRecord(row.id, (request,), tuple(probes))


def flat_fields(record: EditRecord) -> dict[str, Any]:
    """The fields of a record without pictures that KnowEdit and CounterFact have in common.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    request = mmedit.only_text_request(record)
    fields: dict[str, Any] = {"prompt": request.prompt, "target_new": request.target_new}
    if request.subject is not None:
        fields["subject"] = request.subject
    if request.target_true is not None:
        fields["ground_truth"] = request.target_true
    if (probe := mmedit.first(record, "rephrase")) is not None:
        fields["rephrase_prompt"] = probe.prompts[0]
    if (probe := mmedit.first(record, "text")) is not None:
        fields["locality_prompt"] = probe.prompts[0]
        fields |= mmedit.answered("locality_ground_truth", probe)
    return fields


def render_text(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The KnowEdit fields of a record without pictures.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    fields = flat_fields(record)
    for probe in record.probes:
        kind = "hop" if probe.kind in _HOP_KINDS else probe.kind
        group = _GROUP_OF.get((probe.axis, kind))
        if group is not None and not probe.images:
            entry = {"prompt": probe.prompts[0], "ground_truth": [list(probe.answers)]}
            fields.setdefault(probe.axis, {}).setdefault(group, []).append(entry)
    return fields


def required_text(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that the KnowEdit loader reads unconditionally."""
    return ("subject", "prompt", "target_new", "locality")


def _grouped(row: Row, field: str) -> list[Probe]:
    groups = row.fields.get(field)
    if groups is None:
        return []
    if not isinstance(groups, dict):
        raise row.error("is not an object", field)
    probes = []
    part = row.part(field, field, groups)
    known = [name for name, (axis, _, _) in _GROUPS.items() if axis == field]
    for name, entries in groups.items():
        if name not in known and entries:
            raise row.error(f"is no group; known are {', '.join(known)}", f"{field}.{name}")
    for name, (axis, kind, expectation) in _GROUPS.items():
        if axis != field:
            continue
        for index, entry in enumerate(part.objects(f"{field}.{name}")):
            at = f"{field}.{name}[{index}]"
            prompts = _answers(row, f"{at}.prompt", entry.get("prompt"))
            if not prompts:
                raise row.error("is missing or empty", f"{at}.prompt")
            answers = _answers(row, f"{at}.ground_truth", entry.get("ground_truth"))
            probes.append(Probe(f"{kind}/{index}", axis, kind, expectation, prompts, (), answers))
    return probes


def _answers(row: Row, field: str, value: Any) -> tuple[str, ...]:
    """All texts of a text, a list of texts, or a list of lists of texts, which all occur.

    Those of nothing but spaces are left out.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, list):
        return tuple(text for item in value for text in _answers(row, field, item))
    raise row.error("is neither a text nor a list of texts", field)


FORMAT = replace(
    mmedit.FORMAT, name="easyedit", title="EasyEdit", files=(OutputFile("easyedit.json"),)
)

TEXT_FORMAT = Format(
    name="easyedit-text",
    title="EasyEdit (KnowEdit)",
    files=(OutputFile("easyedit-text.json"),),
    required=required_text,
    parse=parse_text,
    render=render_text,
    defaults={"locality": {}},
    aliases={
        "rephrase": "rephrase_prompt",
        "concept": "subject",
        "text": "prompt",
        "labels": "target_new",
    },
)
