"""The prompt that text-to-image models get, one for all of them."""

from __future__ import annotations

from builders.text.protocol import digest_of

TEMPLATE = (
    "A realistic photograph of {phrase}, an everyday scene in natural light, clearly in view."
)
"""Asks for what VQA pictures are, snapshots, rather than for what models like to draw. It says
what to show and nothing of what to avoid: small models draw what they read."""

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
