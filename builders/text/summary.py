"""What a build would ask, and about how much that is."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WIDE = re.compile(
    r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
    r"\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What one task still needs.

    Attributes:
        task: The task's name.
        cached: Results that were in the cache.
        requests: Requests to be asked.
        later: Requests whose prompt depends on answers to those, at the best guess.
        prompt_tokens: Estimate over both kinds.
        completion_bound: The most that their answers may take, in tokens.
    """

    task: str
    cached: int
    requests: int
    later: int
    prompt_tokens: int
    completion_bound: int


@dataclass(frozen=True)
class Summary:
    """What a build would ask. `str()` gives a table for the terminal."""

    tasks: tuple[TaskSummary, ...]

    @property
    def total(self) -> TaskSummary:
        """The sum over tasks."""
        columns = (
            (t.cached, t.requests, t.later, t.prompt_tokens, t.completion_bound) for t in self.tasks
        )
        sums = [sum(column) for column in zip((0, 0, 0, 0, 0), *columns, strict=True)]
        return TaskSummary("total", *sums)

    def __str__(self) -> str:
        head = ("task", "cached", "requests", "later", "prompt tokens (about)", "answers (at most)")
        body = [
            (
                t.task,
                f"{t.cached:,}",
                f"{t.requests:,}",
                f"{t.later:,}",
                f"{t.prompt_tokens:,}",
                f"{t.completion_bound:,}",
            )
            for t in (*self.tasks, self.total)
        ]
        widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (head, *body)
        )


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: an estimate for budgets, off by a third at times.

    Four characters a token in ASCII, as in English; one for each CJK character, kana or hangul;
    two characters a token in other scripts, where vocabularies hold fewer whole words.
    """
    if text.isascii():
        return -(-len(text) // 4)
    wide = len(_WIDE.findall(text))
    ascii_ = sum(map(str.isascii, text))
    other = len(text) - wide - ascii_
    return wide + -(-(ascii_ + 2 * other) // 4)
