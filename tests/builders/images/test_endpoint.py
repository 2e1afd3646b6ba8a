from __future__ import annotations

import base64
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.fallback import WithFallback
from builders.images.cache import PictureCache, default_cache_path
from builders.images.endpoint import ImageDialect, OpenAIImageGenerator
from builders.images.prompt import digest_of_prompt, prompt_for
from builders.images.protocol import ImageResult
from builders.text.budget import RequestBudget
from builders.text.protocol import BudgetExhausted, EndpointError
from schemas.errors import InputError
from tests.builders.images.support import (
    KEY,
    encode,
    generator,
    request,
    requests,
    scene,
    settings,
)
from tests.stubs.images_server import (
    ImagesStub,
    address,
    answer,
    blank,
    data_url,
    drawn,
    garbage_base64,
    half_a_picture,
    not_an_image,
    oversized,
    picture,
    png,
    refused,
    unknown_parameter,
)
from tests.stubs.openai_server import (
    Reply,
    error,
    garbage,
    hang,
    hang_up,
    key_echo,
    rate_limited,
    server_error,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[ImagesStub]:
    with ImagesStub() as stub:
        yield stub


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff without its waits, for tests of what happens after them."""
    monkeypatch.setattr("builders.text.transport._FIRST_BACKOFF", 0.01)


def test_pictures_come_in_request_order_with_their_provenance(
    server: ImagesStub, tmp_path: Path
) -> None:
    server.image_rule = lambda body: (
        replace(picture(drawn(body)), delay=0.2) if "thing 0" in body["prompt"] else None
    )
    with generator(server.url, tmp_path) as images:
        results = images.generate(requests(6))
        assert images.generate([]) == []
    assert [r.error for r in results] == [None] * 6
    assert len({r.image.bytes for r in results if r.image}) == 6
    for asked, result in zip(requests(6), results, strict=True):
        sent = next(s.body for s in server.drawings if asked.phrase in s.body["prompt"])
        assert result.seed == sent["seed"]
        assert result.prompt_digest == digest_of_prompt(sent["prompt"])
        assert (result.generator, result.model, result.fallback) == ("openai", "painter", False)


def test_a_request_carries_prompt_size_seed_and_key(server: ImagesStub, tmp_path: Path) -> None:
    with OpenAIImageGenerator(
        settings(server.url), cache_path=tmp_path / "c.sqlite", size="512x512"
    ) as images:
        images.generate([request("two  dogs\non a beach.")])
    (sent,) = server.drawings
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body.keys() == {"model", "prompt", "size", "seed", "response_format"}
    assert sent.body["prompt"] == prompt_for("two dogs on a beach")
    assert "photograph of two dogs on a beach," in sent.body["prompt"]
    assert (sent.body["size"], sent.body["response_format"]) == ("512x512", "b64_json")
    assert 0 <= sent.body["seed"] < 2**31


def test_pictures_are_small_jpegs_without_metadata(server: ImagesStub, tmp_path: Path) -> None:
    server.draw = lambda _: encode(scene(900, 600), "JPEG", comment=b"made by a model").bytes
    with OpenAIImageGenerator(
        settings(server.url), cache_path=tmp_path / "c.sqlite", long_side=300
    ) as images:
        (result,) = images.generate([request()])
    assert result.image is not None
    assert result.image.bytes.startswith(b"\xff\xd8")
    assert result.image.decode().size == (300, 200)
    assert b"made by" not in result.image.bytes


def test_other_seeds_give_other_pictures_of_a_phrase(server: ImagesStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as images:
        one, two = images.generate([request(seed=1), request(seed=2)])
    assert one.image != two.image
    assert {s.body["prompt"] for s in server.drawings} == {prompt_for("a red bus")}


def test_a_given_picture_is_not_varied_and_nobody_is_asked(
    server: ImagesStub, tmp_path: Path
) -> None:
    varied = request(kind="image_augmented", reference=encode(scene()))
    with generator(server.url, tmp_path) as images:
        first, second = images.generate([varied, request()])
    assert first.image is None
    assert first.error == "a text-to-image model cannot vary a given picture"
    assert second.image is not None
    assert len(server.drawings) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (garbage(), "the answer is not JSON"),
        (Reply(body=b"[]"), "the answer has no picture"),
        (answer(), "the answer has no picture"),
        (answer({"b64_json": None}), "the answer has no picture"),
        (answer(3), "the answer has no picture"),
        (garbage_base64(), "the answer's picture is not base64"),
        (answer({"b64_json": "Bild für dich"}), "the answer's picture is not base64"),
        (not_an_image(), "not an image of a known format"),
        (half_a_picture(), "the image cannot be decoded"),
        (blank(), "the picture is blank"),
        (oversized(), "10000 x 6000 pixels"),
        (Reply(body=b'{"error": {"message": "out of paint"}}'), "the server answered: out of"),
        (refused(), "refused the content (HTTP 400: Your request was rejected"),
        (refused(403), "refused the content (HTTP 403: "),
        (refused(422, "content_policy_violation"), "refused the content (HTTP 422: "),
        (error(400, "blocked by our content filters", code="contentFilter"), "refused the content"),
        (error(400, "the prompt is too long"), "HTTP 400: the prompt is too long"),
    ],
)
def test_an_unusable_answer_is_one_error_and_is_not_paid_again(
    server: ImagesStub, tmp_path: Path, reply: Reply, reason: str
) -> None:
    server.image_rule = lambda body: reply if "thing 1" in body["prompt"] else None
    with generator(server.url, tmp_path, concurrency=1) as images:
        one, two, three = images.generate(requests(3))
    assert (one.error, three.error) == (None, None)
    assert two.image is None
    assert two.error is not None
    assert reason in two.error
    assert "\n" not in two.error
    assert len(server.drawings) == 3


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "fault",
    [
        rate_limited("0.05"),
        rate_limited(),
        server_error(),
        server_error(503),
        hang_up(),
        hang(5),
    ],
    ids=["429 with pause", "429", "500", "503", "hang up", "hang"],
)
def test_passing_faults_are_retried(server: ImagesStub, tmp_path: Path, fault: Reply) -> None:
    server.script_images(fault, fault)
    with generator(server.url, tmp_path, timeout=0.4) as images:
        (result,) = images.generate([request()])
    assert result.error is None
    assert len(server.drawings) == 3


@pytest.mark.usefixtures("fast")
def test_a_fault_that_stays_is_an_error(server: ImagesStub, tmp_path: Path) -> None:
    server.image_rule = lambda body: server_error() if "thing 1" in body["prompt"] else None
    with generator(server.url, tmp_path, max_retries=2) as images:
        one, two = images.generate(requests(2))
    assert one.error is None
    assert two.error == "HTTP 500: out of order (3 tries)"
    assert len(server.drawings) == 4


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (error(401, "no"), "refused the API key"),
        (error(403, "not for you"), "does not allow this"),
        (error(403, "your account is against our content policy"), "does not allow this"),
        (error(404, "no such model"), "does not know this model or address"),
        (error(429, "pay first", code="insufficient_quota"), "has no quota left"),
        (rate_limited("900"), "asks to wait 900 seconds"),
        (address(), "sends addresses of pictures although"),
    ],
)
def test_what_makes_the_endpoint_unusable_stops_the_build(
    server: ImagesStub, tmp_path: Path, reply: Reply, reason: str
) -> None:
    server.image_rule = lambda _: reply
    with (
        generator(server.url, tmp_path, concurrency=1) as images,
        pytest.raises(EndpointError) as caught,
    ):
        images.generate(requests(3))
    assert reason in str(caught.value)
    assert server.url in str(caught.value)
    assert len(server.drawings) == 1


@pytest.mark.usefixtures("fast")
def test_an_unreachable_endpoint_stops_the_build(tmp_path: Path) -> None:
    with (
        generator("http://127.0.0.1:9/v1", tmp_path, max_retries=1) as images,
        pytest.raises(EndpointError, match=r"cannot reach http://127\.0\.0\.1:9/v1"),
    ):
        images.generate([request()])


def test_no_number_of_refusals_stops_the_build(server: ImagesStub, tmp_path: Path) -> None:
    server.image_rule = lambda body: None if "thing 11" in body["prompt"] else refused()
    with generator(server.url, tmp_path) as images:
        results = images.generate(requests(12))
    assert [r.image is None for r in results] == [True] * 11 + [False]


@pytest.mark.parametrize("names", [(), ("response_format",), ("response_format", "seed", "size")])
def test_parameters_that_a_server_refuses_are_left_out(
    server: ImagesStub, tmp_path: Path, names: tuple[str, ...]
) -> None:
    def strict(body: dict[str, object]) -> Reply | None:
        return next((unknown_parameter(name) for name in names if name in body), None)

    server.image_rule = strict
    with generator(server.url, tmp_path, concurrency=1) as images:
        assert {r.error for r in images.generate(requests(3))} == {None}
    assert len(server.drawings) == 3 + len(names)
    assert not set(names) & server.drawings[-1].body.keys()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unknown parameter: 'response_format'.", "response_format"),
        ("[{'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]", "seed"),
        ("Invalid size: must be one of 256x256", "size"),
        ("The size is not supported by this model.", "size"),
        ("the prompt about a seed is too long", None),
        ("Unsupported: oversize", None),
    ],
)
def test_the_dialect_gives_up_what_an_error_names(message: str, field: str | None) -> None:
    conceded = ImageDialect().conceding(message)
    assert (conceded and conceded.omit) == (frozenset({field}) if field else None)
    if conceded is not None:
        assert conceded.conceding(message) is None


def test_a_data_url_is_a_picture(server: ImagesStub, tmp_path: Path) -> None:
    server.script_images(data_url())
    with generator(server.url, tmp_path) as images:
        (result,) = images.generate([request()])
    assert result.image is not None


def test_equal_requests_are_asked_once_and_concurrency_is_bounded(
    server: ImagesStub, tmp_path: Path
) -> None:
    server.image_rule = lambda body: replace(picture(drawn(body)), delay=0.1)
    found: list[ImageResult] = []
    with generator(server.url, tmp_path, concurrency=3) as images:
        threads = [
            threading.Thread(target=lambda: found.extend(images.generate(requests(8) * 2)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.drawings) == 8
    assert server.busiest == 3
    assert len(found) == 32


def test_what_was_drawn_is_not_paid_for_again(server: ImagesStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as images:
        before = images.generate(requests(5))
    with generator(server.url, tmp_path) as images:
        assert images.generate(requests(5)) == before
        assert len(server.drawings) == 5
        images.generate([request("thing 0", seed=99)])
    assert len(server.drawings) == 6
    with OpenAIImageGenerator(
        settings(server.url), cache_path=tmp_path / "pictures.sqlite", size="auto"
    ) as images:
        images.generate(requests(1))
    with generator(server.url, tmp_path, model="another") as images:
        images.generate(requests(1))
    assert len(server.drawings) == 8


def test_failures_are_not_kept(server: ImagesStub, tmp_path: Path) -> None:
    server.script_images(refused())
    with generator(server.url, tmp_path) as images:
        assert images.generate([request()])[0].image is None
        assert images.generate([request()])[0].image is not None


def test_the_budget_counts_each_request_and_keeps_what_was_drawn(
    server: ImagesStub, tmp_path: Path
) -> None:
    def opened(limit: int) -> OpenAIImageGenerator:
        return OpenAIImageGenerator(
            settings(server.url, concurrency=2),
            cache_path=tmp_path / "c.sqlite",
            budget=RequestBudget(tmp_path / "sent.sqlite", limit),
        )

    with opened(5) as images, pytest.raises(BudgetExhausted, match="limit of 5 requests"):
        images.generate(requests(9))
    assert len(server.drawings) == 5
    with opened(9) as images:
        assert {r.error for r in images.generate(requests(9))} == {None}
    assert len(server.drawings) == 9


@pytest.mark.usefixtures("fast")
def test_retries_and_refused_parameters_count_towards_the_budget(
    server: ImagesStub, tmp_path: Path
) -> None:
    server.script_images(server_error(), unknown_parameter("seed"))
    budget = RequestBudget(tmp_path / "sent.sqlite", None)
    with OpenAIImageGenerator(
        settings(server.url), cache_path=tmp_path / "c.sqlite", budget=budget
    ) as images:
        images.generate([request()])
        assert budget.sent == 3


def test_a_killed_run_pays_only_for_the_rest(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from tests.builders.images.support import generator, requests
        generator(sys.argv[1], Path(sys.argv[2])).generate(requests(12))
    """
    with ImagesStub() as server:
        kept = [drawn({"prompt": f"{i}"}) for i in range(7)]
        server.image_rule = lambda _: picture(kept.pop()) if kept else hang(60)
        worker = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), server.url, str(tmp_path)], cwd=ROOT
        )
        cache, deadline = PictureCache(tmp_path / "pictures.sqlite"), time.monotonic() + 60
        # Four workers hang in their next request, so that all seven pictures have been read.
        while len(server.drawings) < 11 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate(timeout=10)
        cache.close()
        assert len(server.drawings) == 11

        server.requests.clear()
        server.image_rule = lambda _: None
        with generator(server.url, tmp_path) as images:
            assert {r.error for r in images.generate(requests(12))} == {None}
        assert len(server.drawings) == 5


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "reply",
    [
        key_echo(KEY),
        key_echo(KEY, 400),
        key_echo(KEY, 500),
        error(403, KEY, code="content_policy_violation"),
        error(429, KEY, headers={"X-Key": KEY}),
        Reply(body=f'{{"error": {{"message": "{KEY}"}}}}'.encode()),
        answer({"url": f"https://pictures.invalid/{KEY}.png"}),
        picture(drawn({"prompt": "echo"}), revised_prompt=KEY),
        picture(encode(scene(), "JPEG", comment=KEY.encode()).bytes),
    ],
)
def test_the_key_gets_nowhere(
    server: ImagesStub, tmp_path: Path, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    for name in ("openai", "httpx2", "httpcore2", "asyncio", "builders"):
        caplog.set_level(logging.DEBUG, logger=name)
    server.image_rule = lambda _: reply
    seen: list[str] = []
    with generator(server.url, tmp_path, max_retries=1) as images:
        seen.append(repr(images))
        try:
            (result,) = images.generate([request()])
            seen.append(repr(replace(result, image=None)))
            assert result.image is None or KEY.encode() not in result.image.bytes
        except InputError as caught:
            seen.append("".join(traceback.format_exception(caught)))
    seen += [record.getMessage() + str(record.args) for record in caplog.records]
    assert caplog.records
    assert not [line for line in seen if KEY in line]
    for file in tmp_path.rglob("*"):
        assert KEY.encode() not in file.read_bytes(), file


def test_the_fallback_answers_what_was_refused(server: ImagesStub, tmp_path: Path) -> None:
    class StandIn:
        name = "offline"

        def generate(self, requests: list[object]) -> list[ImageResult]:
            image = encode(scene())
            return [ImageResult(image, None, self.name, None, None, 7) for _ in requests]

        def close(self) -> None:
            pass

    server.image_rule = lambda body: refused() if "thing 1" in body["prompt"] else None
    images = WithFallback(generator(server.url, tmp_path), StandIn())  # type: ignore[arg-type]
    results = images.generate(requests(3))
    images.close()
    assert [(r.generator, r.fallback) for r in results] == [
        ("openai", False),
        ("offline", True),
        ("openai", False),
    ]


def test_half_a_surrogate_pair_can_be_drawn(server: ImagesStub, tmp_path: Path) -> None:
    with generator(server.url, tmp_path) as images:
        (result,) = images.generate([request("a \ud83d bus")])
    assert result.error is None
    assert "a ? bus" in server.drawings[0].body["prompt"]


@pytest.mark.parametrize("size", ["", "big", "512", "0x512", "512x512px"])
def test_a_size_that_cannot_be_read_is_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(InputError, match="expected an image size"):
        OpenAIImageGenerator(settings("http://x/v1"), cache_path=tmp_path / "c", size=size)


def test_the_hosted_endpoint_wants_a_key(tmp_path: Path) -> None:
    hosted = replace(settings("https://api.openai.com/v1"), api_key=None)
    with pytest.raises(InputError, match="no API key"):
        OpenAIImageGenerator(hosted, cache_path=tmp_path / "c")


def test_transparent_and_deep_pictures_are_taken(server: ImagesStub, tmp_path: Path) -> None:
    whole = scene()
    palette, clear = whole.convert("P"), whole.convert("RGBA")
    deep = Image.fromarray(np.asarray(whole.convert("L")).astype("uint16") << 8)
    server.script_images(*(picture(png(p)) for p in (palette, clear, deep, whole.convert("L"))))
    with generator(server.url, tmp_path, concurrency=1) as images:
        results = images.generate(requests(4))
    assert [r.error for r in results] == [None] * 4
    assert {r.image.decode().size for r in results if r.image} == {whole.size}


def test_the_default_cache_is_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_cache_path() == tmp_path / "medit" / "pictures.sqlite"
    assert PictureCache().path == default_cache_path()


def test_closing_twice_and_before_use_is_harmless(tmp_path: Path) -> None:
    images = generator("http://127.0.0.1:9/v1", tmp_path)
    images.close()
    images.close()
    assert not [t for t in threading.enumerate() if t.name == "medit-images"]


def test_base64_may_have_line_breaks(server: ImagesStub, tmp_path: Path) -> None:
    encoded = base64.encodebytes(drawn({"prompt": "lines"})).decode()
    server.script_images(answer({"b64_json": encoded}))
    with generator(server.url, tmp_path) as images:
        (result,) = images.generate([request()])
    assert result.error is None
