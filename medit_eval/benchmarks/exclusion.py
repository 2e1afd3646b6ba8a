"""Items whose right answer an edit changes: a model that follows the edit is not the worse for it.

An item is taken out if

1. its question or an accepted answer names the edit's subject as whole words, and
2. an accepted answer holds what was true before the edit, or the edit's prompt asks the same.

An edit without a subject, such as one of a picture, takes out items that ask the same words and
accept what was true before. The rule goes by words: an item that names the subject differently, or
that only a chain of facts ties to the edit, stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from editors.routing import question_id
from medit_eval.benchmarks.answers import Answer
from medit_eval.metrics.matching import normalise, says
from schemas.records import EditRequest


def changed_by(answers: Iterable[Answer], requests: Sequence[EditRequest]) -> set[tuple[str, str]]:
    """Task and item of all answers to items that any of the edits changes."""
    return {
        (answer.task, answer.item)
        for answer in answers
        if answer.kind != "perplexity" and any(_changes(request, answer) for request in requests)
    }


def _changes(request: EditRequest, answer: Answer) -> bool:
    same = question_id(request.prompt, None) == question_id(answer.prompt, None) or _within(
        request.prompt, answer.prompt
    )
    before = request.target_true
    accepted = before is not None and says(answer.gold, [before])
    subject = request.subject
    if subject is None or not normalise(subject):
        return same and accepted
    return says(f"{answer.prompt}\n{answer.gold}", [subject]) and (same or accepted)


def _within(prompt: str, text: str) -> bool:
    """Whether a prompt stands in a longer question, such as one with its options behind it."""
    return bool(normalise(prompt)) and says(text, [prompt])
