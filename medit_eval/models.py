"""Models as a user names them: a path, a Hub id, a testbed model, or one in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editors.digest import setup_digests
from editors.lm import LM
from editors.prompts import PromptFormat
from schemas.errors import InputError

if TYPE_CHECKING:
    import torch

TESTBED = "testbed/"
"""What the names of the models that come with this package begin with."""


def resolve(
    model: str | Path | LM | Any,
    processor: Any = None,
    *,
    prompt_format: PromptFormat | None = None,
    device: str | torch.device | None = None,
    dtype: str = "auto",
    device_map: str | None = None,
    rows: int | None = None,
    tf32: bool = False,
) -> LM:
    """The model that a user means.

    Args:
        model: A folder, a Hub id (`ID@REVISION` for one revision of it), `testbed/lm` or
            `testbed/vlm`, an `LM`, or a `PreTrainedModel`.
        processor: The tokenizer or processor of a `PreTrainedModel`.
        prompt_format: How prompts are put to it; `plain` by default, or an `LM`'s own.
        device: Where a model that is loaded goes.
        dtype: The dtype of a model that is loaded.
        device_map: How to spread a model that is loaded over several devices.
        rows: The most questions that are asked at once; found by the memory that there is by
            default.
        tf32: Whether float32 matrix products of its forwards may be made of TF32 numbers; see `LM`.

    Raises:
        InputError: If it cannot be found, read or edited.
    """
    if isinstance(model, LM):
        lm = model if prompt_format is None else model.asked_in(prompt_format)
        return lm.in_tf32() if tf32 else lm
    shape = prompt_format or "plain"
    if not isinstance(model, str | Path):
        if processor is None:
            raise InputError(
                f"a {type(model).__name__} in memory needs its tokenizer or processor as well"
            )
        return LM(model, processor, prompt_format=shape, batch_size=rows, tf32=tf32)
    name = str(model)
    source: str | Path = model
    if name.startswith(TESTBED) and not Path(name).exists():
        from medit_eval import testbed

        source = testbed.path(name)
    return LM.load(
        source,
        device=device,
        dtype=dtype if not name.startswith(TESTBED) or dtype != "auto" else "float32",
        device_map=device_map,
        prompt_format=shape,
        batch_size=rows,
        tf32=tf32,
        name=name,
    )


def identity(lm: LM) -> str:
    """A digest of all that decides what a model answers: weights, tokenizer, libraries..."""
    import torch
    import transformers

    digest = hashlib.blake2b(digest_size=16)
    for part in (
        lm.digest(),
        type(lm.model).__name__,
        *setup_digests(lm).values(),
        torch.__version__,
        transformers.__version__,
        *(["tf32"] if lm.tf32 else []),
    ):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()
