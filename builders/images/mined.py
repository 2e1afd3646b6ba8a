"""Negatives mined from a source: other pictures, with other answers, the hard ones first."""

from __future__ import annotations

import random
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from schemas.rules import normalised

HARD, MEDIUM, EASY = "same_question", "same_type", "other_type"
"""Grades: asked the same question; asked for the same kind of answer; asked something else."""

GRADES = (HARD, MEDIUM, EASY)

_ARTICLE = re.compile(r"^(?:a|an|the) (?=\w)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the source whose picture may serve another row.

    Attributes:
        row: Its row.
        question: Its question.
        answer: Its answer.
        answer_type: The kind of that answer.
        image: Path of its picture.
    """

    row: int
    question: str
    answer: str
    answer_type: str
    image: str


def choose(
    candidates: Sequence[Candidate],
    *,
    question: str,
    old_answer: str,
    new_answer: str,
    answer_type: str,
    exclude_images: Container[str],
    seed: int,
    n: int,
) -> list[tuple[Candidate, str]]:
    """Up to `n` candidates with another answer than old and new, and their grades.

    Each picture and each answer comes once. The grades take turns, hardest first, so that a small
    `n` still spans them.

    Args:
        candidates: What to choose from.
        question: The edited question.
        old_answer: Its answer before the edit.
        new_answer: Its answer after the edit.
        answer_type: The kind of its answer.
        exclude_images: Paths of pictures that may not be used.
        seed: Decides the order within a grade.
        n: How many are wanted.
    """
    asked, taken = _key(question), {_key(old_answer), _key(new_answer)}
    graded: dict[str, list[Candidate]] = {grade: [] for grade in GRADES}
    for candidate in candidates:
        if candidate.image in exclude_images or _key(candidate.answer) in taken:
            continue
        if _key(candidate.question) == asked:
            graded[HARD].append(candidate)
        elif candidate.answer_type == answer_type:
            graded[MEDIUM].append(candidate)
        else:
            graded[EASY].append(candidate)
    rng = random.Random(seed)
    for found in graded.values():
        rng.shuffle(found)
    chosen: list[tuple[Candidate, str]] = []
    images: set[str] = set()
    answers: set[str] = set()
    while len(chosen) < n and any(graded.values()):
        for grade, found in graded.items():
            while found and len(chosen) < n:
                candidate = found.pop()
                if candidate.image in images or _key(candidate.answer) in answers:
                    continue
                images.add(candidate.image)
                answers.add(_key(candidate.answer))
                chosen.append((candidate, grade))
                break
    return chosen


def _key(text: str) -> str:
    return _ARTICLE.sub("", normalised(text))
