"""The tail of a forward pass: the blocks after one layer, run again without those before it.

What an edit changes begins at one block's output. Everything up to there, a vision tower included,
is the same in every step of an optimisation, so it runs once. So does what later blocks make of the
tokens before those that are changed: no token looks ahead, so their keys and values are kept.
"""

from __future__ import annotations

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

    Attributes:
        hidden: The block's output, shape (B, T, hidden width).
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
        self._decoder = anatomy.decoder
        self._early, self._block = anatomy.blocks[:layer], anatomy.blocks[layer]
        self._owner, self._between = _around_head(lm.model, anatomy.decoder)
        self._calls: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._outputs: dict[nn.Module, Any] = {}
        keep = batch.length - batch.prompt_end + 1
        with ExitStack() as stack, torch.no_grad():
            for module in (self._decoder, self._owner):
                hook = module.register_forward_pre_hook(self._note_call, with_kwargs=True)
                stack.callback(hook.remove)
            for module in (self._block, *self._between):
                stack.callback(module.register_forward_hook(self._note_output).remove)
            logits = lm.forward(batch, keep=keep)
        self.hidden = first(self._outputs[self._block])
        args, kwargs = self._calls[self._owner]
        if "logits_to_keep" in kwargs:
            self._calls[self._owner] = args, {**kwargs, "logits_to_keep": 0}
        self._cut = self._cut_at(start) if start else None
        error = self._error(logits, batch.prompt_end - 1)
        if error is not None and self._cut is not None:
            self._cut = None
            error = self._error(logits, batch.prompt_end - 1)
        if error is not None:
            raise EditError(
                f"{lm.name} computes its logits in a way that editors do not know: from its "
                f"block's output on, they differ by {error:.2g}"
            )

    @property
    def start(self) -> int:
        """The first column that is run again."""
        return 0 if self._cut is None else self._cut.start

    def logits(self, hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The model's logits at n positions, with other states after the block.

        Args:
            hidden: What to put in place of `self.hidden`.
            rows: The positions' rows, shape (n,).
            columns: The positions' columns, shape (n,), from `start` on.

        Returns:
            Shape (n, vocabulary).
        """
        output = self._outputs[self._block]
        replaced: dict[nn.Module, Any] = {
            block: lambda states, *_, **__: with_first(output, states) for block in self._early
        }
        replaced[self._block] = lambda *_, **__: with_first(output, hidden[:, self.start :])
        args, kwargs = self._calls[self._decoder] if self._cut is None else self._cut.call()
        with forwarding(replaced):
            final = first(self._decoder(*args, **kwargs))
        chosen = final[rows.to(final.device), (columns - self.start).to(final.device)][None]
        heads: dict[nn.Module, Any] = {
            module: _giving(_with_final(self._outputs[module], chosen))
            for module in self._between
            if module in self._outputs
        }
        args, kwargs = self._calls[self._owner]
        with forwarding(heads):
            return first(getattr(self._owner(*args, **kwargs), "logits", None))[0]

    def _cut_at(self, start: int) -> _Cut | None:
        """How the decoder goes on from a column, or None where it does not in a way known here."""
        kwargs = _named(self._decoder, *self._calls[self._decoder])
        tensors = {name for name, value in kwargs.items() if _holds_tensors(value)}
        if tensors - _PER_COLUMN.keys() - {"attention_mask"}:
            return None
        mask = kwargs.get("attention_mask")
        if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
            return None
        with torch.no_grad():
            whole = {**kwargs, "use_cache": True, "past_key_values": DynamicCache()}
            cache = getattr(self._decoder(**whole), "past_key_values", None)
        if not isinstance(cache, Cache) or any(type(x) is not DynamicLayer for x in cache.layers):
            return None
        for kept in cast(list[Any], cache.layers):
            kept.keys, kept.values = kept.keys[..., :start, :], kept.values[..., :start, :]
        later = {
            name: _from(kwargs[name], start, axis)
            for name, axis in _PER_COLUMN.items()
            if kwargs.get(name) is not None
        }
        return _Cut(start, {**kwargs, **later, "use_cache": True}, cache)

    def _error(self, logits: Tensor, start: int) -> float | None:
        """How far the tail is off the model's own logits, or None where it is not."""
        length = logits.shape[1]
        rows = torch.arange(len(logits)).repeat_interleave(length)
        columns = torch.arange(start, start + length).repeat(len(logits))
        with torch.no_grad():
            again = self.logits(self.hidden, rows, columns)
        own = logits.flatten(0, 1).float()
        error = (again.to(own.device).float() - own).abs().max()
        near = bool(error <= torch.finfo(logits.dtype).eps ** 0.5 * own.abs().max())
        return None if near else float(error)

    def _note_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls[module] = args, kwargs

    def _note_output(self, module: nn.Module, _: Any, output: Any) -> None:
        self._outputs[module] = output


_PER_COLUMN = {"input_ids": 1, "inputs_embeds": 1, "position_ids": -1, "cache_position": -1}
"""What a decoder is given per column, and the axis of the columns."""


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

    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of one call; it gets a cache of its own, for it adds to it."""
        return (), {**self.kwargs, "past_key_values": copied(self.cache)}


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
        return cast(Any, type(output))(**{**output, "last_hidden_state": final})
    return with_first(output, final)


def _giving(output: Any) -> Any:
    return lambda *_, **__: output
