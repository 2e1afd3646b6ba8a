"""zsRE rows as MEND prepared them, in the two readings that papers give them.

Fields of `zsre_mend_eval.json` (Mitchell et al. 2022, "Fast Model Editing at Scale"). Every row
offers two edits:

- `zsre-mend`: to `alt`, another model's wrong answer, as MEND and EasyEdit edit. The right answer
  is what the edit replaces.
- `zsre-rome`: to the first of `answers`, the right one, as `dsets/zsre.py` of kmeng01/rome edits,
  and with it MEMIT, AlphaEdit and CoME. What the model said before is not known.

`zsre-rome` ends the unrelated question with a question mark, as the evaluation there asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest

_MARK = "?"


def parse(row: Row) -> EditRecord:
    """The record of a row whose edit is to `alt`."""
    truths = _answers(row)
    request = _request(row, row.text("alt"), true=truths[0])
    return _record(row, request, row.text("loc"), truths)


def parse_rome(row: Row) -> EditRecord:
    """The record of a row whose edit is to the right answer."""
    right, *aliases = _answers(row)
    request = _request(row, right, aliases=tuple(aliases))
    return _record(row, request, row.text("loc") + _MARK, None)


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures, with the edit as `alt`.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    request, fields = _shared(record)
    fields["alt"] = request.target_new
    edited = mmedit.first(record, "edit")
    known = edited.answers_pre_edit if edited is not None else ()
    if request.target_true is not None:
        fields["answers"] = list(dict.fromkeys((request.target_true, *known)))
    return fields


def render_rome(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures, with the edit as the first of `answers`.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    request, fields = _shared(record)
    fields["answers"] = [request.target_new, *request.target_new_aliases]
    if "loc" in fields:
        fields["loc"] = fields["loc"].removesuffix(_MARK)
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that both readings need."""
    return ("subject", "src", "rephrase", "alt", "answers", "loc", "loc_ans")


def _answers(row: Row) -> tuple[str, ...]:
    answers = tuple(text for text in row.texts("answers") if text.strip())
    if not answers:
        raise row.error("holds no answer", "answers")
    return answers


def _request(
    row: Row, new: str, true: str | None = None, aliases: tuple[str, ...] = ()
) -> EditRequest:
    return EditRequest(
        id=row.id,
        prompt=row.text("src"),
        image=None,
        subject=row.text("subject"),
        target_new=new,
        target_true=true,
        target_new_aliases=aliases,
    )


def _record(
    row: Row, request: EditRequest, unrelated: str, truths: tuple[str, ...] | None
) -> EditRecord:
    probes = [mmedit.edit_probe(request, truths)]
    if (rephrased := row.optional_text("rephrase")) is not None:
        probes.append(mmedit.reached("rephrase", (rephrased,), None, request.target_new))
    probes.append(mmedit.untouched("text", unrelated, None, row.optional_text("loc_ans")))
    return EditRecord(row.id, (request,), tuple(probes))


def _shared(record: EditRecord) -> tuple[EditRequest, dict[str, Any]]:
    request = mmedit.only_text_request(record)
    fields: dict[str, Any] = {"src": request.prompt}
    if request.subject is not None:
        fields["subject"] = request.subject
    if (probe := mmedit.first(record, "rephrase")) is not None:
        fields["rephrase"] = probe.prompts[0]
    if (probe := mmedit.first(record, "text")) is not None:
        fields["loc"] = probe.prompts[0]
        fields |= mmedit.answered("loc_ans", probe)
    return request, fields


FORMAT = Format(
    name="zsre-mend",
    title="zsRE (MEND)",
    files=(OutputFile("zsre_mend_eval.json"),),
    required=required,
    parse=parse,
    render=render,
)

ROME_FORMAT = replace(
    FORMAT,
    name="zsre-rome",
    title="zsRE (ROME)",
    parse=parse_rome,
    render=render_rome,
    defaults={"alt": ""},
)
