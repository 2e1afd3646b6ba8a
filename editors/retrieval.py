"""Finding sentences that are about a question: by their words, or by a Hugging Face encoder."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from schemas.errors import InputError

Scores = npt.NDArray[np.float64]

_WORD = re.compile(r"\w+")


class Index(Protocol):
    """Sentences that questions can be compared with."""

    def scores(self, questions: Sequence[str]) -> Scores:
        """How near each sentence is to each question, shape (questions, sentences).

        The scores of one question are comparable; 0 or less means nothing in common.
        """
        ...


class Retriever(Protocol):
    """What makes an index."""

    def index(self, sentences: Sequence[str]) -> Index:
        """An index of sentences."""
        ...


def require_retriever(name: object) -> None:
    """See to it that a setting may name a retriever.

    Raises:
        InputError: If it is no text.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"retriever is bm25 or an encoder's name, not {name!r}", field="retriever")


def load_retriever(name: str, device: torch.device) -> Retriever:
    """A retriever: `bm25`, or a Hugging Face encoder by folder or Hub id.

    Raises:
        InputError: If the encoder cannot be loaded.
    """
    return BM25() if name == "bm25" else Encoder(name, device)


class BM25:
    """Okapi BM25 (Robertson and Zaragoza 2009) with k1 = 1.5 and b = 0.75.

    Words are runs of letters and digits, without regard to case. Scores are divided by the most
    that a question could reach, its words that no sentence holds included, and so lie between 0
    and 1: the share of the question that a sentence covers, rare words counting most.
    """

    saturation, length_weight = 1.5, 0.75

    def index(self, sentences: Sequence[str]) -> Index:
        """An index of the sentences' words."""
        return _Words(sentences, self.saturation, self.length_weight)


class _Words:
    def __init__(self, sentences: Sequence[str], saturation: float, length_weight: float) -> None:
        counted = [Counter(words(sentence)) for sentence in sentences]
        lengths = [count.total() for count in counted]
        mean = sum(lengths) / max(1, len(lengths)) or 1.0
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, (count, length) in enumerate(zip(counted, lengths, strict=True)):
            shorter = saturation * (1 - length_weight + length_weight * length / mean)
            for word, times in count.items():
                found[word].append((place, times * (saturation + 1) / (times + shorter)))
        self._size = len(sentences)
        self._most = saturation + 1
        self._places = {
            word: (np.array([p for p, _ in pairs]), np.array([w for _, w in pairs]))
            for word, pairs in found.items()
        }

    def scores(self, questions: Sequence[str]) -> Scores:
        """Shares of the questions that the sentences cover."""
        result = np.zeros((len(questions), self._size))
        for row, question in zip(result, questions, strict=True):
            reachable = 0.0
            for word in words(question):
                rarity = self._rarity(word)
                reachable += rarity * self._most
                if word in self._places:
                    places, strengths = self._places[word]
                    row[places] += rarity * strengths
            row /= reachable or 1.0
        return result

    def _rarity(self, word: str) -> float:
        holding = len(self._places[word][0]) if word in self._places else 0
        return math.log1p((self._size - holding + 0.5) / (holding + 0.5))


def words(text: str) -> list[str]:
    """Runs of letters and digits, in order, without regard to case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class Encoder:
    """A Hugging Face encoder: masked mean of its last hidden states, compared by dot product.

    The dot products of one question are divided by one number, the question's norm times the mean
    norm of the sentences, which leaves their order alone. What was embedded once is remembered.
    Only safetensors are loaded, and no code of the model's.
    """

    batch_size = 32

    def __init__(self, name: str, device: torch.device) -> None:
        """Load it.

        Raises:
            InputError: If it cannot be loaded.
        """
        import transformers as hf

        try:
            self._tokenizer: Any = hf.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            self._model: Any = hf.AutoModel.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False
            )
        except Exception as error:  # a foreign folder may raise anything
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"the retriever {name!r} is neither 'bm25' nor an encoder that can be loaded: "
                f"{reason}"
            ) from None
        self._model = self._model.to(device).eval().requires_grad_(False)
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        self._known: dict[str, Tensor] = {}

    def index(self, sentences: Sequence[str]) -> Index:
        """An index of the sentences' vectors."""
        return _Vectors(self, self.embed(sentences))

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts, shape (n, width), on the processor."""
        new = sorted(set(texts) - self._known.keys(), key=lambda text: (len(text), text))
        for start in range(0, len(new), self.batch_size):
            chosen = new[start : start + self.batch_size]
            inputs = self._tokenizer(chosen, padding=True, truncation=True, return_tensors="pt")
            inputs = inputs.to(self._model.device)
            hidden = self._model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"][..., None].to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            self._known.update(zip(chosen, pooled.cpu(), strict=True))
        if not texts:
            return torch.zeros(0, self._model.config.hidden_size)
        return torch.stack([self._known[text] for text in texts])


class _Vectors:
    def __init__(self, encoder: Encoder, vectors: Tensor) -> None:
        self._encoder = encoder
        self._vectors = vectors

    def scores(self, questions: Sequence[str]) -> Scores:
        """Dot products, scaled."""
        asked = self._encoder.embed(questions)
        scale = asked.norm(dim=1, keepdim=True) * self._vectors.norm(dim=1).mean()
        return (asked @ self._vectors.mT / scale.clamp(min=1e-12)).double().numpy()
