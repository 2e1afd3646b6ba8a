"""CounterFact rows, in the form of its release and in the flat one that circulates as JSON.

The release (`counterfact.json`, Meng et al. 2022) nests the edit in `requested_rewrite`, whose
prompt has a `{}` for the subject, and lists several paraphrases, neighbours and attributes. The
flat form has one of each under `rephrase_prompt` and `locality_prompt`. Both become the same
kinds of probes. Attribute prompts share the new object with the edit and test no fact of the
edited subject, and generation prompts have no answer: neither becomes a probe, and both come back
on export.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.easyedit import flat_fields
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest, Probe

_NESTED = "requested_rewrite"


def parse(row: Row) -> EditRecord:
    """The record of a row of either form."""
    return _parse_release(row) if _NESTED in row.fields else _parse_flat(row)


def _parse_flat(row: Row) -> EditRecord:
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


def _parse_release(row: Row) -> EditRecord:
    rewrite = row.fields[_NESTED]
    if not isinstance(rewrite, dict):
        raise row.error("is not an object", _NESTED)
    edit = row.part(_NESTED, "edit", rewrite)
    subject, template = edit.text(f"{_NESTED}.subject"), edit.text(f"{_NESTED}.prompt")
    if template.count("{}") != 1:
        raise row.error("holds no single {} for the subject", f"{_NESTED}.prompt")
    truth = _target(row, rewrite, "target_true")
    request = EditRequest(
        id=row.id,
        prompt=template.replace("{}", subject),
        image=None,
        subject=subject,
        target_new=_target(row, rewrite, "target_new"),
        target_true=truth,
    )
    probes = [mmedit.edit_probe(request)]
    if paraphrases := row.texts("paraphrase_prompts"):
        probes.append(mmedit.reached("rephrase", paraphrases, None, request.target_new))
    if neighbours := row.texts("neighborhood_prompts"):
        probes.append(Probe("text", "locality", "text", "unchanged", neighbours, (), (truth,)))
    return EditRecord(row.id, (request,), tuple(probes))


def _target(row: Row, rewrite: Mapping[str, Any], name: str) -> str:
    field = f"{_NESTED}.{name}"
    value = rewrite.get(name)
    if not isinstance(value, dict):
        raise row.error("is not an object", field)
    return row.part(field, name, value).text(f"{field}.str")


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The flat fields of a record without pictures.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    return flat_fields(record)


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row of the flat form."""
    return () if _NESTED in fields else ("prompt", "target_new", "subject", "ground_truth")


FORMAT = Format(
    name="counterfact",
    title="CounterFact",
    files=(OutputFile("counterfact.json"),),
    required=required,
    parse=parse,
    render=render,
)
