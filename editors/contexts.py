"""Contexts: short texts of the model's own that stand in front of an edited prompt.

Values and keys are computed over the bare prompt and the same prompt after such texts, so that an
edit does not depend on its prompt standing alone (MEMIT, Meng et al. 2023, section 4.3).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from editors.lm import LM
from editors.prompts import Query, Renderer

SEED_WORDS = ("The", "Therefore", "Because", "I", "You")
"""What the texts begin with, as in the released code."""

TOKENS = 10
"""Length of a text, its first word included."""

TOP = 5
"""How many of the most probable tokens are drawn from."""


@torch.no_grad()
def sample_contexts(lm: LM, count: int, seed: int) -> tuple[str, ...]:
    """Texts that the model writes after the seed words, each with a full stop and a space.

    They are drawn in the plain format, token by token from the `TOP` most probable ones; the same
    model, count and seed give the same texts.

    Args:
        lm: The unedited model.
        count: How many; the seed words repeat from the start beyond five, with other draws.
        seed: Seed of the draws.
    """
    if not count:
        return ()
    generator = torch.Generator().manual_seed(seed)
    encoder = replace(lm.encoder, renderer=Renderer("plain", lm.tokenizer, lm.processor))
    words = [Query(SEED_WORDS[i % len(SEED_WORDS)]) for i in range(count)]
    drawn: list[list[int]] = [[] for _ in words]
    first = encoder.encode(words)
    for _ in range(max(1, TOKENS - first.length)):
        batch = encoder.encode(words, drawn)
        best = lm.forward(batch, keep=1)[:, -1].float().topk(TOP)
        picks = torch.multinomial(best.values.softmax(-1).cpu(), 1, generator=generator)
        for row, token in enumerate(best.indices.cpu().gather(1, picks)[:, 0].tolist()):
            drawn[row].append(token)
    texts = [
        word.prompt + lm.tokenizer.decode(tokens, skip_special_tokens=True)
        for word, tokens in zip(words, drawn, strict=True)
    ]
    return tuple(f"{text}. " for text in texts)
