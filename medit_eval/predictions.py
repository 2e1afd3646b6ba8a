"""What a run writes down: for every question, what the model said before and after the edit.

Predictions hold raw outputs and all that a metric needs to judge them, so that a metric can be
added, and a report made again, without the model. Their Arrow schema follows from the classes
here and is checked when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.arrow import Schema
from schemas.records import Axis, Expectation


@dataclass(frozen=True, slots=True)
class Output:
    """What a model makes of one question.

    Attributes:
        generation: What it answers greedily.
        ids: The n tokens of the scored answer; none where there is no answer to score.
        logprobs: Their n natural log-probabilities, each given the tokens before it.
        top: For each, the ids of the k most probable tokens in order, shape (n, k).
        rival_logprobs: The log-probabilities of the rival answer's tokens, if there is one.
        continuation: A long greedy continuation past line ends, if one was asked for.
    """

    generation: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    top: tuple[tuple[int, ...], ...] = ()
    rival_logprobs: tuple[float, ...] = ()
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """Where an editor with a memory sent a question.

    Attributes:
        request: Id of the edit whose entry answers it, or None where the model itself does.
        nearest: Id of the edit whose entry is nearest, whether it answers or not.
        score: How near that is, in the editor's own measure.
        threshold: What the score is compared with.
    """

    request: str | None
    nearest: str | None
    score: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One question of one probe, asked before and after an edit.

    Attributes:
        record: Id of the record.
        probe: Id of the probe.
        index: Which of the probe's (prompt, image) pairs, counted from 0.
        axis: What the probe measures.
        kind: How the probe was made.
        expectation: Whether the edit should reach it.
        phase: When it was asked: `after` the edit; in a sequence, `right_after` its own edit or
            `at_end`; `memory-N`, `memory-N-on` and `memory-N-off` with N edits in memory and
            routing as it is, forced on and forced off.
        requests: Ids of the record's requests.
        targets: The answers that the record's edits put in, aliases among them.
        prompt: The question.
        image: SHA-256 of its picture's file, or None.
        question: Digest of all that was asked.
        answers: Accepted answers after the edit, the canonical one first.
        answers_pre_edit: Accepted answers before the edit, where known.
        answer: The answer whose tokens are scored, or None.
        rival: The answer that it is compared with, or None.
        hops: Facts that must be chained with the edited one.
        distance: How far a negative picture is from the edited one.
        grade: That distance in words.
        pre: The unedited model's output; None where it could not be asked.
        post: The edited model's output; None where it could not be asked.
        routing: Where an editor with a memory sent it.
        failure: Why `pre` or `post` is missing, or why the question cannot be judged.
    """

    record: str
    probe: str
    index: int
    axis: Axis
    kind: str
    expectation: Expectation
    phase: str
    requests: tuple[str, ...]
    targets: tuple[str, ...]
    prompt: str
    image: str | None
    question: str
    answers: tuple[str, ...]
    answers_pre_edit: tuple[str, ...]
    answer: str | None
    rival: str | None
    hops: int | None = None
    distance: float | None = None
    grade: str | None = None
    pre: Output | None = None
    post: Output | None = None
    routing: Routing | None = None
    failure: str | None = None

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What tells it from all others of its run."""
        return self.record, self.probe, self.index, self.phase


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's judgement of one prediction.

    Attributes:
        record: Id of the record.
        probe: Id of the probe.
        index: Which of the probe's questions.
        phase: When it was asked.
        metric: The metric.
        value: The score, or None where the question could not be scored.
        reason: Why it could not.
    """

    record: str
    probe: str
    index: int
    phase: str
    metric: str
    value: float | None
    reason: str | None

    @property
    def key(self) -> tuple[str, str, int, str]:
        """The key of the prediction that it judges."""
        return self.record, self.probe, self.index, self.phase


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the unedited model makes of one question, as cached.

    Attributes:
        question: Digest of all that was asked.
        output: What it made of it, or None where it could not be asked.
        failure: Why not.
    """

    question: str
    output: Output | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What an editor told of itself after an edit; see `EditedModel.diagnostics`.

    Attributes:
        phase: What is asked next.
        record: Id of the last record that was edited.
        edits: How many records were in the model then.
        name: What it told of.
        value: What it told.
    """

    phase: str
    record: str
    edits: int
    name: str
    value: float

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others of its run."""
        return self.phase, self.record, self.name


PREDICTIONS: Schema[Prediction] = Schema("predictions", 1, Prediction)
SCORES: Schema[Score] = Schema("scores", 1, Score)
BASELINES: Schema[Baseline] = Schema("baselines", 1, Baseline)
DIAGNOSTICS: Schema[Diagnostic] = Schema("diagnostics", 1, Diagnostic)
