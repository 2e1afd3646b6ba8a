"""The generator that asks an OpenAI-compatible images endpoint."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from builders.images.cache import PictureCache
from builders.images.finish import LONG_SIDE, verified
from builders.images.prompt import CANNOT_VARY, digest_of_prompt, prompt_for
from builders.images.protocol import ImageRequest, ImageResult
from builders.text.budget import RequestBudget
from builders.text.chat import attempt_seed
from builders.text.protocol import EndpointError, digest_of
from builders.text.session import PerProcess, Session
from builders.text.settings import EndpointSettings
from builders.text.transport import CallFailed
from schemas.errors import InputError
from schemas.images import EncodedImage, ImageError

_NAME = "openai"
_SIZE = re.compile(r"auto|[1-9]\d{1,4}x[1-9]\d{1,4}")
_OPTIONAL = ("response_format", "seed", "size")
_REFUSED = re.compile(
    r"support|unknown|unrecognized|unexpected|invalid|extra|must be|not (?:permitted|allowed)"
)


@dataclass(frozen=True)
class ImageDialect:
    """The part of the images API that a server understands.

    Models of the DALL-E kind and most local servers send an address unless `response_format` asks
    for the picture itself; those of the GPT Image kind always send it and refuse the field. Local
    servers draw by `seed`, hosted ones refuse it. Sizes differ everywhere. So all three are sent
    first, and `conceding` gives up what an error names.

    Attributes:
        omit: Fields that are left out.
    """

    omit: frozenset[str] = frozenset()

    def adapt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body in this dialect."""
        return {key: value for key, value in body.items() if key not in self.omit}

    def conceding(self, message: str) -> ImageDialect | None:
        """The dialect without what an error names, or None when it names nothing of ours."""
        message = message.lower()
        if not _REFUSED.search(message):
            return None
        for field in _OPTIONAL:
            if field not in self.omit and re.search(rf"\b{field}\b", message):
                return replace(self, omit=self.omit | {field})
        return None


class OpenAIImageGenerator:
    """Draws from phrases, by cache or endpoint. An `ImageGenerator` and a context manager.

    A picture that cannot be used (refused for its content, no image, damaged, blank) gives a
    result with `error` and is not asked for again here: pictures are dear, and a builder that
    wants another one asks with another seed. Finished pictures are kept on disk, so a build that
    was killed pays only for the rest.

    Thread, client and files are opened at first use and belong to one process: after a fork the
    child opens its own. `generate` may be called from several threads at a time.

    Args:
        settings: Endpoint and how to ask it. Sampling options and attempts do not apply.
        cache_path: File of finished pictures. None takes the user's cache folder.
        budget: Limit on requests, shared with other processes of the build. None sets no limit.
        size: What the model draws, as `WIDTHxHEIGHT` or "auto"; left out where it is refused.
        long_side: Pixels of the longer side of what is kept, at most.

    Raises:
        InputError: The endpoint wants an API key and there is none, or `size` cannot be read.
    """

    name = _NAME

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        cache_path: Path | None = None,
        budget: RequestBudget | None = None,
        size: str = "1024x1024",
        long_side: int = LONG_SIDE,
    ) -> None:
        settings.require_key()
        if not _SIZE.fullmatch(size):
            raise InputError(f"expected an image size such as 1024x1024 or auto, found {size!r}")
        self._settings = settings
        self._cache = PictureCache(cache_path)
        self._budget = budget
        self._size = size
        self._long_side = long_side
        self._sessions = PerProcess(lambda: _Session(settings, self._cache, budget))

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        """One result per request, in order. Equal requests are asked once, also across threads.

        Raises:
            BudgetExhausted: No further request may be sent.
            EndpointError: The endpoint cannot be used at all. As with `BudgetExhausted`, what was
                drawn before is in the cache.
        """
        asks = [None if r.kind == "image_augmented" else self._ask(r) for r in requests]
        wanted = {ask.key: ask for ask in asks if ask is not None}
        drawn: dict[str, _Drawn] = {}
        if wanted:
            kept = self._cache.get(sorted(wanted))
            drawn = {key: _Drawn(EncodedImage(jpeg, None), None) for key, jpeg in kept.items()}
            missing = [ask for key, ask in wanted.items() if key not in kept]
            if missing:
                session = self._sessions.current()
                drawn |= session.run(session.ask_all(missing))
        return [
            self._result(request, drawn[ask.key] if ask else _Drawn(None, CANNOT_VARY))
            for request, ask in zip(requests, asks, strict=True)
        ]

    def close(self) -> None:
        """Closes connections and files."""
        self._sessions.close()
        self._cache.close()
        if self._budget is not None:
            self._budget.close()

    def __enter__(self) -> OpenAIImageGenerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: ImageRequest) -> _Ask:
        prompt, seed = prompt_for(request.phrase), attempt_seed(request.seed, 0)
        settings = self._settings
        key = digest_of(
            [settings.base_url, settings.model, prompt, self._size, seed, self._long_side]
        )
        return _Ask(key, prompt, self._size, seed, self._long_side)

    def _result(self, request: ImageRequest, drawn: _Drawn) -> ImageResult:
        return ImageResult(
            drawn.image,
            drawn.error,
            self.name,
            self._settings.model,
            digest_of_prompt(prompt_for(request.phrase)),
            attempt_seed(request.seed, 0),
        )


@dataclass(frozen=True, slots=True)
class _Ask:
    key: str
    prompt: str
    size: str
    seed: int
    long_side: int


@dataclass(frozen=True, slots=True)
class _Drawn:
    image: EncodedImage | None
    error: str | None


class _Session(Session[_Ask, _Drawn]):
    """One process's requests for pictures."""

    def __init__(
        self, settings: EndpointSettings, cache: PictureCache, budget: RequestBudget | None
    ) -> None:
        super().__init__(
            settings,
            budget,
            path="/images/generations",
            dialect=ImageDialect(),
            thread="medit-images",
        )
        self._cache = cache

    async def answer(self, ask: _Ask) -> _Drawn:
        """The picture, verified and kept, or why there is none."""
        body = {
            "model": self._settings.model,
            "prompt": ask.prompt,
            "size": ask.size,
            "seed": ask.seed,
            "response_format": "b64_json",
        }
        try:
            answer = await self.post(body)
        except CallFailed as failure:
            self.transport.give_up(failure)
            return _Drawn(None, str(failure))
        try:
            # Decoding takes long enough to hold up the other requests.
            image = await asyncio.to_thread(self._picture, answer, ask.long_side)
        except ImageError as error:
            return _Drawn(None, self._settings.clean(str(error)))
        self._cache.put(ask.key, image.bytes)
        return _Drawn(image, None)

    def _picture(self, answer: bytes, long_side: int) -> EncodedImage:
        text = _encoded_picture(answer)
        if text.startswith(("http://", "https://")):
            raise EndpointError(
                f"{self._settings.base_url} sends addresses of pictures although the pictures"
                " themselves (b64_json) were asked for"
            )
        try:
            encoded = "".join((text.partition(";base64,")[2] or text).split())
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ImageError("the answer's picture is not base64") from None
        return verified(data, long_side)


def _encoded_picture(answer: bytes) -> str:
    """The first picture in an answer's body: base64, a data URL, or an address.

    Raises:
        ImageError: There is none.
    """
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        raise ImageError("the answer is not JSON") from None
    found = parsed.get("data") if isinstance(parsed, dict) else None
    first = found[0] if isinstance(found, list) and found else None
    if isinstance(first, dict):
        for field in ("b64_json", "url"):
            if isinstance(first.get(field), str) and first[field].strip():
                return first[field].strip()
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    raise ImageError(f"the server answered: {error}" if error else "the answer has no picture")
