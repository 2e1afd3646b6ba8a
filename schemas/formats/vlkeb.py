"""VLKEB rows: MMEdit rows with portability questions in `port_new`.

`port_new` has two forms. In `eval_multihop.json` an entry is a question that chains the edited
fact with 1 to 4 others (`port_type`: "1-hop"...). In `eval_edit_onehop.json` an entry brings a
second fact to edit (`port_edit_q`, `port_edit_a`, without a picture) and the question that needs
both facts (`port_q`, `port_a`). Field names as read by `easyeditor/dataset/coco_caption.py` of
VLKEB/VLKEB, branches main and edit_onehop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schemas.errors import InputError
from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe

_HOPS = re.compile(r"([1-9]\d?)-hop")
_KINDS: Mapping[int, str] = {1: "one_hop", 2: "two_hop"}


def parse(row: Row) -> EditRecord:
    """The record of a VLKEB row: one request, or one more for each second fact to edit."""
    record = mmedit.parse(row)
    entries = row.objects("port_new")
    if any("port_edit_q" in entry for entry in entries):
        return _with_second_edits(record, row, entries)
    return replace(
        record,
        probes=record.probes + hop_probes(row, entries, record.requests[0].image),
    )


def hop_probes(
    row: Row, entries: tuple[dict[str, Any], ...], image: EncodedImage | None
) -> tuple[Probe, ...]:
    """The portability probes of a multi-hop `port_new`."""
    probes = []
    for index, entry in enumerate(entries):
        at = f"port_new[{index}]"
        outer = row.part(at, str(index), entry)
        hops = _HOPS.fullmatch(outer.text(f"{at}.port_type"))
        if hops is None:
            raise row.error("is not '1-hop', '2-hop'...", f"{at}.port_type")
        pair = entry.get("Q&A")
        if not isinstance(pair, dict):
            raise row.error("is not an object", f"{at}.Q&A")
        inner = row.part(f"{at}.Q&A", str(index), pair)
        question, answer = inner.text(f"{at}.Q&A.Question"), inner.text(f"{at}.Q&A.Answer")
        probes.append(_probe(index, question, image, answer, int(hops[1])))
    return tuple(probes)


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The VLKEB fields of a record.

    Raises:
        InputError: If it has several requests and not one portability question for each of the
            later ones.
    """
    fields = mmedit.shared_fields(record, images)
    probes = portability(record)
    seconds = record.requests[1:]
    if seconds:
        if len(probes) != len(seconds):
            raise InputError(
                f"has {len(seconds)} further requests and {len(probes)} portability questions, "
                "which go together in this format",
                row=record.id,
                field="port_new",
            )
        fields["port_new"] = [
            {
                "port_edit_q": request.prompt,
                "port_edit_a": request.target_new,
                "port_q": probe.prompts[0],
                "port_a": probe.answers[0],
            }
            for request, probe in zip(seconds, probes, strict=True)
        ]
    elif probes:
        fields["port_new"] = hop_entries(probes)
    return fields


def portability(record: EditRecord) -> list[Probe]:
    """The probes that chain the edited fact with a known number of others."""
    return [p for p in record.probes if p.axis == "portability" and p.hops and p.answers]


def hop_entries(probes: list[Probe]) -> list[dict[str, Any]]:
    """Portability probes as a multi-hop `port_new`."""
    return [
        {
            "port_type": f"{probe.hops}-hop",
            "Q&A": {"Question": probe.prompts[0], "Answer": probe.answers[0]},
        }
        for probe in probes
    ]


def _with_second_edits(
    record: EditRecord, row: Row, entries: tuple[dict[str, Any], ...]
) -> EditRecord:
    requests, probes = list(record.requests), list(record.probes)
    image = record.requests[0].image
    for index, entry in enumerate(entries):
        at = f"port_new[{index}]"
        fields = row.part(at, str(index), entry)
        requests.append(
            EditRequest(
                id=fields.id,
                prompt=fields.text(f"{at}.port_edit_q"),
                image=None,
                subject=None,
                target_new=fields.text(f"{at}.port_edit_a"),
                target_true=None,
            )
        )
        question, answer = fields.text(f"{at}.port_q"), fields.text(f"{at}.port_a")
        probes.append(_probe(index, question, image, answer, hops=1))
    return replace(record, requests=tuple(requests), probes=tuple(probes))


def _probe(index: int, question: str, image: EncodedImage | None, answer: str, hops: int) -> Probe:
    return Probe(
        id=f"hop/{index}",
        axis="portability",
        kind=_KINDS.get(hops, "hop"),
        expectation="target",
        prompts=(question,),
        images=() if image is None else (image,),
        answers=(answer,),
        hops=hops,
    )


FORMAT = Format(
    name="vlkeb",
    title="VLKEB",
    files=(OutputFile("vlkeb.json"),),
    required=mmedit.required,
    parse=parse,
    render=render,
    defaults=mmedit.DEFAULTS,
    foreign=mmedit.FOREIGN,
)
