"""From options to a data set of document edits: defines it and runs the pipeline."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import pipeline
from builders.card import render_card
from builders.definition import Build
from builders.docmedit.extractors import TripleExtractor, describe, open_extractor
from builders.docmedit.model_triples import EXTRACT, ExtractedTriples, ModelTriples
from builders.docmedit.options import NAMES, Options
from builders.docmedit.recipe import DocmeditRecipe
from builders.rehearsal import Rehearsal, perform
from builders.text.model import TextModel
from builders.text.protocol import TextGenerator, TextRequest, TextResult
from schemas.arrow import DOCMEDIT
from schemas.errors import InputError
from schemas.layout import sha256_of
from schemas.manifest import Manifest
from schemas.progress import Progress


def define(options: Options, model: TextModel | None, workers: int) -> Build[Any]:
    """The data set that options and a model come to.

    Args:
        options: What shapes its content.
        model: The model that reads triples, for `openai`; None for other extractors.
        workers: Processes, which share out what may be asked of the model at a time.

    Raises:
        InputError: If there is no such extractor, it cannot be loaded, or it lacks its model.
    """
    if (options.triples == "openai") != (model is not None):
        raise InputError("a model is needed where openai reads the triples, and there alone")
    triples = describe(options.triples)
    if model is not None:
        triples |= model.describe()
    if options.relations is not None:
        triples["relations"] = sha256_of(options.relations)
    return Build(
        name=options.name or NAMES[options.source],
        builder="docmedit",
        schema=DOCMEDIT,
        split=options.split,
        rules=options.rules(),
        source=options.make_source(),
        open_recipe=functools.partial(_open_recipe, options, model, workers),
        arguments=options.arguments(),
        generators={"triples": triples},
        card=_card,
        shard_rows=options.shard_rows,
        chunk_rows=options.shard_rows if model is not None else 25,
    )


def build(
    options: Options,
    model: TextModel | None,
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
        model: The model that reads triples, for `openai`.
        out: Its folder.
        progress: Shows how far it is.
        workers: Processes.
        overwrite: Whether what is in the folder may be replaced.
        batch: Whether the model is asked through the Batch API first.
        checks_apart: Whether the last checks run in a process of their own; see `pipeline.run`.

    Raises:
        InputError: If an input, the folder or the model cannot be used.
    """
    if model is not None:
        model.endpoint.require_key()
    return perform(
        rehearsal(define(options, model, workers), options, model),
        out,
        progress,
        workers=workers,
        overwrite=overwrite,
        batch=batch,
        checks_apart=checks_apart,
    )


def rehearsal(definition: Build[Any], options: Options, model: TextModel | None) -> Rehearsal:
    """The text requests of a build."""

    def open_recipe(text: TextGenerator, context: dict[str, Any], root: Path) -> DocmeditRecipe:
        return _recipe(options, ModelTriples(text))

    return Rehearsal(definition, model, (EXTRACT,), open_recipe, lambda _: _NoTriples())


@dataclass(frozen=True)
class _NoTriples:
    """Stands in for a model that is not asked yet: finds no triple in any text."""

    name: str = "none"

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        return [
            TextResult(
                output=ExtractedTriples(triples=[]),
                error=None,
                generator=self.name,
                model=None,
                prompt_digest=request.prompt_digest,
                seed=request.seed,
            )
            for request in requests
        ]

    def close(self) -> None:
        pass


def _open_recipe(
    options: Options,
    model: TextModel | None,
    workers: int,
    context: dict[str, Any],
    work: Path,
) -> DocmeditRecipe:
    if model is not None:
        return _recipe(options, ModelTriples(model.open(work, workers)))
    return _recipe(options, open_extractor(options.triples))


def _recipe(options: Options, extractor: TripleExtractor) -> DocmeditRecipe:
    return DocmeditRecipe(options.source, extractor, options.known_relations(), options.seed)


def _card(manifest: Manifest) -> str:
    return render_card("docmedit", manifest, DOCMEDIT)
