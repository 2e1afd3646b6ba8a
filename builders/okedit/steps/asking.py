"""What all text steps share: asking a generator for many drafts, and noting who answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from builders.images.protocol import ImageResult
from builders.okedit.draft import Answer, Draft
from builders.seeds import seed_for
from builders.steps import Problem
from builders.text.protocol import TextGenerator, TextRequest, TextResult, TextTask
from schemas.records import Provenance


class TextStep(Protocol):
    """A step that asks a text generator."""

    @property
    def name(self) -> str:
        """The step's name."""
        ...

    @property
    def text(self) -> TextGenerator:
        """Whom it asks."""
        ...


def new_of(draft: Draft) -> Answer:
    """The new answer, which a draft has from the counterfactual step on."""
    assert draft.new is not None, "the counterfactual comes first"
    return draft.new


def output_of(result: TextResult[Any]) -> Any:
    """The output of a result that has no error."""
    assert result.output is not None
    return result.output


def ask(
    text: TextGenerator,
    task: TextTask[Any],
    drafts: Sequence[Draft],
    inputs: Sequence[Mapping[str, Any]],
    purpose: str,
) -> list[TextResult[Any]]:
    """One result per draft.

    Args:
        text: Whom to ask.
        task: What to ask for.
        drafts: What it is for; each draft's id decides its seed.
        inputs: The inputs of each draft.
        purpose: What the answer is for, so that one task used twice has two seeds.
    """
    requests = [
        TextRequest(
            task, values, seed_for(draft.id, task.name, purpose, values.get("vote", 0)), draft.id
        )
        for draft, values in zip(drafts, inputs, strict=True)
    ]
    return text.generate(requests) if requests else []


def fill(
    step: TextStep,
    task: TextTask[Any],
    drafts: Sequence[Draft],
    open_: Callable[[Draft], bool],
    inputs: Callable[[Draft], Mapping[str, Any]],
    fields: Callable[[Draft, Any], Mapping[str, Any]],
    column: str,
) -> list[Draft | Problem]:
    """Ask for one field of the drafts that lack it; a draft without an answer is rejected.

    Args:
        step: Who asks.
        task: What to ask for.
        drafts: All drafts.
        open_: Whether a draft lacks the field.
        inputs: A draft's inputs.
        fields: What an output sets.
        column: The field, for provenance and rejects.
    """
    todo = [i for i, draft in enumerate(drafts) if open_(draft)]
    asked = [drafts[i] for i in todo]
    results = ask(step.text, task, asked, [inputs(draft) for draft in asked], column)
    made: list[Draft | Problem] = list(drafts)
    for i, result in zip(todo, results, strict=True):
        made[i] = text_problem(step.name, column, result) or drafts[i].with_(
            made_by(result, drafts[i], column), **fields(drafts[i], output_of(result))
        )
    return made


def text_problem(step: str, column: str, result: TextResult[Any]) -> Problem | None:
    """Why a draft cannot go on without this result, or None if the result has an output."""
    if result.output is not None:
        return None
    return Problem("text", column, f"{result.generator} gave no {step}: {result.error}")


def made_by(result: TextResult[Any] | ImageResult, draft: Draft, field: str) -> Provenance:
    """Where a generator's result comes from."""
    return Provenance(
        field,
        draft.source,
        result.generator,
        result.model,
        result.prompt_digest,
        result.seed,
        result.fallback,
    )
