"""Editors with a memory: which edit answers a question, and whether two edits ask the same one."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from editors.prompts import Query
from schemas.digest import digest128
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRequest

Forced = Literal["on", "off"]
"""`on`: the nearest entry answers, however far it is. `off`: none does."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a memory sends one question.

    Attributes:
        request_id: The request whose edit answers it, or None where the model answers unedited.
        nearest: The request whose entry is nearest, whether it answers or not; None in an empty
            memory or where nothing in it has anything in common with the question.
        score: How near that is, in the editor's own measure: a distance in a codebook, where
            small is near; a score of retrieval or confirmation, where great is near.
        threshold: What the score is compared with, or None where nothing is compared.
    """

    request_id: str | None
    nearest: str | None = None
    score: float | None = None
    threshold: float | None = None


@runtime_checkable
class Routed(Protocol):
    """An edited model that decides for every question which edit answers it, if any."""

    def routing(self, queries: Sequence[Query]) -> list[Route]:
        """What it decides by itself, one route per query, also while it is forced."""
        ...

    def force(self, mode: Forced | None) -> None:
        """Overrule the decisions until the next call; None gives them back."""
        ...


def require_mode(mode: Forced | None) -> None:
    """See to it that a mode of `force` exists.

    Raises:
        InputError: If it does not.
    """
    if mode not in ("on", "off", None):
        raise InputError(f"routing is forced 'on', 'off' or None, not {mode!r}")


def question_id(prompt: str, image: EncodedImage | None) -> str:
    """The same for two questions that differ in case and spacing only, about the same file."""
    words = " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
    return digest128(words.encode() + (b"" if image is None else b"\0" + image.bytes))


def latest(requests: Sequence[EditRequest]) -> list[EditRequest]:
    """The requests that stand, in order: of those that ask the same question, the last.

    Requests that are dropped although they give another answer are warned of.
    """
    standing: dict[str, EditRequest] = {}
    for request in requests:
        question = question_id(request.prompt, request.image)
        earlier = standing.pop(question, None)
        if earlier is not None and earlier.target_new != request.target_new:
            warnings.warn(
                f"the requests {earlier.id!r} and {request.id!r} contradict each other: "
                f"{earlier.target_new!r} and {request.target_new!r}; the later one stands",
                stacklevel=2,
            )
        standing[question] = request
    return list(standing.values())
