"""MMEdit's E-VQA: records that already have a new answer, built up to the OKEDIT form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from builders.definition import Row
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.okedit.sources.photos import PhotoWorld
from builders.okedit.sources.survey import Survey
from builders.okedit.words import answer_type, normalise, same, unquoted
from builders.seeds import content_id
from builders.steps import Problem, Reject
from schemas.errors import InputError
from schemas.formats import FORMATS
from schemas.formats.core import ReadContext
from schemas.formats.files import read_rows
from schemas.layout import sha256_of
from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample

FORMAT = FORMATS["mmedit"]

_PREFACE = re.compile(r"^(?:rewritten|rephrased) question:\s*", re.I)


@dataclass
class MmeditSource:
    """The rows of an E-VQA file.

    Attributes:
        questions: The JSON file.
        seed: The build's seed.
        limit: Rows to read, or None for all.
    """

    questions: Path
    seed: int
    limit: int | None
    _survey: Survey = field(init=False)

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The rows as they are, checked for the fields of the format."""
        self._survey = Survey(self.seed)
        for number, row in read_rows(self.questions):
            if number == self.limit:
                return
            try:
                record = FORMAT.read_row(row, None, ReadContext(row=number))
            except InputError as error:
                column = error.field or "row"
                yield Reject(number, None, "ingest", "field", column, error.reason)
                continue
            request = record.requests[0]
            if request.target_true is None:
                yield Reject(number, None, "ingest", "field", "pred", "is missing or empty")
                continue
            self._survey.add(number, request.prompt, request.target_true, row["image"])
            yield Row(number, f"mmedit-{content_id(row)}", {"row": row})

    def context(self) -> dict[str, Any]:
        """Answer pools and other pictures."""
        return self._survey.to_json()

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card.

        The digest matters: two E-VQA files with the same questions and other targets circulate.
        """
        return {
            "name": "mmedit",
            "title": "MMEdit E-VQA",
            "url": "https://github.com/zjunlp/EasyEdit",
            "licence": "MIT (repository); COCO images: Flickr terms of use, per image",
            "files": {self.questions.name: sha256_of(self.questions)},
            "notes": [
                "Two E-VQA files with the same questions and different targets circulate: quote "
                "the file's digest with any score.",
                "All locality pairs of E-VQA's evaluation file also occur in its training file, so "
                "an editor trained on that has been trained to keep them.",
            ],
        }


class MmeditWorld(PhotoWorld):
    """E-VQA rows as drafts: what the row gives is kept, the steps add what it lacks."""

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record, from the record that the row alone describes."""
        fields = row.fields["row"]
        image = self.picture(fields["image"])
        if isinstance(image, Problem):
            return image
        try:
            given = FORMAT.read_row(
                fields, self._folder, ReadContext(row=row.row, allow_missing_images=True)
            )
        except InputError as error:
            return Problem("image", error.field or "image", error.reason)
        return draft_of(given, row, self.name)


def draft_of(given: EditRecord, row: Row, source: str) -> Draft:
    """What a foreign record says, as the start of one of ours."""
    request = given.requests[0]
    assert request.target_true is not None
    rephrasings = _distinct(
        (prompt for probe in given.of_kind("rephrase") for prompt in probe.prompts),
        but=(request.prompt,),
    )
    editor = _distinct(
        (sample.prompt for sample in request.positives), but=(request.prompt, *rephrasings)
    )
    questions = [
        Question(p.kind, p.prompts[0], _answer(p))
        for p in given.probes
        if p.kind in ("text", "one_hop", "two_hop")
    ]
    pictures = [
        Picture(image, _answer(p), image.path, p.prompts[0])
        for p in given.of_kind("unrelated_image")
        for image in p.images
    ]
    copied = ["requests", *sorted({f"probes.{p.kind}" for p in given.probes if p.kind != "edit"})]
    if editor:
        copied.append("requests.positives.rephrase")
    return Draft(
        id=row.id,
        row=row.row,
        source=source,
        question=request.prompt,
        image=request.image,
        old=Answer(request.target_true.strip()),
        answer_type=answer_type(request.prompt, request.target_true),
        subject=request.subject,
        new=Answer(request.target_new.strip(), request.target_new_aliases),
        rephrasings=rephrasings,
        editor_rephrasings=editor,
        rephrased_images=tuple(
            Picture(image) for p in given.of_kind("image_rephrase") for image in p.images
        ),
        given_negatives=_negatives(request),
        unrelated=pictures[0] if pictures else None,
        questions=tuple(questions),
        provenance=tuple(Provenance(name, source, "source") for name in copied),
        extra=given.extra,
    )


def _distinct(prompts: Iterable[str], but: tuple[str, ...]) -> tuple[str, ...]:
    """Distinct prompts without some, freed of what the model that wrote them said around them.

    One that spans lines or quotes the question is its chatter as a whole and left out.
    """
    seen = {normalise(text) for text in but}
    found = []
    for prompt in (unquoted(_PREFACE.sub("", unquoted(text))) for text in prompts):
        chatter = "\n" in prompt or f'"{but[0]}' in prompt
        if not chatter and normalise(prompt) not in seen:
            seen.add(normalise(prompt))
            found.append(prompt)
    return tuple(found)


def _negatives(request: EditRequest) -> tuple[Sample, ...]:
    """The samples to keep apart, where there is something to tell them apart by.

    They ask the edited question about a picture that is not in the data (BalancEdit takes a black
    one). Without the edited picture they would contradict the edit word for word.
    """
    if request.image is None:
        return ()
    taken = (request.target_new, request.target_true or "")
    samples = (replace(sample, answer=unquoted(sample.answer)) for sample in request.negatives)
    return tuple(s for s in samples if not any(same(s.answer, answer) for answer in taken))


def _answer(probe: Probe) -> Answer | None:
    return Answer(probe.answers[0], probe.answers[1:]) if probe.answers else None
