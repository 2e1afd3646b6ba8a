"""MEMIT, AlphaEdit and CoME as their papers' codes do it: one edit, one prompt, d x d matrices.

Slow and literal: no padding, no batches, whole forwards, torch's own Adam, general solves, full
caches. The fast versions have to agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from editors.lm import LM
from editors.locate import LocateThenEdit
from editors.prompts import Query
from schemas.records import EditRequest


def lookup_index(lm: LM, query: Query, subject: str | None) -> int:
    """By the length of what comes up to the subject's end; without a subject the last token."""
    inputs = lm.encoder.encode([query]).inputs["input_ids"]
    if subject is None:
        return inputs.shape[1] - 1
    text = lm.renderer.render(query)
    return len(lm.tokenizer(text[: text.rfind(subject) + len(subject)])["input_ids"]) - 1


def run(lm: LM, query: Query, target: Sequence[int] = ()) -> Tensor:
    """Logits of one prompt with its answer, shape (T, vocabulary)."""
    return lm.forward(lm.encoder.encode([query], [target]))[0]


@contextmanager
def changed_output(module: Any, index: int, change: Callable[[Tensor], Tensor]):
    """Replace a block's output at one token."""

    def hook(_: Any, __: Any, output: Any) -> Any:
        hidden = (output if isinstance(output, Tensor) else output[0]).clone()
        hidden[0, index] = change(hidden[0, index])
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def block_output(lm: LM, layer: int, query: Query, index: int) -> Tensor:
    seen: list[Tensor] = []

    def note(hidden: Tensor) -> Tensor:
        seen.append(hidden.detach())
        return hidden

    with torch.no_grad(), changed_output(lm.anatomy.blocks[layer], index, note):
        run(lm, query)
    return seen[0]


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
    """h and δ of one edit, as `compute_z` finds them."""
    layer = editor.layers[-1]
    block = lm.anatomy.blocks[layer]
    iterations = editor.steps if iterations is None else iterations
    rows = [Query(request.prompt, request.image, c) for c in (None, *contexts)]
    indices = [lookup_index(lm, row, request.subject) for row in rows]
    kl_query = Query(f"{request.subject or 'This'} is a", request.image)
    kl_index = lookup_index(lm, kl_query, request.subject)
    h = block_output(lm, layer, rows[0], indices[0])
    delta = torch.zeros_like(h, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=editor.learning_rate)
    kl_initial = None
    for iteration in range(iterations):
        adam.zero_grad()
        nll = []
        for row, index in zip(rows, indices, strict=True):
            with changed_output(block, index, lambda hidden: hidden + delta):
                logits = run(lm, row, target)
            logprobs = logits[-len(target) - 1 : -1].log_softmax(-1)
            nll.append(-logprobs[range(len(target)), list(target)].sum())
        with changed_output(block, kl_index, lambda hidden: hidden + delta):
            kl_logprobs = run(lm, kl_query)[kl_index].log_softmax(-1)
        if kl_initial is None:
            kl_initial = kl_logprobs.detach()
        likely = torch.stack(nll).mean() / (divisor or len(target))
        loss = likely + held(editor, h, delta, kl_initial, kl_logprobs)
        if loss < 5e-2:
            break
        if last_takes_no_step and iteration == iterations - 1:
            break
        step(adam, loss, delta, editor.clamp * h.norm())
    return h, delta.detach()


def held(
    editor: LocateThenEdit, h: Tensor, delta: Tensor, kl_initial: Tensor, kl_logprobs: Tensor
) -> Tensor:
    """The parts of the loss that hold an edit back."""
    return editor.divergence * torch.nn.functional.kl_div(
        kl_initial[None], kl_logprobs[None], log_target=True, reduction="batchmean"
    ) + editor.weight_decay * (torch.norm(delta) / torch.norm(h) ** 2)


def step(adam: torch.optim.Adam, loss: Tensor, delta: Tensor, largest: Tensor) -> None:
    """One step of Adam, and the clamp."""
    loss.backward()
    adam.step()
    if delta.norm() > largest:
        with torch.no_grad():
            delta[...] = delta * largest / delta.norm()


def come_z(
    lm: LM,
    request: EditRequest,
    editor: LocateThenEdit,
    contexts: Sequence[str],
    *,
    a: float,
    p: float,
    search: Callable[..., tuple[Tensor, Tensor]] = compute_z,
) -> Tensor:
    """z of one edit as CoME's released code finds it: one search after the other."""
    bare = Query(request.prompt, request.image)
    new = lm.encoder.target_ids(bare, request.target_new)
    old = lm.tokenizer(request.target_true, add_special_tokens=False)["input_ids"]
    _, delta_true = search(
        lm,
        request,
        old,
        editor,
        contexts,
        iterations=int(editor.steps / 2),
        divisor=len(new),
        last_takes_no_step=False,
    )
    h, delta = search(lm, request, new, editor, contexts)
    common = delta / delta.norm() + delta_true / delta_true.norm()
    common = common / common.norm()
    projected = torch.dot(delta_true, common) * common
    target = h + delta
    threshold = torch.kthvalue(target, int((1 - p) * target.numel())).values
    return torch.where(target >= threshold, target - a * delta_true + projected, target)


def keys_of(lm: LM, requests: Sequence[EditRequest], layer: int, contexts: Sequence[str]) -> Tensor:
    """K of one layer, shape (d, n), each the mean over context types of their means."""
    columns = []
    for request in requests:
        types = []
        for kind in ([None], list(contexts)):
            seen: list[Tensor] = []
            for context in kind:
                query = Query(request.prompt, request.image, context)
                index = lookup_index(lm, query, request.subject)
                handle = lm.anatomy.projections[layer].register_forward_pre_hook(
                    lambda _, args, index=index, seen=seen: seen.append(args[0][0, index].detach())
                )
                with torch.no_grad():
                    run(lm, query)
                handle.remove()
            if seen:
                types.append(torch.stack(seen).mean(0))
        columns.append(torch.stack(types).mean(0))
    return torch.stack(columns, dim=1)


def residual_of(
    lm: LM, requests: Sequence[EditRequest], zs: Tensor, editor: LocateThenEdit, i: int
) -> Tensor:
    """The layer's share of what is missing, shape (H, n)."""
    now = []
    for request in requests:
        query = Query(request.prompt, request.image)
        index = lookup_index(lm, query, request.subject)
        now.append(block_output(lm, editor.layers[-1], query, index))
    return (zs - torch.stack(now, dim=1)) / (len(editor.layers) - i)


def add_to_weight(lm: LM, layer: int, update: Tensor) -> None:
    """Add an update of shape (H, d)."""
    projection = lm.anatomy.projections[layer]
    weight = projection.get_parameter("weight")
    with torch.no_grad():
        weight += (update.T if isinstance(projection, Conv1D) else update).to(weight.dtype)


def memit(
    lm: LM,
    requests: Sequence[EditRequest],
    zs: Tensor,
    editor: Any,
    contexts: Sequence[str],
    moments: dict[int, Tensor],
) -> None:
    """Write values zs (H, n) as MEMIT does, into the model itself."""
    for i, layer in enumerate(editor.layers):
        keys = keys_of(lm, requests, layer, contexts).double()
        residual = residual_of(lm, requests, zs, editor, i).double()
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
    moments: dict[int, Tensor],
    cache: dict[int, Tensor],
) -> None:
    """Write values zs (H, n) as AlphaEdit does, into the model and the cache of K_p K_p^T."""
    for i, layer in enumerate(editor.layers):
        u, s, _ = torch.linalg.svd(moments[layer].double(), full_matrices=False)
        null = u[:, s < editor.threshold]
        projector = null @ null.T
        keys = keys_of(lm, requests, layer, contexts).double()
        residual = residual_of(lm, requests, zs, editor, i).double()
        update = torch.linalg.solve(
            projector @ (keys @ keys.T + cache[layer])
            + editor.null_weight * torch.eye(len(keys), dtype=keys.dtype),
            projector @ keys @ residual.T,
        )
        add_to_weight(lm, layer, update.T)
    for layer in editor.layers:
        keys = keys_of(lm, requests, layer, contexts).double()
        cache[layer] = cache[layer] + keys @ keys.T


def second_moment(lm: LM, texts: Sequence[str], layer: int) -> Tensor:
    """E[k k^T] over the tokens of texts, one text at a time."""
    total, tokens = torch.zeros(()), 0
    for text in texts:
        found: list[Tensor] = []

        def note(_: Any, args: Any, found: list[Tensor] = found) -> None:
            found.append(args[0].reshape(-1, args[0].shape[-1]).double())

        handle = lm.anatomy.projections[layer].register_forward_pre_hook(note)
        with torch.no_grad():
            lm.model(input_ids=lm.tokenizer(text, return_tensors="pt")["input_ids"])
        handle.remove()
        total = total + found[0].T @ found[0]
        tokens += len(found[0])
    return total / tokens
