"""A codebook beside one linear layer: questions near a key are answered by that entry's copy.

Symbols: B rows of a batch, T columns, n entries, a layer from `fan_in` to `fan_out`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from editors.anatomy import fan_in, fan_out
from editors.base import EditedModel, Groups, Told
from editors.batch import Batch
from editors.copies import Copies, FullCopies, LowRankCopies, Vectors
from editors.keys import Measure, distances, nearest_of, pairwise, prepared, unit
from editors.lm import LM
from editors.prompts import PromptFormat, Query
from editors.routing import Forced, Route, require_mode
from editors.rows import appended, overwritten
from editors.trace import by_rows, traced
from schemas.errors import InputError, require_number
from schemas.records import EditRequest

Key = Literal["prompt", "reference", "last"]
"""What a key is the mean of. `prompt`: the layer's inputs on the prompt's tokens, those of a
picture included. `reference`: as in BalancEdit's code, those on all tokens, the answer's own among
them. `last`: the one on the prompt's last token alone, as in GRACE."""

_LARGE = 4096
"""Entries from which on a codebook is searched by a matrix product first."""

_COMPARED = 1 << 25
"""Distances that are worked out at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A later edit that an entry answers too.

    Attributes:
        request_id: The request.
        question: Its question; see `routing.question_id`.
        key: Its key, shape (fan_in,).
    """

    request_id: str
    question: str
    key: Tensor


@dataclass(frozen=True, slots=True)
class Entry:
    """One edit in a codebook, or several that have one answer.

    Attributes:
        request_id: The request that it holds.
        question: The request's question; see `routing.question_id`.
        radius: How far from its key it answers.
        positive: Distance of the positive sample from the key, or None where the method uses none.
        negative: Distance of the negative sample.
        answer: The new answer, or None where the method does not compare answers.
        merged: Later edits with the same answer that lie within its radius.
    """

    request_id: str
    question: str
    radius: float
    positive: float | None = None
    negative: float | None = None
    answer: str | None = None
    merged: tuple[Merged, ...] = ()

    @property
    def crossed(self) -> bool:
        """Whether the positive sample is not nearer than the negative one."""
        if self.positive is None or self.negative is None:
            return False
        return self.positive >= self.negative


@dataclass(frozen=True)
class Codebook:
    """Entries with their keys and their copies of the layer, all in the same order.

    Attributes:
        entries: n entries.
        keys: Shape (n, fan_in).
        copies: n copies of the layer.
    """

    entries: tuple[Entry, ...]
    keys: Tensor
    copies: Copies

    def __post_init__(self) -> None:
        if not len(self.entries) == len(self.keys) == len(self.copies):
            raise ValueError("a codebook has as many keys and copies as entries")

    def nearest(self, keys: Tensor, measure: Measure) -> tuple[Tensor, Tensor]:
        """Distance and index of the nearest entry of each key, both of shape (B,).

        In a large codebook one matrix product tells which entries can be the nearest, and the exact
        distances of these decide.
        """
        if len(self.entries) < _LARGE:
            distance, index = distances(keys, self.keys, measure).min(dim=1)
            return distance, index
        parts = []
        for chosen in keys.split(max(1, _COMPARED // len(self.entries))):
            if measure == "cosine":
                parts.append((1 - unit(chosen) @ self._prepared(measure).mT).min(dim=1))
            else:
                parts.append(nearest_of(chosen, self.keys, self._prepared(measure)))
        return torch.cat([d for d, _ in parts]), torch.cat([i for _, i in parts])

    def radii(self) -> Tensor:
        """The entries' radii, shape (n,)."""
        return self._radii

    @cached_property
    def _radii(self) -> Tensor:
        return torch.tensor([entry.radius for entry in self.entries], device=self.keys.device)

    @cached_property
    def _search(self) -> dict[Measure, Tensor]:
        """What `_prepared` made."""
        return {}

    def _prepared(self, measure: Measure) -> Tensor:
        """What comparing with all keys needs of each, shape (n, ...); taken over as they grow."""
        if measure not in self._search:
            self._search[measure] = prepared(self.keys, measure)
        return self._search[measure]

    def with_entry(self, index: int, entry: Entry) -> Self:
        """The codebook with another entry for the same key."""
        entries = list(self.entries)
        entries[index] = entry
        changed = replace(self, entries=tuple(entries))
        changed._search.update(self._search)
        return changed

    def with_copies(self, where: Tensor, copies: Copies, own: int) -> Self:
        """The codebook with other copies for some of its entries.

        Args:
            where: The entries.
            copies: Their copies.
            own: The entry from which on nobody else holds the copies; see `rows.overwritten`.
        """
        pairs = zip(self.copies.tensors, copies.tensors, strict=True)
        tensors = (a if a is None or b is None else overwritten(a, where, b, own) for a, b in pairs)
        changed = replace(self, copies=type(self.copies)(*tensors))
        changed._search.update(self._search)
        return changed

    def keeping(self, indices: Sequence[int]) -> Self | None:
        """The codebook with only some of its entries, or None without any."""
        if len(indices) == len(self.entries):
            return self
        if not indices:
            return None
        chosen = torch.tensor(indices, device=self.keys.device)
        return type(self)(
            tuple(self.entries[i] for i in indices), self.keys[chosen], self.copies[chosen]
        )

    def with_more(self, more: Self) -> Self:
        """These entries, then others; see `rows.appended` for what that costs."""
        grown = type(self)(
            self.entries + more.entries,
            appended(self.keys, more.keys),
            self.copies.followed_by(more.copies),
        )
        for measure, known in self._search.items():
            grown._search[measure] = appended(known, prepared(more.keys, measure))
        return grown


@dataclass(frozen=True, slots=True)
class Memory:
    """What a codebook takes beside the model, in bytes.

    Attributes:
        entries: Number of entries.
        keys: Their keys.
        copies: Their copies of the layer, as they are kept.
        full: What whole copies of the layer take.
        low_rank: What changes of the editor's rank take.
    """

    entries: int
    keys: int
    copies: int
    full: int
    low_rank: int


def require_layer(layer: object) -> None:
    """See to it that a setting may name a layer, as `find_layer` takes it.

    Raises:
        InputError: If it is neither a path nor a number.
    """
    if layer is not None and not isinstance(layer, str):
        require_number("layer", layer, whole=True)


def find_layer(lm: LM, layer: int | str | None) -> nn.Module:
    """A linear layer of a model.

    Args:
        lm: The model.
        layer: The path of a linear layer inside a block of the decoder, or the number of a block
            for the projection out of its MLP; the last block's by default.

    Raises:
        InputError: If there is none.
    """
    if not isinstance(layer, str):
        number = len(lm.anatomy.blocks) - 1 if layer is None else layer
        lm.anatomy.require_layers([number])
        return lm.anatomy.projections[number]
    found = dict(lm.model.named_modules()).get(layer)
    inside = any(layer.startswith(f"{block}.") for block in lm.anatomy.block_names)
    if not isinstance(found, nn.Linear | Conv1D) or not inside:
        kind = "no layer" if found is None else f"a {type(found).__name__}"
        kind += "" if found is None or inside else " outside of the blocks"
        example = lm.anatomy.projection_names[-1]
        raise InputError(
            f"{layer!r} is {kind}, not a linear layer of a block such as {example!r}", field="layer"
        )
    return found


_KEPT_BYTES = 2**28
"""Bytes of questions' keys that are kept, about."""

_BRANCH_BYTES = 2**30
"""Bytes of copies that branches may have together."""


class CodebookModel(EditedModel):
    """A model with a codebook at one layer; methods fill the codebook in `_edit`.

    Which entry answers is decided once per row of a batch, from the layer's input to the prompt.
    The steps of a generation follow the decision about its prompt. Rows that no entry answers
    get the layer's own output, untouched.

    Attributes:
        state: The `Codebook`, or None without edits.
        layer: The layer whose output entries replace.
    """

    keeps_weights = True
    state_kinds = (Codebook, Entry, Merged, FullCopies, LowRankCopies, Vectors)
    state: Codebook | None

    def __init__(self, lm: LM, layer: nn.Module, *, key: Key, measure: Measure, rank: int) -> None:
        """Take hold of a layer.

        Args:
            lm: The model.
            layer: The linear layer.
            key: What keys are the mean of.
            measure: How far keys are from each other.
            rank: The rank that `memory` reckons with.
        """
        super().__init__(lm)
        self.state = None
        self.layer = layer
        self._key: Key = key
        self._measure: Measure = measure
        self._rank = rank
        self._forced: Forced | None = None
        self._decided: _Decision | None = None
        self._entry_of: dict[int, int] | None = None  # the one entry of each branch
        self._kept: dict[tuple[PromptFormat, Query], Tensor] = {}
        self.hook(layer, self._answer, shared=key != "reference")

    # Diagnostics ----------------------------------------------------------------------------

    def routing(self, queries: Sequence[Query]) -> list[Route]:
        """The nearest entry of each query, and whether the query is inside its radius."""
        book = self.state
        if book is None or not queries:
            return [Route(None)] * len(queries)
        distance, index = self._nearest(book, self._known(queries), queries)
        routes = []
        for d, i in zip(distance.tolist(), index.tolist(), strict=True):
            if i < 0:
                routes.append(Route(None))
                continue
            entry = book.entries[i]
            fires = d <= entry.radius
            routes.append(
                Route(entry.request_id if fires else None, entry.request_id, d, entry.radius)
            )
        return routes

    def _known(self, queries: Sequence[Query]) -> Tensor:
        """The keys of questions, kept from call to call: no entry changes what the layer reads."""
        form = self.lm.renderer.format
        queries = [replace(query, branch=None) for query in queries]
        new = [q for q in dict.fromkeys(queries) if (form, q) not in self._kept]
        if sum(key.nbytes for key in self._kept.values()) > _KEPT_BYTES:
            self._kept.clear()
            new = list(dict.fromkeys(queries))
        if new:
            self._kept.update(zip(((form, q) for q in new), self.keys(new), strict=True))
        return torch.stack([self._kept[form, query] for query in queries])

    def force(self, mode: Forced | None) -> None:
        """Let the nearest entry answer always ("on"), or none ever ("off"), until the next call.

        Raises:
            InputError: If there is no such mode.
        """
        require_mode(mode)
        self._forced = mode

    def distances(self) -> tuple[Entry, ...]:
        """The entries in the order of their edits, with the distances behind their radii."""
        return () if self.state is None else self.state.entries

    def memory(self) -> Memory:
        """What the codebook takes, and what it would take with either kind of copy."""
        return self._memory(self.state)

    def _memory(self, book: Codebook | None) -> Memory:
        if book is None:
            return Memory(0, 0, 0, 0, 0)
        width = self.layer.get_parameter("weight").element_size()
        count, sizes = len(book.entries), (fan_in(self.layer), fan_out(self.layer))
        bias = sizes[1] if getattr(self.layer, "bias", None) is not None else 0
        return Memory(
            entries=count,
            keys=book.keys.nbytes + sum(m.key.nbytes for e in book.entries for m in e.merged),
            copies=book.copies.nbytes,
            full=count * width * (sizes[0] * sizes[1] + bias),
            low_rank=count * width * self._rank * sum(sizes),
        )

    def diagnostics(self) -> dict[str, float]:
        """Means over the entries, and what they take."""
        return self._told(self.state)

    def _told(self, book: Codebook | None) -> dict[str, float]:
        entries = () if book is None else book.entries
        told = {
            "distance to the positive sample": [e.positive for e in entries],
            "distance to the negative sample": [e.negative for e in entries],
            "radius": [e.radius for e in entries],
            "positive not nearer than negative": [
                None if e.positive is None else float(e.crossed) for e in entries
            ],
        }
        known = {name: [v for v in values if v is not None] for name, values in told.items()}
        means = {name: sum(found) / len(found) for name, found in known.items() if found}
        memory = self._memory(book)
        return {
            **means,
            "bytes of keys": float(memory.keys),
            "bytes of copies": float(memory.copies),
            "bytes of whole copies": float(memory.full),
            "bytes of low-rank copies": float(memory.low_rank),
        }

    # Side by side ---------------------------------------------------------------------------

    def alone(self, requests: Sequence[EditRequest]) -> Codebook:
        """An entry for each request, as it would be in an empty codebook."""
        raise NotImplementedError

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """Those groups, from the first on, that are one request, as far as memory goes."""
        each = self.layer.get_parameter("weight").nbytes
        single = sum(1 for _ in takewhile(lambda group: len(group) == 1, groups))
        return 0 if self.state is not None else min(single, max(1, _BRANCH_BYTES // each))

    @contextmanager
    def _branched(self, groups: Groups) -> Iterator[Told]:
        """One codebook for all branches, of which each sees its own entry alone."""
        book = self.alone([request for group in groups.values() for request in group])
        self.state, self._entry_of = book, {number: i for i, number in enumerate(groups)}
        try:
            yield {number: self._told(book.keeping([i])) for number, i in self._entry_of.items()}
        finally:
            self._entry_of = None

    def _nearest(
        self, book: Codebook, keys: Tensor, queries: Sequence[Query]
    ) -> tuple[Tensor, Tensor]:
        """Distance and index of the nearest entry, the index -1 where a branch has none."""
        if self._entry_of is None:
            return book.nearest(keys, self._measure)
        own = (-1 if q.branch is None else self._entry_of.get(q.branch, -1) for q in queries)
        index = torch.tensor(list(own), device=book.keys.device)
        distance = pairwise(keys, book.keys[index], self._measure)
        return distance.masked_fill(index < 0, torch.inf), index

    # For methods ----------------------------------------------------------------------------

    @torch.no_grad()
    def keys(self, queries: Sequence[Query], answers: Sequence[str] | None = None) -> Tensor:
        """The keys of questions, shape (n, fan_in), in float32.

        Args:
            queries: The questions, at least one.
            answers: Their answers, which only keys of the kind `reference` look at.

        Raises:
            InputError: If one is longer than the model can read.
        """
        if answers is None or self._key != "reference":
            targets: list[list[int]] = [[] for _ in queries]
        else:
            pairs = zip(queries, answers, strict=True)
            targets = [self.lm.encoder.target_ids(query, answer) for query, answer in pairs]
        for query, target in zip(queries, targets, strict=True):
            self.lm.require_fit(query, len(target))

        def run(chosen: list[tuple[Query, list[int]]]) -> list[Tensor]:
            batch = self.lm.encoder.encode([q for q, _ in chosen], [ids for _, ids in chosen])
            with traced({"x": self.layer}, stop_at=self.layer) as trace:
                self.lm.forward(batch, keep=1)
            return list(self._keys_of(batch, trace.inputs["x"]))

        with self.unrouted():
            return torch.stack(
                self.lm.in_batches(
                    list(zip(queries, targets, strict=True)),
                    run,
                    size=lambda pair: self.lm.length_key(pair[0]),
                )
            )

    @torch.no_grad()
    def outputs(self, queries: Sequence[Query]) -> Tensor:
        """What the layer puts out at the questions' last tokens, shape (n, fan_out), in float32."""

        def run(chosen: list[Query]) -> list[Tensor]:
            batch = self.lm.encoder.encode(chosen)
            with traced(outputs={"y": self.layer}, stop_at=self.layer) as trace:
                self.lm.forward(batch, keep=1)
            return list(by_rows(trace.outputs["y"], len(chosen))[:, batch.prompt_end - 1].float())

        with self.unrouted():
            return torch.stack(self.lm.in_batches(list(queries), run, size=self.lm.length_key))

    @contextmanager
    def unrouted(self) -> Iterator[None]:
        """The model as it is without the codebook, while the context is open."""
        before, self._forced = self._forced, "off"
        try:
            yield
        finally:
            self._forced = before

    # In the forward pass --------------------------------------------------------------------

    def _keys_of(self, batch: Batch, x: Tensor) -> Tensor:
        """The mean of a layer's input over what counts of each row, shape (B, fan_in)."""
        x = by_rows(x, len(batch.queries)).float()
        if self._key == "last":
            return x[:, batch.prompt_end - 1]
        mask = batch.prompt_mask
        if self._key == "reference":
            mask = torch.cat([mask[:, : batch.prompt_end], batch.target_mask], dim=1)
        weight = mask.to(x.device, x.dtype)[..., None]
        return (x * weight).sum(1) / weight.sum(1).clamp(min=1)

    @torch.no_grad()
    def _decide(self, batch: Batch, book: Codebook, x: Tensor) -> Tensor:
        """The entry that answers each row, or -1, shape (B,)."""
        batch, rows = batch.read_in or (batch, None)
        decided = self._decided
        if decided is None or not decided.holds(batch, book, self._forced):
            keys = self._keys_of(batch, x).to(book.keys.device)
            distance, index = self._nearest(book, keys, batch.queries)
            if self._forced is None:
                index = index.where(distance <= book.radii()[index], -1)
            decided = _Decision(weakref.ref(batch), book, self._forced, index)
            self._decided = decided
        return decided.index if rows is None else decided.index[rows.to(decided.index.device)]

    def _answer(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        book, batch = self.state, self.lm.current
        if book is None or batch is None or self._forced == "off":
            return None
        index = self._decide(batch, book, args[0])
        rows = (index >= 0).nonzero()[:, 0]
        if not len(rows):
            return None
        x, unedited = (by_rows(hidden, len(index)) for hidden in (args[0], output))
        answered = unedited.clone()
        answered[rows] = book.copies.answer(batch, x[rows], unedited[rows], index[rows])
        return answered.reshape(output.shape)


@dataclass(frozen=True)
class _Decision:
    """Which entry answers each row of one batch; it holds for all forwards of that batch.

    A generation's first forward reads the prompt, and those that follow one token each, which
    says nothing of the question.
    """

    batch: weakref.ref[Batch]
    book: Codebook
    forced: Forced | None
    index: Tensor

    def holds(self, batch: Batch, book: Codebook, forced: Forced | None) -> bool:
        return self.batch() is batch and self.book is book and self.forced == forced
