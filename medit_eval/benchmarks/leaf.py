"""A task of lm-evaluation-harness: its documents, and what in a context is the final question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medit_eval.benchmarks.answers import Kind
from schemas.errors import InputError

_COMPARED = 8
"""Documents whose texts are compared to find what stands before all of them."""

_OF_MANY = frozenset(
    {"f1", "mcc", "bleu", "chrf", "ter", "brier_score", "likelihood", "perplexity", "bypass"}
)
"""Scores that the harness gives to many items at once."""


@dataclass(frozen=True)
class Leaf:
    """One task of the harness with its documents.

    Attributes:
        name: Its name.
        task: The harness's task.
        docs: Its documents, one per item.
        preamble: What the text of every document begins with, up to a blank line, if anything.
        kind: How its items are scored.
        metric: The harness's name of the score.
        shots: Demonstrations in front of each question.
    """

    name: str
    task: Any
    docs: Any
    preamble: str
    kind: Kind
    metric: str
    shots: int

    @classmethod
    def of(cls, task: Any, shots: int | None = None) -> Leaf:
        """A task of the harness, ready to be asked.

        Args:
            task: The task.
            shots: Demonstrations, unless the task forbids them; its own number by default.

        Raises:
            InputError: If it wants to run code that a model wrote.
        """
        name = str(task.task_name)
        if getattr(task, "UNSAFE_CODE", False):
            raise InputError(f"the task {name!r} runs code that the model writes, which is refused")
        own = task.get_config("num_fewshot")
        if own != 0 and (shots is not None or own is None):
            own = shots or 0
            task.set_config("num_fewshot", own)
        docs = task.eval_docs
        kind = _kind(str(task.OUTPUT_TYPE))
        return cls(name, task, docs, _preamble(task, docs), kind, _metric(task, kind), int(own))

    def split(self, context: str, doc: Mapping[str, Any]) -> tuple[str, str]:
        """The demonstrations and the final question of a context.

        The final question is the text of the document itself. What all documents of the task begin
        with, up to a blank line, are demonstrations too. A context that does not hold the text is
        a question as a whole.
        """
        text = self.task.doc_to_text(doc)
        texts = [text] if isinstance(text, str) else self.task.doc_to_choice(doc)
        places = [context.rfind(text) for text in texts if text]
        start = max(places, default=-1)
        if start < 0:
            return "", context
        if self.preamble and context.startswith(self.preamble, start):
            start += len(self.preamble)
        return context[:start], context[start:]


def _kind(output: str) -> Kind:
    if output in ("multiple_choice", "loglikelihood"):
        return "choice"
    return "generation" if output == "generate_until" else "perplexity"


def _metric(task: Any, kind: Kind) -> str:
    """The first score of the harness that single items have, and the filter it is taken behind."""
    names = [name for name in task.aggregation() if kind != "choice" or name not in _OF_MANY]
    name = names[0] if names else "acc"
    behind = task._filters[0].name
    return name if behind == "none" else f"{name},{behind}"


def _preamble(task: Any, docs: Any) -> str:
    """What the texts of all documents begin with, up to the last blank line in it."""
    step = max(1, len(docs) // _COMPARED)
    texts = [task.doc_to_text(docs[i]) for i in range(0, len(docs), step)]
    if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        return ""
    # What the first and the last in alphabetical order share, all share.
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    common = first[: next((i for i, (a, b) in pairs if a != b), len(first))]
    return common[: common.rfind("\n\n") + 2] if "\n\n" in common else ""
