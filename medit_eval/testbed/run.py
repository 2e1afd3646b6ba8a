"""What the commands do: choose a recipe, show how it gets on, examine what came out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from torch import distributed

from editors.lm import LM
from medit_eval import sources, testbed
from medit_eval.testbed import quality
from medit_eval.testbed.loop import Plan, Progress
from medit_eval.testbed.own import OwnRecipe, train_own
from medit_eval.testbed.pictures import Album
from medit_eval.testbed.text import TextRecipe, train_text
from medit_eval.testbed.vision import VisionRecipe, train_vision
from medit_eval.testbed.world import World
from schemas.errors import InputError
from schemas.records import EditRecord

LEARNING_STEPS, READING_STEPS = 3000, 1200
NAMING_STEPS, JOINING_STEPS, TALKING_STEPS = 1000, 120, 700


@dataclass(frozen=True)
class Own:
    """Somebody's own records, as named on the command line."""

    records: str
    records_format: str
    images: Path | None
    limit: int | None

    def load(self) -> list[EditRecord]:
        """The records."""
        return sources.load(
            self.records,
            records_format=self.records_format,
            images=self.images,
            limit=self.limit,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training: its name, its updates, and how it gets on."""

    name: str
    steps: int
    progress: Progress


def text_recipe(steps: int | None = None, seed: int = 0) -> TextRecipe:
    """The recipe of the text model that comes with this package."""
    often = {"watch_every": 100, "save_every": 100}
    return TextRecipe(
        learning=Plan(steps or LEARNING_STEPS, 3e-3, decay=0.5, **often),
        reading=Plan(steps or READING_STEPS, 2.5e-3, decay=0.8, **often),
        seed=seed,
    )


def vision_recipe(steps: int | None = None, seed: int = 0) -> VisionRecipe:
    """The recipe of the vision-language model that comes with this package."""
    return VisionRecipe(
        naming=Plan(NAMING_STEPS, 2e-3, weight_decay=0.2),
        joining=Plan(JOINING_STEPS, 3e-3, decay=0.2, save_every=60, watch_every=60),
        talking=Plan(steps or TALKING_STEPS, 1e-3, decay=0.7, watch_every=100, save_every=100),
        seed=seed,
    )


def stages(
    model: str,
    folder: Path,
    *,
    own: Own | None,
    flags: Sequence[Path],
    steps: int | None,
    seed: int,
) -> Iterator[Stage]:
    """The stages of a training, as they go on.

    Raises:
        InputError: If records or flags are missing or cannot be used.
    """
    _share_processes()
    if own is not None:
        recipe = OwnRecipe(seed=seed)
        plan = Plan(steps or recipe.plan.steps, recipe.plan.rate, watch_every=50, save_every=50)
        recipe = OwnRecipe(plan, seed)
        lm = LM.load(testbed.path(f"testbed/{model}"), dtype="float32")
        for progress in train_own(recipe, lm, own.load(), folder):
            yield Stage("learning", plan.steps, progress)
    elif model == "lm":
        text = text_recipe(steps, seed)
        plans = {"learning": text.learning, "reading": text.reading}
        for name, progress in train_text(text, folder):
            yield Stage(name, plans[name].steps, progress)
    else:
        if not flags:
            raise InputError(
                "the vlm learns from built flag records: name their folder with --flags"
            )
        vision = vision_recipe(steps, seed)
        plans = {"naming": vision.naming, "joining": vision.joining, "talking": vision.talking}
        lm = LM.load(testbed.path("testbed/lm"), dtype="float32")
        records = chain.from_iterable(sources.load(path) for path in flags)
        for name, progress in train_vision(vision, lm, records, folder):
            yield Stage(name, plans[name].steps, progress)


def follow(found: Iterable[Stage], *, minutes: float | None) -> bool:
    """Run a training with a bar on the terminal; whether it came to its end."""
    console = Console(quiet=_rank() > 0)
    until = None if minutes is None else time.monotonic() + 60 * minutes
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with Bars(*columns, console=console) as bars:
        tasks = {}
        for stage in found:
            if stage.name not in tasks:
                tasks[stage.name] = bars.add_task(stage.name, total=stage.steps, loss=0.0)
            bars.update(tasks[stage.name], completed=stage.progress.step, loss=stage.progress.loss)
            if stage.progress.measured:
                shown = ", ".join(f"{k} {v:.2f}" for k, v in stage.progress.measured.items())
                console.print(f"step {stage.progress.step}: {shown}", highlight=False)
            if until is not None and time.monotonic() > until:
                return False
    return True


def examine(model: str, folder: Path | None, flags: Sequence[Path], per_kind: int) -> bool:
    """Print what a model knows; whether it reaches the bars that it was made for."""
    name = f"testbed/{model}" if folder is None else str(folder)
    lm = LM.load(folder or testbed.path(name), dtype="float32", name=name)
    world = World.draw()
    exam = quality.examination(world, per_kind=per_kind)
    if model == "vlm":
        if not flags:
            raise InputError("the vlm is examined on built flag records: name them with --flags")
        records = chain.from_iterable(sources.load(path) for path in flags)
        exam = quality.picture_examination(world, Album.of(records, world), per_kind=per_kind)
    found = quality.accuracy(lm, exam)
    bars = quality.BARS[model]
    table = Table("questions", "right", "bar", "n", title=f"{lm.name}, greedy, exact")
    for kind, share in found.items():
        bar = bars.get(kind)
        asked = sum(question.kind == kind for question in exam)
        table.add_row(kind, f"{share:.3f}", f"{bar:.2f}" if bar else "", str(asked))
    Console().print(table)
    return all(found.get(kind, 0.0) >= bar for kind, bar in bars.items())


def _share_processes() -> None:
    """Work with the other processes where `torchrun` started several.

    A single process leaves the number of threads to torch.
    """
    if "WORLD_SIZE" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("gloo")
        torch.set_num_threads(1)


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0
