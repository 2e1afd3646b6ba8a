"""Where an edit is written to: the lookup token of a request, and what a model holds there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from editors.batch import Batch
from editors.lm import LM
from editors.prompts import Query
from editors.trace import traced
from schemas.errors import InputError
from schemas.records import EditRequest

LookupRule = Literal["last_prompt", "last_image"]
"""Where a request without a subject is looked up. `last_prompt`: the prompt's last token.
`last_image`: the picture's last token, which precedes the question in most models, so that all
edits of one picture share it."""

LOOKUP_RULES: tuple[str, ...] = get_args(LookupRule)


@dataclass(frozen=True, slots=True)
class Place:
    """One token of one prompt.

    Attributes:
        query: The prompt.
        back: How many tokens before the prompt's end, the last being 1; None for the last token
            of the picture.
    """

    query: Query
    back: int | None


@dataclass(frozen=True)
class Readings:
    """What a model holds at n places.

    Attributes:
        keys: By layer, the inputs of the projection out of the MLP, shape (n, MLP width).
        hidden: By layer, the outputs of the block, shape (n, hidden width).
    """

    keys: dict[int, Tensor]
    hidden: dict[int, Tensor]


def place(lm: LM, request: EditRequest, rule: LookupRule, context: str | None = None) -> Place:
    """The lookup token of a request: its subject's last token, or what the rule says.

    Args:
        lm: The model, which tokenizes.
        request: The request.
        rule: What counts where the request names no subject.
        context: Text in front of the prompt, or None.

    Raises:
        InputError: If the prompt does not hold the subject, or a picture has no token of its own.
    """
    query = Query(request.prompt, request.image, context)
    if request.subject is None:
        return Place(query, _back(query, rule))
    try:
        return Place(query, lm.encoder.lookup(query, request.subject))
    except InputError as error:
        raise InputError(error.reason, row=request.id, field="subject") from None


def divergence_place(lm: LM, request: EditRequest, rule: LookupRule) -> Place:
    """Where an edit must not change what comes next: the lookup token of "{subject} is a".

    A request without a subject has "This is a" in its place, asked about the same picture and
    looked up by the same rule: what the picture shows takes the subject's part.
    """
    if request.subject is None:
        query = Query("This is a", request.image)
        return Place(query, _back(query, rule))
    query = Query(f"{request.subject} is a", request.image)
    return Place(query, lm.encoder.lookup(query, request.subject))


def _back(query: Query, rule: LookupRule) -> int | None:
    return None if rule == "last_image" and query.image is not None else 1


def columns(batch: Batch, places: Sequence[Place]) -> Tensor:
    """The places' columns in a batch of their queries, shape (B,).

    Raises:
        InputError: If a picture is looked up in a model whose prompts hold no image tokens.
    """
    found = []
    for row, where in enumerate(places):
        if where.back is not None:
            found.append(batch.prompt_end - where.back)
            continue
        tokens = batch.image_mask[row].nonzero()
        if not len(tokens):
            raise InputError("the model's prompts hold no image tokens that could be looked up")
        found.append(int(tokens[-1]))
    return torch.tensor(found)


@torch.no_grad()
def read(
    lm: LM, places: Sequence[Place], *, keys: Iterable[int] = (), hidden: Iterable[int] = ()
) -> Readings:
    """What a model holds at places, in float32 or better; the forward ends with the last layer.

    Args:
        lm: The model as it is now.
        places: The places.
        keys: Layers whose keys are wanted.
        hidden: Layers whose hidden states are wanted.
    """
    keys, hidden = tuple(keys), tuple(hidden)
    anatomy = lm.anatomy
    inputs = {f"key {layer}": anatomy.projections[layer] for layer in keys}
    outputs = {f"hidden {layer}": anatomy.blocks[layer] for layer in hidden}
    stop_at = anatomy.blocks[max(keys + hidden)]

    def run(chosen: list[Place]) -> list[dict[str, Tensor]]:
        batch = lm.encoder.encode([where.query for where in chosen])
        column = columns(batch, chosen)
        batch = batch.upto(int(column.max()) + 1)
        with traced(inputs, outputs, stop_at=stop_at) as trace:
            lm.forward(batch, keep=1)
        found = {**trace.inputs, **trace.outputs}
        seen = {name: at(per_token(states, batch), column) for name, states in found.items()}
        return [{name: rows[i] for name, rows in seen.items()} for i in range(len(chosen))]

    found = lm.in_batches(places, run, size=lambda where: reading_order(lm, where))
    stacked = {name: torch.stack([row[name] for row in found]) for name in found[0]}
    return Readings(
        {layer: stacked[f"key {layer}"] for layer in keys},
        {layer: stacked[f"hidden {layer}"] for layer in hidden},
    )


def reading_order(lm: LM, where: Place) -> tuple[bool, int, int]:
    """What places are batched by: with or without picture, tokens behind them, length."""
    pictured, tokens = lm.length_key(where.query)
    return pictured, where.back or 0, tokens


def per_token(states: Tensor, batch: Batch) -> Tensor:
    """States of shape (B, T, W), of which some families make (B T, W) within a block."""
    return states.reshape(*batch.prompt_mask.shape, -1)


def at(states: Tensor, column: Tensor) -> Tensor:
    """One column of every row: shape (B, T, W) to (B, W), in float32 or better."""
    rows = torch.arange(len(column), device=states.device)
    chosen = states[rows, column.to(states.device)]
    return chosen.to(torch.promote_types(chosen.dtype, torch.float32))
