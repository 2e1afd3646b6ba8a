"""From options to a data set: opens generators in workers, and runs the pipeline."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builders import pipeline
from builders.card import render_card
from builders.definition import Build
from builders.executor import LocalExecutor
from builders.images.protocol import ImageGenerator, ImageRequest, ImageResult
from builders.images.protocol import WithFallback as FallbackImages
from builders.okedit import scope, tasks
from builders.okedit.offline import OfflineTextGenerator
from builders.okedit.options import NAMES, Options
from builders.okedit.recipe import OkeditRecipe
from builders.okedit.steps import Pictures
from builders.progress import Progress
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.collect import CollectingGenerator
from builders.text.pending import PendingRequests
from builders.text.protocol import TextGenerator, TextTask, WithFallback
from builders.text.settings import EndpointSettings
from builders.workdir import WorkDir
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.manifest import Manifest

ALL_TASKS: tuple[TextTask[Any], ...] = (
    tasks.REPHRASE,
    tasks.OBJECT_PHRASE,
    tasks.COUNTERFACTUAL,
    tasks.EDIT_TYPE,
    tasks.THIRD_ANSWER,
    tasks.NAMED_QUESTION,
    tasks.SAME_IMAGE,
    tasks.HOPS,
    tasks.FACT,
)

IMAGE_TIMEOUT = 300.0
"""Seconds that one picture may take: hosted models need up to two minutes, local ones longer."""


@dataclass(frozen=True)
class Models:
    """The models behind the generators; none for a build that is offline throughout.

    Attributes:
        text: The endpoint that writes text.
        images: The endpoint that draws pictures.
        diffusers: Folder or Hub id of a local text-to-image pipeline.
        cache: The file of cached answers, with `.images.sqlite` beside it for pictures, or None
            for the user's cache folder.
        max_requests: Text and image requests that the build may send in all.
    """

    text: EndpointSettings | None = None
    images: EndpointSettings | None = None
    diffusers: str | None = None
    cache: Path | None = None
    max_requests: int | None = None

    @classmethod
    def resolve(
        cls,
        options: Options,
        *,
        model: str | None,
        image_model: str | None,
        base_url: str | None,
        api_key: str | None,
        concurrency: int,
        cache: Path | None,
        max_requests: int | None,
    ) -> Models:
        """The models that the options call for, from arguments and the environment.

        Raises:
            InputError: If one is called for and not named.
        """
        text = images = diffusers = None
        if options.text == "openai":
            text = EndpointSettings.resolve(
                model=model, base_url=base_url, api_key=api_key, concurrency=concurrency
            )
        if options.images != "offline":
            named = image_model or os.environ.get("MEDIT_IMAGE_MODEL")
            if not named:
                raise InputError(
                    "no image model is named: pass --image-model or set MEDIT_IMAGE_MODEL"
                )
            if options.images == "diffusers":
                diffusers = named
            else:
                images = EndpointSettings.resolve(
                    model=named,
                    base_url=base_url,
                    api_key=api_key,
                    concurrency=concurrency,
                    timeout=IMAGE_TIMEOUT,
                )
        return cls(text, images, diffusers, cache, max_requests)

    def describe(self, options: Options) -> dict[str, Any]:
        """Generators and models for the manifest; no addresses and no keys."""
        described: dict[str, Any] = {
            "text": {"generator": options.text},
            "images": {"generator": options.images},
        }
        if self.text is not None:
            described["text"] |= {"model": self.text.model, "temperature": self.text.temperature}
        if self.images is not None:
            described["images"]["model"] = self.images.model
        if self.diffusers is not None:
            described["images"]["model"] = Path(self.diffusers).name
        return described


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

    Raises:
        InputError: If an input, the folder or a generator cannot be used.
    """
    for endpoint in (models.text, models.images):
        if endpoint is not None:
            endpoint.require_key()  # before anything is written
    definition = define(options, models, workers)
    prepare = None
    if batch:
        prepare = functools.partial(_ask_in_batches, definition, options, models, progress)
    executor = LocalExecutor(workers)
    return pipeline.run(definition, out, executor, progress, overwrite=overwrite, prepare=prepare)


def dry_run(options: Options, models: Models, requests_file: Path, progress: Progress) -> str:
    """What a build would ask for text, without asking: writes the requests, gives the sums.

    Later requests depend on earlier answers, for which rules stand in.

    Args:
        options: What shapes the content.
        models: The models behind the generators.
        requests_file: Where the requests go, in the Batch API's form.
        progress: Shows how far it is.
    """
    if models.text is None:
        return "text is written offline: nothing would be asked"
    definition = define(options, models, 1)
    with tempfile.TemporaryDirectory() as folder:
        work = WorkDir(Path(folder))
        pending = PendingRequests(Path(folder) / "pending.sqlite")
        _collect(definition, options, models, progress, work, pending)
        written = pending.write_jsonl(requests_file)
        summary = pending.summary()
        pending.close()
    return f"{summary}\n{written} requests are in {requests_file}"


def _ask_in_batches(
    definition: Build[Any],
    options: Options,
    models: Models,
    progress: Progress,
    work: WorkDir,
) -> None:
    """Fill the cache through the Batch API, one round per layer of dependent steps."""
    from builders.text.batch import batch_rounds

    if models.text is None:
        return
    pending = PendingRequests(work.root / "pending.sqlite")
    budget = RequestBudget(work.root / "requests.sqlite", models.max_requests)
    cache = AnswerCache(models.cache)
    try:
        batch_rounds(
            functools.partial(_collect, definition, options, models, progress, work, pending),
            pending,
            ALL_TASKS,
            models.text,
            cache=cache,
            work_dir=work.root / "batches",
            budget=budget,
        )
    finally:
        pending.close()
        budget.close()
        cache.close()


def _collect(
    definition: Build[Any],
    options: Options,
    models: Models,
    progress: Progress,
    work: WorkDir,
    pending: PendingRequests,
) -> None:
    """Take all rows through the text steps and note what a model would be asked."""
    assert models.text is not None
    settings = models.text

    def open_collecting(context: dict[str, Any], root: Path) -> OkeditRecipe:
        return OkeditRecipe(
            world=options.make_world(context, WorkDir(root).spool),
            text=CollectingGenerator(
                settings,
                cache=AnswerCache(models.cache),
                pending=pending,
                stand_in=OfflineTextGenerator(context["pools"]),
            ),
            images=None,
            rephrasings=options.rephrasings,
            editor_rephrasings=options.editor_rephrasings,
            pictures=Pictures(),
        )

    pipeline.rehearse(definition, work, open_collecting, progress)


def open_recipe(
    options: Options, models: Models, workers: int, context: dict[str, Any], work: Path
) -> OkeditRecipe:
    """The recipe as a worker uses it."""
    world = options.make_world(context, WorkDir(work).spool)
    offline = OfflineTextGenerator(context["pools"])
    text: TextGenerator = offline
    if models.text is not None:
        from builders.text.endpoint import OpenAITextGenerator

        share = max(1, models.text.concurrency // workers)
        text = OpenAITextGenerator(
            replace(models.text, concurrency=share),
            cache=AnswerCache(models.cache),
            budget=RequestBudget(work / "requests.sqlite", models.max_requests),
        )
        if options.fallback:
            text = WithFallback(text, offline)
    return OkeditRecipe(
        world=world,
        text=text,
        images=_open_images(options, models, workers, world.offline_images, work),
        rephrasings=options.rephrasings,
        editor_rephrasings=options.editor_rephrasings,
        pictures=Pictures(),
    )


class DrawnBeside:
    """A text-to-image model for new pictures, the offline generator for changes to given ones.

    Args:
        model: Draws other instances and negatives.
        offline: Varies the edited picture, which no text-to-image model can.
    """

    def __init__(self, model: ImageGenerator, offline: ImageGenerator) -> None:
        self._model = model
        self._offline = offline

    @property
    def name(self) -> str:
        """The model's name; each result names who really made it."""
        return self._model.name

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order."""
        varied = [i for i, r in enumerate(requests) if r.kind == "image_augmented"]
        drawn = [i for i, r in enumerate(requests) if r.kind != "image_augmented"]
        results: dict[int, ImageResult] = {}
        for generator, chosen in ((self._offline, varied), (self._model, drawn)):
            if chosen:
                made = generator.generate([requests[i] for i in chosen])
                results.update(zip(chosen, made, strict=True))
        return [results[i] for i in range(len(requests))]

    def close(self) -> None:
        """Close both generators."""
        self._model.close()
        self._offline.close()


def _open_images(
    options: Options, models: Models, workers: int, offline: ImageGenerator, work: Path
) -> ImageGenerator:
    model: ImageGenerator
    if models.images is not None:
        from builders.images.endpoint import OpenAIImageGenerator

        share = max(1, models.images.concurrency // workers)
        model = OpenAIImageGenerator(
            replace(models.images, concurrency=share),
            cache_path=models.cache and models.cache.with_suffix(".images.sqlite"),
            budget=RequestBudget(work / "requests.sqlite", models.max_requests),
        )
    elif models.diffusers is not None:
        from builders.images.diffusion import DiffusersGenerator

        model = DiffusersGenerator(models.diffusers)
    else:
        return offline
    drawn = DrawnBeside(model, offline)
    return FallbackImages(drawn, offline) if options.fallback else drawn


def _card(manifest: Manifest) -> str:
    return render_card("okedit", manifest, OKEDIT, truth_table=scope.rows())
