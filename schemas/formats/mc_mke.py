"""MC-MKE rows: what a picture shows (IE), what is true of it (IRO), and the same by name (SRO).

Fields as in the files under `edit_inputs/` of reroze/MC-MKE (Zhang et al. 2025, "MC-MKE: A
Fine-Grained Multimodal Knowledge Editing Benchmark Emphasizing Modality Consistency"). A level has
one JSON Lines file of edits and one of each kind of test, all with the edit's number;
`mc_mke_files.read_joined` puts the tests of an edit into its row:

- `text_generality`, `image_generality`: the question in other words, and other pictures;
- `consistency`: the edited knowledge where the other modality leads to it;
- `locality`: questions of other edits, with the answers before those.

Pictures have paths on the authors' disk. Only their names count: the pictures are looked for in
one folder, as they are released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.mc_mke_files import read_joined
from schemas.formats.mc_mke_levels import IE, IRO, SRO, Level, level_of
from schemas.formats.rows import Row
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe

_WORDINGS = 5
"""How many of an IE edit's paraphrases the released test asks, its own question among them."""


def parse(row: Row) -> EditRecord:
    """The record of an edit with the tests that its row holds.

    Without its tests an edit is asked its own question in other words and about its own other
    pictures. A question that exists only for its picture is left out where that is not at hand.
    """
    level = level_of(row.fields)
    pictures = [path for path in row.texts("images") if path]
    if level is not SRO and not pictures:
        raise row.error("names no picture", "images")
    request = EditRequest(
        id=row.id,
        prompt=row.text(level.cloze),
        image=_picture(row, pictures[0], "images[0]") if level is not SRO else None,
        subject=row.text("s") if level is SRO else None,
        target_new=row.text(level.new),
        target_true=row.optional_text(level.true),
        target_new_aliases=_aliases(row, level.new, row.text(level.new)),
    )
    probes = [mmedit.edit_probe(request)]
    if prompts := _rephrased(row, level):
        probes.append(mmedit.reached("rephrase", prompts, request.image, request.target_new))
    if others := _other_pictures(row, pictures):
        shown = mmedit.reached("image_other_instance", (request.prompt,), None, request.target_new)
        probes.append(replace(shown, images=others))
    probes += _consistency(row, level)
    probes += _locality(row, level)
    scope = "recognition" if level is IE else "knowledge"
    return EditRecord(row.id, (request,), tuple(probes), scope=scope)


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record with one request, its tests in it.

    A request about a picture becomes an IE edit where it changes what the picture shows, else an
    IRO edit; one without, an SRO edit.

    Raises:
        InputError: If it has several requests.
    """
    request = mmedit.only_request(record)
    level = IE if record.scope == "recognition" else IRO if request.subject is None else SRO
    said = {
        level.new: request.target_new,
        f"{level.new}_alias": list(request.target_new_aliases),
    }
    fields: dict[str, Any] = {level.cloze: request.prompt, **said}
    if request.target_true is not None:
        fields[level.true] = request.target_true
    if level is SRO:
        fields["s"] = request.subject
    shown = "" if request.image is None else images.put(request.image)
    others = mmedit.first(record, "image_other_instance")
    paths = [images.put(image) for image in others.images] if others is not None else []
    if shown:
        fields["images"] = [shown, *paths]
    if (probe := mmedit.first(record, "rephrase")) is not None:
        fields[level.question] = probe.prompts[0]
        fields["text_generality"] = {"image": shown, level.paraphrases: list(probe.prompts), **said}
    if paths:
        fields["image_generality"] = {
            "generality_images": paths,
            level.cloze: request.prompt,
            **said,
        }
    if (probe := mmedit.first(record, "consistency")) is not None and probe.answers:
        picture, cloze, answer = level.consistency
        fields["consistency"] = {
            picture: images.put(probe.images[0]) if probe.images else "",
            cloze: probe.prompts[0],
            **_said(answer, probe),
        }
    if kept := [*record.of_kind("unrelated_image"), *record.of_kind("text")]:
        fields["locality"] = {"locality_test_dict": _kept(kept, level, images)}
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every edit of its level."""
    return level_of(fields).required


def _picture(row: Row, path: str, field: str) -> EncodedImage | None:
    """The picture with the name that a path of the authors' disk ends in."""
    name = PurePosixPath(path.replace("\\", "/")).name
    if not name:
        raise row.error("names no picture", field)
    return row.image_at(name, field)


def _aliases(row: Row, field: str, answer: str) -> tuple[str, ...]:
    """The aliases beside an answer; the last one of a released list often ends in a line end."""
    texts = (text.strip() for text in row.texts(f"{field}_alias"))
    return tuple(dict.fromkeys(text for text in texts if text and text != answer))


def _rephrased(row: Row, level: Level) -> tuple[str, ...]:
    if "text_generality" in row.fields:
        at = "text_generality"
        return row.inner(at).prompts(f"{at}.{level.paraphrases}")
    prompts = [row.text(level.question)]
    if level is IE and isinstance(row.fields.get(level.paraphrases), dict):
        given = row.inner(level.paraphrases)
        prompts += given.prompts(f"{level.paraphrases}.ie_ques_paraphrases")
    return tuple(dict.fromkeys(prompts))[:_WORDINGS]


def _other_pictures(row: Row, pictures: list[str]) -> tuple[EncodedImage, ...]:
    at, paths = "images", pictures[1:]
    if "image_generality" in row.fields:
        at = "image_generality.generality_images"
        paths = list(row.inner("image_generality").texts(at))
    found = (_picture(row, path, at) for path in paths[:_WORDINGS])
    return tuple(image for image in found if image is not None)


def _consistency(row: Row, level: Level) -> list[Probe]:
    if "consistency" not in row.fields:
        return []
    picture, cloze, answer = (f"consistency.{name}" for name in level.consistency)
    test = row.inner("consistency")
    path = test.optional_text(picture)
    image = None if path is None else _picture(row, path, picture)
    if path is not None and image is None:
        return []
    answers = (test.text(answer), *_aliases(test, answer, test.text(answer)))
    return [
        Probe(
            id="consistency",
            axis="portability",
            kind="consistency",
            expectation="target",
            prompts=(test.text(cloze),),
            images=() if image is None else (image,),
            answers=answers,
            hops=1,
        )
    ]


def _locality(row: Row, level: Level) -> list[Probe]:
    if "locality" not in row.fields:
        return []
    at = "locality.locality_test_dict"
    entries = row.inner("locality").inner(at)
    question, answer = level.locality
    probes = []
    for name in dict.fromkeys(field.removeprefix(f"{at}.") for field in entries.fields):
        inner = f"{at}.{name}"
        entry = entries.inner(inner)
        path = entry.optional_text(f"{inner}.image")
        image = None if path is None else _picture(row, path, f"{inner}.image")
        if path is not None and image is None:
            continue
        kind = "text" if image is None else "unrelated_image"
        prompt, right = entry.text(f"{inner}.{question}"), entry.text(f"{inner}.{answer}")
        kept = mmedit.untouched(kind, prompt, image, right)
        answers = (right, *_aliases(entry, f"{inner}.{answer}", right))
        probes.append(replace(kept, id=f"{kind}/{name}", answers=answers))
    return probes


def _kept(probes: list[Probe], level: Level, images: ImageSink) -> dict[str, Any]:
    question, answer = level.locality
    return {
        probe.id.rpartition("/")[2]: {
            "image": images.put(probe.images[0]) if probe.images else "",
            question: probe.prompts[0],
            **_said(answer, probe),
        }
        for probe in probes
        if probe.answers
    }


def _said(field: str, probe: Probe) -> dict[str, Any]:
    return {field: probe.answers[0], f"{field}_alias": list(probe.answers[1:])}


FORMAT = Format(
    name="mc-mke",
    title="MC-MKE",
    files=(OutputFile("mc-mke.jsonl", lines=True),),
    required=required,
    parse=parse,
    render=render,
    defaults={"relation": "", "r": "", "s": "", "new_e_ent_alias": [], "new_o_alias": []},
    joined=read_joined,
)
