from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builders.images.diffusion import DiffusersGenerator
from builders.images.prompt import digest_of_prompt, prompt_for
from builders.images.protocol import ImageResult
from schemas.errors import InputError
from tests.builders.images.support import encode, request, requests, scene

pytest.importorskip("diffusers")


def pixels(result: ImageResult) -> Any:
    assert result.image is not None, result.error
    return np.asarray(result.image.decode(), dtype=np.int16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole Stable Diffusion pipeline of a few thousand random weights."""
    import diffusers
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    parts: Any = diffusers  # whose annotations say less than it takes
    folder = tmp_path_factory.mktemp("tiny")
    letters = sorted(ByteLevel.alphabet())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(0)
    pipeline = parts.StableDiffusionPipeline(
        vae=parts.AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=2,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                hidden_size=8,
                intermediate_size=16,
                num_attention_heads=2,
                num_hidden_layers=1,
                vocab_size=len(words),
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
                max_position_embeddings=200,
            )
        ),
        tokenizer=CLIPTokenizer(
            str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=200
        ),
        unet=parts.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(4, 8),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=8,
            attention_head_dim=4,
            norm_num_groups=2,
        ),
        scheduler=parts.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "painter")
    return folder / "painter"


@pytest.fixture(scope="module")
def images(tiny: Path) -> DiffusersGenerator:
    return DiffusersGenerator(str(tiny), device="cpu", steps=2, side=64, batch=3)


@pytest.mark.slow
def test_a_real_pipeline_draws_and_says_how(images: DiffusersGenerator) -> None:
    varied = request(kind="image_augmented", reference=encode(scene()))
    first, second = images.generate([varied, request("a red bus", seed=5)])
    assert first.error == "a text-to-image model cannot vary a given picture"
    assert pixels(second).shape == (64, 64, 3)
    digest = digest_of_prompt(prompt_for("a red bus"))
    assert second == ImageResult(second.image, None, "diffusers", "painter", digest, 5)


@pytest.mark.slow
def test_seed_and_phrase_decide_the_picture_and_neighbours_do_not(
    images: DiffusersGenerator,
) -> None:
    asked = requests(4)
    together = images.generate(asked)
    assert images.generate(asked) == together
    shuffled = random.Random(0).sample(asked, len(asked))
    apart = {r.seed: images.generate([r])[0] for r in shuffled}
    others = images.generate([request(r.phrase, seed=r.seed + 100) for r in asked])
    for request_, one, other in zip(asked, together, others, strict=True):
        same = np.abs(pixels(one) - pixels(apart[request_.seed]))
        assert same.mean() < 0.5, "a neighbour in the batch changed the picture"
        assert np.abs(pixels(one) - pixels(other)).mean() > 5


@pytest.mark.slow
def test_pickled_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    copy = shutil.copytree(tiny, tmp_path / "pickled")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InputError, match="pipeline pickled cannot be loaded"):
        DiffusersGenerator(str(copy), device="cpu").generate([request()])


@pytest.mark.slow
def test_a_model_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(InputError, match="text-to-image pipeline empty cannot be loaded") as caught:
        DiffusersGenerator(str(folder)).generate([request()])
    assert "\n" not in str(caught.value)


class _Pipeline:
    """Stands in for a pipeline: gives what it is told to."""

    def __init__(self, *outputs: Any) -> None:
        self.outputs = list(outputs)
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        output = self.outputs.pop(0)
        if isinstance(output, Exception):
            raise output
        return output


def standing_in(
    monkeypatch: pytest.MonkeyPatch, pipeline: _Pipeline, **options: Any
) -> DiffusersGenerator:
    monkeypatch.setattr(DiffusersGenerator, "_load", lambda _: pipeline)
    return DiffusersGenerator("org/painter", **options)


def drawn(pictures: Sequence[Image.Image], withheld: list[bool] | None = None) -> SimpleNamespace:
    return SimpleNamespace(images=list(pictures), nsfw_content_detected=withheld)


def test_withheld_and_blank_pictures_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    black = Image.new("RGB", (64, 64))
    pipeline = _Pipeline(drawn([scene(), black, scene()], [False, False, True]))
    results = standing_in(monkeypatch, pipeline).generate(requests(3))
    assert [r.error for r in results] == [
        None,
        "the picture is blank",
        "the pipeline's safety checker withheld the picture",
    ]
    assert [r.model for r in results] == ["org/painter"] * 3


def test_requests_are_batched_and_options_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _Pipeline(*(drawn([scene(seed=i)] * n) for i, n in enumerate((2, 2, 1))))
    images = standing_in(monkeypatch, pipeline, steps=7, side=128, batch=2, guidance=3.5)
    results = images.generate(requests(5))
    assert [r.seed for r in results] == [0, 1, 2, 3, 4]
    assert [len(call["prompt"]) for call in pipeline.calls] == [2, 2, 1]
    first = pipeline.calls[0]
    assert (first["num_inference_steps"], first["width"], first["height"]) == (7, 128, 128)
    assert first["guidance_scale"] == 3.5
    assert [g.initial_seed() for g in first["generator"]] == [0, 1]
    assert images.generate([]) == []


def test_the_pipelines_own_guidance_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _Pipeline(drawn([scene()]))
    standing_in(monkeypatch, pipeline).generate([request()])
    assert "guidance_scale" not in pipeline.calls[0]


def test_failures_of_the_pipeline_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    pipeline = _Pipeline(torch.OutOfMemoryError("CUDA"), ValueError("prompt is\nodd"))
    images = standing_in(monkeypatch, pipeline, side=1024)
    with pytest.raises(InputError, match="no memory for 2 pictures of 1024 pixels a side"):
        images.generate(requests(2))
    with pytest.raises(InputError, match=r"^the text-to-image pipeline org/painter failed: prompt"):
        images.generate(requests(1))


def test_closing_frees_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[_Pipeline] = []

    def load(_: DiffusersGenerator) -> _Pipeline:
        loaded.append(_Pipeline(drawn([scene()])))
        return loaded[-1]

    monkeypatch.setattr(DiffusersGenerator, "_load", load)
    images = DiffusersGenerator("org/painter")
    images.close()
    for _ in range(2):
        images.generate([request()])
        images.close()
    assert len(loaded) == 2


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "medit\[diffusers\]"'):
        DiffusersGenerator("org/painter")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"steps": 0}, "steps of at least 1"),
        ({"batch": 0}, "batch of at least 1"),
        ({"side": 100}, "multiple of 8"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        DiffusersGenerator("org/painter", **options)
