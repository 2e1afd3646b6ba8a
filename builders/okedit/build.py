"""From options to a data set: defines it and runs the pipeline."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from builders import pipeline
from builders.card import render_card
from builders.definition import Build
from builders.fallback import WithFallback
from builders.okedit import scope
from builders.okedit.models import Models
from builders.okedit.offline import OfflineTextGenerator
from builders.okedit.options import NAMES, Options
from builders.okedit.recipe import OkeditRecipe
from builders.okedit.rehearsal import rehearsal
from builders.okedit.steps import Pictures
from builders.rehearsal import perform
from builders.workdir import WorkDir
from schemas.arrow import OKEDIT
from schemas.manifest import Manifest
from schemas.progress import Progress


def define(options: Options, models: Models, workers: int) -> Build[Any]:
    """The data set that options and models come to."""
    return Build(
        name=options.name or NAMES[options.source],
        builder="okedit",
        schema=OKEDIT,
        split=options.split,
        rules=options.rules(),
        source=options.make_source(),
        open_recipe=functools.partial(open_recipe, options, models, workers),
        arguments=options.arguments(),
        generators=models.describe(options),
        card=_card,
        shard_rows=options.shard_rows,
        # A model answers many records at once; rules gain nothing from larger chunks.
        chunk_rows=25 if options.text == "offline" else options.shard_rows,
    )


def build(
    options: Options,
    models: Models,
    out: Path,
    progress: Progress,
    *,
    workers: int = 1,
    overwrite: bool = False,
    batch: bool = False,
    checks_apart: bool = False,
) -> pipeline.Outcome:
    """Build a data set, or go on with an unfinished one.

    Args:
        options: What shapes its content.
        models: The models behind its generators.
        out: Its folder.
        progress: Shows how far it is.
        workers: Processes.
        overwrite: Whether what is in the folder may be replaced.
        batch: Whether text is asked for through the Batch API first.
        checks_apart: Whether the last checks run in a process of their own; see `pipeline.run`.

    Raises:
        InputError: If an input, the folder or a generator cannot be used.
    """
    models.check()
    return perform(
        rehearsal(define(options, models, workers), options, models),
        out,
        progress,
        workers=workers,
        overwrite=overwrite,
        batch=batch,
        checks_apart=checks_apart,
    )


def open_recipe(
    options: Options, models: Models, workers: int, context: dict[str, Any], work: Path
) -> OkeditRecipe:
    """The recipe as a worker uses it."""
    world = options.make_world(context, WorkDir(work).spool)
    offline = OfflineTextGenerator(context["pools"])
    text = models.open_text(offline, work, workers)
    images = models.open_images(world.offline_images, work, workers)
    if options.fallback:
        text = WithFallback(text, offline)
        images = WithFallback(images, world.offline_images)
    return OkeditRecipe(
        world=world,
        text=text,
        images=images,
        rephrasings=options.rephrasings,
        editor_rephrasings=options.editor_rephrasings,
        pictures=Pictures(),
    )


def _card(manifest: Manifest) -> str:
    return render_card("okedit", manifest, OKEDIT, truth_table=scope.rows())
