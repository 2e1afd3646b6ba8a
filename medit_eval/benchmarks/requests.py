"""Requests of lm-evaluation-harness in parts, and what came of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from editors.prompts import Query
from schemas.images import EncodedImage, ImageError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

MAX_NEW_TOKENS = 256
"""Tokens of a free answer where a task does not say."""


@dataclass(frozen=True)
class Reading:
    """What came of one request.

    Attributes:
        result: What the harness expects: a log-probability and whether it is greedy, a text, or a
            log-probability; not a number, or empty, where there is a reason.
        reason: Why there is none.
        tokens: Tokens of the prompt as it was read, or of the text whose likelihood is taken.
        routed: What a memory is asked to see whether it answers, or None where nothing is asked.
    """

    result: Any
    reason: str | None
    tokens: int
    routed: Query | None


@dataclass(frozen=True)
class Asked:
    """A request in parts.

    Attributes:
        block: Demonstrations.
        prompt: The final question.
        image: Its picture, or None.
        problem: Why it cannot be asked, or None.
    """

    block: str
    prompt: str
    image: EncodedImage | None
    problem: str | None = None

    @property
    def bare(self) -> Query:
        """The final question alone, as an editor is to see it."""
        return Query(self.prompt, self.image)

    def behind(self, query: Query) -> Query:
        """A rewritten question behind the demonstrations."""
        context = self.block + (query.context or "")
        return Query(query.prompt, query.image, context or None)


def arguments(request: Instance) -> tuple[Any, ...]:
    """What a request is about: a context or text, then what it is asked, then a picture."""
    return tuple(request.args)


def limits(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The stop strings and the number of tokens of a request."""
    until = settings.get("until") or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    names = ("max_gen_toks", "max_new_tokens", "max_tokens")
    tokens = next((settings[name] for name in names if settings.get(name)), MAX_NEW_TOKENS)
    return tuple(mark for mark in stop if mark), int(tokens)


def picture(more: Sequence[Any]) -> tuple[EncodedImage | None, str | None]:
    """The picture of a request, or why it cannot be shown."""
    shown = more[0].get("visual") if more and isinstance(more[0], Mapping) else None
    if isinstance(shown, list | tuple):
        if len(shown) != 1:
            return None, f"the item shows {len(shown)} pictures, and one can be shown"
        shown = shown[0]
    if shown is None:
        return None, None
    if not isinstance(shown, bytes):
        buffer = io.BytesIO()
        shown.convert("RGB").save(buffer, "PNG")
        shown = buffer.getvalue()
    image = EncodedImage(shown)
    try:
        image.decode()
    except ImageError as error:
        return None, str(error)
    return image, None
