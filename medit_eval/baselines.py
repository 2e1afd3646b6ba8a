"""What the unedited model says, asked once per model and set of questions, for all editors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from editors.lm import LM
from medit_eval.asking import Settings, ask
from medit_eval.parts import Parts
from medit_eval.predictions import BASELINES, Baseline
from medit_eval.questions import Question
from schemas.digest import digest128
from schemas.errors import InputError

_CHUNK = 512
"""Questions between two writes; what is written is not asked again."""


def default_cache() -> Path:
    """`pre_edit` in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "pre_edit"


def baselines(
    lm: LM,
    identity: str,
    questions: Sequence[Question],
    settings: Settings,
    cache: Path | None,
    tick: Callable[[int], None],
) -> dict[str, Baseline]:
    """What the unedited model makes of every question, by the question's digest.

    Args:
        lm: The model, unedited.
        identity: Its digest; see `models.identity`.
        questions: The questions; equal ones are asked once.
        settings: How it is asked.
        cache: Folder that keeps the answers, or None to keep none.
        tick: Told how many questions are done.
    """
    unique = {question.digest: question for question in questions}
    if cache is None:
        found = {}
        parts = None
    else:
        parts = Parts(cache / _key(identity, lm.renderer.format, unique, settings), BASELINES)
        found = _read(parts, unique)
    tick(len(found))
    todo = [question for digest, question in unique.items() if digest not in found]
    for start in range(0, len(todo), _CHUNK):
        chunk = ask(lm, todo[start : start + _CHUNK], settings)
        if parts is not None:
            # Named by content: two processes that ask the same write the same file.
            name = digest128("".join(baseline.question for baseline in chunk))
            parts.write(name[:16], chunk)
        found |= {baseline.question: baseline for baseline in chunk}
        tick(len(chunk))
    return found


def _read(parts: Parts[Baseline], wanted: dict[str, Question]) -> dict[str, Baseline]:
    try:
        return {row.question: row for row in parts.rows() if row.question in wanted}
    except InputError:
        return {}  # a damaged cache is asked again, and written over


def _key(
    identity: str, prompt_format: str, questions: dict[str, Question], settings: Settings
) -> str:
    return digest128("\n".join([identity, prompt_format, str(settings), *sorted(questions)]))
