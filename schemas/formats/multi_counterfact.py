"""CounterFact rows as they were released: several paraphrases, neighbours, attributes.

Fields as `dsets/counterfact.py` of kmeng01/rome loads them (Meng et al. 2022, "Locating and
Editing Factual Associations in GPT") and as the evaluation there asks them. `counterfact.json` of
ROME and `multi_counterfact.json` of MEMIT, which leaves out edits that contradict others, share
them. The prompt of `requested_rewrite` has a `{}` for the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import InputError
from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest, Probe

REQUIRED = (
    "requested_rewrite", "paraphrase_prompts", "neighborhood_prompts", "attribute_prompts",
    "generation_prompts",
)  # fmt: skip

_REWRITE = "requested_rewrite"


def parse(row: Row) -> EditRecord:
    """The record of a row: one request, and one probe for each list of prompts."""
    rewrite = row.inner(_REWRITE)
    request = EditRequest(
        id=row.id,
        prompt=filled(rewrite, _REWRITE),
        image=None,
        subject=rewrite.text(f"{_REWRITE}.subject"),
        target_new=rewrite.inner(f"{_REWRITE}.target_new").text(f"{_REWRITE}.target_new.str"),
        target_true=rewrite.inner(f"{_REWRITE}.target_true").text(f"{_REWRITE}.target_true.str"),
    )
    new, true = (request.target_new,), (request.target_true or "",)
    probes = [mmedit.edit_probe(request)]
    if prompts := row.prompts("paraphrase_prompts"):
        probes.append(mmedit.reached("rephrase", prompts, None, request.target_new))
    for field, kind, answers in (
        ("neighborhood_prompts", "neighborhood", true),
        ("attribute_prompts", "attribute", new),
    ):
        if prompts := row.prompts(field):
            probes.append(Probe(kind, "locality", kind, "unchanged", prompts, (), answers))
    if prompts := row.prompts("generation_prompts"):
        probes.append(Probe("generation", "generality", "generation", "target", prompts, (), ()))
    return EditRecord(row.id, (request,), tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures.

    Raises:
        InputError: If it has several requests, one with a picture, or a prompt without its
            subject.
    """
    request = mmedit.only_text_request(record)
    rewrite: dict[str, Any] = {
        "prompt": template(record, request),
        "target_new": {"str": request.target_new},
    }
    if request.target_true is not None:
        rewrite["target_true"] = {"str": request.target_true}
    fields: dict[str, Any] = {_REWRITE: rewrite | {"subject": request.subject}}
    for kind, field in (
        ("rephrase", "paraphrase_prompts"),
        ("neighborhood", "neighborhood_prompts"),
        ("attribute", "attribute_prompts"),
        ("generation", "generation_prompts"),
    ):
        if prompts := [p for probe in record.of_kind(kind) for p in probe.prompts]:
            fields[field] = prompts
    return fields


def filled(rewrite: Row, at: str) -> str:
    """The prompt of a rewrite with its subject in place of `{}`."""
    subject, text = rewrite.text(f"{at}.subject"), rewrite.text(f"{at}.prompt")
    if text.count("{}") != 1:
        raise rewrite.error("holds no single {} for the subject", f"{at}.prompt")
    return text.replace("{}", subject)


def template(record: EditRecord, request: EditRequest) -> str:
    """The prompt of a request with `{}` in place of its subject.

    Raises:
        InputError: If it has no subject, or one that is not in the prompt.
    """
    if request.subject is None or request.subject not in request.prompt:
        reason = "is missing" if request.subject is None else "is not in the prompt"
        raise InputError(f"{reason}, and this format marks its place", row=record.id,
                         field="subject")  # fmt: skip
    return request.prompt.replace(request.subject, "{}", 1)


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row."""
    return REQUIRED


FORMAT = Format(
    name="multi-counterfact",
    title="CounterFact as released",
    files=(OutputFile("multi_counterfact.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults={name: [] for name in REQUIRED[1:]},
    marks=frozenset({"paraphrase_prompts", "neighborhood_prompts"}),
)
