"""The training loop: one schedule, two optimisers, checkpoints that take up where they stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from schemas.errors import InputError
from schemas.layout import atomic_write, read_json, write_json

REPORT = "training.json"
"""What a finished training leaves beside the model: its recipe, and what the model knows."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        steps: Updates in all.
        rate: Learning rate at its highest.
        warmup: Updates until it is reached.
        decay: Share of the updates, at the end, over which it falls to zero.
        weight_decay: Decay of the weights, times the rate.
        watch_every: Updates between two measurements.
        save_every: Updates between two checkpoints.
        parts: Parts of a batch. Processes share them out; the result does not depend on how.
    """

    steps: int
    rate: float
    warmup: int = 50
    decay: float = 0.4
    weight_decay: float = 0.05
    watch_every: int = 200
    save_every: int = 200
    parts: int = 2

    def factor(self, step: int) -> float:
        """Share of the highest rate at an update, counted from 0."""
        falling = max(1.0, self.steps * self.decay)
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / falling)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is.

    Attributes:
        step: Updates done.
        loss: Mean loss since the last measurement.
        measured: What was measured, by name; empty between measurements.
    """

    step: int
    loss: float
    measured: Mapping[str, float]


def train(
    model: nn.Module,
    loss_at: Callable[[int, int], Tensor],
    plan: Plan,
    folder: Path,
    *,
    recipe: str,
    watch: Callable[[], Mapping[str, float]],
    name: str = "training",
) -> Iterator[Progress]:
    """Train a model, step by step; the caller may stop at any of them.

    A checkpoint in the folder is taken up, with the optimisers' state, so that a training that was
    interrupted ends with the weights it would have had (on the same machine).

    Args:
        model: What to train, in place.
        loss_at: The loss of one step and one part of its batch; its data derive from these two
            numbers alone.
        plan: How long and how fast.
        folder: Where checkpoint and log go.
        recipe: Digest of all that decides the result; a checkpoint of another one is refused.
        watch: Measures the model.
        name: What checkpoint and log are called.

    Raises:
        InputError: If the folder holds the checkpoint of another recipe.
    """
    optimisers = _optimisers(model, plan)
    checkpoint = checkpoint_of(folder, name)
    start = _load(checkpoint, model, optimisers, recipe) if checkpoint.is_file() else 0
    folder.mkdir(parents=True, exist_ok=True)
    losses: list[float] = []
    began = time.monotonic()
    first = leads()
    for step in range(start, plan.steps):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * plan.factor(step)
        model.train()
        losses.append(_accumulate(model, loss_at, step, plan.parts))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        done = step + 1
        measured: Mapping[str, float] = {}
        if first and (done % plan.watch_every == 0 or done == plan.steps):
            model.eval()
            measured = watch()
            row = {"step": done, "loss": round(sum(losses) / len(losses), 4), **measured}
            row["seconds"] = round(time.monotonic() - began)
            with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        if first and (done % plan.save_every == 0 or done == plan.steps):
            _save(checkpoint, model, optimisers, recipe, done)
        yield Progress(done, sum(losses) / len(losses), measured)
        if measured:
            losses.clear()


def leads() -> bool:
    """Whether this process measures and writes: the only one, or the first of several."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def checkpoint_of(folder: Path, name: str = "training") -> Path:
    """Where a training keeps its checkpoint."""
    return folder / f"{name}.checkpoint.safetensors"


def finished(folder: Path, digest: str) -> bool:
    """Whether the folder holds what a recipe makes."""
    report = folder / REPORT
    return report.is_file() and read_json(report).get("digest") == digest


def finish(
    folder: Path,
    digest: str,
    recipe: Mapping[str, Any],
    measured: Mapping[str, float],
    names: Sequence[str] = ("training",),
) -> None:
    """Report a finished training, and take away its checkpoints.

    Args:
        folder: Where the model is.
        digest: Digest of the recipe.
        recipe: What was made.
        measured: What the model knows, as it was saved.
        names: The trainings whose checkpoints go.
    """
    write_json(folder / REPORT, {"digest": digest, "recipe": recipe, "measured": measured})
    for name in names:
        checkpoint_of(folder, name).unlink(missing_ok=True)


def _accumulate(
    model: nn.Module, loss_at: Callable[[int, int], Tensor], step: int, parts: int
) -> float:
    """Put the gradient of a whole batch on the model, and give its loss.

    Several processes (`torchrun`) each take their share of the parts. One thread in each is faster
    than as many threads in one wherever other programs want the same cores: threads wait for each
    other after every product, processes once in a step.
    """
    shared = distributed.is_initialized()
    rank, count = (distributed.get_rank(), distributed.get_world_size()) if shared else (0, 1)
    total = torch.zeros(1, device=next(model.parameters()).device)
    for part in range(rank, parts, count):
        loss = loss_at(step, part) / parts
        loss.backward()
        total += loss.detach()
    if shared:
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([total, *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        total, *rest = flat.split([1, *(gradient.numel() for gradient in gradients)])
        for gradient, mean in zip(gradients, rest, strict=True):
            gradient.copy_(mean.view_as(gradient))
    return float(total)


def _optimisers(model: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the weights inside the blocks, AdamW for embeddings, norms and biases.

    Muon updates all directions of a weight alike, so that facts seen rarely are learned almost as
    fast as frequent ones: half the tokens do what AdamW alone needs.
    """
    inner: list[nn.Parameter] = []
    outer: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_inner = parameter.ndim == 2 and "embed" not in name and ".wpe" not in name
            is_inner = is_inner and ".wte" not in name and "head" not in name
            (inner if is_inner else outer).append(parameter)
    made: list[torch.optim.Optimizer] = []
    if inner:
        made.append(
            torch.optim.Muon(
                inner,
                lr=plan.rate,
                weight_decay=plan.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if outer:
        made.append(
            torch.optim.AdamW(
                outer, lr=plan.rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98)
            )
        )
    for optimiser in made:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return made


def _save(
    path: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], recipe: str, step: int
) -> None:
    from safetensors.torch import save

    # Tied weights are one tensor under two names, which the format does not take.
    tensors = {f"model.{n}": p.detach().clone() for n, p in model.named_parameters()}
    for number, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimiser.{number}.{index}.{name}"] = torch.as_tensor(value).clone()
    with atomic_write(path) as file:
        file.write(save(tensors, metadata={"recipe": recipe, "step": str(step)}))


def _load(
    path: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], recipe: str
) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        if about.get("recipe") != recipe:
            raise InputError("is the checkpoint of another recipe; choose another --out", file=path)
        tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for number, optimiser in enumerate(optimisers):
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, *rest = name.split(".", 3)
            if kind == "optimiser" and int(rest[0]) == number:
                states.setdefault(int(rest[1]), {})[rest[2]] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
    return int(about["step"])
