"""Fine-tuning on edits: the loss of answers, and in which order a few tensors descend on it.

"Fine-tuning Done Right in Model Editing" (arXiv 2509.22072) calls the two orders depth-first, one
edit after another until each is learned, as editors have been compared with fine-tuning so far,
and breadth-first, epoch after epoch over all edits, as everything else is fine-tuned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from editors.base import EditError
from editors.batch import Batch
from editors.lm import LM
from editors.prompts import Query
from schemas.errors import InputError, require_number, require_one_of
from schemas.records import EditRequest

Order = Literal["breadth", "depth"]
"""`breadth`: epochs over all edits. `depth`: one batch of edits after another, each to the end."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How tensors are fine-tuned.

    Attributes:
        order: In which order edits are learned.
        learning_rate: Adam's.
        steps: Epochs over all edits (breadth), or updates for each batch of them (depth), at most.
        batch_size: Edits per update.
        reached: The loss under which a batch makes no update. Where all batches of an epoch
            (breadth) or the one at hand (depth) are under it, training ends.
        seed: Of the order of batches within an epoch.
    """

    order: Order
    learning_rate: float
    steps: int
    batch_size: int
    reached: float
    seed: int

    def __post_init__(self) -> None:
        require_one_of("order", self.order, get_args(Order))
        require_number("steps", self.steps, whole=True, least=1)
        require_number("batch_size", self.batch_size, whole=True, least=1)
        require_number("learning_rate", self.learning_rate, above=0)
        require_number("reached", self.reached, least=0)
        require_number("seed", self.seed, whole=True)

    @classmethod
    def of(cls, editor: Any) -> Self:
        """The schedule among an editor's hyperparameters, which have the same names."""
        return cls(**{field.name: getattr(editor, field.name) for field in fields(cls)})


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    batches: int,
    schedule: Schedule,
    *,
    project: Callable[[], None] | None = None,
) -> None:
    """Minimise the losses of some batches with Adam, in place.

    Args:
        parameters: What is trained; leaves that require gradients.
        loss: The loss of a batch, by its number.
        batches: How many batches there are.
        schedule: How.
        project: Called after each update, to keep the parameters where they should be.
    """
    shuffled = random.Random(schedule.seed)

    def updated(optimizer: torch.optim.Optimizer, batch: int) -> bool:
        """Whether a batch was still worth an update."""
        with torch.enable_grad():
            value = loss(batch)
        if float(value.detach()) < schedule.reached:
            return False
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if project is not None:
            project()
        return True

    if schedule.order == "breadth":
        optimizer, numbers = _adam(parameters, schedule), list(range(batches))
        for _ in range(schedule.steps):
            shuffled.shuffle(numbers)
            made = [updated(optimizer, batch) for batch in numbers]
            if not any(made):
                return
        return
    for batch in range(batches):
        optimizer = _adam(parameters, schedule)
        for _ in range(schedule.steps):
            if not updated(optimizer, batch):
                break


def _adam(parameters: Sequence[Tensor], schedule: Schedule) -> torch.optim.Adam:
    return torch.optim.Adam(list(parameters), lr=schedule.learning_rate)


def answer_losses(lm: LM, batch: Batch) -> Tensor:
    """Mean cross-entropy of each row's answer, shape (B,)."""
    logits = lm.forward(batch, keep=batch.target_ids.shape[1] + 1)[:, :-1].float()
    ids, mask = batch.target_ids.to(logits.device), batch.target_mask.to(logits.device)
    losses = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
    return (losses.view(ids.shape) * mask).sum(1) / mask.sum(1)


def encoded(lm: LM, requests: Sequence[EditRequest], batch_size: int) -> list[Batch]:
    """The requests with their new answers in order, in batches with pictures or without.

    Raises:
        InputError: If one is longer than the model can read.
    """
    queries = [Query(request.prompt, request.image) for request in requests]
    for request, query in zip(requests, queries, strict=True):
        try:
            lm.require_fit(query, len(lm.encoder.target_ids(query, request.target_new)))
        except InputError as error:
            raise InputError(error.reason, row=request.id) from None
    batches: list[Batch] = []
    for seeing in (False, True):
        places = [i for i, query in enumerate(queries) if (query.image is not None) == seeing]
        for start in range(0, len(places), batch_size):
            chosen = places[start : start + batch_size]
            answers = [requests[i].target_new for i in chosen]
            batches.append(lm.encode([queries[i] for i in chosen], answers))
    return batches


def require_finite(tensors: Sequence[Tensor]) -> None:
    """See to it that training has not diverged.

    Raises:
        EditError: If a tensor holds a number that is not finite.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise EditError("training diverged; lower the learning rate")
