"""Second moments of keys: what the MLPs of a model usually read, computed once and kept on disk.

C = E[k k^T] over the tokens of a corpus, k (d) being the input of the projection out of an MLP. All
layers are gathered in one pass, which ends each forward before the last projection, and no more
than `tokens_per_batch` tokens are in memory at once, whatever the model's context. A pass that is
killed goes on where it stopped, and comes to the same result, bit for bit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from editors.batch import Batch, Encoder
from editors.corpus import Corpus, parts_of
from editors.lm import LM
from editors.moment_files import CHECKPOINT_SECONDS, Checkpoint, Moment, MomentFile, Progress
from editors.outer import OuterSum
from editors.packing import Place, Row, encoded, packed
from editors.prompts import Renderer
from editors.trace import traced
from schemas.digest import digest128
from schemas.errors import InputError

__all__ = ["TOKENS_PER_BATCH", "Moment", "cache_folder", "second_moments"]

TOKENS_PER_BATCH = 8192
"""Tokens, pads included, that a model reads at once, and those after which a text is cut."""

MERGED_AFTER = 8192
"""Tokens whose products are added up in single precision; their sums are added in double."""

_log = logging.getLogger(__name__)


def second_moments(
    lm: LM,
    layers: Sequence[int],
    corpus: Corpus,
    *,
    cache: Path | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> dict[int, Moment]:
    """The second moments of layers, read from disk where they are known.

    Args:
        lm: The unedited model.
        layers: The layers.
        corpus: What to read.
        cache: The folder of moments; that of the user's cache by default.
        tokens_per_batch: Bound on the tokens in memory; longer texts are cut.
        checkpoint_seconds: How often an unfinished pass is written to the folder.

    Raises:
        InputError: If the corpus cannot be read or holds no tokens, or a file of the cache belongs
            to another model, layer or corpus, or is damaged.
    """
    lm.anatomy.require_layers(sorted(set(layers)))
    folder = cache if cache is not None else cache_folder()
    longest = min(tokens_per_batch, lm.context_length or tokens_per_batch)
    formats = f"{lm.renderer.format} {longest}" if _formatted(corpus) else str(longest)
    reading = digest128(f"{corpus.digest} {formats}")
    model = lm.digest()
    files = {layer: MomentFile(model, layer, reading) for layer in layers}
    found = {layer: file.load(folder) for layer, file in files.items()}
    missing = [layer for layer, moment in found.items() if moment is None]
    if missing:
        checkpoint = Checkpoint(
            folder, model, tuple(missing), reading, tokens_per_batch, checkpoint_seconds
        )
        for layer, moment in _compute(lm, missing, corpus, longest, checkpoint).items():
            files[layer].save(folder, moment)
            found[layer] = moment
        checkpoint.remove()
    return {layer: moment for layer, moment in found.items() if moment is not None}


def cache_folder() -> Path:
    """Where moments are kept unless somebody says otherwise."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "moments"


@torch.no_grad()
def _compute(
    lm: LM, layers: Sequence[int], corpus: Corpus, longest: int, checkpoint: Checkpoint
) -> dict[int, Moment]:
    """One pass over the corpus, or what is left of it."""
    sums = {layer: OuterSum(lm.anatomy.mlp_size) for layer in layers}
    done = checkpoint.load(sums)
    tokens, pending = done.tokens, 0
    for number, part in enumerate(parts_of(corpus)):
        if number < done.part:
            continue
        encoder = lm.encoder if part.formatted else _plain(lm)
        after = done.place if number == done.part else Place()
        read = partial(_read, lm, encoder, sums)
        for place, rows in packed(part, encoder, longest, checkpoint.tokens_per_batch, after):
            more = sum(lm.in_batches(rows, read, size=lambda row: row.key))
            tokens, pending = tokens + more, pending + more
            if pending < MERGED_AFTER:
                continue
            pending = 0
            for own in sums.values():
                own.merge()
            _log.info("second moments: %d tokens read", tokens)
            checkpoint.save_if_due(sums, Progress(tokens, number, place))
    if not tokens:
        raise InputError("the corpus holds no text")
    return {layer: Moment(_mean(sums.pop(layer), tokens), tokens) for layer in layers}


def _read(lm: LM, encoder: Encoder, sums: dict[int, OuterSum], rows: list[Row]) -> list[int]:
    """Add the keys of one batch; the tokens of each row.

    Nothing is added before all memory is taken, so a batch that is too large for it can be read
    again in halves.
    """
    batch = encoded(encoder, rows)
    projections = {str(layer): lm.anatomy.projections[layer] for layer in sums}
    with traced(projections, stop_before=lm.anatomy.projections[max(sums)]) as trace:
        lm.forward(batch, keep=1)
    chosen = _tokens(batch)
    keys = {layer: _chosen(trace.inputs.pop(str(layer)), chosen) for layer in sums}
    for layer, own in sums.items():
        own.prepare(keys[layer].device)
    for layer, own in sums.items():
        own.add(keys[layer])
    return batch.prompt_mask.sum(1).tolist()


def _tokens(batch: Batch) -> Tensor | None:
    """The places of what is no pad among all columns of all rows; None where there are no pads."""
    mask = batch.prompt_mask
    return None if bool(mask.all()) else mask.flatten().nonzero()[:, 0]


def _chosen(states: Tensor, places: Tensor | None) -> Tensor:
    """The states of some tokens, shape (tokens, width), in float32; some families make (B T, W)."""
    states = states.flatten(0, -2)
    chosen = states if places is None else states.index_select(0, places.to(states.device))
    return chosen.float()


def _mean(total: OuterSum, tokens: int) -> Tensor:
    total.merge()
    return (total.matrix() / tokens).float().cpu()


def _formatted(corpus: Corpus) -> bool:
    return any(part.formatted for part in parts_of(corpus))


def _plain(lm: LM) -> Encoder:
    return replace(lm.encoder, renderer=Renderer("plain", lm.tokenizer, lm.processor))
