"""The prompt that text-to-image models get, one for all of them."""

from __future__ import annotations

from builders.text.protocol import digest_of

TEMPLATE = (
    "A realistic photograph of {phrase}. An everyday scene in natural light, with everything named "
    "clearly in view. No caption, no watermark, no border."
)
"""Asks for what VQA pictures are, snapshots, rather than for what models like to draw. Writing is
not forbidden as such: a phrase may be about a sign."""

CANNOT_VARY = "a text-to-image model cannot vary a given picture"
"""Why a request for a changed picture fails."""


def prompt_for(phrase: str) -> str:
    """The prompt for a phrase such as "a red bus"."""
    # Half a surrogate pair, which JSON in a data set may hold, fits in no request.
    whole = phrase.encode("utf-8", "replace").decode()
    return TEMPLATE.format(phrase=" ".join(whole.split()).rstrip(" ."))


def digest_of_prompt(prompt: str) -> str:
    """The digest that provenance carries."""
    return digest_of(["image", prompt])
