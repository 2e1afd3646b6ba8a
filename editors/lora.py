"""LoRA: fine-tuning changes of low rank (Hu et al., ICLR 2022), by the library peft.

Every chosen linear layer W (o, d) becomes

    W + α / r · B A        with A (r, d) and B (o, r)

and A and B descend on the mean cross-entropy of the new answers. Between edits the change stands in
the weights themselves, so that answering costs what it did; the adapter is kept beside them, and
later edits go on training the same one: r bounds the rank of all edits together. An edited model
that is saved as a whole holds the change and no adapter, so later edits of it train a new one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from editors.base import EditedModel
from editors.lm import LM
from editors.presets import OWN_SEARCH, Kind, Preset, listed, listed_sources
from editors.training import Order, Schedule, answer_losses, descend, encoded, require_finite
from schemas.errors import InputError, require_number
from schemas.records import EditRequest

PAPER: Mapping[Kind, Preset] = MappingProxyType(
    {
        ("gpt2", 6, 128, 2048): Preset(
            OWN_SEARCH, {"layers": (5,), "learning_rate": 1e-3, "steps": 30}, own=True
        ),
    }
)
"""Settings that are not the defaults, by model."""


@dataclass(frozen=True)
class LoRA:
    """The hyperparameters of LoRA.

    Attributes:
        targets: Endings of the names of the linear layers that are changed, such as `q_proj`; None
            for every linear layer of the blocks.
        layers: The blocks whose layers are changed; None for all.
        rank: r.
        alpha: α.
        order: Epochs over all edits, or one batch of edits after another.
        learning_rate: Adam's.
        steps: Epochs, or updates per batch of edits, at most.
        batch_size: Edits per update.
        reached: The loss under which a batch of edits is left alone.
        seed: Of A, which begins at random, and of the order of batches.
        name: What it is called in reports.
    """

    targets: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None
    rank: int = 8
    alpha: int = 32
    order: Order = "breadth"
    learning_rate: float = 1e-3
    steps: int = 50
    batch_size: int = 8
    reached: float = 0.01
    seed: int = 0
    name: str = "lora"

    def __post_init__(self) -> None:
        require_number("rank", self.rank, whole=True, least=1)
        require_number("alpha", self.alpha, above=0)
        for field in ("targets", "layers"):
            given: Any = getattr(self, field)
            if given is not None:
                several = tuple(given) if isinstance(given, Iterable) else (given,)
                several = (given,) if isinstance(given, str) else several
                object.__setattr__(self, field, several)
        for layer in self.layers or ():
            require_number("layers", layer, whole=True)
        for target in self.targets or ():
            if not isinstance(target, str):
                raise InputError(f"targets are names of layers, not {target!r}", field="targets")
        _ = self.schedule

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        targets: tuple[str, ...] | None = None,
        layers: tuple[int, ...] | None = None,
        rank: int | None = None,
        alpha: int | None = None,
        order: Order = "breadth",
        learning_rate: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        reached: float = 0.01,
        seed: int = 0,
    ) -> Self:
        """The settings for a model: those known to suit it, but for what is given.

        Args:
            lm: The model.
            targets: See the class, as for all that follows.
            layers: The blocks whose layers are changed.
            rank: r.
            alpha: α.
            order: Epochs over all edits, or one batch after another.
            learning_rate: Adam's.
            steps: Epochs, or updates per batch of edits, at most.
            batch_size: Edits per update.
            reached: The loss under which a batch of edits is left alone.
            seed: Of A, and of the order of batches.

        Raises:
            InputError: If a setting does not exist.
        """
        given = {
            "layers": layers,
            "rank": rank,
            "alpha": alpha,
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
        }
        settings: dict[str, Any] = {
            **listed(lm, PAPER, given),
        }
        return cls(targets=targets, order=order, reached=reached, seed=seed, **settings)

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        return listed_sources(lm, PAPER, options)

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model."""
        depth = len(lm.anatomy.blocks)
        return {
            "layers": (None, tuple(range(depth // 2, depth))),
            "learning_rate": (1e-4, 3e-4, 1e-3, 3e-3),
            "rank": (4, 8, 16),
        }

    def apply(self, lm: LM) -> LoRAModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layers.
        """
        return LoRAModel(lm, self, self._names(lm))

    def _names(self, lm: LM) -> tuple[str, ...]:
        """The paths of the layers that are changed."""
        anatomy = lm.anatomy
        numbers = range(len(anatomy.blocks)) if self.layers is None else self.layers
        anatomy.require_layers(list(numbers))
        found = [
            f"{anatomy.block_names[i]}.{name}"
            for i in numbers
            for name, module in anatomy.blocks[i].named_modules()
            if isinstance(module, nn.Linear | Conv1D)
        ]
        if self.targets is None:
            return tuple(found)
        endings = {
            ending: [n for n in found if n.endswith(f".{ending}")] for ending in self.targets
        }
        for ending, names in endings.items():
            if not names:
                known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in found}))
                raise InputError(
                    f"the blocks have no linear layer {ending!r}; they have {known}",
                    field="targets",
                )
        chosen = {name for names in endings.values() for name in names}
        return tuple(name for name in found if name in chosen)

    @property
    def schedule(self) -> Schedule:
        """How the adapter is trained."""
        return Schedule.of(self)


@dataclass(frozen=True)
class Adapter:
    """An adapter, by the paths of the layers that it changes.

    Attributes:
        down: A, each of shape (r, d).
        up: B, each of shape (o, r).
    """

    down: dict[str, Tensor]
    up: dict[str, Tensor]


class LoRAModel(EditedModel):
    """A model with an adapter in its weights.

    Attributes:
        state: The adapter; None without edits.
        editor: The hyperparameters.
    """

    state_kinds = (Adapter,)
    state_in_weights = True
    state: Adapter | None

    def __init__(self, lm: LM, editor: LoRA, names: Sequence[str]) -> None:
        """Take hold of some layers."""
        super().__init__(lm)
        self.state = None
        self.editor = editor
        self._names = tuple(names)

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        batches = encoded(self.lm, requests, self.editor.batch_size)
        before = self.state
        with self.unedited(), self._adapted(before) as layers:
            down = {name: layer.lora_A[_NAME].weight for name, layer in layers.items()}
            up = {name: layer.lora_B[_NAME].weight for name, layer in layers.items()}
            descend(
                [*down.values(), *up.values()],
                lambda number: answer_losses(self.lm, batches[number]).mean(),
                len(batches),
                self.editor.schedule,
            )
            adapter = Adapter(*({n: t.detach().clone() for n, t in p.items()} for p in (down, up)))
            changes = {
                name: layer.get_delta_weight(_NAME).detach() for name, layer in layers.items()
            }
        require_finite([*adapter.down.values(), *adapter.up.values()])
        for name, change in changes.items():
            weight = f"{name}.weight"
            original = self._originals.get(weight)
            written = 0 if original is None else self._parameter(weight).float() - original.float()
            self.write(weight, change - written)
        self.state = adapter

    @contextmanager
    def _adapted(self, adapter: Adapter | None) -> Iterator[dict[str, Any]]:
        """Give the model an adapter, new or as it was, while the context is open; its layers."""
        from peft import LoraConfig, LoraModel

        model, editor = self.lm.model, self.editor
        config = LoraConfig(
            r=editor.rank, lora_alpha=editor.alpha, target_modules=list(self._names)
        )
        had = "peft_config" in model.__dict__
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # that GPT-2's layers keep their weights transposed
            torch.manual_seed(editor.seed)
            wrapped: Any = LoraModel(model, config, _NAME)
        try:
            layers = {name: model.get_submodule(name) for name in self._names}
            for name, layer in layers.items():
                pairs = ((layer.lora_A, "down"), (layer.lora_B, "up"))
                for part, kind in pairs:
                    part.float()  # Adam's small numbers vanish in half precision
                    if adapter is not None:
                        part[_NAME].weight.data.copy_(getattr(adapter, kind)[name])
            yield layers
        finally:
            wrapped.unload()
            if not had:
                model.__dict__.pop("peft_config", None)


_NAME = "edits"
"""What peft calls the adapter."""
