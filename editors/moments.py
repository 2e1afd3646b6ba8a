"""Second moments of keys: what the MLPs of a model usually read, computed once and kept on disk.

C = E[k k^T] over the tokens of a corpus, k (d) being the input of the projection out of an MLP. All
layers are gathered in one pass, and no more than `tokens_per_batch` tokens are in memory at once,
whatever the model's context.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor

from editors.batch import Encoder
from editors.corpus import Corpus, parts_of
from editors.lm import LM
from editors.lookup import per_token
from editors.prompts import Query, Renderer
from editors.trace import traced
from schemas.digest import digest128
from schemas.errors import InputError

TOKENS_PER_BATCH = 8192
"""Tokens, pads included, that a model reads at once, and those after which a text is cut."""

_SORTED = 1024
"""Texts that are sorted by length at once, so that rows of a batch need little padding."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """The second moment of one layer's keys.

    Attributes:
        matrix: C, shape (d, d), float32.
        tokens: How many tokens it is the mean of.
    """

    matrix: Tensor
    tokens: int


def second_moments(
    lm: LM,
    layers: Sequence[int],
    corpus: Corpus,
    *,
    cache: Path | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> dict[int, Moment]:
    """The second moments of layers, read from disk where they are known.

    Args:
        lm: The unedited model.
        layers: The layers.
        corpus: What to read.
        cache: The folder of moments; that of the user's cache by default.
        tokens_per_batch: Bound on the tokens in memory; longer texts are cut.

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
    names = {layer: _Name(model, layer, reading) for layer in layers}
    found = {layer: name.load(folder) for layer, name in names.items()}
    missing = [layer for layer, moment in found.items() if moment is None]
    if missing:
        for layer, moment in _compute(lm, missing, corpus, longest, tokens_per_batch).items():
            names[layer].save(folder, moment)
            found[layer] = moment
    return {layer: moment for layer, moment in found.items() if moment is not None}


def cache_folder() -> Path:
    """Where moments are kept unless somebody says otherwise."""
    from platformdirs import user_cache_path

    return user_cache_path("medit") / "moments"


@dataclass(frozen=True)
class _Name:
    """What a moment is known by."""

    model: str
    layer: int
    corpus: str

    @property
    def file(self) -> str:
        return f"{self.model[:16]}-{self.layer}-{self.corpus[:16]}.safetensors"

    def load(self, folder: Path) -> Moment | None:
        """The moment, or None if it was not saved.

        Raises:
            InputError: If the file holds something else.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / self.file
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as opened:
                written = opened.metadata() or {}
                matrix = opened.get_tensor("second_moment")
        except (SafetensorError, OSError) as error:
            raise InputError(f"is damaged, delete it ({error})", file=path) from None
        for field, own in self._metadata().items():
            if written.get(field) != own:
                raise InputError(f"belongs to another {field}, delete it", file=path, field=field)
        return Moment(matrix, int(written["tokens"]))

    def save(self, folder: Path, moment: Moment) -> None:
        """Write the moment; readers see the whole file or none."""
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        metadata = {**self._metadata(), "tokens": str(moment.tokens)}
        content = save({"second_moment": moment.matrix.contiguous()}, metadata)
        with NamedTemporaryFile(dir=folder, prefix=f".{self.file}.", delete=False) as file:
            try:
                file.write(content)
                file.close()
                Path(file.name).replace(folder / self.file)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _metadata(self) -> dict[str, str]:
        return {"model": self.model, "layer": str(self.layer), "corpus": self.corpus}


@torch.no_grad()
def _compute(
    lm: LM, layers: Sequence[int], corpus: Corpus, longest: int, tokens_per_batch: int
) -> dict[int, Moment]:
    """One pass over the corpus."""
    d = lm.anatomy.mlp_size
    projections = {str(layer): lm.anatomy.projections[layer] for layer in layers}
    stop_at = lm.anatomy.blocks[max(layers)]
    sums: dict[str, Tensor] = {}
    tokens = 0

    def read(encoder: Encoder, queries: list[Query]) -> list[None]:
        nonlocal tokens
        batch = encoder.encode(queries)
        with traced(projections, stop_at=stop_at) as trace:
            lm.forward(batch, keep=1)
        keys = {
            name: per_token(states, batch)[batch.prompt_mask.to(states.device)].float()
            for name, states in trace.inputs.items()
        }
        for name, k in keys.items():
            if name not in sums:
                wide = torch.float32 if k.device.type == "mps" else torch.float64
                sums[name] = torch.zeros(d, d, dtype=wide, device=k.device)
            sums[name] += k.t() @ k
        tokens += int(batch.prompt_mask.sum())
        return [None] * len(queries)

    for part in parts_of(corpus):
        encoder = lm.encoder if part.formatted else _plain(lm)
        packed = _packed(part.queries(), encoder, longest, tokens_per_batch)
        for number, queries in enumerate(packed):
            lm.in_batches(queries, partial(read, encoder), size=lambda q: (q.image is None,))
            if number % 100 == 99:
                _log.info("second moments: %d tokens read", tokens)
    if not tokens:
        raise InputError("the corpus holds no text")
    return {layer: Moment((sums[str(layer)] / tokens).float().cpu(), tokens) for layer in layers}


def _formatted(corpus: Corpus) -> bool:
    return any(part.formatted for part in parts_of(corpus))


def _plain(lm: LM) -> Encoder:
    return replace(lm.encoder, renderer=Renderer("plain", lm.tokenizer, lm.processor))


def _packed(
    queries: Iterable[Query], encoder: Encoder, longest: int, tokens_per_batch: int
) -> Iterator[list[Query]]:
    """Batches of like length, of at most `tokens_per_batch` tokens with their padding."""
    stream = iter(queries)
    while block := list(islice(stream, _SORTED)):
        sized = sorted(
            (_cut(query, encoder, longest) for query in block),
            key=lambda pair: (pair[1].image is not None, pair[0]),
        )
        batch: list[Query] = []
        for size, query in sized:
            pictured = bool(batch) and (batch[0].image is not None) != (query.image is not None)
            if batch and (pictured or (len(batch) + 1) * size > tokens_per_batch):
                yield batch
                batch = []
            batch.append(query)
        yield batch


def _cut(query: Query, encoder: Encoder, longest: int) -> tuple[int, Query]:
    """How many tokens a query has, and the query itself, its text cut to `longest` tokens."""
    if query.image is not None:
        return encoder.encode([query]).length, query
    spans = encoder.tokenizer(
        encoder.renderer.render(query),
        add_special_tokens=encoder.renderer.adds_special_tokens,
        return_offsets_mapping=True,
    )["offset_mapping"]
    if len(spans) <= longest:
        return len(spans), query
    if query.context is not None or encoder.renderer.format != "plain":
        raise InputError(f"a question of {len(spans)} tokens is too long: {query.prompt[:60]!r}")
    return longest, replace(query, prompt=query.prompt[: spans[longest - 1][1]])
