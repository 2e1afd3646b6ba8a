"""Tokenizers trained on the corpus, and rows of tokens to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from medit_eval.testbed.corpus import Document

PAD, END, IMAGE = "<pad>", "<end>", "<image>"

IGNORED = -100
"""The label of tokens that are read but not learned."""


def train_tokenizer(texts: Iterable[str], size: int) -> Any:
    """A byte-level BPE tokenizer; anything can be written in it, texts like these in few tokens.

    Args:
        texts: What it is trained on.
        size: Tokens in its vocabulary.
    """
    import tokenizers as tk
    import transformers as hf

    bpe = tk.Tokenizer(tk.models.BPE())
    bpe.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tk.decoders.ByteLevel()
    trainer = tk.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END, IMAGE],
        initial_alphabet=tk.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[IMAGE],
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True)
class Rows:
    """Documents in rows of tokens, R rows of T.

    Attributes:
        ids: Token ids, shape (R, T).
        labels: The same, or -100 where a token is not learned.
        visible: Shape (R, T, T), True where a token (second axis) may read another (third): those
            before it in its own document.
        late: The same, but what stands behind a document's subject reads of it the last token only.
        early: The same, but what stands behind a subject does not read it at all.
    """

    ids: Tensor
    labels: Tensor
    visible: Tensor
    late: Tensor
    early: Tensor


def packed(
    tokenizer: Any,
    document: Callable[[Random], Document],
    rng: Random,
    rows: int,
    length: int,
) -> Rows:
    """Rows of documents, each beginning with a whole one and ending wherever the row does.

    Args:
        tokenizer: The tokenizer.
        document: Draws a document.
        rng: What it draws from.
        rows: R, the rows.
        length: T, the tokens per row.
    """
    ids = torch.full((rows, length), tokenizer.pad_token_id)
    labels = torch.full((rows, length), IGNORED)
    visible = torch.zeros(rows, length, length, dtype=torch.bool)
    before = torch.ones(length, length, dtype=torch.bool).tril()
    late, early = visible.clone(), visible.clone()
    for row in range(rows):
        start = 0
        while start < length:
            drawn = document(rng)
            # Tokenized as one text, as a prompt and its answer are when they are scored.
            whole = _encode(tokenizer, drawn.context + drawn.text)
            read = len(_encode(tokenizer, drawn.context).ids)
            tokens = [*whole.ids, tokenizer.eos_token_id]
            end = min(start + len(tokens), length)
            own = torch.tensor(tokens)[: end - start]
            ids[row, start:end] = own
            labels[row, start + read : end] = own[read:]
            for mask in (visible, late, early):
                mask[row, start:end, start:end] = before[: end - start, : end - start]
            if drawn.subject is not None:
                first, last = _span(whole.offsets, drawn.context + drawn.text, drawn.subject)
                behind = slice(min(start + last + 1, end), end)
                late[row, behind, start + first : start + last] = False
                early[row, behind, start + first : start + last + 1] = False
            start += len(tokens)
    return Rows(ids, labels, visible, late, early)


def _span(offsets: Sequence[tuple[int, int]], text: str, subject: str) -> tuple[int, int]:
    """The first and the last token of a subject's first occurrence."""
    begin = text.index(subject)
    end = begin + len(subject)
    inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > begin]
    return inside[0], inside[-1]


def _encode(tokenizer: Any, text: str) -> Any:
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
