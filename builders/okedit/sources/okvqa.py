"""OK-VQA: the official question and annotation files with a folder of COCO images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders.definition import Row
from builders.okedit.draft import Answer, Draft
from builders.okedit.sources.fields import FieldError, text, whole
from builders.okedit.sources.photos import PhotoWorld, copied
from builders.okedit.sources.survey import Survey
from builders.okedit.words import answer_type
from builders.steps import Problem, Reject
from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.layout import sha256_of

MIN_VOTES = 2
"""Annotators who must agree on an answer for it to count as another accepted wording."""


@dataclass
class OkVqaSource:
    """The official pair of files, joined on `question_id`.

    Attributes:
        questions: `OpenEnded_mscoco_<split>_questions.json`.
        annotations: `mscoco_<split>_annotations.json`.
        seed: The build's seed.
        limit: Rows to read, or None for all.
    """

    questions: Path
    annotations: Path
    seed: int
    limit: int | None
    _survey: Survey = field(init=False)

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The joined rows, in the order of the question file.

        The annotations are held in memory for the join: ten short answers per question.
        """
        self._survey = Survey(self.seed)
        annotated = self._read_annotations()
        for number, row in read_rows(self.questions, key="questions"):
            if number == self.limit:
                return
            try:
                yield self._join(number, row, annotated)
            except FieldError as error:
                yield Reject(number, None, "ingest", "field", error.name, error.reason)

    def context(self) -> dict[str, Any]:
        """Answer pools and other pictures."""
        return self._survey.to_json()

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card."""
        return {
            "name": "okvqa",
            "title": "OK-VQA v1.1 with COCO 2014 images",
            "url": "https://okvqa.allenai.org",
            "licence": "OK-VQA: see its site; COCO images: Flickr terms of use, per image",
            "files": {p.name: sha256_of(p) for p in (self.questions, self.annotations)},
        }

    def _read_annotations(self) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for number, row in read_rows(self.annotations, key="annotations"):
            try:
                found[whole(row, "question_id")] = {
                    "answers": _answers(row),
                    "question_type": str(row.get("question_type", "")),
                }
            except FieldError as error:
                raise InputError(
                    error.reason, file=self.annotations, row=number, field=error.name
                ) from None
        return found

    def _join(
        self, number: int, row: Mapping[str, Any], annotated: Mapping[int, dict[str, Any]]
    ) -> Row:
        question, key = text(row, "question"), whole(row, "question_id")
        if key not in annotated:
            raise FieldError("question_id", f"{key} has no annotation in {self.annotations.name}")
        answers = annotated[key]["answers"]
        if not answers:
            raise FieldError("answers", "is empty")
        image = f"COCO_{self._image_split()}_{whole(row, 'image_id'):012d}.jpg"
        self._survey.add(number, question, answers[0][0], image)
        fields = {"question": question, "question_id": key, "image": image, "answers": answers}
        return Row(number, f"okvqa-{key}", fields)

    def _image_split(self) -> str:
        """COCO's split, which the official file names and the images' names share."""
        return "train2014" if "train2014" in self.questions.name else "val2014"


class OkVqaWorld(PhotoWorld):
    """OK-VQA rows as drafts."""

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record: question, picture and the annotators' answers."""
        image = self.picture(row.fields["image"])
        if isinstance(image, Problem):
            return image
        (first, _), *others = row.fields["answers"]
        draft = Draft(
            id=row.id,
            row=row.row,
            source=self.name,
            question=row.fields["question"],
            image=image,
            old=Answer(first, tuple(a for a, votes in others if votes >= MIN_VOTES)),
            answer_type=answer_type(row.fields["question"], first),
        )
        return draft.with_(*copied(draft))


def _answers(row: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Distinct answers with the number of annotators who gave them, most frequent first."""
    entries = row.get("answers")
    if not isinstance(entries, list):
        raise FieldError("answers", "is missing or not a list")
    given = []
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("answer"), str):
            raise FieldError("answers", "holds an entry without the text `answer`")
        given.append(entry["answer"].strip())
    return Counter(answer for answer in given if answer).most_common()
