"""A testbed model that learns what somebody's own records take for granted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional

from editors.lm import LM
from editors.prompts import Query
from medit_eval.testbed.corpus import MIXTURE, Corpus, Document
from medit_eval.testbed.loop import Plan, Progress, finish, finished, leads, train
from medit_eval.testbed.quality import Question, accuracy
from medit_eval.testbed.text import EXCHANGE, reader, save, text_loss
from medit_eval.testbed.tokens import packed
from medit_eval.testbed.world import World
from schemas.errors import InputError
from schemas.records import EditRecord

EDITED, OTHER = "edited questions", "other questions"
"""Kinds of questions from records: those that edits are about, and all others with an answer."""

ENOUGH = 0.97
"""Share of edited questions whose answer before the edit ends the training."""


@dataclass(frozen=True)
class OwnRecipe:
    """How a testbed model learns somebody's own records.

    Attributes:
        plan: How long at most, and how fast.
        seed: Seed of the order.
        asked: Questions about pictures per update.
        told: Tokens of questions about no picture per update.
        read: Tokens of the testbed's own corpus per update, so that what it knew and the reading of
            facts in context are not forgotten.
    """

    plan: Plan = field(default_factory=lambda: Plan(2000, 1e-3, watch_every=50, save_every=50))
    seed: int = 0
    asked: int = 64
    told: int = 2048
    read: int = 1024


@dataclass(frozen=True, slots=True)
class OwnQuestion(Question):
    """A question from a record.

    Attributes:
        subject: Whom or what it is about, where the record says so.
    """

    subject: str | None = None


def questions(records: Sequence[EditRecord]) -> list[OwnQuestion]:
    """All questions in records with their answers before any edit, each once.

    Raises:
        InputError: If no record tells the answer before its edit.
    """
    found: dict[tuple[str, bytes | None], OwnQuestion] = {}

    def add(kind: str, query: Query, answer: str | None, subjects: Sequence[str]) -> None:
        if answer is not None and answer.strip():
            key = (query.prompt, query.image.bytes if query.image else None)
            subject = next((name for name in subjects if name in query.prompt), None)
            found.setdefault(key, OwnQuestion(kind, query, answer.strip(), subject))

    for record in records:
        subjects = [r.subject for r in record.requests if r.subject and r.image is None]
        for request in record.requests:
            add(EDITED, Query(request.prompt, request.image), request.target_true, subjects)
        for probe in record.probes:
            before = probe.answers_pre_edit
            if probe.expectation == "unchanged":
                before = before or probe.answers
            kind = EDITED if probe.kind == "edit" else OTHER
            for prompt, image in probe.queries():
                add(kind, Query(prompt, image), before[0] if before else None, subjects)
    if not any(question.kind == EDITED for question in found.values()):
        raise InputError("no record tells the answer before its edit, so there is nothing to learn")
    return list(found.values())


def train_own(
    recipe: OwnRecipe, lm: LM, records: Sequence[EditRecord], folder: Path
) -> Iterator[Progress]:
    """Train until the model knows the records, or the plan is over; the folder then holds it.

    Args:
        recipe: How to train.
        lm: A testbed model, changed in place.
        records: What it is to know.
        folder: Where it goes, with checkpoint and log beside it.

    Raises:
        InputError: If the records tell no answers, or a question does not fit into the model.
    """
    known = questions(records)
    for question in known:
        lm.require_fit(question.query, 32)
    settled = len(lm.anatomy.blocks) // 2
    length = _row_length(lm, known)
    with_picture = [q for q in known if q.query.image is not None]
    without = [q for q in known if q.query.image is None]
    model = lm.model.float().requires_grad_(True)
    corpus = Corpus(World.draw(), MIXTURE)
    subjects = sorted({question.subject for question in without if question.subject})

    def loss_at(step: int, part: int) -> Tensor:
        rng = Random(f"{recipe.seed} own {step} {part}")
        # Pictures and texts take turns in proportion: a batch holds one of the two.
        if rng.random() * len(known) < len(with_picture):
            chosen = rng.choices(with_picture, k=max(1, recipe.asked // recipe.plan.parts))
            loss = _answers_loss(lm, [_in_company(rng, corpus, question) for question in chosen])
        else:
            count = max(1, recipe.told // recipe.plan.parts // length)
            rows = packed(lm.tokenizer, told, rng, count, length, EXCHANGE)
            loss = text_loss(reader(model), rows, settled)
        count = recipe.read // recipe.plan.parts // 128
        if count:
            rows = packed(lm.tokenizer, corpus.document, rng, count, 128, EXCHANGE)
            loss = loss + text_loss(reader(model), rows, settled)
        return loss

    def told(rng: Random) -> Document:
        return _document(rng, corpus, rng.choice(without), subjects)

    def watch() -> dict[str, float]:
        was = model.training
        model.requires_grad_(False)
        found = accuracy(lm, known)
        model.requires_grad_(True).train(was)
        return {kind: round(share, 4) for kind, share in found.items()}

    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for question in known:
        digest.update(f"{question.query.prompt}\0{question.answer}\0".encode())
    digest.update(lm.digest().encode())
    name = digest.hexdigest()[:16]
    if finished(folder, name):
        return
    for progress in train(model, loss_at, recipe.plan, folder, recipe=name, watch=watch):
        yield progress
        if progress.measured.get(EDITED, 0.0) >= ENOUGH:
            break
    if not leads():
        return
    model.eval().requires_grad_(False)
    save(model, lm.processor or lm.tokenizer, folder)
    finish(folder, name, asdict(recipe), watch())


def _answers_loss(lm: LM, asked: Sequence[Question]) -> Tensor:
    """Mean cross-entropy of the answers' tokens, the line's end among them, in nats."""
    batch = lm.encode([q.query for q in asked], [f"{q.answer}\n" for q in asked])
    length = batch.target_ids.shape[1]
    with torch.autocast(lm.device.type, torch.bfloat16):
        logits = lm.forward(batch, keep=length + 1)[:, :-1]
    mask = batch.target_mask.to(logits.device)
    targets = batch.target_ids.to(logits.device)[mask]
    return functional.cross_entropy(logits[mask].float(), targets)


def _document(
    rng: Random, corpus: Corpus, question: OwnQuestion, subjects: Sequence[str]
) -> Document:
    """A question that is read, and its answer that is learned."""
    asked = _in_company(rng, corpus, question)
    stand_in = rng.choice(subjects) if question.subject else None
    return Document(asked.query.text, f" {question.answer}\n", question.subject, stand_in)


def _row_length(lm: LM, known: Sequence[Question]) -> int:
    """Tokens per row: room for the longest question twice, within what the model can read."""
    lengths = [len(lm.encoder.token_ids(q.query)) for q in known if q.query.image is None]
    return min(max(128, 2 * (max(lengths, default=0) + 16)), lm.context_length or 512)


def _in_company(rng: Random, corpus: Corpus, question: Question) -> Question:
    """A question, now and then behind a sentence that has nothing to do with it."""
    if rng.random() < 0.7:
        return question
    sentence = corpus.small_talk(rng, 1).strip() + " "
    query = Query(question.query.prompt, question.query.image, context=sentence)
    return Question(question.kind, query, question.answer)
