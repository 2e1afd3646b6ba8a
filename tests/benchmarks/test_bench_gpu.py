"""The benchmark for accelerators, on a tiny model and the processor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import bench_gpu
from benchmarks.random_llama import SHAPES, build, people, texts_of

TINY = ["--shape", "tiny", "--device", "cpu", "--edits", "2", "--texts", "12", "--steps", "3"]


def measured(folder: Path, *words: str) -> str:
    out = folder / "results" / "tiny.md"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nothing is published for this shape
        assert bench_gpu.main([*TINY, *words, "--out", str(out)]) == 0
    return out.read_text(encoding="utf-8")


def test_a_model_in_bfloat16_is_edited_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncounted(run: Callable[[], Any]) -> float:
        run()
        return 1e6

    monkeypatch.setattr(bench_gpu, "flops_of", uncounted)  # counting takes longer than all else
    found = measured(tmp_path, "--literal", "1", "--records", "1", "--single", "1")
    assert "in bfloat16" in found
    assert "| AlphaEdit, 2 layers, 3 passes | 2 |" in found
    assert "| asked before and after, not edited | 1 |" in found
    assert "| AlphaEdit, single | 1 |" in found
    assert "nan" not in found


def test_another_precision_and_shape_and_no_literal_version(tmp_path: Path) -> None:
    found = measured(
        tmp_path, "--literal", "0", "--records", "0", "--single", "0",
        "--dtype", "float32", "--tf32", "--layers", "4", "--hidden", "16",
    )  # fmt: skip
    assert "4 blocks, width 16 and 48" in found
    assert "float32, TF32 products" in found
    assert "not run" in found


@pytest.mark.parametrize("words", [[], ["--device", "cuda"]])
def test_without_an_accelerator_it_says_so_and_ends(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench_gpu.main(words) == 0
    assert capsys.readouterr().out == f"{bench_gpu.NOTHING}\n"


def test_people_are_as_many_as_wanted_and_all_different() -> None:
    found = people(1003)
    assert len({record.id for record in found}) == len(found) == 1003
    assert len({record.requests[0].id for record in found}) == 1003
    assert len({record.requests[0].prompt for record in found}) == 1003
    for record in found[-3:]:
        request = record.requests[0]
        assert request.subject is not None
        assert request.subject.endswith(" number 3")
        assert request.subject in request.prompt


def test_free_answers_are_made_of_tokens_that_the_tokenizer_has() -> None:
    texts = texts_of(people(5))
    lm = build(SHAPES["tiny"], texts, "cpu", torch.float32)
    known = len(lm.tokenizer)
    assert known < lm.config.vocab_size
    assert lm.tokenizer.decode(lm.tokenizer(texts[0])["input_ids"]) == texts[0]
    ids = lm.model(input_ids=torch.arange(known)[None]).logits.argmax(-1)
    assert int(ids.max()) < known
