"""Where a model keeps its facts: the decoder's blocks and the projection out of each MLP.

Everything is found by structure: the module that holds the token embeddings holds the list of
blocks, and the last projection of a block back to the hidden width is that of its MLP. No model is
known by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from schemas.errors import InputError


@dataclass(frozen=True)
class Anatomy:
    """The parts of a dense decoder that editors touch.

    Attributes:
        decoder: The text decoder, which holds embeddings and blocks.
        block_names: The blocks' paths in the model, in order.
        blocks: The blocks.
        projections: In each block, the linear layer from the MLP's width back to the hidden width.
        projection_names: Their paths in the model.
        hidden_size: Width of the hidden states.
        mlp_size: Width of the MLPs.
    """

    decoder: nn.Module
    block_names: tuple[str, ...]
    blocks: tuple[nn.Module, ...]
    projections: tuple[nn.Module, ...]
    projection_names: tuple[str, ...]
    hidden_size: int
    mlp_size: int

    @classmethod
    def of(cls, model: PreTrainedModel | nn.Module) -> Anatomy:
        """Find the parts of a model.

        Raises:
            InputError: If it is an encoder-decoder, a mixture of experts, a state-space model, or
                has no blocks with an MLP each; the message lists what was found.
        """
        kind = type(model).__name__
        config = getattr(model, "config", None)
        if config is not None and getattr(config, "is_encoder_decoder", False):
            raise InputError(f"{kind} is an encoder-decoder; editors need a decoder-only model")
        names = {id(module): name for name, module in model.named_modules()}
        decoder, blocks = _decoder(model, kind)
        hidden = _hidden_size(model)
        projections = [_projection(kind, names[id(block)], block, hidden) for block in blocks]
        widths = {fan_in(projection) for projection in projections}
        if len(widths) != 1:
            found = ", ".join(map(str, sorted(widths)))
            raise InputError(f"the MLPs of {kind} have different widths: {found}")
        return cls(
            decoder=decoder,
            block_names=tuple(names[id(block)] for block in blocks),
            blocks=tuple(blocks),
            projections=tuple(projections),
            projection_names=tuple(names[id(projection)] for projection in projections),
            hidden_size=hidden,
            mlp_size=widths.pop(),
        )

    def require_layers(self, layers: Sequence[int]) -> None:
        """See to it that the model has these layers.

        Raises:
            InputError: If not, or if they are not ascending.
        """
        if not layers or list(layers) != sorted(set(layers)):
            raise InputError(f"layers must be ascending and at least one, found {list(layers)}")
        if layers[0] < 0 or layers[-1] >= len(self.blocks):
            raise InputError(
                f"the model has layers 0 to {len(self.blocks) - 1}, not {list(layers)}"
            )


def fan_in(projection: nn.Module) -> int:
    """Width of a linear layer's input."""
    return oriented(projection).shape[1]


def fan_out(projection: nn.Module) -> int:
    """Width of a linear layer's output."""
    return oriented(projection).shape[0]


def oriented(projection: nn.Module) -> Tensor:
    """A linear layer's weight as a view of shape (outputs, inputs).

    GPT-2's `Conv1D` keeps it the other way round. The type decides, not the shape: a square weight
    would not tell.
    """
    weight = projection.get_parameter("weight")
    return weight.t() if isinstance(projection, Conv1D) else weight


def laid(projection: nn.Module, change: Tensor) -> Tensor:
    """A change of shape (outputs, inputs) as a linear layer keeps its weight."""
    return change.t() if isinstance(projection, Conv1D) else change


def _decoder(model: nn.Module, kind: str) -> tuple[nn.Module, list[nn.Module]]:
    """The parent of the token embeddings, and its longest list of modules."""
    embeddings = model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
    for module in model.modules():
        if embeddings is not None and any(child is embeddings for child in module.children()):
            lists = [child for child in module.children() if isinstance(child, nn.ModuleList)]
            if lists:
                return module, list(max(lists, key=len))
            found = ", ".join(f"{n} ({type(c).__name__})" for n, c in module.named_children())
            raise InputError(f"{kind} has no list of blocks beside its embeddings, only {found}")
    raise InputError(f"{kind} has no token embeddings, and so no decoder that can be edited")


def _hidden_size(model: nn.Module) -> int:
    assert isinstance(model, PreTrainedModel)
    return int(model.config.get_text_config(decoder=True).hidden_size)


def _projection(kind: str, name: str, block: nn.Module, hidden: int) -> nn.Module:
    """The last projection to the hidden width in a block, which is that of the MLP."""
    modules = list(block.named_modules())
    kinds = sorted({type(module).__name__ for _, module in modules})
    found = f"its block {name} holds {', '.join(kinds)}"
    if any(isinstance(module, nn.Conv1d) for _, module in modules) or any(
        parameter.endswith("A_log") for parameter, _ in block.named_parameters()
    ):
        raise InputError(f"{kind} is a state-space model, which editors do not know: {found}")
    if any(p.ndim == 3 for p in block.parameters()) or any(
        isinstance(module, nn.ModuleList) and len(module) > 1 for _, module in modules
    ):
        raise InputError(f"{kind} is a mixture of experts, which editors do not know: {found}")
    linear = [m for _, m in modules if isinstance(m, nn.Linear | Conv1D)]
    outward = [m for m in linear if fan_out(m) == hidden]
    # A block without an MLP ends with the attention's projection, whose siblings are as many
    # inputs of the same width; an MLP has something that widens to what the projection reads.
    if not outward or not any(
        fan_in(m) == hidden and fan_out(m) in (fan_in(outward[-1]), 2 * fan_in(outward[-1]))
        for m in linear
    ):
        raise InputError(f"{kind} has no MLP that can be found: {found}")
    return outward[-1]


def parameter_name(model: nn.Module, projection: nn.Module) -> str:
    """The path of a linear layer's weight in the model."""
    weight = projection.get_parameter("weight")
    for name, parameter in model.named_parameters():
        if parameter is weight:
            return name
    raise KeyError("the projection is not part of the model")


def dtype_of(projection: nn.Module) -> torch.dtype:
    """The dtype of a linear layer's weight."""
    return projection.get_parameter("weight").dtype
