"""Filters: what makes a draft unusable before any picture is made for it."""

from __future__ import annotations

from builders.okedit.draft import Draft
from builders.okedit.steps.asking import new_of
from builders.okedit.words import TWO_ANSWERS, normalise, same, states
from builders.steps import Problem


def distinct_answers(draft: Draft) -> Problem | None:
    """Rejects a record whose three answers are not three.

    Raised here as well as in validation, before any picture is made for it.
    """
    new = new_of(draft)
    if any(same(new.text, old) for old in draft.old.all):
        return Problem("target_unchanged", "requests.target_new", "is the old answer")
    if draft.third and any(same(draft.third, known) for known in (*draft.old.all, *new.all)):
        return Problem("third_answer", "third_answer", "is the old or the new answer")
    return None


def question_keeps_answer(draft: Draft) -> Problem | None:
    """Rejects a question that states the new answer and so needs no edit."""
    new = normalise(new_of(draft).text)
    # Either-or questions name both answers, and "many" is in every "How many".
    fair = draft.answer_type in (*TWO_ANSWERS, "number") or " or " in draft.question.casefold()
    if not fair and len(new) > 3 and states(draft.question, new):
        return Problem("answer_in_question", "requests.prompt", "states the new answer")
    return None
