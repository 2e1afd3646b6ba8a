"""Scoring as the papers' codes do it: edit, ask one prompt after another, take the edit back.

Slow and literal: every answer is written by a generation of its own, every scored answer takes a
whole forward, one prompt at a time, without padding; nothing that is asked twice is shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from editors.base import EditedModel, Editor
from editors.lm import LM
from medit_eval.questions import Slot, slots
from schemas.records import EditRecord, EditRequest

Editing = Callable[[Sequence[EditRequest]], AbstractContextManager[LM | EditedModel]]
"""Edits a model, gives what is asked then, and takes the edits back."""


@dataclass(frozen=True)
class Said:
    """What a model says to one question.

    Attributes:
        text: Its free answer.
        own: Log-probabilities of the scored answer's tokens.
        top: The ten most probable tokens at each of them.
        rival: Log-probabilities of the rival answer's tokens.
    """

    text: str
    own: tuple[float, ...]
    top: tuple[tuple[int, ...], ...]
    rival: tuple[float, ...]


@dataclass(frozen=True)
class Scored:
    """What was said before and after the edits, by record, probe and place, and what it took.

    Attributes:
        said: Before and after.
        editing: Seconds that the edits took.
        asking: Seconds that the questions took.
    """

    said: dict[tuple[str, str, int], tuple[Said, Said]]
    editing: float
    asking: float


def score(
    lm: LM,
    editing: Editing,
    groups: Sequence[Sequence[EditRecord]],
    asked: Sequence[EditRecord],
    *,
    max_new_tokens: int = 32,
) -> Scored:
    """Ask the unedited model, edit a group of records, ask again, take the edits back.

    Args:
        lm: The model, without edits.
        editing: How it is edited.
        groups: Records that are edited together; one each in the protocol `single`.
        asked: Those of them whose questions are asked.
        max_new_tokens: Length of a free answer at most.
    """
    wanted = {record.id for record in asked}
    said: dict[tuple[str, str, int], tuple[Said, Said]] = {}
    took = asking = 0.0
    for group in groups:
        own = [slot for record in group if record.id in wanted for slot in slots(record)]
        start = time.perf_counter()
        before = [ask(lm, slot, slot.question.answer, max_new_tokens) for slot in own]
        asking += time.perf_counter() - start
        start = time.perf_counter()
        with editing([request for record in group for request in record.requests]) as edited:
            took += time.perf_counter() - start
            start = time.perf_counter()
            for slot, pre in zip(own, before, strict=True):
                answer = pre.text if slot.question.answer is None else slot.question.answer
                key = slot.record.id, slot.probe.id, slot.index
                said[key] = pre, ask(edited, slot, answer, max_new_tokens)
            asking += time.perf_counter() - start
    return Scored(said, took, asking)


def one_after_another(editor: Editor, lm: LM) -> Editing:
    """One call of an editor for each request."""

    @contextmanager
    def editing(requests: Sequence[EditRequest]) -> Iterator[EditedModel]:
        with editor.apply(lm) as edited:
            for request in requests:
                edited.edit([request])
            yield edited

    return editing


def written(
    lm: LM, write: Callable[[Sequence[EditRequest]], object], parameters: Sequence[str]
) -> Editing:
    """Edits that something writes to weights, which are put back."""

    @contextmanager
    def editing(requests: Sequence[EditRequest]) -> Iterator[LM]:
        saved = {name: lm.model.get_parameter(name).detach().clone() for name in parameters}
        try:
            write(requests)
            yield lm
        finally:
            for name, weight in saved.items():
                lm.model.get_parameter(name).data.copy_(weight)

    return editing


def ask(model: LM | EditedModel, slot: Slot, answer: str | None, max_new_tokens: int) -> Said:
    """One question, asked and scored alone.

    Args:
        model: The model as it is.
        slot: The question.
        answer: The answer to score; None for the free answer.
        max_new_tokens: Length of the free answer at most.
    """
    text = _free(model, slot, max_new_tokens)
    own, top = _scored(model, slot, text if answer is None else answer)
    rival, _ = _scored(model, slot, slot.question.rival or "")
    return Said(text, own, top, rival)


def _free(model: LM | EditedModel, slot: Slot, max_new_tokens: int) -> str:
    """With transformers' own generation, or with the editor's where it has a part in it."""
    query = slot.question.query
    if isinstance(model, EditedModel):
        return model.generate([query], max_new_tokens=max_new_tokens)[0]
    prompt = model.tokenizer(model.renderer.render(query), return_tensors="pt")
    with torch.no_grad():
        ids = model.model.generate(
            **prompt, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens,
            pad_token_id=model.tokenizer.pad_token_id, stop_strings=["\n"],
            tokenizer=model.tokenizer,
        )  # fmt: skip
    ids = ids[0, prompt["input_ids"].shape[1] :]
    return model.tokenizer.decode(ids, skip_special_tokens=True).split("\n")[0].strip()


def _scored(
    model: LM | EditedModel, slot: Slot, answer: str
) -> tuple[tuple[float, ...], tuple[tuple[int, ...], ...]]:
    query = slot.question.query
    if not answer.strip():
        return (), ()
    if isinstance(model, EditedModel):
        (found,) = model.score([query], [answer])
        return found.logprobs, found.top
    prompt = model.tokenizer(model.renderer.render(query))["input_ids"]
    target = model.encoder.target_ids(query, answer)
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([[*prompt, *target]])).logits[0]
    logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1)
    best = logprobs.topk(min(10, logprobs.shape[1]), dim=-1).indices.tolist()
    return tuple(logprobs[range(len(target)), target].tolist()), tuple(map(tuple, best))
