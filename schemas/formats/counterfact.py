"""CounterFact rows in the flat form that circulates as JSON, one paraphrase and one neighbour each.

`counterfact-edit.json` of WanliYoung/Revisit-Editing-Evaluation and EasyEdit's copy have it. The
release itself (`multi_counterfact`) goes by this name as well, so its rows are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.formats import mmedit, multi_counterfact
from schemas.formats.core import Format, OutputFile
from schemas.formats.easyedit import flat_fields
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest


def parse(row: Row) -> EditRecord:
    """The record of a flat row."""
    request = EditRequest(
        id=row.id,
        prompt=row.text("prompt"),
        image=None,
        subject=row.text("subject"),
        target_new=row.text("target_new"),
        target_true=row.optional_text("ground_truth"),
    )
    probes = [mmedit.edit_probe(request)]
    if (rephrased := row.optional_text("rephrase_prompt")) is not None:
        probes.append(mmedit.reached("rephrase", (rephrased,), None, request.target_new))
    if (asked := row.optional_text("locality_prompt")) is not None:
        answer = row.optional_text("locality_ground_truth")
        probes.append(mmedit.untouched("text", asked, None, answer))
    return EditRecord(row.id, (request,), tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The flat fields of a record without pictures.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    return flat_fields(record)


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row."""
    return ("prompt", "target_new", "subject", "ground_truth")


FORMAT = Format(
    name="counterfact",
    title="CounterFact",
    files=(OutputFile("counterfact.json"),),
    required=required,
    parse=parse,
    render=render,
    foreign=frozenset({"portability", "locality"}),
    forms=(multi_counterfact.FORMAT,),
)
