"""An OpenAI-compatible server on loopback that also draws, and misdraws as a test scripts.

with ImagesStub() as server:
    server.script_images(refused(), garbage_base64())
    ...  # ask server.url
    assert len(server.drawings) == 3
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tests.stubs.openai_server import Logged, OpenAIStub, Reply, error


def drawn(body: dict[str, Any]) -> bytes:
    """A PNG of coloured patches that depends on prompt and seed alone."""
    told = f"{body['prompt']}:{body.get('seed')}"
    seed = int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest())
    patches = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return png(Image.fromarray(patches).resize((96, 96), Image.Resampling.NEAREST))


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def picture(data: bytes, **fields: object) -> Reply:
    """The answer that holds a picture."""
    encoded = base64.b64encode(data).decode()
    return answer({"b64_json": encoded, **fields})


def answer(*pictures: object) -> Reply:
    return Reply(body=json.dumps({"created": 1, "data": list(pictures)}).encode())


def garbage_base64() -> Reply:
    return answer({"b64_json": "%%% no base64 %%%"})


def not_an_image() -> Reply:
    return picture(b"<svg>no picture of a known format</svg>")


def half_a_picture() -> Reply:
    whole = drawn({"prompt": "cut", "seed": 1})
    return picture(whole[: len(whole) // 2])


def blank() -> Reply:
    return picture(png(Image.new("RGB", (64, 64))))


def oversized() -> Reply:
    """A small file that unfolds to sixty million pixels."""
    return picture(png(Image.new("1", (10_000, 6_000))))


def address() -> Reply:
    return answer({"url": "https://pictures.invalid/1.png"})


def data_url() -> Reply:
    encoded = base64.b64encode(drawn({"prompt": "by url", "seed": 1})).decode()
    return answer({"url": f"data:image/png;base64,{encoded}"})


def refused(status: int = 400, code: str = "moderation_blocked") -> Reply:
    return error(status, "Your request was rejected by the safety system.", code=code)


def unknown_parameter(name: str) -> Reply:
    return error(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


class ImagesStub(OpenAIStub):
    """The server. Use it as a context manager.

    Args:
        draw: The picture for a body.
        answer: Text of the answer to a chat body.

    Attributes:
        image_rule: Asked before the script of pictures; None leaves a body to that.
    """

    def __init__(
        self,
        draw: Callable[[dict[str, Any]], bytes] = drawn,
        answer: Callable[[dict[str, Any]], str] = lambda _: '{"text": "hello"}',
    ) -> None:
        super().__init__(answer)
        self.draw = draw
        self.image_rule: Callable[[dict[str, Any]], Reply | None] = lambda _: None
        self._pictures: deque[Reply] = deque()

    def script_images(self, *replies: Reply) -> None:
        """The next requests for pictures get these replies, one each."""
        self._pictures.extend(replies)

    @property
    def drawings(self) -> list[Logged]:
        """The requests for pictures so far."""
        return self.posts("/images/generations")

    def _reply(self, method: str, path: str, body: Any) -> Reply:
        if (method, path) != ("POST", "/images/generations"):
            return super()._reply(method, path, body)
        reply = self.image_rule(body)
        if reply is None:
            with self._lock:
                reply = self._pictures.popleft() if self._pictures else None
        return reply or picture(self.draw(body))
