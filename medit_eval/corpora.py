"""What editors are given beside their edits: corpora to keep, and lessons to demonstrate editing.

For a testbed model both are at hand; elsewhere they are named by options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from editors.corpus import Corpus, Mixed, Questions, Texts
from editors.ike import Lesson
from editors.lm import LM
from editors.registry import option_names
from medit_eval.models import TESTBED
from medit_eval.sources import load
from schemas.errors import InputError
from schemas.records import EditRecord, EditRequest

OPTION = "corpus"
"""What editors call the option."""

LESSONS = "lessons"
"""What IKE calls the facts that its demonstrations are made of."""

NAME = "testbed"
"""The value of either option that stands for what the testbed brings."""

SOURCE = "what the testbed model learned beside the edited people"
"""What is said of this corpus where nobody asked for it."""


LESSONS_SOURCE = "people of the testbed who are set aside for choosing settings"
"""What is said of these lessons where nobody asked for them."""


def with_corpus(editor: str, lm: LM, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """An editor's options, with the testbed's corpus where it is named, or meant.

    It is meant for a testbed model where nothing else is said: the texts that the model was
    trained on beside the edited people, whereas Wikipedia would be noise to it. A model that sees
    reads questions about pictures as well.
    """
    chosen = dict(options or {})
    if _meant(OPTION, editor, lm, chosen) or chosen.get(OPTION) == NAME:
        chosen[OPTION] = _testbed(lm)
    return chosen


def with_lessons(
    editor: str, lm: LM, options: Mapping[str, Any] | None, evaluated: Iterable[EditRequest]
) -> dict[str, Any]:
    """An editor's options, with the lessons of records where they are named, or meant.

    `lessons` names records as `score` takes them (a folder, a file of this project's, a data set),
    or `testbed`: people set aside. Those are meant for a testbed model where nothing else is said.

    Args:
        editor: The editor's name.
        lm: The model.
        options: Its options.
        evaluated: The requests that the editor is given, which must not be among them.

    Raises:
        InputError: If a lesson asks what one of those requests asks.
    """
    chosen = dict(options or {})
    if LESSONS not in option_names(editor):
        return chosen
    named = NAME if _meant(LESSONS, editor, lm, chosen) else chosen.get(LESSONS)
    if not isinstance(named, str | Path):
        return chosen
    if named == NAME:
        from medit_eval import testbed

        records = testbed.people_records(group="tuning")
    else:
        records = load(named)
    asked = {request.prompt for request in evaluated}
    for record in records:
        for request in record.requests:
            if request.prompt in asked and request.image is None:
                raise InputError(
                    f"the lesson asks {request.prompt!r}, as an edit does",
                    file=str(named),
                    row=record.id,
                )
    chosen[LESSONS] = tuple(lesson for record in records for lesson in lessons_of(record))
    return chosen


def lessons_of(record: EditRecord) -> list[Lesson]:
    """What a record teaches about reading a new fact: its requests, samples and probes."""
    found = []
    for request in record.requests:
        if request.image is not None:
            continue
        reached = [p for p in record.probes if p.axis == "generality" and not p.images]
        kept = [p for p in record.probes if p.axis == "locality" and not p.images and p.answers]
        samples = [s for s in request.negatives if s.image is None and s.answer]
        found.append(
            Lesson(
                request.prompt,
                request.target_new,
                tuple(prompt for probe in reached for prompt in probe.prompts)
                or tuple(s.prompt for s in request.positives if s.image is None),
                tuple((probe.prompts[0], probe.answers[0]) for probe in kept)
                or tuple((s.prompt, s.answer) for s in samples),
            )
        )
    return found


def corpus_source(editor: str, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
    """Where the corpus is from that `with_corpus` adds; nothing where it adds none."""
    return {OPTION: SOURCE} if _meant(OPTION, editor, lm, options) else {}


def lessons_source(editor: str, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
    """Where the lessons are from that `with_lessons` adds; nothing where it adds none."""
    return {LESSONS: LESSONS_SOURCE} if _meant(LESSONS, editor, lm, options) else {}


def _meant(option: str, editor: str, lm: LM, options: Mapping[str, Any]) -> bool:
    """Whether an option that nobody gives stands for what the testbed brings."""
    return option not in options and lm.name.startswith(TESTBED) and option in option_names(editor)


def _testbed(lm: LM) -> Corpus:
    from medit_eval import testbed

    texts = Texts(tuple(testbed.covariance_corpus()))
    if not lm.sees:
        return texts
    return Mixed((texts, Questions(tuple(testbed.covariance_pictures()))))
