"""Tokenizers trained on the corpus, and rows of tokens to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        exchanged: Row, place of a subject's last token, and the place in the same row of the
            subject's last token from which its state comes; shape (n, 3). See `text.exchanging`.
    """

    ids: Tensor
    labels: Tensor
    visible: Tensor
    exchanged: Tensor


def packed(
    tokenizer: Any,
    document: Callable[[Random], Document],
    rng: Random,
    rows: int,
    length: int,
    exchange: float = 0.0,
) -> Rows:
    """Rows of documents, each beginning with a whole one and ending wherever the row does.

    Args:
        tokenizer: The tokenizer.
        document: Draws a document.
        rng: What it draws from.
        rows: R, the rows.
        length: T, the tokens per row.
        exchange: Share of the documents with a subject that are told once more, of somebody else.
    """
    ids = torch.full((rows, length), tokenizer.pad_token_id)
    labels = torch.full((rows, length), IGNORED)
    visible = torch.zeros(rows, length, length, dtype=torch.bool)
    before = torch.ones(length, length, dtype=torch.bool).tril()
    exchanged: list[tuple[int, int, int]] = []

    def write(row: int, start: int, document: Document) -> Any:
        # Tokenized as one text, as a prompt and its answer are when they are scored.
        whole = _encode(tokenizer, document.context + document.text)
        read = len(_encode(tokenizer, document.context).ids)
        tokens = torch.tensor([*whole.ids, tokenizer.eos_token_id])[: length - start]
        end = start + len(tokens)
        ids[row, start:end] = tokens
        labels[row, start + read : end] = tokens[read:]
        visible[row, start:end, start:end] = before[: len(tokens), : len(tokens)]
        return whole

    for row in range(rows):
        start = 0
        while start < length:
            drawn = document(rng)
            whole = write(row, start, drawn)
            after = start + len(whole.ids) + 1
            twice = drawn.stand_in is not None and rng.random() < exchange
            if twice and after < length:
                other = drawn.retold()
                again = write(row, after, other)
                to = after + other.end_of_subject(again.offsets)
                if to < length:
                    exchanged.append((row, to, start + drawn.end_of_subject(whole.offsets)))
                    # What comes before is no news about either.
                    labels[row, after : to + 1] = IGNORED
                else:
                    labels[row, after:] = IGNORED
                after += len(again.ids) + 1
            start = after
    return Rows(ids, labels, visible, torch.tensor(exchanged, dtype=torch.long).reshape(-1, 3))


def _encode(tokenizer: Any, text: str) -> Any:
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
