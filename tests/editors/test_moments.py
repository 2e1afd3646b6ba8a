from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from editors.corpus import HubTexts, Mixed, Questions, TextFile, as_corpus
from editors.lm import LM
from editors.moments import Moment, second_moments
from editors.prompts import Query
from schemas.errors import InputError
from tests.editors.facts import FLAG, TEXTS, corpus
from tests.reference.locate_literal import second_moment
from tests.tiny_models import tiny


def moments(
    lm: LM, folder: Path, layers: tuple[int, ...] = (0, 2), tokens: int = 200
) -> dict[int, Moment]:
    source = as_corpus(corpus(folder))
    return second_moments(lm, layers, source, cache=folder / "cache", tokens_per_batch=tokens)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_moments_are_means_over_tokens_without_pads(family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    found = moments(lm, tmp_path)
    for layer in (0, 2):
        literal = second_moment(lm, TEXTS, layer)
        torch.testing.assert_close(found[layer].matrix.double(), literal, rtol=1e-4, atol=1e-6)
        assert found[layer].matrix.dtype == torch.float32
    assert found[0].tokens == sum(len(lm.tokenizer(text)["input_ids"]) for text in TEXTS)


def test_no_batch_holds_more_tokens_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("llama", positions=100_000)
    seen = []
    forward = lm.forward

    def watched(batch: object, keep: int = 0) -> torch.Tensor:
        seen.append(batch.inputs["input_ids"].shape)  # type: ignore[attr-defined]
        return forward(batch, keep)  # type: ignore[arg-type]

    monkeypatch.setattr(lm, "forward", watched)
    text = corpus(tmp_path, (*TEXTS, "Ann was born in Rome. " * 500))
    found = second_moments(lm, [0], as_corpus(text), cache=tmp_path / "cache", tokens_per_batch=128)
    assert max(rows * columns for rows, columns in seen) <= 128
    assert (1, 128) in seen
    assert found[0].tokens > 128
    assert any(rows > 1 for rows, _ in seen)


def test_all_layers_come_from_one_pass_and_then_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    found = moments(lm, tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    monkeypatch.setattr(lm, "forward", None)
    again = moments(lm, tmp_path)
    for layer in (0, 2):
        assert torch.equal(again[layer].matrix, found[layer].matrix)
        assert again[layer].tokens == found[layer].tokens


def test_another_model_corpus_or_layer_has_moments_of_its_own(tmp_path: Path) -> None:
    moments(tiny("gpt2"), tmp_path, (0,))
    moments(tiny("gpt2", seed=1), tmp_path, (0,))
    moments(tiny("gpt2"), tmp_path, (1,))
    other = corpus(tmp_path, TEXTS[:3])
    second_moments(tiny("gpt2"), [0], TextFile(other), cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 4


@pytest.mark.parametrize("field", ["model", "layer", "corpus"])
def test_a_file_of_something_else_is_refused(field: str, tmp_path: Path) -> None:
    lm = tiny("gpt2")
    moments(lm, tmp_path, (0,))
    (file,) = (tmp_path / "cache").iterdir()
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        metadata, matrix = opened.metadata(), opened.get_tensor("second_moment")
    save_file({"second_moment": matrix}, file, {**metadata, field: "7" * 32})
    with pytest.raises(InputError, match=f"{file.name}.*belongs to another {field}, delete it"):
        moments(lm, tmp_path, (0,))


def test_a_renamed_file_of_another_model_is_refused(tmp_path: Path) -> None:
    ours, theirs = tiny("gpt2"), tiny("gpt2", seed=1)
    moments(ours, tmp_path, (0,))
    (own,) = (tmp_path / "cache").iterdir()
    moments(theirs, tmp_path, (0,))
    (foreign,) = set((tmp_path / "cache").iterdir()) - {own}
    foreign.replace(own)
    with pytest.raises(InputError, match="belongs to another model"):
        moments(ours, tmp_path, (0,))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    moments(lm, tmp_path, (0,))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged, delete it"):
        moments(lm, tmp_path, (0,))


def test_pictures_and_texts_mix(tmp_path: Path) -> None:
    lm = tiny("llava")
    pictured = Query(FLAG.prompt, FLAG.image)
    questions = Questions((pictured, Query("Who is Ann?")))
    mixed = as_corpus([corpus(tmp_path), questions])
    assert isinstance(mixed, Mixed)
    both = second_moments(lm, [1], mixed, cache=tmp_path)[1]
    texts = second_moments(lm, [1], mixed.parts[0], cache=tmp_path)[1]
    asked = second_moments(lm, [1], mixed.parts[1], cache=tmp_path)[1]
    assert both.tokens == texts.tokens + asked.tokens
    mean = (texts.matrix * texts.tokens + asked.matrix * asked.tokens) / both.tokens
    torch.testing.assert_close(both.matrix, mean)
    blind = Questions((replace(pictured, image=None), Query("Who is Ann?")))
    assert second_moments(lm, [1], blind, cache=tmp_path)[1].tokens == asked.tokens - 5


def test_questions_are_read_in_the_models_format(tmp_path: Path) -> None:
    questions = as_corpus([Query("Who is Ann?")])
    plain = second_moments(tiny("gpt2"), [0], questions, cache=tmp_path)[0]
    asked = second_moments(tiny("gpt2", prompt_format="qa"), [0], questions, cache=tmp_path)[0]
    assert asked.tokens > plain.tokens
    text = as_corpus(corpus(tmp_path))
    plain = second_moments(tiny("gpt2"), [0], text, cache=tmp_path)[0]
    same = second_moments(tiny("gpt2", prompt_format="qa"), [0], text, cache=tmp_path)[0]
    assert same.tokens == plain.tokens


def test_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in ("One.", " ", "Two.")))
    assert [query.prompt for query in as_corpus(str(path)).queries()] == ["One.", "Two."]
    path.write_text('{"text": "One."}\n{"body": "Two."}')
    with pytest.raises(InputError, match="row 1, field 'text': expected a string"):
        list(as_corpus(path).queries())
    path.write_text('{"text": "One."}\n{')
    with pytest.raises(InputError, match="row 1: is not JSON"):
        list(as_corpus(path).queries())


def test_what_a_corpus_can_be(tmp_path: Path) -> None:
    assert as_corpus("owner/name:part") == HubTexts("owner/name", "part")
    assert as_corpus("owner/name") == HubTexts("owner/name")
    assert HubTexts("a/b").digest != HubTexts("a/b", samples=3).digest
    with pytest.raises(InputError, match="no such corpus file"):
        as_corpus(str(tmp_path / "nowhere.txt"))
    with pytest.raises(InputError, match="no such corpus file"):
        as_corpus(tmp_path / "nowhere")
    with pytest.raises(InputError, match="the corpus is empty"):
        as_corpus([])


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no text"):
        second_moments(tiny("gpt2"), [0], TextFile(corpus(tmp_path, ("", " "))), cache=tmp_path)


def test_a_corpus_on_the_hub_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load(*args: object, **kwargs: object) -> object:
        asked.append((args, kwargs))
        rows = datasets.Dataset.from_dict({"text": ["One.", "", "Two.", "Three."]})
        return rows.to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = HubTexts("a/b", "en", samples=3, revision="abc")
    assert [query.prompt for query in found.queries()] == ["One.", "Two."]
    assert asked == [(("a/b", "en"), {"split": "train", "revision": "abc", "streaming": True})]
    with pytest.raises(InputError, match="has no texts in 'body', only text"):
        list(HubTexts("a/b", column="body").queries())


def test_a_hub_that_cannot_be_reached_points_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load(*_: object, **__: object) -> object:
        raise ConnectionError("no way out")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(InputError, match=r"no way out.*corpus= takes a file"):
        list(HubTexts("a/b").queries())
