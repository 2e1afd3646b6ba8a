"""A random model shaped like Llama 3, its tokenizer and people to edit, all made on the spot.

It knows nothing, so its scores mean nothing; what it costs to edit and ask is what the trained one
costs, but that its free answers run on to their limit and that no value is reached early.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from editors.lm import LM
from medit_eval.sources import load
from schemas.records import EditRecord


@dataclass(frozen=True)
class Shape:
    """The sizes of a model.

    Attributes:
        layers: Its blocks.
        hidden: Its width.
        mlp: That of its MLPs.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        vocabulary: Its tokens.
        edited: The layers that AlphaEdit writes to; None for those that were published.
    """

    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    vocabulary: int
    edited: tuple[int, ...] | None = None


LLAMA = "llama-3-8b"

SHAPES = {
    LLAMA: Shape(32, 4096, 14336, 32, 8, 128256),
    "tiny": Shape(3, 32, 48, 4, 2, 1024, edited=(0, 1)),
}
"""The first as in the configuration of Llama-3-8B (Grattafiori et al. 2024, table 3)."""


def build(
    shape: Shape, texts: Sequence[str], device: str, dtype: torch.dtype, *, tf32: bool = False
) -> LM:
    """A random model on a device, with a tokenizer of some texts."""
    import transformers as hf

    words = tokenizer(texts, min(shape.vocabulary * 3 // 4, 32_768))
    config = hf.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        tie_word_embeddings=False,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = hf.AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        # Tokens that the tokenizer does not know are never the best, so all answers are texts.
        model.lm_head.weight[len(words) :] = 0
    return LM(model, words, name="random Llama", tf32=tf32)


def tokenizer(texts: Sequence[str], size: int) -> Any:
    """A byte-level tokenizer that is trained on texts."""
    import tokenizers
    import transformers as hf

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def people(count: int) -> list[EditRecord]:
    """The people of the testbed, and namesakes of theirs where more are wanted."""
    known = load("testbed/people", records_format="medit", images=None, split="test", limit=count)
    found = list(known)
    while len(found) < count:
        number = len(found) // len(known) + 1
        for record in known[: count - len(found)]:
            name = record.requests[0].subject or ""
            other = _renamed(record, name, f"{name} number {number}")
            requests = [dataclasses.replace(r, id=f"{r.id}-{number}") for r in other.requests]
            found.append(
                dataclasses.replace(other, id=f"{record.id}-{number}", requests=tuple(requests))
            )
    return found


def texts_of(records: Sequence[EditRecord]) -> list[str]:
    """What the records ask and answer, as sentences."""
    return [
        f"{prompt} {probe.answers[0] if probe.answers else ''}".strip()
        for record in records
        for probe in record.probes
        for prompt in probe.prompts
    ]


def _renamed(value: Any, name: str, other: str) -> Any:
    """A record, or a part of it, with another name in all of its texts."""
    if isinstance(value, str):
        return value.replace(name, other)
    if isinstance(value, tuple):
        return tuple(_renamed(item, name, other) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return dataclasses.replace(
            value, **{f.name: _renamed(getattr(value, f.name), name, other) for f in fields}
        )
    return value
