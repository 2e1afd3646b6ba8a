"""FT: fine-tuning one layer on the new answers, the baseline that every editor is held against.

The weight W of the projection out of one block's MLP descends on

    L(W) = mean over edits of -1/n Σ log p(t_i | prompt, t_1 ... t_i-1)

with Adam. The constrained form (FT+L in ROME, Meng et al. 2022, appendix E.1) keeps every number of
W within ε of what it was before the call:  max |W - W0| <= ε.

The code of MEMIT fine-tunes a whole block instead (`hparams/FT/EleutherAI_gpt-j-6B_wd.json` of
kmeng01/memit, 80426fd: all parameters of GPT-J's block 21, 64 edits a batch, with a weight decay
that follows a power law). Taken over from there are the block's number, 25 steps, the learning rate
of 5e-4 and the loss of 1e-2 from which an edit counts as learned. That one projection alone is
trained is ROME's form, and 8 edits a batch are this project's choice.

`order` decides what the literature's baseline is worth: depth-first, as in the code of ROME, one
edit after another until each is learned, forgets the earlier ones; breadth-first, in epochs over
all edits, is what fine-tuning means elsewhere, and strong ("Fine-tuning Done Right in Model
Editing", arXiv 2509.22072).

The code of ROME (`baselines/ft`, kmeng01/rome) predicts all tokens of the answer at the prompt's
last token, which is right for answers of one token; `objective="prompt_last"` does that too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from editors.anatomy import laid, oriented, parameter_name
from editors.base import EditedModel
from editors.batch import Batch
from editors.codebook import find_layer, require_layer
from editors.lm import LM
from editors.presets import OWN_SEARCH, Kind, Preset, depth_source, listed, listed_sources
from editors.rerun import Early, before
from editors.trace import forwarding
from editors.training import (
    Order,
    Schedule,
    answer_losses,
    descend,
    encoded,
    require_finite,
)
from schemas.errors import require_number, require_one_of
from schemas.records import EditRequest

Objective = Literal["answer", "prompt_last"]
"""`answer`: each token of the answer is predicted behind those before it. `prompt_last`: all of
them at the prompt's last token."""

DEPTH = 0.75
"""Where the layer is in models that nothing was published for, as a share of the depth: GPT-J's."""

KEPT_BYTES = 1 << 30
"""Memory for what earlier layers make of the edits, which is kept from epoch to epoch."""

PAPER: Mapping[Kind, Preset] = MappingProxyType(
    {
        ("gptj", 28, 4096, 50400): Preset(
            "hparams/FT of kmeng01/memit, 80426fd, which train the whole block", {"layer": 21}
        ),
        ("gpt2", 6, 128, 2048): Preset(OWN_SEARCH, {"layer": 5, "learning_rate": 3e-3}, own=True),
    }
)
"""Settings that are not the defaults, by model."""


@dataclass(frozen=True)
class FT:
    """The hyperparameters of fine-tuning; see the module for where the defaults are from.

    Attributes:
        layer: Path of the linear layer, or number of the block whose MLP's projection it is; None
            for the last block's.
        order: Epochs over all edits, or one batch of edits after another.
        learning_rate: Adam's.
        steps: Epochs, or updates per batch of edits, at most.
        batch_size: Edits per update; by default this project's choice.
        norm_constraint: ε, or None for no constraint.
        objective: Where the answer's tokens are predicted.
        reached: The loss under which a batch of edits is left alone.
        seed: Of the order of batches.
    """

    layer: int | str | None = None
    order: Order = "breadth"
    learning_rate: float = 5e-4
    steps: int = 25
    batch_size: int = 8
    norm_constraint: float | None = None
    objective: Objective = "answer"
    reached: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        require_one_of("objective", self.objective, get_args(Objective))
        require_layer(self.layer)
        if self.norm_constraint is not None:
            require_number("norm_constraint", self.norm_constraint, above=0)
        _ = self.schedule

    @property
    def name(self) -> str:
        """`ft`, with `constrained` and `depth` where it is that."""
        parts = ["ft"]
        parts += ["constrained"] if self.norm_constraint is not None else []
        parts += ["depth"] if self.order == "depth" else []
        return "-".join(parts)

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        layer: int | str | None = None,
        order: Order = "breadth",
        learning_rate: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        norm_constraint: float | None = None,
        objective: Objective = "answer",
        reached: float = 0.01,
        seed: int = 0,
    ) -> Self:
        """The settings for a model: what was published for it, but for what is given.

        Args:
            lm: The model.
            layer: See the class, as for all that follows; by default at three quarters of the
                depth.
            order: Epochs over all edits, or one batch after another.
            learning_rate: Adam's.
            steps: Epochs, or updates per batch of edits, at most.
            batch_size: Edits per update.
            norm_constraint: ε.
            objective: Where the answer's tokens are predicted.
            reached: The loss under which a batch of edits is left alone.
            seed: Of the order of batches.

        Raises:
            InputError: If a setting does not exist.
        """
        given = {
            "layer": layer,
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
        }
        settings: dict[str, Any] = {
            "layer": int(DEPTH * len(lm.anatomy.blocks)),
            **listed(lm, PAPER, given),
        }
        return cls(
            order=order,
            norm_constraint=norm_constraint,
            objective=objective,
            reached=reached,
            seed=seed,
            **settings,
        )

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        return {**depth_source(options), **listed_sources(lm, PAPER, options)}

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model: any layer, and rates around the published one."""
        depth = len(lm.anatomy.blocks)
        return {
            "layer": range(depth),
            "learning_rate": (3e-4, 5e-4, 1e-3, 3e-3),
            "steps": (10, 25, 50),
        }

    def apply(self, lm: LM) -> FTModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layer.
        """
        return FTModel(lm, self, find_layer(lm, self.layer))

    @property
    def schedule(self) -> Schedule:
        """How the weight is trained."""
        return Schedule.of(self)


class FTModel(EditedModel):
    """A model with one fine-tuned layer.

    Attributes:
        editor: The hyperparameters.
        layer: The layer.
    """

    def __init__(self, lm: LM, editor: FT, layer: nn.Module) -> None:
        """Take hold of a layer."""
        super().__init__(lm)
        self.editor = editor
        self.layer = layer

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        batches = encoded(self.lm, requests, self.editor.batch_size)
        unedited = oriented(self.layer).detach()
        weight = unedited.float().clone().requires_grad_()
        bias = getattr(self.layer, "bias", None)

        def answer(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            y = args[0].float() @ weight.mT
            return (y if bias is None else y + bias.float()).to(output.dtype)

        def loss(number: int) -> Tensor:
            with forwarding(prefixes(number)):
                return self._losses(batches[number]).mean()

        def project() -> None:
            epsilon = self.editor.norm_constraint
            if epsilon is not None:
                with torch.no_grad():
                    near = unedited.float()
                    weight.copy_(weight.clamp(near - epsilon, near + epsilon))

        prefixes = _Prefixes(self.lm, batches, self.layer)
        handle = self.layer.register_forward_hook(answer)
        try:
            descend([weight], loss, len(batches), self.editor.schedule, project=project)
        finally:
            handle.remove()
        require_finite([weight])
        delta = weight.detach() - unedited.float()
        self.write(parameter_name(self.lm.model, self.layer), laid(self.layer, delta))

    def _losses(self, batch: Batch) -> Tensor:
        """The loss of each row, shape (B,)."""
        if self.editor.objective == "answer":
            return answer_losses(self.lm, batch)
        logits = self.lm.forward(batch, keep=batch.target_ids.shape[1] + 1)[:, 0].float()
        ids, mask = batch.target_ids.to(logits.device), batch.target_mask.to(logits.device)
        losses = -logits.log_softmax(-1).gather(1, ids)
        return (losses * mask).sum(1) / mask.sum(1)


class _Prefixes:
    """What the blocks before a layer make of batches, kept as long as memory allows."""

    def __init__(self, lm: LM, batches: Sequence[Batch], layer: nn.Module) -> None:
        self._lm, self._batches, self._layer = lm, batches, layer
        self._kept: dict[int, Early] = {}
        width = lm.anatomy.hidden_size * 4
        bytes_each = [len(batch.queries) * batch.length * width for batch in batches]
        self._keeps = sum(bytes_each) <= KEPT_BYTES

    def __call__(self, number: int) -> Early:
        found = self._kept.get(number)
        if found is None:
            found = before(self._lm, self._batches[number], self._layer)
            if self._keeps:
                self._kept[number] = found
        return found
