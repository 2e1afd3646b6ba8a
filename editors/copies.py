"""Copies of one linear layer, each trained on one edit, and many of them trained at once.

Symbols: n copies, B rows of a batch, T columns, a layer from `fan_in` to `fan_out`, rank r.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from editors.anatomy import dtype_of, fan_in, fan_out, oriented
from editors.base import EditError
from editors.batch import Batch
from editors.lm import LM
from editors.prompts import Query
from editors.rerun import rerunning
from editors.rows import appended
from editors.trace import by_rows, traced
from editors.training import answer_losses

Value = Literal["full", "low_rank"]
"""`full`: a whole copy of the layer. `low_rank`: the layer and a change of low rank."""

_GATHERED_BYTES = 256 << 20
"""Weights that are put side by side for one multiplication; bounds the memory of an answer."""

_TRAINED_BYTES = 2 << 30
"""Memory for weights, gradients and Adam's moments of copies that are trained at once, on a
processor; on an accelerator it is half of what is free."""


@dataclass(frozen=True)
class Copies:
    """n changed versions of one layer, held as tensors whose first dimension counts them."""

    def __len__(self) -> int:
        return len(self.parameters[0])

    def __getitem__(self, chosen: Tensor | slice) -> Self:
        return self.map(lambda tensor: tensor[chosen])

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """All that they are made of."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What is trained."""
        raise NotImplementedError

    @property
    def reach(self) -> float:
        """How much larger a step they need to move the output as far as a full copy's step does."""
        return 1.0

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(tensor.nbytes for tensor in self.tensors if tensor is not None)

    def output(self, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """What the copies give in the layer's place.

        Args:
            x: The layer's input, shape (B, T, fan_in).
            unedited: The layer's own output, shape (B, T, fan_out).
            which: The copy of each row, shape (B,).
        """
        raise NotImplementedError

    def answer(self, batch: Batch, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """What takes the place of the layer's output in a forward of a batch; see `output`.

        Args:
            batch: What the model reads, or some rows of it: its columns count.
            x: The layer's input, shape (B, T, fan_in).
            unedited: The layer's own output, shape (B, T, fan_out).
            which: The copy of each row, shape (B,).
        """
        del batch
        return self.output(x, unedited, which)

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The copies with every tensor put through a function."""
        return type(self)(*(t if t is None else change(t) for t in self.tensors))

    def followed_by(self, others: Copies) -> Self:
        """These copies, then others of the same kind; see `rows.appended`."""
        pairs = zip(self.tensors, others.tensors, strict=True)
        return type(self)(*(None if a is None or b is None else appended(a, b) for a, b in pairs))

    def replaced(self, others: Copies, where: Tensor) -> Self:
        """These copies, with others of the same kind in their place where a mask says so.

        Args:
            others: As many copies.
            where: Shape (n,), True where the others count.
        """
        pairs = zip(self.tensors, others.tensors, strict=True)
        return type(self)(
            *(
                None
                if own is None or other is None
                else torch.where(where.view(-1, *[1] * (own.ndim - 1)), other, own)
                for own, other in pairs
            )
        )


AnyCopies = TypeVar("AnyCopies", bound=Copies)


def joined(parts: Sequence[AnyCopies]) -> AnyCopies:
    """The copies of all parts, in order; the parts are of one kind, and at least one."""
    columns = zip(*(part.tensors for part in parts), strict=True)
    return type(parts[0])(*(None if c[0] is None else torch.cat(c) for c in columns))


@dataclass(frozen=True)
class FullCopies(Copies):
    """Whole copies of a layer, as in the paper.

    Attributes:
        weight: Shape (n, fan_out, fan_in).
        bias: Shape (n, fan_out), or None.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, layer: nn.Module, count: int) -> Self:
        """Untrained copies."""
        bias = getattr(layer, "bias", None)
        return cls(
            oriented(layer).detach().expand(count, -1, -1),
            None if bias is None else bias.detach().expand(count, -1),
        )

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Weights and biases."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def output(self, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """The copies' outputs; the layer's own is not needed."""
        y = multiplied(x.to(self.weight.dtype), self.weight, which)
        return (y if self.bias is None else y + self.bias[which, None]).to(unedited.dtype)


@dataclass(frozen=True)
class LowRankCopies(Copies):
    """The layer itself and, for each copy, a change up @ down of its weight.

    `down` is not trained: its rows are an orthonormal basis of what the layer reads where the
    edit's answer is predicted. The gradient of a full copy's weight is a sum of outer products
    with exactly these inputs, so that plain gradient descent on it would stay in their span.

    Attributes:
        up: Shape (n, fan_out, r).
        down: Shape (n, r, fan_in).
    """

    up: Tensor
    down: Tensor

    @classmethod
    def of(cls, layer: nn.Module, count: int, rank: int) -> Self:
        """Copies without a change, and without a basis as yet."""
        weight = oriented(layer)
        return cls(
            weight.new_zeros(count, fan_out(layer), rank),
            weight.new_zeros(count, rank, fan_in(layer)),
        )

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The factors towards the output."""
        return (self.up,)

    def output(self, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """The layer's own output and the copies' changes to it."""
        inner = multiplied(x.to(self.down.dtype), self.down, which)
        return unedited + multiplied(inner, self.up, which).to(unedited.dtype)

    def with_basis(self, inputs: Sequence[Tensor]) -> Self:
        """The same changes over a basis that holds the given inputs.

        Where the inputs and an earlier change have more than r directions together, the weakest
        ones are dropped, those of the earlier change first.

        Args:
            inputs: For each copy, what its layer reads, shape (positions, fan_in).
        """
        rank = self.down.shape[1]
        bases = []
        for x, up, down in zip(inputs, self.up, self.down, strict=True):
            basis = _directions(x.to(down), rank)
            rest = down - down @ basis.mT @ basis
            # The change is up @ down = Q R down with orthonormal Q, so its own directions are
            # those of the small matrix R down.
            small = torch.linalg.qr(up).R @ rest
            basis = torch.cat([basis, _directions(small, rank - len(basis))])
            bases.append(F.pad(basis, (0, 0, 0, rank - len(basis))))
        fresh = torch.stack(bases)
        return type(self)(self.up @ (self.down @ fresh.mT), fresh)


@dataclass(frozen=True)
class Vectors(Copies):
    """One vector in place of the layer's output from the prompt's last token on, as in GRACE.

    What the layer makes of the tokens before is left as it is, since it is nothing that predicts
    the answer. In GRACE's terms `replace_last`, over the tokens of the answer too.

    Attributes:
        values: Shape (n, fan_out).
    """

    values: Tensor

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The vectors."""
        return (self.values,)

    def output(self, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """The vector of each row in every column."""
        return self.values[which, None].to(unedited.dtype).expand_as(unedited)

    def answer(self, batch: Batch, x: Tensor, unedited: Tensor, which: Tensor) -> Tensor:
        """The layer's own output up to the prompt's last token, from there on the vector."""
        # A forward of the whole batch holds the prompt; those that follow it read what is behind.
        whole = batch.read_in is None and unedited.shape[1] == batch.length
        start = batch.prompt_end - 1 if whole else 0
        behind = self.output(x[:, start:], unedited[:, start:], which)
        return torch.cat([unedited[:, :start], behind], dim=1)


def _directions(rows: Tensor, most: int) -> Tensor:
    """An orthonormal basis of the span of rows, its strongest directions first, shape (<= most, d).

    Directions without strength of their own, as of repeated rows, are left out.
    """
    _, strength, basis = torch.linalg.svd(rows, full_matrices=False)
    floor = 1e-5 * rows.abs().amax().clamp(min=1e-30) * max(rows.shape) ** 0.5
    return basis[: min(most, int((strength > floor).sum()))]


def multiplied(x: Tensor, weight: Tensor, which: Tensor) -> Tensor:
    """Each row of x times a matrix of its own, rows with the same matrix together.

    Args:
        x: Shape (B, T, fan_in).
        weight: Shape (n, fan_out, fan_in).
        which: Index into `weight` for each row, shape (B,).

    Returns:
        Shape (B, T, fan_out).
    """
    used, group = which.unique(return_inverse=True)
    counts = group.bincount(minlength=len(used))
    order = group.argsort(stable=True)
    slot = torch.empty_like(group)
    slot[order] = (
        torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group[order]]
    )
    result = x.new_empty(*x.shape[:2], weight.shape[1])
    at_once = max(1, _GATHERED_BYTES // max(1, weight[:1].nbytes))
    for start in range(0, len(used), at_once):
        rows = ((group >= start) & (group < start + at_once)).nonzero()[:, 0]
        place = (group[rows] - start, slot[rows])
        matrices = weight[used[start : start + at_once]]
        deepest = int(counts[start : start + at_once].max())
        stacked = x.new_zeros(len(matrices), deepest, *x.shape[1:]).index_put(place, x[rows])
        y = stacked.flatten(1, 2) @ matrices.mT
        result = result.index_put((rows,), y.unflatten(1, (deepest, x.shape[1]))[place])
    return result


def train(
    lm: LM,
    layer: nn.Module,
    examples: Sequence[tuple[Query, str]],
    start: AnyCopies,
    *,
    learning_rate: float,
    steps: int,
    epsilon: float,
) -> AnyCopies:
    """Train one copy per example, all of them together, on the answers' tokens alone.

    Each copy minimises the mean cross-entropy of its own answer. The losses are added up, so that
    a copy's gradient, and with it Adam's path, is the same in whatever company it is trained.
    Training is in float32; what comes back has the layer's own precision.

    Args:
        lm: The model, whose weights are left alone.
        layer: The layer that the copies replace.
        examples: Question and new answer of each edit, at least one.
        start: What training begins with, one copy per example.
        learning_rate: Adam's, for the weight of a full copy.
        steps: Updates.
        epsilon: Adam's.

    Raises:
        InputError: If a question and its answer are longer than the model can read.
        EditError: If training diverges.
    """
    for query, answer in examples:
        lm.require_fit(query, len(lm.encoder.target_ids(query, answer)))
    # Five tensors of float32: weights, gradients, two moments, and what a step makes of them.
    numbers = sum(tensor[0].numel() for tensor in start.parameters)
    at_once = max(1, _trainable_bytes(layer) // (5 * 4 * numbers))

    def run(chosen: list[int]) -> list[AnyCopies]:
        trained: list[AnyCopies] = []
        for first in range(0, len(chosen), at_once):
            part = chosen[first : first + at_once]
            rows = torch.tensor(part)
            copies = _train_batch(
                lm,
                layer,
                [examples[i] for i in part],
                start.map(lambda t, rows=rows: t[rows.to(t.device)].float()),
                learning_rate,
                steps,
                epsilon,
            )
            trained += [copies[i : i + 1] for i in range(len(part))]
        return trained

    parts = lm.in_batches(
        list(range(len(examples))),
        run,
        size=lambda i: lm.length_key(examples[i][0]),
    )
    return joined(parts)


def _train_batch(
    lm: LM,
    layer: nn.Module,
    examples: Sequence[tuple[Query, str]],
    start: AnyCopies,
    learning_rate: float,
    steps: int,
    epsilon: float,
) -> AnyCopies:
    batch = lm.encode([query for query, _ in examples], [answer for _, answer in examples])
    which = torch.arange(len(examples))
    with rerunning(lm, batch, layer), torch.enable_grad():
        if isinstance(start, LowRankCopies):
            start = start.with_basis(_answer_inputs(lm, layer, batch))
        copies = start.map(torch.clone)
        for parameter in copies.parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.Adam(
            copies.parameters, lr=learning_rate * copies.reach, eps=epsilon
        )

        def replace(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            rows = len(batch.queries)
            x, unedited = by_rows(args[0], rows), by_rows(output, rows)
            return copies.answer(batch, x, unedited, which.to(x.device)).reshape(output.shape)

        handle = layer.register_forward_hook(replace)
        try:
            for _ in range(steps):
                optimizer.zero_grad()
                answer_losses(lm, batch).sum().backward()
                optimizer.step()
        finally:
            handle.remove()
    for row, (query, _) in enumerate(examples):
        if not all(bool(p[row].isfinite().all()) for p in copies.parameters):
            raise EditError(f"training on {query.prompt!r} diverged; lower the learning rate")
    return copies.map(lambda t: t.detach().to(dtype_of(layer)))


@torch.no_grad()
def _answer_inputs(lm: LM, layer: nn.Module, batch: Batch) -> list[Tensor]:
    """What a layer reads where each answer's tokens are predicted, shapes (n, fan_in)."""
    with traced({"x": layer}, stop_at=layer) as trace:
        lm.forward(batch, keep=1)
    x = by_rows(trace.inputs["x"], len(batch.queries))[:, batch.prompt_end - 1 : -1]
    return [row[mask.to(row.device)] for row, mask in zip(x, batch.target_mask, strict=True)]


def _trainable_bytes(layer: nn.Module) -> int:
    device = layer.get_parameter("weight").device
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return _TRAINED_BYTES
