from __future__ import annotations

from collections.abc import Sequence

import pytest

from builders.fallback import WithFallback
from builders.images.protocol import ImageRequest, ImageResult
from schemas.images import EncodedImage


class Maker:
    """Makes pictures of the phrases that it knows, and fails at the others."""

    def __init__(self, name: str, *known: str) -> None:
        self.name = name
        self.known = known
        self.asked: list[str] = []
        self.closed = False

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        self.asked += [request.phrase for request in requests]
        return [self._one(request) for request in requests]

    def _one(self, request: ImageRequest) -> ImageResult:
        if request.phrase in self.known:
            image = EncodedImage(f"{self.name} {request.phrase}".encode())
            return ImageResult(image, None, self.name, None, None, request.seed)
        return ImageResult(None, f"knows no {request.phrase}", self.name, None, None, request.seed)

    def close(self) -> None:
        self.closed = True


def request(phrase: str) -> ImageRequest:
    return ImageRequest("r1", "negative", phrase, 7, None, frozenset())


def test_the_second_generator_is_asked_for_what_the_first_could_not_do() -> None:
    first, second = Maker("first", "bus"), Maker("second", "bus", "cat")
    results = WithFallback(first, second).generate([request(p) for p in ("cat", "bus", "cat")])
    assert second.asked == ["cat", "cat"]
    made = [(r.image.bytes if r.image else None, r.generator, r.fallback) for r in results]
    assert made == [
        (b"second cat", "second", True),
        (b"first bus", "first", False),
        (b"second cat", "second", True),
    ]
    assert all(r.error is None for r in results)


def test_a_request_that_fails_twice_says_why_both_failed() -> None:
    (result,) = WithFallback(Maker("first"), Maker("second")).generate([request("cat")])
    assert result.image is None
    assert result.fallback
    assert result.error == "knows no cat; then second: knows no cat"


def test_nothing_is_asked_twice_without_need() -> None:
    second = Maker("second")
    generator = WithFallback(Maker("first", "bus"), second)
    generator.generate([request("bus")])
    assert generator.name == "first"
    assert second.asked == []


def test_both_are_closed_even_if_the_first_fails_to() -> None:
    class Stuck(Maker):
        def close(self) -> None:
            raise OSError("stuck")

    second = Maker("second")
    with pytest.raises(OSError, match="stuck"):
        WithFallback(Stuck("first"), second).close()
    assert second.closed
