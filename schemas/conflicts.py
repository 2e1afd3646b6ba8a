"""Records that contradict each other once all of them are edited into one model.

A record may be sound by itself, and yet another record's edit changes a fact that it relies on.
Zhong et al. 2025 ("MQuAKE-Remastered") count 33 % to 76 % of MQuAKE's items as corrupted in such
ways, depending on the file and on how many are edited together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest
from schemas.rules import normalised, quoted

Clash = Literal["edit", "fact"]
"""`edit`: two edits give one question different answers. `fact`: an edit changes the answer to a
question that another record expects to stay as it is."""

Place = tuple[str, bytes | None]
"""Prompt and picture: two questions with equal ones cannot have two answers."""

_Edits = dict[Place, list[tuple[int, str, EditRequest]]]
"""What is asked -> the edits that change it: the record's number and id, and the request."""


@dataclass(frozen=True)
class Conflict:
    """Two records that cannot both be edited into one model.

    Attributes:
        clash: What they disagree about.
        record: The record that stops being sound.
        other: The record whose edit is to blame; for two edits, the later one.
        prompt: The question.
        answer: What `record` expects.
        other_answer: What the edit of `other` makes of it.
    """

    clash: Clash
    record: str
    other: str
    prompt: str
    answer: str
    other_answer: str

    def __str__(self) -> str:
        verb = "wants" if self.clash == "edit" else "relies on"
        return (
            f"{self.record} {verb} {quoted(self.answer)} for {quoted(self.prompt)}, which "
            f"{self.other} changes to {quoted(self.other_answer)}"
        )


def find_conflicts(records: Iterable[EditRecord]) -> tuple[Conflict, ...]:
    """All pairs of records that contradict each other when they are edited together.

    Questions are compared by their wording and picture, without case, spacing and punctuation at
    the end. Two answers contradict each other where no accepted wording of the one is one of the
    other's, whichever comes first. Pairs come once for each question, in the order of the records.
    """
    found = list(records)
    edits: _Edits = {}
    for position, record in enumerate(found):
        for request in record.requests:
            place = place_of(request.prompt, request.image)
            edits.setdefault(place, []).append((position, record.id, request))
    clashes = [
        clash
        for position, record in enumerate(found)
        for clash in _of_record(position, record, edits)
    ]
    return tuple(dict.fromkeys(clashes))


def summary(conflicts: Sequence[Conflict]) -> str:
    """What is wrong with a set of records, in one sentence with an example."""
    hurt = {conflict.record for conflict in conflicts}
    who = "1 record contradicts" if len(hurt) == 1 else f"{len(hurt):,} records contradict"
    pairs = "1 pair" if len(conflicts) == 1 else f"{len(conflicts):,} pairs"
    return f"{who} others where all are edited together ({pairs}): {conflicts[0]}"


def _of_record(position: int, record: EditRecord, edits: _Edits) -> Iterator[Conflict]:
    for request in record.requests:
        wanted = wordings(request)
        for place, other, later in edits[place_of(request.prompt, request.image)]:
            if place > position and wanted.isdisjoint(wordings(later)):
                yield Conflict(
                    "edit", record.id, other, request.prompt, request.target_new, later.target_new
                )
    for probe in record.probes:
        if probe.expectation != "unchanged" or not probe.answers:
            continue
        right = alike(probe.answers)
        for prompt, image in probe.queries():
            for place, other, request in edits.get(place_of(prompt, image), ()):
                if place != position and right.isdisjoint(wordings(request)):
                    yield Conflict(
                        "fact", record.id, other, prompt, probe.answers[0], request.target_new
                    )


def place_of(prompt: str, image: EncodedImage | None) -> Place:
    """What is asked, so that differences no reader would call one do not count."""
    return normalised(prompt), None if image is None else image.bytes


def wordings(request: EditRequest) -> frozenset[str]:
    """All accepted wordings of an edit's new answer."""
    return alike((request.target_new, *request.target_new_aliases))


def alike(texts: Iterable[str]) -> frozenset[str]:
    """Texts without differences that no reader would call one."""
    return frozenset(map(normalised, texts))
