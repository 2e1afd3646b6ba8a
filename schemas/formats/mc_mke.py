"""MC-MKE rows: what a picture shows (IE), what is true of it (IRO), and the same by name (SRO).

Fields as in the files under `edit_inputs/` of reroze/MC-MKE (Zhang et al. 2025, "MC-MKE: A
Fine-Grained Multimodal Knowledge Editing Benchmark Emphasizing Modality Consistency"). A level has
one JSON Lines file of edits and one of each kind of test, all with the edit's number; `read_joined`
puts the tests of an edit into its row:

- `text_generality`, `image_generality`: the question in other words, and other pictures;
- `consistency`: the edited knowledge where the other modality leads to it;
- `locality`: questions of other edits, with the answers before those.

Pictures have paths on the authors' disk. Only their names count: the pictures are looked for in
one folder, as they are released.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.errors import InputError
from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.files import read_rows
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe


@dataclass(frozen=True)
class _Level:
    """How one level of edits names its fields.

    Attributes:
        number: The edit's number.
        required: The fields of every edit.
        cloze: The statement to complete, which is edited.
        question: The same as a question.
        true: The answer before the edit.
        new: The answer after it; `_alias` behind it names its aliases.
        paraphrases: The questions of `text_generality`.
        consistency: The picture, the statement and the answer of `consistency`.
        locality: The question and the answer of an entry of `locality`.
    """

    number: str
    required: tuple[str, ...]
    cloze: str
    question: str
    true: str
    new: str
    paraphrases: str
    consistency: tuple[str, str, str]
    locality: tuple[str, str]


_IE = _Level(
    number="ie_edit_input_idx",
    required=("relation", "e_ent", "new_e_ent", "ie_question", "ie_cloze", "new_e_ent_alias",
              "images"),
    cloze="ie_cloze",
    question="ie_question",
    true="e_ent",
    new="new_e_ent",
    paraphrases="ie_question_paraphrases",
    consistency=("consistency_iro_image", "consistency_iro_input_cloze",
                 "consistency_iro_output"),
    locality=("ie_question", "orig_loc_ent"),
)  # fmt: skip
_IRO = _Level(
    number="iro_edit_input_idx",
    required=("s", "r", "o", "new_o", "images", "iro_question", "iro_cloze", "new_o_alias"),
    cloze="iro_cloze",
    question="iro_question",
    true="o",
    new="new_o",
    paraphrases="iro_question_paraphrases",
    consistency=("consistency_image", "consistency_sro_cloze", "new_o"),
    locality=("iro_question", "orig_loc_output_ent"),
)
_SRO = _Level(
    number="sro_edit_input_idx",
    required=("s", "r", "o", "new_o", "question", "cloze", "new_o_alias"),
    cloze="cloze",
    question="question",
    true="o",
    new="new_o",
    paraphrases="sro_question_paraphrases",
    consistency=("consistency_data_image", "consistency_data_irocloze", "consistency_new_o"),
    locality=("sro_question", "orig_loc_output_ent"),
)

_TESTS = ("text_generality", "image_generality", "consistency", "locality")
_WORDINGS = 5
"""How many of an IE edit's paraphrases the released test asks, its own question among them."""


def parse(row: Row) -> EditRecord:
    """The record of an edit with the tests that its row holds.

    Without its tests an edit is asked its own question in other words and about its own other
    pictures. A question that exists only for its picture is left out where that is not at hand.
    """
    level = _level(row.fields)
    pictures = [path for path in row.texts("images") if path]
    if level is not _SRO and not pictures:
        raise row.error("names no picture", "images")
    request = EditRequest(
        id=row.id,
        prompt=row.text(level.cloze),
        image=_picture(row, pictures[0], "images[0]") if level is not _SRO else None,
        subject=row.text("s") if level is _SRO else None,
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
    scope = "recognition" if level is _IE else "knowledge"
    return EditRecord(row.id, (request,), tuple(probes), scope=scope)


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record with one request, its tests in it.

    A request about a picture becomes an IE edit where it changes what the picture shows, else an
    IRO edit; one without, an SRO edit.

    Raises:
        InputError: If it has several requests.
    """
    request = mmedit.only_request(record)
    level = _IE if record.scope == "recognition" else _IRO if request.subject is None else _SRO
    said = {
        level.new: request.target_new,
        f"{level.new}_alias": list(request.target_new_aliases),
    }
    fields: dict[str, Any] = {level.cloze: request.prompt, **said}
    if request.target_true is not None:
        fields[level.true] = request.target_true
    if level is _SRO:
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
    return _level(fields).required


def read_joined(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The edits of a level with their tests, and the rows' numbers.

    Args:
        folder: The level's folder, such as `edit_inputs/ie_edit`. Its files are told by what the
            released ones have in their names: `input`, and the name of each test.

    Raises:
        InputError: If there is no file of edits, there are two for one thing, or one cannot be
            read.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jsonl", ".json"))
    edits = _one([file for file in files if "input" in file.name], folder, "edits ('input')")
    if edits is None:
        raise InputError("holds no file of edits, whose name has 'input' in it", file=folder)
    tests: dict[str, dict[Any, dict[str, Any]]] = {}
    for name in _TESTS:
        fitting = [f for f in files if name in f.name and f != edits and "ignore" not in f.name]
        file = _one(fitting, folder, name)
        rows = read_rows(file) if file is not None else ()
        tests[name] = {row.get(_level_of_test(row)): row for _, row in rows}
    ignored = _ignored(files)
    for number, row in read_rows(edits):
        key = row.get(_level(row).number)
        found = {name: tests[name][key] for name in _TESTS if key in tests[name]}
        if key in ignored:  # the released scorer leaves them out: their answer does not change
            found.pop("consistency", None)
        yield number, {**row, **found}


def _level(fields: Mapping[str, Any]) -> _Level:
    return _IE if "ie_cloze" in fields else _IRO if "iro_cloze" in fields else _SRO


def _level_of_test(row: Mapping[str, Any]) -> str:
    numbers = (level.number for level in (_IE, _IRO, _SRO) if level.number in row)
    return next(numbers, "")


def _one(files: list[Path], folder: Path, what: str) -> Path | None:
    if len(files) > 1:
        names = " and ".join(file.name for file in files[:2])
        raise InputError(f"holds two files for {what}: {names}", file=folder)
    return files[0] if files else None


def _ignored(files: list[Path]) -> set[Any]:
    """The numbers of edits whose consistency is not asked."""
    import json

    lists = [file for file in files if "ignore" in file.name]
    try:
        return {number for file in lists for number in json.loads(file.read_text("utf-8"))}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"is no list of numbers: {error}", file=lists[0]) from None


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


def _rephrased(row: Row, level: _Level) -> tuple[str, ...]:
    if "text_generality" in row.fields:
        at = "text_generality"
        return row.inner(at).texts(f"{at}.{level.paraphrases}")
    prompts = [row.text(level.question)]
    if level is _IE and isinstance(row.fields.get(level.paraphrases), dict):
        given = row.inner(level.paraphrases)
        prompts += given.texts(f"{level.paraphrases}.ie_ques_paraphrases")
    return tuple(dict.fromkeys(prompts))[:_WORDINGS]


def _other_pictures(row: Row, pictures: list[str]) -> tuple[EncodedImage, ...]:
    at, paths = "images", pictures[1:]
    if "image_generality" in row.fields:
        at = "image_generality.generality_images"
        paths = list(row.inner("image_generality").texts(at))
    found = (_picture(row, path, at) for path in paths[:_WORDINGS])
    return tuple(image for image in found if image is not None)


def _consistency(row: Row, level: _Level) -> list[Probe]:
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


def _locality(row: Row, level: _Level) -> list[Probe]:
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


def _kept(probes: list[Probe], level: _Level, images: ImageSink) -> dict[str, Any]:
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
