"""Builds whose pictures come from an OpenAI-compatible endpoint, against a stub on loopback."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from builders.images.diffusion import DiffusersGenerator
from builders.images.prompt import digest_of_prompt, prompt_for
from builders.okedit.build import Models
from builders.text.protocol import BudgetExhausted
from builders.text.settings import EndpointSettings
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRecord, Probe, Provenance
from tests.builders.okedit.support import (
    KEY,
    QUESTIONS,
    CommandLine,
    Vqa,
    build_in_process,
    canned,
    endpoint,
    file_bytes,
    make_vqa,
    records_of,
    rejects_of,
)
from tests.stubs.images_server import ImagesStub, address, drawn, refused

ROWS = (*QUESTIONS[:3], *QUESTIONS[5:8])
"""Buses and animals: three answers of either kind, so that each question has a third one."""

OTHERS = 3
"""Other instances of a record: two for the probes, one for the editor."""

PER_RECORD = OTHERS + 1
"""Pictures that are drawn for a record: its other instances, and one of the third answer."""


@pytest.fixture
def server() -> Iterator[ImagesStub]:
    with ImagesStub(answer=canned) as stub:
        yield stub


@pytest.fixture
def vqa(tmp_path: Path) -> Vqa:
    return make_vqa(tmp_path / "source", ROWS)


def painter(server: ImagesStub, tmp_path: Path, max_requests: int | None = None) -> Models:
    models = endpoint(server.url, tmp_path / "cache.sqlite", model="painter")
    return Models(images=models.text, cache=models.cache, max_requests=max_requests)


def pictures(record: EditRecord, kind: str) -> list[EncodedImage]:
    return [image for probe in record.probes if probe.kind == kind for image in probe.images]


def made(record: EditRecord, field: str) -> Provenance:
    (entry,) = (p for p in record.provenance if p.field == field)
    return entry


def negatives(record: EditRecord) -> list[Probe]:
    return [probe for probe in record.probes if probe.kind == "negative"]


def generators_of_negatives(record: EditRecord) -> list[str]:
    return [p.generator for p in record.provenance if p.field == "probes.negative"]


def test_each_kind_of_picture_comes_from_its_own_phrase(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    outcome = build_in_process(
        vqa.options(images="openai"), tmp_path / "out", painter(server, tmp_path)
    )
    assert outcome.report is not None
    assert outcome.report.ok, outcome.report.findings
    records = records_of(tmp_path / "out")
    assert len(records) == len(ROWS)
    asked = [drawing.body["prompt"] for drawing in server.drawings]
    assert len(asked) == PER_RECORD * len(ROWS)
    expected: Counter[str] = Counter()
    for record in records:
        assert record.image_object is not None
        assert record.third_object is not None
        shown, third = prompt_for(record.image_object), prompt_for(record.third_object)
        assert shown != third
        expected.update([shown] * OTHERS + [third])

        other = made(record, "probes.image_other_instance")
        assert (other.generator, other.model) == ("openai", "painter")
        assert other.prompt_digest == digest_of_prompt(shown)
        (negative,) = (
            p for p in record.provenance if p.field == "probes.negative" and p.generator == "openai"
        )
        assert negative.model == "painter"
        assert negative.prompt_digest == digest_of_prompt(third)
        varied = made(record, "probes.image_augmented")
        assert (varied.generator, varied.model) == ("augment", None)

        assert len(set(pictures(record, "image_other_instance"))) == 2
        assert len(pictures(record, "image_augmented")) == 1
        drawn_third, *mined = negatives(record)
        assert drawn_third.grade == "third_answer"
        assert drawn_third.answers == (record.third_answer,)
        assert mined
        assert "third_answer" not in {probe.grade for probe in mined}
    assert Counter(asked) == expected


def test_the_manifest_names_the_model_and_nothing_secret(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    outcome = build_in_process(
        vqa.options(images="openai"), tmp_path / "out", painter(server, tmp_path)
    )
    assert outcome.manifest.generators["images"] == {"generator": "openai", "model": "painter"}
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            assert server.url.encode() not in content, path


def test_a_second_build_pays_nothing_and_is_the_same(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    options, models = vqa.options(images="openai"), painter(server, tmp_path)
    build_in_process(options, tmp_path / "one", models)
    server.requests.clear()
    build_in_process(options, tmp_path / "two", models)
    assert server.drawings == []
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "two")
    assert (tmp_path / "cache.images.sqlite").is_file()


def test_a_limit_on_requests_stops_the_build_and_more_goes_on(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    options, out = vqa.options(images="openai"), tmp_path / "out"
    with pytest.raises(BudgetExhausted, match="limit of 5 requests"):
        build_in_process(options, out, painter(server, tmp_path, max_requests=5))
    assert len(server.drawings) == 5
    build_in_process(options, out, painter(server, tmp_path, max_requests=50))
    assert len(server.drawings) == PER_RECORD * len(ROWS)


def test_text_and_pictures_share_the_limit(server: ImagesStub, vqa: Vqa, tmp_path: Path) -> None:
    written = endpoint(server.url, tmp_path / "cache.sqlite")
    models = Models(
        text=written.text,
        images=painter(server, tmp_path).images,
        cache=written.cache,
        max_requests=1_000,
    )
    options = vqa.options(text="openai", images="openai")
    build_in_process(options, tmp_path / "one", models)
    spent = len(server.chats) + len(server.drawings)
    assert server.chats
    assert server.drawings
    with pytest.raises(BudgetExhausted):
        build_in_process(
            options,
            tmp_path / "two",
            Models(models.text, models.images, None, tmp_path / "new.sqlite", spent - 1),
        )
    assert len(server.chats) + len(server.drawings) == 2 * spent - 1


def test_a_refused_third_answer_leaves_the_record_with_its_mined_negatives(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    build_in_process(vqa.options(images="openai"), tmp_path / "asked", painter(server, tmp_path))
    horse = next(r for r in records_of(tmp_path / "asked") if "animal" in r.requests[0].prompt)
    assert horse.third_object is not None
    banned = prompt_for(horse.third_object)

    server.image_rule = lambda body: refused() if body["prompt"] == banned else None
    models = painter(server, tmp_path / "fresh")
    build_in_process(vqa.options(images="openai"), tmp_path / "out", models)
    records = {record.id: record for record in records_of(tmp_path / "out")}
    assert len(records) == len(ROWS)
    assert rejects_of(tmp_path / "out") == []
    without = [r for r in records.values() if "openai" not in generators_of_negatives(r)]
    assert horse.id in {record.id for record in without}
    assert len(without) < len(ROWS)
    for record in without:
        assert negatives(record)
        assert "third_answer" not in {probe.grade for probe in negatives(record)}


def test_refused_positives_leave_the_record_with_varied_ones(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    build_in_process(vqa.options(images="openai"), tmp_path / "asked", painter(server, tmp_path))
    horse = next(r for r in records_of(tmp_path / "asked") if "animal" in r.requests[0].prompt)
    assert horse.image_object is not None
    banned = prompt_for(horse.image_object)

    server.image_rule = lambda body: refused() if body["prompt"] == banned else None
    models = painter(server, tmp_path / "fresh")
    build_in_process(vqa.options(images="openai"), tmp_path / "out", models)
    assert rejects_of(tmp_path / "out") == []
    for record in records_of(tmp_path / "out"):
        assert record.image_object is not None
        drawn_others = pictures(record, "image_other_instance")
        assert bool(drawn_others) == (prompt_for(record.image_object) != banned)
        assert pictures(record, "image_augmented")


def test_the_fallback_is_marked_in_provenance(server: ImagesStub, tmp_path: Path) -> None:
    from builders.okedit.options import Options

    server.image_rule = lambda _: refused()
    options = Options(source="flags", images="openai", fallback=True, limit=2, rephrasings=1)
    build_in_process(options, tmp_path / "out", painter(server, tmp_path))
    records = records_of(tmp_path / "out")
    assert records
    for record in records:
        origin = made(record, "probes.image_other_instance")
        assert origin.fallback
        assert origin.generator != "openai"
        assert not made(record, "probes.image_augmented").fallback


def test_several_workers_share_cache_and_limit(
    server: ImagesStub, vqa: Vqa, tmp_path: Path
) -> None:
    options = vqa.options(images="openai", shard_rows=1)
    models = painter(server, tmp_path, max_requests=PER_RECORD * len(ROWS))
    build_in_process(options, tmp_path / "two", models, workers=2)
    assert len(server.drawings) == PER_RECORD * len(ROWS)
    build_in_process(options, tmp_path / "one", models)
    assert len(server.drawings) == PER_RECORD * len(ROWS)
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "two")


def test_the_command_line_says_in_one_line_what_is_wrong(
    okedit: CommandLine,
    server: ImagesStub,
    vqa: Vqa,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("MEDIT_IMAGE_MODEL", raising=False)
    server.image_rule = lambda _: address()
    asked = (
        *("build", *vqa.arguments, "--out", tmp_path / "out", "--images", "openai"),
        *("--base-url", server.url, "--cache", tmp_path / "c.sqlite"),
    )
    assert "no image model is named" in okedit(*asked).complaint
    said = okedit(*asked, "--image-model", "painter")
    assert said.code == 2
    assert "sends addresses of pictures" in said.complaint
    assert KEY not in said.out + said.err


def test_a_local_pipeline_draws_in_its_place(
    vqa: Vqa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipeline(prompt: list[str], generator: list[Any], **_: Any) -> SimpleNamespace:
        seeds = [stream.initial_seed() for stream in generator]
        images = [
            Image.open(io.BytesIO(drawn({"prompt": p, "seed": s})))
            for p, s in zip(prompt, seeds, strict=True)
        ]
        return SimpleNamespace(images=images)

    pytest.importorskip("diffusers")
    monkeypatch.setattr(DiffusersGenerator, "_load", lambda _: pipeline)
    models = Models(diffusers="org/painter")
    outcome = build_in_process(vqa.options(images="diffusers"), tmp_path / "out", models)
    assert outcome.manifest.generators["images"]["generator"] == "diffusers"
    records = records_of(tmp_path / "out")
    assert len(records) == len(ROWS)
    for record in records:
        other = made(record, "probes.image_other_instance")
        assert (other.generator, other.model) == ("diffusers", "org/painter")
        assert "diffusers" in generators_of_negatives(record)
        assert made(record, "probes.image_augmented").generator == "augment"


def test_a_missing_key_is_said_before_anything_is_written(vqa: Vqa, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no API key"):
        build_in_process(
            vqa.options(images="openai"),
            tmp_path / "out",
            Models(images=EndpointSettings("painter")),
        )
    assert not (tmp_path / "out").exists()
