"""Which edits are in a model at the same time, and which questions that leaves without a judgement.

Of two edits that want different answers to one question the later one stands, and what one edit
is meant to change is no locality of another.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from medit_eval.questions import Slot, accepted
from schemas.conflicts import Place, alike, place_of, wordings
from schemas.records import EditRecord

_Answers = dict[Place, dict[str, frozenset[str]]]
"""Question -> records whose edits answer it, in order, each with the wordings it accepts."""


@dataclass
class Clashes:
    """The edits since the model was last unedited.

    Two edits want different answers where no accepted wording of the one is one of the other's,
    as in `schemas.conflicts`. Which of them comes first, or has the aliases, makes no difference.

    Attributes:
        notes: What the reader of the numbers should know; contradictions are added to it.
        failed: Records that could not be edited, each with the reason.
    """

    notes: list[str]
    failed: dict[str, str] = field(default_factory=dict)
    _targets: dict[Place, dict[frozenset[str], str]] = field(default_factory=dict)
    _changed: dict[Place, dict[str, None]] = field(default_factory=dict)
    _owners: _Answers = field(default_factory=dict)
    _standing: _Answers = field(default_factory=dict)
    _superseded: dict[str, str] = field(default_factory=dict)

    def made(self, records: Sequence[EditRecord]) -> None:
        """Note which questions the edits of records change, and whose edits they take back.

        Records of one call are in the model together: none of them is the later one.
        """
        together = {record.id for record in records}
        for record in records:
            for request in record.requests:
                place, new = place_of(request.prompt, request.image), wordings(request)
                for owner in _against(self._owners, place, new, but=together):
                    self._superseded[owner] = record.id
        for record in records:
            self._superseded.pop(record.id, None)
            for request in record.requests:
                place, new = place_of(request.prompt, request.image), wordings(request)
                _note(self._owners, place, new, record.id, together)
            for place, new in _changes(record):
                self._changed.setdefault(place, {})[record.id] = None
                _note(self._standing, place, new, record.id, together)

    def failure(self, slot: Slot) -> str | None:
        """Why a question cannot be judged, whatever the model says."""
        if slot.record.id in self.failed:
            return self.failed[slot.record.id]
        if slot.probe.expectation == "target" and slot.record.id in self._superseded:
            return f"superseded by the later edit of record {self._superseded[slot.record.id]}"
        query = slot.question.query
        changed = self._changed.get(place_of(query.prompt, query.image), {})
        other = next((other for other in changed if other != slot.record.id), None)
        if slot.probe.expectation == "unchanged" and other is not None:
            return f"the edit of record {other} is meant to change this answer"
        if slot.probe.axis == "portability" and (other := self._link_changed_by(slot.record)):
            return f"the edit of record {other} changes a fact that this question relies on"
        return None

    def _link_changed_by(self, record: EditRecord) -> str | None:
        """A record whose edit changes a fact that this one's multi-hop questions go through.

        An edit to the very answer that the questions go on from breaks no chain.
        """
        changes = (
            other
            for probe in record.of_kind("single_hop")
            for prompt, image in probe.queries()
            for other in _against(
                self._standing, place_of(prompt, image), alike(probe.answers), but={record.id}
            )
        )
        return next(changes, None)

    def warn_of_contradictions(self, records: Sequence[EditRecord]) -> None:
        """Warn, once, of edits that ask the same question and want different answers."""
        clashes = []
        for request in (request for record in records for request in record.requests):
            known = self._targets.setdefault(place_of(request.prompt, request.image), {})
            new = wordings(request)
            others = (other for old, other in reversed(known.items()) if new.isdisjoint(old))
            if (other := next(others, None)) is not None:
                clashes.append(f"{other} and {request.id}")
            known.setdefault(new, request.id)
        if clashes:
            more = f", and {len(clashes) - 5} more pairs" if len(clashes) > 5 else ""
            note = (
                "edits that ask the same question and want different answers are in the model "
                f"together: {', '.join(clashes[:5])}{more}"
            )
            if note not in self.notes:
                self.notes.append(note)
                warnings.warn(note, stacklevel=2)


def _changes(record: EditRecord) -> Iterator[tuple[Place, frozenset[str]]]:
    """The questions that a record's edits are meant to change, and the wordings it accepts."""
    for request in record.requests:
        yield place_of(request.prompt, request.image), wordings(request)
    for probe in record.probes:
        if probe.expectation == "target":
            for prompt, image in probe.queries():
                yield place_of(prompt, image), alike(accepted(record, probe))


def _against(
    answers: _Answers, place: Place, wanted: frozenset[str], *, but: AbstractSet[str]
) -> list[str]:
    """The records, but for some, that answer a question in none of the wordings wanted."""
    known = answers.get(place, {})
    return [name for name, old in known.items() if name not in but and wanted.isdisjoint(old)]


def _note(
    answers: _Answers, place: Place, new: frozenset[str], record: str, together: AbstractSet[str]
) -> None:
    """Note a record's answer to a question; earlier ones that it takes back do not stand."""
    # A question without an answer, such as the beginning of a text, takes none back.
    for other in _against(answers, place, new, but=together) if new else ():
        del answers[place][other]
    known = answers.setdefault(place, {})
    known[record] = known.get(record, frozenset()) | new
