"""Trained spaCy pipelines that find named entities."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from schemas.errors import InputError

if TYPE_CHECKING:
    from spacy.language import Language

NUMERIC = frozenset({"CARDINAL", "DATE", "MONEY", "ORDINAL", "PERCENT", "QUANTITY", "TIME"})
"""Labels of entities that are no names."""


@cache
def load_recogniser(pipeline: str) -> Language:
    """A pipeline that is installed, by its name, or that lies in a folder.

    spaCy's files are MessagePack and JSON, with no pickle; weights of PyTorch, which few pipelines
    have, go through `torch.load`, which unpickles no code from version 2.6 on.

    Raises:
        InputError: If there is none, or it finds no entities.
    """
    import spacy

    try:
        found = spacy.load(pipeline)
    except (OSError, ValueError) as error:
        missing = isinstance(error, OSError)
        reason = "has no pipeline {!r} here: install it" if missing else "cannot load {!r}: mend it"
        raise InputError(f"spaCy {reason.format(pipeline)}, or go without") from None
    if not any("doc.ents" in found.get_pipe_meta(name).assigns for name in found.pipe_names):
        raise InputError(
            f"the spaCy pipeline {pipeline!r} finds no entities: "
            "it has neither `ner` nor `entity_ruler`"
        )
    return found
