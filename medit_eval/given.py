"""Outputs that another tool produced, as predictions of a run: no model is loaded for them.

The file has one row per question and phase, in JSON Lines (or JSON, or Parquet, by its suffix):

    record      id of the record
    probe       id of the probe in it, or what stands for it among the questions
    index       which of the probe's questions, counted from 0; may be left out where it has one
    phase       when it was asked, one of the protocol's; its last one where it is left out
    pre_edit    what the unedited model said; may be left out or null
    post_edit   what the edited model said
    pre_edit_continuation, post_edit_continuation
                long continuations of the edited question, for `fluency`; may be left out
    failure     in place of `post_edit`: why there is none, so that the question is unscorable
    prompt      may be left out; if it is there it must be the question's

Other fields are passed over: a row of `python -m medit_eval questions` with answers added will do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medit_eval.clashes import Clashes
from medit_eval.metrics import Metric, Unscorable
from medit_eval.metrics.core import GENERATION
from medit_eval.predictions import Baseline, Output, Prediction
from medit_eval.protocols import Episode
from medit_eval.questions import Slot, alias, step_slots
from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.records import APART

Key = tuple[str, str, int, str]
"""Record, probe, index, phase: the key of a prediction."""

_TEXTS = ("pre_edit", "post_edit", "pre_edit_continuation", "post_edit_continuation", "failure")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """What a file says of one question.

    Attributes:
        number: The row's number, counted from 0.
        pre: What the unedited model said, or None.
        post: What the edited model said, or None.
        failure: Why it said nothing, or None.
    """

    number: int
    pre: Output | None
    post: Output | None
    failure: str | None


def textual(metric: Metric) -> Metric:
    """A metric as it is where nothing but texts is known: without a score if it reads more."""
    if "likelihood" not in metric.needs:
        return metric

    @functools.wraps(metric.judge)
    def judge(prediction: Prediction) -> float:
        raise Unscorable("predictions of another tool hold texts and no likelihoods")

    return replace(metric, judge=judge)


def left_out(metrics: Sequence[Metric]) -> tuple[tuple[Metric, ...], list[str]]:
    """Those of the usual metrics that read texts alone, and a note on the others."""
    kept = tuple(metric for metric in metrics if not metric.needs and not metric.routed)
    gone = [metric.name for metric in metrics if metric.needs]
    return kept, [
        "predictions of another tool hold texts and no likelihoods, so these metrics have no "
        f"scores: {', '.join(gone)}"
    ]


def given_predictions(
    path: Path, episodes: Sequence[Episode], notes: list[str], *, apart: frozenset[str]
) -> list[Prediction]:
    """The predictions in a file.

    Args:
        path: The file.
        episodes: What the protocol asks when.
        notes: What the reader of the numbers should know; added to.
        apart: The kinds that stand apart (`schemas.records.APART`) and must be among them; any
            others may be.

    Raises:
        InputError: If the file is not as described above, names what the records do not hold, or
            lacks questions of a phase that it has others of.
    """
    asked: dict[Key, tuple[Slot, str | None]] = {}
    for episode in episodes:
        clashes = Clashes(notes)
        for step in episode:
            clashes.warn_of_contradictions(step.edit)
            clashes.made(step.edit)
            for slot in step_slots(step, continued=True, apart=APART):
                asked[slot.key(step.phase)] = slot, clashes.failure(slot)
    rows = _Reader(path, {key: slot for key, (slot, _) in asked.items()}).read()
    _require_all(path, {key: slot for key, (slot, _) in asked.items()}, rows, apart)
    predictions = []
    for key, (slot, barred) in asked.items():
        if (row := rows.get(key)) is not None:
            before = Baseline(slot.question.digest, row.pre, None)
            failure = barred or row.failure
            predictions.append(slot.prediction(key[3], before, row.post, failure=failure))
    return predictions


@dataclass
class _Reader:
    path: Path
    slots: Mapping[Key, Slot]

    def __post_init__(self) -> None:
        self.phases = list(dict.fromkeys(phase for _, _, _, phase in self.slots))
        self.indexes: dict[tuple[str, str], list[int]] = {}
        for record, probe, index, _ in self.slots:
            known = self.indexes.setdefault((record, probe), [])
            if index not in known:
                known.append(index)
        self.records = {record for record, _ in self.indexes}
        self.named = {(record, alias(record, probe)): probe for record, probe in self.indexes}

    def read(self) -> dict[Key, Row]:
        """The rows of the file by what they answer."""
        rows: dict[Key, Row] = {}
        for number, fields in read_rows(self.path):
            key = self._key(number, fields)
            row = self._row(number, fields, self.slots[key])
            if (first := rows.setdefault(key, row)) is not row:
                raise self._error(number, None, f"answers the question of row {first.number} again")
        if not rows:
            raise InputError("holds no rows", file=self.path)
        return rows

    def _error(self, number: int, field: str | None, reason: str) -> InputError:
        return InputError(reason, file=self.path, row=number, field=field)

    def _key(self, number: int, fields: Mapping[str, Any]) -> Key:
        record, probe = (self._id(number, fields, name) for name in ("record", "probe"))
        if record not in self.records:
            raise self._error(number, "record", f"is {record!r}, and no record has this id")
        if (record, probe) not in self.indexes:
            probe = self.named.get((record, probe), probe)
        known = self.indexes.get((record, probe))
        if known is None:
            raise self._error(number, "probe", f"is {probe!r}, which record {record} does not have")
        index = fields.get("index")
        if index is None:
            if len(known) > 1:
                count = len(known)
                raise self._error(number, "index", f"is missing; the probe has {count} questions")
            index = known[0]
        if not isinstance(index, int) or isinstance(index, bool):
            raise self._error(number, "index", f"is a {type(index).__name__}, not a whole number")
        if index not in known:
            may = f"{known[0]} to {known[-1]}" if len(known) > 1 else f"{known[0]} alone"
            raise self._error(number, "index", f"is {index}; the probe's questions are {may}")
        phase = fields.get("phase")
        if phase is None:
            phase = self.phases[-1]
        if phase not in self.phases:
            known_phases = ", ".join(self.phases)
            raise self._error(number, "phase", f"is {phase!r}; the protocol has {known_phases}")
        key = (record, probe, index, phase)
        if key not in self.slots:
            raise self._error(number, "phase", f"is {phase!r}, in which this is not asked")
        return key

    def _id(self, number: int, fields: Mapping[str, Any], name: str) -> str:
        value = fields.get(name)
        if value is None:
            raise self._error(number, name, "is missing")
        if not isinstance(value, str):
            raise self._error(number, name, f"is a {type(value).__name__}, not a text")
        return value

    def _row(self, number: int, fields: Mapping[str, Any], slot: Slot) -> Row:
        prompt = fields.get("prompt")
        if prompt is not None and prompt != slot.question.query.prompt:
            raise self._error(number, "prompt", "is not the prompt of this question")
        texts: dict[str, str | None] = {}
        for name in _TEXTS:
            texts[name] = text = fields.get(name)
            if text is not None and not isinstance(text, str):
                raise self._error(number, name, f"is a {type(text).__name__}, not a text")
            if text is not None and _SURROGATE.search(text):
                raise self._error(number, name, "holds half a surrogate pair, which is no text")
        if texts["pre_edit"] is None and texts["pre_edit_continuation"] is not None:
            raise self._error(number, "pre_edit", "is missing, and pre_edit_continuation is there")
        failure = texts["failure"]
        if failure is not None and not failure.strip():
            raise self._error(number, "failure", "is empty; it says why there is no answer")
        if texts["post_edit"] is None and failure is None:
            raise self._error(number, "post_edit", "is missing: the edited model's answer")
        pre, post = (
            _output(texts[name], texts[f"{name}_continuation"], slot)
            for name in ("pre_edit", "post_edit")
        )
        return Row(number, pre, post, failure)


def _output(text: str | None, continuation: str | None, slot: Slot) -> Output | None:
    if text is None:
        return None
    if continuation is None and slot.probe.kind == GENERATION:
        continuation = text
    return Output(text, continuation=continuation)


def _require_all(
    path: Path, slots: Mapping[Key, Slot], rows: Mapping[Key, Row], apart: frozenset[str]
) -> None:
    """Check that every question is answered of those phases that the file has at all."""

    def part(key: Key) -> tuple[str, str | None]:
        kind = slots[key].probe.kind
        return key[3], kind if kind in APART else None

    there = set(map(part, rows))
    there |= {(phase, kind) for phase, _ in there for kind in (None, *apart)}
    wanted = [key for key in slots if part(key) in there]
    missing = [key for key in wanted if key not in rows]
    if missing:
        record, probe, index, phase = missing[0]
        raise InputError(
            f"has no prediction for {len(missing):,} of {len(wanted):,} questions; the first is "
            f"record {record}, probe {probe} ({alias(record, probe)} among the questions), index "
            f"{index}, phase {phase}",
            file=path,
        )
