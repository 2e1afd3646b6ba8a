"""MMKE-Bench rows: MMEdit rows with questions about a free-text fact.

There are three kinds of rows (`knowledge_type`): `entity_level` and `user_specific` have two
text-only and two picture questions (`rel_1`, `m_rel_1`...), `visual_knowledge` has one of each
(`rel`, `m_rel`) and a question of its own for the other picture. Answers come under two
spellings, `rel_ans_1` and `rel_1_ans`. Portability questions are VLKEB's; `user_specific` and
`visual_knowledge` rows ask them about `one_hop_img`. Field names as read by a dataset loader
that is derived from MMKE-Bench's, the benchmark's own not being at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schemas.formats import mmedit, vlkeb
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.images import EncodedImage
from schemas.records import EditRecord, Probe

_VISUAL = "visual_knowledge"
_PAIRED = ("entity_level", "user_specific")
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    _VISUAL: ("",),
    **dict.fromkeys(_PAIRED, ("_1", "_2")),
}
_ALIASES = {
    f"{stem}_{index}_ans": f"{stem}_ans_{index}" for stem in ("rel", "m_rel") for index in (1, 2)
}


def parse(row: Row) -> EditRecord:
    """The record of an MMKE-Bench row."""
    knowledge = row.text("knowledge_type")
    if knowledge not in _SUFFIXES:
        raise row.error(f"is not one of {', '.join(_SUFFIXES)}", "knowledge_type")
    record = mmedit.parse(row)
    image = record.requests[0].image
    asked = row.optional_text("image_rephrase_question")
    probes = [
        replace(probe, prompts=(asked,)) if asked and probe.kind == "image_rephrase" else probe
        for probe in record.probes
    ]
    for suffix in _SUFFIXES[knowledge]:
        probes += _question(row, "rel", suffix, "text_only", None)
    for suffix in _SUFFIXES[knowledge]:
        probes += _question(row, "m_rel", suffix, "same_image", image)
    other = row.optional_text("one_hop_img")
    hop_image = image if other is None else row.image("one_hop_img")
    if other is None or hop_image is not None:
        probes += vlkeb.hop_probes(row, row.objects("port_new"), hop_image)
    return replace(record, probes=tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The MMKE-Bench fields of a record.

    The knowledge type follows from the number of questions: two of each kind make an
    `entity_level` row, one of each a `visual_knowledge` row.
    """
    fields = mmedit.render(record, images)
    texts, pictures = record.of_kind("text_only"), record.of_kind("same_image")
    count = min(len(texts), len(pictures))
    if count:
        knowledge = _VISUAL if count == 1 else _PAIRED[0]
        fields["knowledge_type"] = knowledge
        for probes, stem in ((texts, "rel"), (pictures, "m_rel")):
            for suffix, probe in zip(_SUFFIXES[knowledge], probes, strict=False):
                fields[stem + suffix] = probe.prompts[0]
                fields |= mmedit.answered(f"{stem}_ans{suffix}", probe)
        rephrased = mmedit.first(record, "image_rephrase")
        if knowledge == _VISUAL and rephrased is not None:
            fields["image_rephrase_question"] = rephrased.prompts[0]
    hops = vlkeb.portability(record)
    if hops:
        fields["port_new"] = vlkeb.hop_entries(hops)
        if hops[0].images and hops[0].images[0] != record.requests[0].image:
            fields["one_hop_img"] = images.put(hops[0].images[0])
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of a row of its knowledge type."""
    knowledge = fields.get("knowledge_type")
    suffixes = _SUFFIXES.get(knowledge, ()) if isinstance(knowledge, str) else ()
    questions = [
        name
        for stem in ("rel", "m_rel")
        for suffix in suffixes
        for name in (f"{stem}{suffix}", f"{stem}_ans{suffix}")
    ]
    if knowledge == _VISUAL:
        questions.append("image_rephrase_question")
    if knowledge in (_VISUAL, "user_specific"):
        questions.append("one_hop_img")
    return ("knowledge_type", *mmedit.REQUIRED, *questions)


def _question(
    row: Row, stem: str, suffix: str, kind: str, image: EncodedImage | None
) -> list[Probe]:
    question = row.optional_text(stem + suffix)
    if question is None:
        return []
    answer = row.text(f"{stem}_ans{suffix}")
    images = () if image is None else (image,)
    probe_id = f"{kind}/{suffix.lstrip('_') or 1}"
    return [Probe(probe_id, "reliability", kind, "target", (question,), images, (answer,))]


FORMAT = Format(
    name="mmke",
    title="MMKE-Bench",
    files=(OutputFile("mmke.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults=mmedit.DEFAULTS,
    aliases=_ALIASES,
)
