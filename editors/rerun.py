"""Running a model again and again from one block on, with all that lies before it done once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from editors.batch import Batch
from editors.lm import LM
from editors.trace import first, forwarding, with_first

Early = Mapping[nn.Module, Any]
"""What modules do in place of their own forwards; see `trace.forwarding`."""

Seen = dict[nn.Module, list[Any]]
"""What modules gave, call by call."""


@contextmanager
def rerunning(lm: LM, batch: Batch, layer: nn.Module) -> Iterator[None]:
    """Let forwards of one batch begin at the block that holds `layer`, while the context is open.

    Args:
        lm: The model.
        batch: The only batch that the model may be given inside.
        layer: The module whose output is changed inside.
    """
    with forwarding(before(lm, batch, layer)):
        yield


def before(lm: LM, batch: Batch, layer: nn.Module) -> Early:
    """What lets forwards of one batch begin at the block that holds `layer`, by `forwarding`.

    What a layer reads does not depend on its own weights. So the blocks before its own, and what
    looks at pictures, run once, and their outputs are given again. A layer outside of all blocks
    changes nothing: every forward runs in full.
    """
    block = _block_of(lm, layer)
    if block is None:
        return {}
    early = lm.anatomy.blocks[:block]
    seen: Seen = {}
    with ExitStack() as hooks, torch.no_grad():
        for module in (*early[-1:], *eyes(lm)):
            hooks.callback(module.register_forward_hook(keeping(seen)).remove)
        lm.forward(batch, keep=1)
    return replaying(seen, early)


def replaying(seen: Seen, early: Sequence[nn.Module]) -> Early:
    """What lets forwards begin behind some blocks, from what the last of them and the eyes gave."""
    forwards = {module: _giving(given[0]) for module, given in seen.items() if len(given) == 1}
    # What the other early blocks give is dropped by the last one; only its kind matters.
    return forwards | {module: _passing_on(seen[early[-1]][0]) for module in early[:-1]}


def _block_of(lm: LM, layer: nn.Module) -> int | None:
    for index, block in enumerate(lm.anatomy.blocks):
        if any(module is layer for module in block.modules()):
            return index
    return None


def eyes(lm: LM) -> list[nn.Module]:
    """Modules beside the decoder and what it is part of, without the head that follows it."""
    decoder, head = lm.anatomy.decoder, lm.model.get_output_embeddings()
    if not lm.sees:
        return []
    around = [m for m in lm.model.modules() if any(part is decoder for part in m.modules())]
    inside = set(decoder.modules())
    return [
        child
        for module in around
        if module not in inside
        for child in module.children()
        if child is not head and not any(child is other for other in around)
    ]


# Outputs are copied, though not the tensors in them: models change the fields of what they got.


def keeping(seen: Seen) -> Any:
    """A forward hook that notes what modules give."""

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        seen.setdefault(module, []).append(copy.copy(output))

    return hook


def _giving(output: Any) -> Any:
    return lambda *_, **__: copy.copy(output)


def _passing_on(like: Any) -> Any:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return with_first(like, first(args[0] if args else kwargs["hidden_states"]))

    return forward
