"""Second moments as ROME's, MEMIT's and AlphaEdit's codes gather them: one layer per pass.

After `layer_stats.py` and `tok_dataset.py` of kmeng01/memit (80426fd) and the note that all
configurations ask for float32 while the function's own default is float64. Texts are tokenized one
by one and cut to the context, sorted among a hundred, and read in batches of at most three
contexts' tokens, pads included. The forward ends behind the layer. Pads are left out by an index,
and k^T k of all the rest is computed whole and added to one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from editors.lm import LM
from editors.trace import traced

TEXTS_AT_ONCE = 100


@torch.no_grad()
def layer_stats(
    lm: LM,
    texts: Sequence[str],
    layer: int,
    *,
    dtype: torch.dtype = torch.float32,
    longest: int | None = None,
    batch_tokens: int | None = None,
) -> tuple[Tensor, int]:
    """E[k k^T] of one layer, shape (d, d), and the number of tokens.

    Args:
        lm: The model; its context must be known.
        texts: What to read.
        layer: The layer.
        dtype: In which keys are multiplied and added up.
        longest: Tokens after which a text is cut; the context by default.
        batch_tokens: Bound on the tokens of a batch; three contexts by default.
    """
    context = lm.context_length
    assert context is not None
    longest, batch_tokens = longest or context, batch_tokens or 3 * context
    total, count = torch.zeros((), dtype=dtype), 0
    projection = lm.anatomy.projections[layer]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        items = [
            torch.tensor(lm.tokenizer.encode(text, truncation=True, max_length=longest))
            for text in texts[start : start + TEXTS_AT_ONCE]
        ]
        for batch in length_collation(items, batch_tokens):
            with traced({"k": projection}, stop_at=projection) as trace:
                lm.model(**batch)
            keys = trace.inputs["k"].reshape(-1, trace.inputs["k"].shape[-1])
            keys = keys[batch["attention_mask"].view(-1).nonzero()[:, 0]].to(dtype)
            total = total + keys.t() @ keys
            count += len(keys)
    return total / count, count


def length_collation(items: Sequence[Tensor], batch_tokens: int) -> Iterator[dict[str, Any]]:
    """Batches of texts of like length, the longest first, padded on the right."""
    batch: list[Tensor] = []
    width = 0
    for item in sorted(items, key=lambda ids: -len(ids)):
        if not len(item):
            break
        if batch and width * (len(batch) + 1) > batch_tokens:
            yield padded(batch)
            batch = []
        if not batch:
            width = len(item)
        batch.append(item)
    if batch:
        yield padded(batch)


def padded(batch: Sequence[Tensor]) -> dict[str, Any]:
    """What the model reads; pads are 0 and masked."""
    return {
        name: torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        for name, rows in {
            "input_ids": list(batch),
            "attention_mask": [torch.ones_like(ids) for ids in batch],
        }.items()
    }
