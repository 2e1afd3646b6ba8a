"""Texts and questions of a corpus as batches of like length, each tokenized once.

Batches depend on the corpus, the tokenizer and two bounds alone, and every one of them has a place.
So reading can stop behind any batch and go on there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from editors.batch import Batch, Encoder
from editors.corpus import Corpus, read_from
from editors.prompts import Query
from schemas.errors import InputError

SORTED = 1024
"""Texts that are sorted by length at once, so that rows of a batch need little padding."""

_CHARACTERS = 1 << 21
"""Characters that are tokenized at once, which bounds the memory of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch.

    Attributes:
        query: The text or question.
        size: Its tokens, those of a picture included.
        ids: Its tokens' ids, shape (size,); None with a picture, which the processor reads.
    """

    query: Query
    size: int
    ids: Tensor | None

    @property
    def key(self) -> tuple[bool, int]:
        """What rows are sorted by; those with and without a picture do not mix."""
        return self.query.image is not None, self.size


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a corpus.

    Attributes:
        start: Where the texts begin that were sorted together; see `corpus.read_from`.
        batches: How many of their batches come before it.
    """

    start: int = 0
    batches: int = 0


def packed(
    corpus: Corpus, encoder: Encoder, longest: int, tokens_per_batch: int, after: Place
) -> Iterator[tuple[Place, list[Row]]]:
    """Batches of a corpus, each with the place behind it.

    Args:
        corpus: What to read.
        encoder: Tokenizes.
        longest: Tokens after which a text is cut.
        tokens_per_batch: Bound on the tokens of a batch, pads included.
        after: Where to begin.

    Raises:
        InputError: If the corpus cannot be read, or a question is longer than `longest`.
    """
    stream, start, skip = read_from(corpus, after.start), after.start, after.batches
    while block := list(islice(stream, SORTED)):
        rows = sorted(_rows([query for _, query in block], encoder, longest), key=lambda r: r.key)
        for number, batch in enumerate(_divided(rows, tokens_per_batch), start=1):
            if number > skip:
                yield Place(start, number), batch
        start, skip = block[-1][0], 0


def encoded(encoder: Encoder, rows: Sequence[Row]) -> Batch:
    """Rows as a model reads them."""
    queries = [row.query for row in rows]
    ids = [row.ids for row in rows if row.ids is not None]
    return encoder.of_tokens(queries, ids) if ids else encoder.encode(queries)


def _divided(rows: Sequence[Row], tokens_per_batch: int) -> Iterator[list[Row]]:
    """Sorted rows, as many at a time as have at most so many tokens with their padding."""
    batch: list[Row] = []
    for row in rows:
        mixed = bool(batch) and batch[0].key[0] != row.key[0]
        if batch and (mixed or (len(batch) + 1) * row.size > tokens_per_batch):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _rows(queries: Sequence[Query], encoder: Encoder, longest: int) -> Iterator[Row]:
    """Rows of queries, texts cut to `longest` tokens."""
    for query in queries:
        if query.image is not None:
            yield Row(query, encoder.encode([query]).length, None)
    for chosen in _few([query for query in queries if query.image is None]):
        renderer = encoder.renderer
        found = encoder.tokenizer(
            [renderer.render(query) for query in chosen],
            add_special_tokens=renderer.adds_special_tokens,
        )["input_ids"]
        for query, ids in zip(chosen, found, strict=True):
            whole = query.context is not None or renderer.format != "plain"
            if len(ids) > longest and whole:
                raise InputError(
                    f"a question of {len(ids)} tokens is too long: {query.prompt[:60]!r}"
                )
            if ids:
                yield Row(query, min(len(ids), longest), torch.tensor(ids[:longest]))


def _few(queries: Sequence[Query]) -> Iterator[list[Query]]:
    """Queries in order, some characters at a time."""
    chosen: list[Query] = []
    characters = 0
    for query in queries:
        if chosen and characters + len(query.prompt) > _CHARACTERS:
            yield chosen
            chosen, characters = [], 0
        chosen.append(query)
        characters += len(query.prompt)
    if chosen:
        yield chosen
