from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from editors.retrieval import BM25, Encoder, load_retriever, words
from schemas.errors import InputError
from tests.tiny_models import HEADS, HIDDEN, LAYERS, MLP, tokenizer

FACTS = (
    "Ann Smith was born in Rome.",
    "Bob Jones was born in Paris.",
    "Ann Smith works for the Rome Gazette.",
    "The flag of Peru is red and white.",
)
CPU = torch.device("cpu")


def test_words_know_neither_case_nor_punctuation_nor_width() -> None:
    assert words("Ann-Marie's ＲＯＭＥ, Straße 3!") == ["ann", "marie", "s", "rome", "strasse", "3"]


def test_rare_words_count_most() -> None:
    index = BM25().index(FACTS)
    scores = index.scores(["Where was Ann Smith born?", "flag of Peru", "Zork!", ""])
    assert scores.shape == (4, 4)
    assert scores[0].argmax() == 0
    assert scores[0, 1] > 0  # "was" and "born"
    assert scores[0, 0] > scores[0, 1:].max()
    assert scores[1].argmax() == 3
    assert not scores[2].any()
    assert not scores[3].any()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_scores_are_those_of_the_formula() -> None:
    scores = BM25().index(["a b", "a c c d"]).scores(["c x"])
    # Two sentences of mean length 3; "c" stands in one of them, twice; "x" in none.
    rarity = np.log(1 + 1.5 / 1.5)
    unknown = np.log(1 + 2.5 / 0.5)
    strength = 2 * 2.5 / (2 + 1.5 * (0.25 + 0.75 * 4 / 3))
    assert scores[0] == pytest.approx([0, rarity * strength / (2.5 * (rarity + unknown))])


def test_an_empty_index_has_no_scores() -> None:
    assert BM25().index([]).scores(["Who?"]).shape == (1, 0)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers as hf

    folder = tmp_path_factory.mktemp("encoder")
    words_of = tokenizer()
    torch.manual_seed(0)
    config = hf.BertConfig(
        vocab_size=len(words_of),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=MLP,
    )
    hf.BertModel(config).save_pretrained(folder)
    words_of.save_pretrained(folder)
    return folder


def test_an_encoder_pools_over_tokens_and_not_over_padding(encoder_folder: Path) -> None:
    encoder = Encoder(str(encoder_folder), CPU)
    together = encoder.embed(FACTS)
    apart = torch.cat([Encoder(str(encoder_folder), CPU).embed([fact]) for fact in FACTS])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    scores = encoder.index(FACTS).scores(["Who?", FACTS[1]])
    products = encoder.embed(["Who?", FACTS[1]]) @ together.mT
    assert (scores.argsort(1) == products.numpy().argsort(1)).all()
    assert encoder.index([]).scores(["Who?"]).shape == (1, 0)


def test_retrievers_are_found_by_name(encoder_folder: Path, tmp_path: Path) -> None:
    assert isinstance(load_retriever("bm25", CPU), BM25)
    assert isinstance(load_retriever(str(encoder_folder), CPU), Encoder)
    (tmp_path / "config.json").write_text("{}")
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="neither 'bm25' nor an encoder that can be loaded"):
            load_retriever(str(wrong), CPU)
