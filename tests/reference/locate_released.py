"""MEMIT, AlphaEdit and CoME in the shape in which their released codes run: what benchmarks time.

One edit at a time, all its prompts in one small padded batch; whole forwards with the logits of
all tokens, torch's own Adam; keys and outputs layer by layer in whole forwards of up to 128
prompts, and once more for AlphaEdit's cache; d x d matrices and a general solve, in float32 for
AlphaEdit and in float64 for MEMIT. `locate_literal` is the same one prompt at a time, for parity
alone.

Kinder than the released codes in three places: the head runs once per forward, not twice; prompts
are tokenized once per edit; a search begins with its first forward, without one for h before it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from editors.lm import LM
from editors.locate import LocateThenEdit
from editors.prompts import Query
from schemas.records import EditRequest
from tests.reference.locate_literal import add_to_weight, held, step

ROWS = 128
"""Prompts per forward where keys are read, as in the released codes."""


def compute_z(
    lm: LM,
    request: EditRequest,
    target: Sequence[int],
    editor: LocateThenEdit,
    contexts: Sequence[str],
    *,
    iterations: int | None = None,
    divisor: int | None = None,
    last_takes_no_step: bool = True,
) -> tuple[Tensor, Tensor]:
    """h and δ of one edit, its prompts and that of the divergence in one batch."""
    block = lm.anatomy.blocks[editor.layers[-1]]
    iterations = editor.steps if iterations is None else iterations
    rows = [Query(request.prompt, request.image, c) for c in (None, *contexts)]
    kl_query = Query(f"{request.subject} is a", request.image)
    queries = [*rows, kl_query]
    batch = lm.encoder.encode(queries, [*[list(target[:-1])] * len(rows), []])
    index = torch.tensor(
        [batch.prompt_end - lm.encoder.lookup(query, request.subject) for query in queries]
    )
    every = torch.arange(len(queries))
    first = batch.prompt_end - 1
    ids = torch.tensor(target).expand(len(rows), -1)
    delta: Tensor | None = None
    initial: list[Tensor] = []

    def add(_: Any, __: Any, output: Any) -> Any:
        nonlocal delta
        hidden = output if isinstance(output, Tensor) else output[0]
        if delta is None:
            initial.append(hidden[0, index[0]].detach().clone())
            delta = torch.zeros_like(initial[0], requires_grad=True)
        hidden = hidden.clone()
        hidden[every, index] += delta
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    adam: Any = None
    kl_initial = None
    handle = block.register_forward_hook(add)
    try:
        for iteration in range(iterations):
            logprobs = lm.forward(batch).log_softmax(-1)
            assert delta is not None
            adam = adam or torch.optim.Adam([delta], lr=editor.learning_rate)
            adam.zero_grad()
            own = logprobs[: len(rows), first : first + len(target)].gather(2, ids[..., None])
            kl_logprobs = logprobs[-1, index[-1]]
            if kl_initial is None:
                kl_initial = kl_logprobs.detach().clone()
            h = initial[0]
            likely = -own[..., 0].sum(1).mean() / (divisor or len(target))
            loss = likely + held(editor, h, delta, kl_initial, kl_logprobs)
            if loss < 5e-2 or (last_takes_no_step and iteration == iterations - 1):
                break
            step(adam, loss, delta, editor.clamp * h.norm())
    finally:
        handle.remove()
    assert delta is not None
    return initial[0], delta.detach()


def z_of(lm: LM, request: EditRequest, editor: LocateThenEdit, contexts: Sequence[str]) -> Tensor:
    """The value of one edit."""
    query = Query(request.prompt, request.image)
    target = lm.encoder.target_ids(query, request.target_new)
    h, delta = compute_z(lm, request, target, editor, contexts)
    return h + delta


@torch.no_grad()
def at_lookups(
    lm: LM, requests: Sequence[EditRequest], contexts: Sequence[str | None], module: Any, into: bool
) -> Tensor:
    """What goes into a module or comes out at lookup tokens, shape (requests, contexts, width)."""
    pairs = [(Query(r.prompt, r.image, c), r.subject) for r in requests for c in contexts]
    found: list[Tensor] = []
    for start in range(0, len(pairs), ROWS):
        chosen = pairs[start : start + ROWS]
        batch = lm.encoder.encode([query for query, _ in chosen])
        index = torch.tensor([batch.prompt_end - lm.encoder.lookup(*pair) for pair in chosen])
        every = torch.arange(len(chosen))

        def note(
            _: Any, args: Any, output: Any, every: Tensor = every, index: Tensor = index
        ) -> None:
            out = output if isinstance(output, Tensor) else output[0]
            found.append((args[0] if into else out)[every, index])

        handle = module.register_forward_hook(note)
        lm.forward(batch)
        handle.remove()
    return torch.cat(found).unflatten(0, (len(requests), len(contexts)))


def keys_of(lm: LM, requests: Sequence[EditRequest], layer: int, contexts: Sequence[str]) -> Tensor:
    """K of one layer, shape (d, n), each the mean over context types of their means."""
    found = at_lookups(lm, requests, (None, *contexts), lm.anatomy.projections[layer], True)
    bare = found[:, 0]
    return ((bare + found[:, 1:].mean(1)) / 2 if contexts else bare).t()


def residual_of(
    lm: LM, requests: Sequence[EditRequest], zs: Tensor, editor: LocateThenEdit, i: int
) -> Tensor:
    """The layer's share of what is missing, shape (H, n)."""
    block = lm.anatomy.blocks[editor.layers[-1]]
    return (zs - at_lookups(lm, requests, (None,), block, False)[:, 0].t()) / (
        len(editor.layers) - i
    )


class Clock:
    """Seconds spent in solves, which do not grow with the number of edits as the rest does.

    Attributes:
        solving: By the clock.
        processor: Of the processor's time.
    """

    def __init__(self) -> None:
        self.solving = self.processor = 0.0

    @contextmanager
    def running(self):
        start, spent = time.perf_counter(), time.process_time()
        yield
        self.solving += time.perf_counter() - start
        self.processor += time.process_time() - spent


def memit(
    lm: LM,
    requests: Sequence[EditRequest],
    zs: Tensor,
    editor: Any,
    contexts: Sequence[str],
    moments: dict[int, Tensor],
    clock: Clock,
) -> None:
    """Write values zs (H, n) as MEMIT does, into the model itself."""
    for i, layer in enumerate(editor.layers):
        keys = keys_of(lm, requests, layer, contexts).double()
        residual = residual_of(lm, requests, zs, editor, i).double()
        with clock.running():
            adjusted = torch.linalg.solve(
                editor.moment_weight * moments[layer].double() + keys @ keys.T, keys
            )
            add_to_weight(lm, layer, residual @ adjusted.T)


def alphaedit(
    lm: LM,
    requests: Sequence[EditRequest],
    zs: Tensor,
    editor: Any,
    contexts: Sequence[str],
    projectors: dict[int, Tensor],
    cache: dict[int, Tensor],
    clock: Clock,
) -> None:
    """Write values zs (H, n) as AlphaEdit does, into the model and the cache of K_p K_p^T."""
    for i, layer in enumerate(editor.layers):
        projector = projectors[layer]
        keys = keys_of(lm, requests, layer, contexts)
        residual = residual_of(lm, requests, zs, editor, i)
        with clock.running():
            update = torch.linalg.solve(
                projector @ (keys @ keys.T + cache[layer])
                + editor.null_weight * torch.eye(len(keys), dtype=keys.dtype),
                projector @ keys @ residual.T,
            )
            add_to_weight(lm, layer, update.T)
    for layer in editor.layers:
        keys = keys_of(lm, requests, layer, contexts)
        with clock.running():
            cache[layer] = cache[layer] + keys @ keys.T
