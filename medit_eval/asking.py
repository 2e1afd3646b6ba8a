"""Asks a model many questions at once, and keeps a bad one from spoiling the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from editors import reading
from editors.likelihood import Likelihood
from editors.prompts import Query
from editors.reading import Reply
from medit_eval.predictions import Baseline, Output
from medit_eval.questions import Question
from schemas.errors import InputError

CONTINUATION = 100
"""Tokens of a long continuation, as in the CounterFact evaluation."""

_STEP = 32
"""Tokens between two lengths of documents that are written together."""

_LEAST = 64
"""Tokens that a model must have room for if it is to write a document."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Answering(reading.Answering, Protocol):
    """What can be asked: an `LM` or an `EditedModel`."""

    def rooms(self, queries: Sequence[Query]) -> list[int | None]:
        """Tokens that fit behind each query, or None where nobody knows."""
        ...


@dataclass(frozen=True)
class Settings:
    """How models are asked.

    Attributes:
        max_new_tokens: Length of a free answer at most.
        top: How many of the most probable tokens are kept at each position of an answer.
        likelihood: Whether answers are scored at all.
    """

    max_new_tokens: int = 32
    top: int = 10
    likelihood: bool = True


def ask(model: Answering, questions: Sequence[Question], settings: Settings) -> list[Baseline]:
    """What a model makes of each question; equal ones are asked once.

    A question that cannot be put to the model, such as one longer than it reads, gets the reason
    in place of an output.
    """
    unique = {question.digest: question for question in questions}
    outputs = _written(model, [q for q in unique.values() if q.length is not None])
    asked = [question for question in unique.values() if question.length is None]
    texts, pairs = _replies(model, asked, settings)
    long = [question for question in asked if question.continued]
    continued = dict(
        zip(
            (question.digest for question in long),
            _generated(model, [q.query for q in long], CONTINUATION, ()),
            strict=True,
        )
    )
    outputs |= {
        question.digest: _output(
            question, texts[question.query], pairs, continued.get(question.digest)
        )
        for question in asked
    }
    return [outputs[question.digest] for question in questions]


def _written(model: Answering, questions: Sequence[Question]) -> dict[str, Baseline]:
    """The documents that a model writes, each as long as it may be and as the model has room for.

    Those of equal length go together, so that no document is cut short for another one's sake.
    """
    by_length: dict[int, list[Question]] = defaultdict(list)
    outputs: dict[str, Baseline] = {}
    rooms = model.rooms([question.query for question in questions]) if questions else []
    for question, room in zip(questions, rooms, strict=True):
        length = question.length or 0
        if room is not None and room < length:
            length = room - room % _STEP
        if length < min(_LEAST, question.length or 0):
            failure = f"the model has room for {room} tokens behind the document, too few"
            outputs[question.digest] = Baseline(question.digest, None, failure)
        else:
            by_length[length].append(question)
    for length, same in by_length.items():
        texts = _generated(model, [question.query for question in same], length, ("\n",))
        outputs |= {
            question.digest: _output(question, text, {}, None)
            for question, text in zip(same, texts, strict=True)
        }
    return outputs


Pairs = dict[tuple[Query, str], Likelihood | InputError]
"""Likelihoods by question and answer."""


def _replies(
    model: Answering, questions: Sequence[Question], settings: Settings
) -> tuple[dict[Query, str | InputError], Pairs]:
    """Free answers, and the likelihoods of the answers that are wanted, in one reading."""
    wanted: dict[Query, dict[str | None, None]] = {}
    for question in questions:
        own = wanted.setdefault(question.query, {})  # in order, each once
        if settings.likelihood and question.answer != "":
            own[question.answer] = None
        if settings.likelihood and question.rival:
            own[question.rival] = None
    texts: dict[Query, str | InputError] = {}
    pairs: Pairs = {}
    asked = [(query, tuple(answers)) for query, answers in wanted.items()]
    for (query, answers), reply in zip(
        asked, _guarded(asked, lambda some: _replied(model, some, settings)), strict=True
    ):
        if isinstance(reply, Reply):
            texts[query] = reply.text
            given = (reply.text if answer is None else answer for answer in answers)
            found = zip(given, reply.likelihoods, strict=True)
            pairs |= {(query, answer): one for answer, one in found if one is not None}
            continue
        # Something about it cannot be read; the rest of it still can.
        (text,) = _generated(model, [query], settings.max_new_tokens, ("\n",))
        texts[query] = text
        if not isinstance(text, InputError):
            apart = [(query, a) for a in (text if a is None else a for a in answers) if a]
            pairs |= _once(apart, lambda some: _scored(model, some, settings.top))
    return texts, pairs


def _replied(
    model: Answering, asked: Sequence[tuple[Query, tuple[str | None, ...]]], settings: Settings
) -> list[Reply]:
    return model.reply(
        [query for query, _ in asked],
        [answers for _, answers in asked],
        max_new_tokens=settings.max_new_tokens,
        top=settings.top,
    )


def _answer(question: Question, generation: str) -> str:
    return question.answer if question.answer is not None else generation


def _output(
    question: Question,
    text: str | InputError,
    pairs: Pairs,
    continuation: str | InputError | None,
) -> Baseline:
    if isinstance(text, InputError):
        return Baseline(question.digest, None, str(text))
    own = pairs.get((question.query, _answer(question, text)))
    rival = pairs.get((question.query, question.rival or ""))
    for part in (own, rival, continuation):
        if isinstance(part, InputError):
            return Baseline(question.digest, None, str(part))
    assert not isinstance(own, InputError)
    assert not isinstance(rival, InputError)
    assert not isinstance(continuation, InputError)
    output = Output(
        generation=text,
        ids=own.ids if own else (),
        logprobs=own.logprobs if own else (),
        top=own.top if own else (),
        rival_logprobs=rival.logprobs if rival else (),
        continuation=continuation,
    )
    return Baseline(question.digest, output, None)


def _generated(
    model: Answering, queries: Sequence[Query], tokens: int, stop: tuple[str, ...]
) -> list[str | InputError]:
    texts = _once(
        queries,
        lambda some: model.generate(some, max_new_tokens=tokens, stop=stop),
    )
    return [texts[query] for query in queries]


def _scored(model: Answering, pairs: Sequence[tuple[Query, str]], top: int) -> list[Likelihood]:
    return model.score([query for query, _ in pairs], [answer for _, answer in pairs], top=top)


def _once(
    items: Sequence[Item], run: Callable[[list[Item]], list[Result]]
) -> dict[Item, Result | InputError]:
    """The result of every distinct item."""
    unique = list(dict.fromkeys(items))
    return dict(zip(unique, _guarded(unique, run), strict=True))


def _guarded(items: list[Item], run: Callable[[list[Item]], list[Any]]) -> list[Any]:
    """Results, or the error of each item that has one, found by halving where a call fails."""
    if not items:
        return []
    try:
        return run(items)
    except InputError as error:
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return _guarded(items[:middle], run) + _guarded(items[middle:], run)
