"""Looking into a forward pass: what goes into and comes out of chosen modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


class Stopped(Exception):  # noqa: N818 - it signals, nothing went wrong
    """Raised inside a forward pass once everything wanted has been seen."""


@dataclass
class Trace:
    """What was seen, by the modules' names.

    Attributes:
        inputs: First inputs, shape (B, T, width).
        outputs: First outputs, shape (B, T, width).
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def traced(
    inputs: Mapping[str, nn.Module] | None = None,
    outputs: Mapping[str, nn.Module] | None = None,
    *,
    stop_at: nn.Module | None = None,
    stop_before: nn.Module | None = None,
) -> Iterator[Trace]:
    """Record inputs and outputs of modules while the context is open.

    Args:
        inputs: Modules whose first input is recorded.
        outputs: Modules whose first output is recorded.
        stop_at: The module after which the forward pass is cut off; the context swallows the
            signal, so what follows the forward inside it is not run.
        stop_before: The module before which it is cut off, its input having been recorded.
    """
    trace = Trace()
    with ExitStack() as stack:
        for name, module in (inputs or {}).items():
            stack.callback(_watch_input(trace, name, module))
        for name, module in (outputs or {}).items():
            stack.callback(_watch_output(trace, name, module))
        if stop_at is not None:
            stack.callback(stop_at.register_forward_hook(_stop).remove)
        if stop_before is not None:
            stack.callback(stop_before.register_forward_pre_hook(_stop).remove)
        with suppress(Stopped):
            yield trace


@contextmanager
def forwarding(forwards: Mapping[nn.Module, Any]) -> Iterator[None]:
    """Give modules other forwards while the context is open.

    A model spread over devices has forwards of its own on the modules; they are put back.
    """
    saved = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.__dict__["forward"] = forward
    try:
        yield
    finally:
        for module, forward in saved.items():
            if forward is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


def first(output: Any) -> Tensor:
    """The hidden states in a block's output, which may be a tensor or a tuple that begins so."""
    return output if isinstance(output, Tensor) else output[0]


def with_first(output: Any, hidden: Tensor) -> Any:
    """A block's output with other hidden states."""
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


def by_rows(hidden: Tensor, rows: int) -> Tensor:
    """Hidden states as (B, T, width); some models flatten the first two before a linear layer."""
    return hidden.reshape(rows, -1, hidden.shape[-1])


def _watch_input(trace: Trace, name: str, module: nn.Module) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        trace.inputs[name] = args[0] if args else kwargs["hidden_states"]

    return module.register_forward_pre_hook(hook, with_kwargs=True).remove


def _watch_output(trace: Trace, name: str, module: nn.Module) -> Any:
    def hook(_: nn.Module, __: Any, output: Any) -> None:
        trace.outputs[name] = first(output)

    return module.register_forward_hook(hook).remove


def _stop(*_: Any) -> None:
    raise Stopped


def stopped(*_: Any, **__: Any) -> None:
    """A forward that cuts a forward pass off; see `traced`."""
    raise Stopped
