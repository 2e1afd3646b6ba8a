"""What a model made of the items of a benchmark: raw outputs and the harness's score of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.arrow import Schema

Kind = Literal["choice", "generation", "perplexity"]
"""How an item is scored: the likeliest of given options, a free answer, or a text's likelihood."""

UNEDITED = "unedited"
"""The phase of the answers of the model before any edit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one item.

    Attributes:
        phase: `unedited`, `after` all edits, or `edits-N` after N of them.
        task: The task as it was asked for, a group such as `mmlu` among them.
        item: What tells the item from the task's others.
        cluster: What related items share: the subject of MMLU, the task of BBH, a passage.
        kind: How it is scored.
        metric: The harness's name of the score.
        question: Digest of all that was asked, options and answer format included.
        prompt: The final question, without demonstrations.
        choices: The options, or none.
        gold: The accepted answer, as text.
        output: The free answer, or the option chosen; empty for a text's likelihood.
        logprobs: The options' log-probabilities, or the text's, natural logarithms.
        value: The score: of 0 and 1, or for `perplexity` the negative log-likelihood per word.
        weight: What it counts: 1, or a text's words.
        reason: Why there is no score.
        activated: Whether an editor with a memory answered from it; None for others.
        tokens: Tokens of the prompt as the model read it, or of the text itself.
        extracted: What the harness took from a free answer; None where it found nothing to take,
            and for other kinds.
    """

    phase: str
    task: str
    item: str
    cluster: str
    kind: Kind
    metric: str
    question: str
    prompt: str
    choices: tuple[str, ...]
    gold: str
    output: str
    logprobs: tuple[float, ...]
    value: float | None
    weight: float = 1.0
    reason: str | None = None
    activated: bool | None = None
    tokens: int = 0
    extracted: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others of its run."""
        return self.phase, self.task, self.item


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What is known of a task before it is run.

    Attributes:
        task: Its name.
        kind: How its items are scored.
        metric: The harness's name of the score.
        version: The task's version, and the harness's.
        shots: Demonstrations in front of each question.
        items: Items that were asked.
        chance: The expected score of guessing, or None where nobody can say.
        majority: The score of giving the commonest answer always, or None.
        digest: Of the items and the way they are put, so that two runs can be compared.
    """

    task: str
    kind: Kind
    metric: str
    version: str
    shots: int
    items: int
    chance: float | None
    majority: float | None
    digest: str


@dataclass(frozen=True, slots=True)
class Timing:
    """What a task cost in one phase.

    Attributes:
        phase: When it was run.
        task: The task.
        seconds: Wall-clock time.
        tokens: Tokens of all prompts as they were read.
        requests: Requests that were made.
    """

    phase: str
    task: str
    seconds: float
    tokens: int
    requests: int


ANSWERS: Schema[Answer] = Schema("benchmark_answers", 1, Answer)
TASKS: Schema[TaskInfo] = Schema("benchmark_tasks", 1, TaskInfo)
TIMINGS: Schema[Timing] = Schema("benchmark_timings", 1, Timing)
