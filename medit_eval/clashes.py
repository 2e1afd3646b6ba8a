"""Which edits are in a model at the same time, and which questions that leaves without a judgement.

Of two edits that want different answers to one question the later one stands, and what one edit
is meant to change is no locality of another.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from medit_eval.metrics.matching import normalise
from medit_eval.questions import Slot
from schemas.images import EncodedImage
from schemas.records import EditRecord

Place = tuple[str, bytes | None]
"""Prompt and picture: two questions with equal ones cannot have two answers."""


@dataclass
class Clashes:
    """The edits since the model was last unedited.

    Attributes:
        notes: What the reader of the numbers should know; contradictions are added to it.
        failed: Records that could not be edited, each with the reason.
    """

    notes: list[str]
    failed: dict[str, str] = field(default_factory=dict)
    _targets: dict[Place, tuple[str, str]] = field(default_factory=dict)
    _changed: dict[Place, str] = field(default_factory=dict)
    _owners: dict[Place, tuple[str, str]] = field(default_factory=dict)
    _superseded: dict[str, str] = field(default_factory=dict)

    def made(self, records: Sequence[EditRecord]) -> None:
        """Note which questions the edits of records change, and whose edits they take back."""
        for record in records:
            for request in record.requests:
                place, target = _place(request.prompt, request.image), request.target_new
                owner, other = self._owners.get(place, (record.id, target))
                if owner != record.id and normalise(other) != normalise(target):
                    self._superseded[owner] = record.id
        for record in records:
            self._superseded.pop(record.id, None)
            for request in record.requests:
                place = _place(request.prompt, request.image)
                self._owners[place] = (record.id, request.target_new)
            for probe in record.probes:
                if probe.expectation == "target":
                    for prompt, image in probe.queries():
                        self._changed.setdefault(_place(prompt, image), record.id)

    def failure(self, slot: Slot) -> str | None:
        """Why a question cannot be judged, whatever the model says."""
        if slot.record.id in self.failed:
            return self.failed[slot.record.id]
        if slot.probe.expectation == "target" and slot.record.id in self._superseded:
            return f"superseded by the later edit of record {self._superseded[slot.record.id]}"
        query = slot.question.query
        other = self._changed.get(_place(query.prompt, query.image))
        if slot.probe.expectation == "unchanged" and other not in (None, slot.record.id):
            return f"the edit of record {other} is meant to change this answer"
        if slot.probe.axis == "portability" and (other := self._link_changed_by(slot.record)):
            return f"the edit of record {other} changes a fact that this question relies on"
        return None

    def _link_changed_by(self, record: EditRecord) -> str | None:
        """A record whose edit changes a fact that this one's multi-hop questions go through."""
        changes = (
            self._changed.get(_place(prompt, image))
            for probe in record.of_kind("single_hop")
            for prompt, image in probe.queries()
        )
        return next((other for other in changes if other not in (None, record.id)), None)

    def warn_of_contradictions(self, records: Sequence[EditRecord]) -> None:
        """Warn, once, of edits that ask the same question and want different answers."""
        clashes = []
        for request in (request for record in records for request in record.requests):
            place = _place(request.prompt, request.image)
            wanted = normalise(request.target_new)
            other, target = self._targets.setdefault(place, (request.id, wanted))
            if target != wanted:
                clashes.append(f"{other} and {request.id}")
                self._targets[place] = (request.id, wanted)
        if clashes:
            more = f", and {len(clashes) - 5} more pairs" if len(clashes) > 5 else ""
            note = (
                "edits that ask the same question and want different answers are in the model "
                f"together: {', '.join(clashes[:5])}{more}"
            )
            if note not in self.notes:
                self.notes.append(note)
                warnings.warn(note, stacklevel=2)


def _place(prompt: str, image: EncodedImage | None) -> Place:
    return normalise(prompt), None if image is None else image.bytes
