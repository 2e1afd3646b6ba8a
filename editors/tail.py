"""The tail of a forward pass: the blocks after one layer, run again without those before it.

What an edit changes begins at one block's output. Everything up to there, a vision tower included,
is the same in every step of an optimisation, so it runs once. So does what later blocks make of the
tokens before those that are changed: no token looks ahead, so their keys and values are kept. What
the last block makes of tokens that nobody asks about does not matter, so their MLP is left out.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from editors.base import EditError
from editors.batch import Batch
from editors.lm import LM
from editors.reading import copied
from editors.trace import first, forwarding, with_first


class Tail:
    """The part of a model's forward on one batch that follows one block.

    The decoder is called again with the arguments it got, its early blocks replaced by ones that
    pass the states on; the head is called through the module that owns it, with the decoder
    replaced by one that gives back final states. So whatever a family does around its blocks and
    its head (masks, positions, norms, scales, soft caps) happens as in the model itself.

    In the last block only the tokens that are asked about go through the MLP: no later block looks
    at the others.

    Attributes:
        start: The first column that is run again.
        hidden: The block's output from there on, shape (B, T - start, hidden width).
        vocabulary: How many logits there are at a position.
    """

    def __init__(self, lm: LM, batch: Batch, layer: int, start: int = 0) -> None:
        """Run the model once and keep what the tail needs.

        Args:
            lm: The model as it is now.
            batch: What it reads.
            layer: The block whose output the tail begins with.
            start: The first column in which the output will be another, or that is asked about. It
                is made 0 where a model cannot be continued from the middle.

        Raises:
            EditError: If the tail does not give the logits that the model gives.
        """
        anatomy = lm.anatomy
        head = lm.model.get_output_embeddings()
        self.vocabulary = int(head.weight.shape[0])
        self._decoder = anatomy.decoder
        self._early, self._block = anatomy.blocks[:layer], anatomy.blocks[layer]
        self._owner, self._between = _around_head(lm.model, anatomy.decoder)
        self._mlp = _mlp_around(anatomy.blocks[-1], anatomy.projections[-1])
        calls: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        outputs: dict[nn.Module, Any] = {}

        def note_call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls[module] = args, kwargs

        def note_output(module: nn.Module, _: Any, output: Any) -> None:
            outputs[module] = output

        with ExitStack() as stack, torch.no_grad():
            for module in (self._decoder, self._owner):
                hook = module.register_forward_pre_hook(note_call, with_kwargs=True)
                stack.callback(hook.remove)
            for module in (self._block, *self._between):
                stack.callback(module.register_forward_hook(note_output).remove)
            stack.enter_context(forwarding({head: _on_rows(head.forward, _CHECKED)}))
            keep = batch.length - batch.prompt_end + 1
            # A cache without windows: masks see to them.
            caching = {"use_cache": True, "past_key_values": DynamicCache()} if start else {}
            logits, _ = lm.run(batch, keep=keep, **({"use_cache": False} | caching))
        final = first(outputs[self._decoder])[:, batch.prompt_end - 1 :]
        cache = getattr(outputs[self._decoder], "past_key_values", None)
        hidden = first(outputs[self._block])
        # Of what modules gave only the kind is kept, and what else than states is in it.
        nothing = hidden.new_empty(0)
        self._given = with_first(outputs[self._block], nothing)
        self._outputs = {module: _with_final(output, nothing) for module, output in outputs.items()}
        uncached = {"past_key_values": None, "use_cache": False}
        call = _named(self._decoder, *calls[self._decoder])
        self._call = {**call, **{name: v for name, v in uncached.items() if name in call}}
        args, kwargs = calls[self._owner]
        whole = {"logits_to_keep": 0} if "logits_to_keep" in kwargs else {}
        self._owner_call = args, {**kwargs, **whole}
        self._cut = _cut_at(self._call, cache, start, layer) if start else None
        self.hidden = hidden[:, self.start :].contiguous()
        error = self._error(final, logits, batch.prompt_end - 1)
        if error is not None and self._mlp is not None:
            self._mlp = None
            error = self._error(final, logits, batch.prompt_end - 1)
        if error is not None and self._cut is not None:
            self._cut, self.hidden = None, hidden
            error = self._error(final, logits, batch.prompt_end - 1)
        if error is not None:
            raise EditError(
                f"{lm.name} computes its logits in a way that editors do not know: from its "
                f"block's output on, they differ by {error:.2g}"
            )

    @property
    def start(self) -> int:
        """See the class."""
        return 0 if self._cut is None else self._cut.start

    def final(self, hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """What the decoder puts out at n positions, with other states after the block.

        Args:
            hidden: What to put in place of `self.hidden`.
            rows: The positions' rows, shape (n,).
            columns: The positions' columns, shape (n,), from `start` on.

        Returns:
            Shape (n, hidden width).
        """
        given = self._given
        replaced: dict[nn.Module, Any] = {
            block: lambda states, *_, **__: with_first(given, states) for block in self._early
        }
        replaced[self._block] = lambda *_, **__: with_first(given, hidden)
        kwargs = self._call if self._cut is None else self._cut.call()
        place = rows, columns - self.start
        width = hidden.shape[1]
        once = (place[0] * width + place[1]).unique()
        if self._mlp is not None and self._mlp not in replaced:
            replaced[self._mlp] = _at_places(self._mlp.forward, (once // width, once % width))
        with forwarding(replaced):
            final = first(self._decoder(**kwargs))
        return final[place[0].to(final.device), place[1].to(final.device)]

    def head(self, final: Tensor) -> Tensor:
        """The logits of final states, shape (n, hidden width) to (n, vocabulary)."""
        heads: dict[nn.Module, Any] = {
            module: _giving(_with_final(self._outputs[module], final[None]))
            for module in self._between
            if module in self._outputs
        }
        args, kwargs = self._owner_call
        with forwarding(heads):
            return first(getattr(self._owner(*args, **kwargs), "logits", None))[0]

    def logits(self, hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The model's logits at n positions, shape (n, vocabulary); see `final`."""
        return self.head(self.final(hidden, rows, columns))

    def kept(self, rows: Tensor) -> Tail | None:
        """The same for some of the rows, or None where it has to be made anew."""
        if self._cut is None:
            return None
        other = copy.copy(self)
        other._cut = self._cut.kept(rows)
        other.hidden = self.hidden[rows.to(self.hidden.device)]
        return other

    def _error(self, final: Tensor, logits: Tensor, start: int) -> float | None:
        """How far the tail is off the model's own states and logits, or None where it is not.

        Args:
            final: The decoder's output from a column on, shape (B, L, hidden width).
            logits: What the model makes of it in the first rows, shape (few, L, vocabulary).
            start: The column.
        """
        rows, columns = torch.cartesian_prod(
            torch.arange(final.shape[0]), torch.arange(start, start + final.shape[1])
        ).unbind(1)
        with torch.no_grad():
            states = self.final(self.hidden, rows, columns)
            again = self.head(states[: logits.shape[0] * logits.shape[1]])
        return _apart(states, final.flatten(0, 1)) or _apart(again, logits.flatten(0, 1))


_CHECKED = 8
"""Rows of a batch whose logits are compared with the model's own."""


def _apart(found: Tensor, own: Tensor) -> float | None:
    """The largest difference of two tensors, or None where they are as good as equal."""
    precision = torch.finfo(own.dtype).eps ** 0.5
    found, own = found.to(own.device).float(), own.float()
    error = (found - own).abs().max()
    return None if bool(error <= precision * own.abs().max()) else float(error)


def _on_rows(forward: Any, count: int) -> Any:
    return lambda states: forward(states[:count])


def _mlp_around(block: nn.Module, projection: nn.Module) -> nn.Module | None:
    """The part of a block that holds the MLP's projection, or None where there is none."""
    parts = [part for part in block.children() if any(m is projection for m in part.modules())]
    return next((part for part in parts if part is not projection), None)


def _at_places(forward: Any, place: tuple[Tensor, Tensor]) -> Any:
    """An MLP's forward for some tokens alone; it gives 0 for the others."""

    def thin(*states: Tensor) -> Tensor:
        where = place[0].to(states[0].device), place[1].to(states[0].device)
        found = forward(*(given[where][None] for given in states))[0]
        return torch.zeros_like(states[0]).index_put(where, found)

    return thin


def _cut_at(kwargs: Mapping[str, Any], cache: Any, start: int, layer: int) -> _Cut | None:
    """How the decoder goes on from a column, or None where it does not in a way known here."""
    tensors = {name for name, value in kwargs.items() if _holds_tensors(value)}
    if tensors - _PER_COLUMN.keys() - {"attention_mask"}:
        return None
    mask = kwargs.get("attention_mask")
    if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
        return None
    if not isinstance(cache, Cache) or any(type(x) is not DynamicLayer for x in cache.layers):
        return None
    for index, kept in enumerate(cast(list[Any], cache.layers)):
        for name in ("keys", "values"):
            before = getattr(kept, name)[..., :start, :]
            # Nobody looks at the keys of early blocks, but at how many there are.
            early = before[:1].clone().expand_as(before)
            setattr(kept, name, early if index <= layer else before.contiguous())
    later = {
        name: _from(kwargs[name], start, axis)
        for name, axis in _PER_COLUMN.items()
        if kwargs.get(name) is not None
    }
    return _Cut(start, {**kwargs, **later, "use_cache": True}, cache)


_PER_COLUMN = {"input_ids": 1, "inputs_embeds": 1, "position_ids": -1, "cache_position": -1}
"""What a decoder is given per column, and the axis of the columns."""

_PER_ROW = {"input_ids": 0, "inputs_embeds": 0, "position_ids": -2, "attention_mask": 0}
"""What a decoder is given per row, and the axis of the rows."""


@dataclass(frozen=True)
class _Cut:
    """How a decoder goes on from a column.

    Attributes:
        start: The column.
        kwargs: What it is given from there on.
        cache: Keys and values before it.
    """

    start: int
    kwargs: dict[str, Any]
    cache: Cache

    def call(self) -> dict[str, Any]:
        """Arguments of one call; it gets a cache of its own, for it adds to it."""
        return {**self.kwargs, "past_key_values": copied(self.cache)}

    def kept(self, rows: Tensor) -> _Cut:
        """The same for some of the rows."""
        chosen = {
            name: _rows_of(self.kwargs[name], rows, axis)
            for name, axis in _PER_ROW.items()
            if self.kwargs.get(name) is not None
        }
        cache = copied(self.cache)
        for layer in cast(list[Any], cache.layers):
            layer.keys, layer.values = _rows_of(layer.keys, rows), _rows_of(layer.values, rows)
        return _Cut(self.start, {**self.kwargs, **chosen}, cache)


def _named(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a module's forward, all by name."""
    signature = inspect.signature(module.forward)
    named = dict(signature.bind(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named.update(named.pop(name, {}))
    return named


def _from(value: Tensor, start: int, axis: int) -> Tensor:
    return value.narrow(axis, start, value.shape[axis] - start)


def _rows_of(value: Tensor, rows: Tensor, axis: int = 0) -> Tensor:
    """Some rows of a tensor; of one whose rows are the same place in memory, as many."""
    if value.shape[axis] == 1 or value.stride(axis) == 0:
        shape = list(value.shape)
        shape[axis] = len(rows)
        return value.narrow(axis, 0, 1).expand(shape)
    return value.index_select(axis, rows.to(value.device))


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_tensors, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_tensors, value))
    return isinstance(value, Tensor)


def _around_head(model: Any, decoder: nn.Module) -> tuple[nn.Module, list[nn.Module]]:
    """The module that holds the output embeddings, and those from it down to the decoder."""
    head = model.get_output_embeddings()
    owner = next(m for m in model.modules() if any(child is head for child in m.children()))
    names = {id(module): name for name, module in owner.named_modules()}
    path = names[id(decoder)].split(".")
    return owner, [owner.get_submodule(".".join(path[:i])) for i in range(1, len(path) + 1)]


def _with_final(output: Any, final: Tensor) -> Any:
    """A decoder's output with other final states."""
    if isinstance(output, Mapping):
        fields = {**output, "last_hidden_state": final, "past_key_values": None}
        return cast(Any, type(output))(**{n: v for n, v in fields.items() if n in output})
    return with_first(output, final)


def _giving(output: Any) -> Any:
    return lambda *_, **__: output
