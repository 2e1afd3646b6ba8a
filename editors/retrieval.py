"""Finding sentences that are about a question: by their words, or by a Hugging Face encoder."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from editors.rows import appended
from schemas.errors import InputError

Scores = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_WORD = re.compile(r"\w+")


class Index(Protocol):
    """Sentences that questions can be compared with."""

    def scores(self, questions: Sequence[str]) -> Scores:
        """How near each sentence is to each question, shape (questions, sentences).

        The scores of one question are comparable; 0 or less means nothing in common.
        """
        ...

    def changed(self, kept: Integers | None, more: Sequence[str]) -> Index:
        """The index that a retriever would make of other sentences, at the cost of what is new.

        Args:
            kept: Places of the sentences that stay, ascending; None for all of them.
            more: Sentences behind those.
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
        return _Words.of(sentences)


class _Words:
    """Which sentences hold which words, as one array over all words, sorted by word.

    N sentences, W words, P pairs of a word and a sentence that holds it.
    """

    def __init__(
        self,
        numbers: dict[str, int],
        lengths: Integers,
        places: Integers,
        times: Integers,
        ends: Integers,
    ) -> None:
        """Take what was counted.

        Args:
            numbers: Word -> its number; indices that grow out of one another share it, and each
                knows the first of its words alone.
            lengths: Words in each sentence, shape (N,).
            places: The sentences of all pairs, those of one word together, shape (P,).
            times: How often each word stands in its sentence, shape (P,).
            ends: Where the pairs of each word end, 0 before the first, shape (W + 1,).
        """
        self._numbers = numbers
        self._lengths, self._places, self._times, self._ends = lengths, places, times, ends

    @classmethod
    def of(cls, sentences: Sequence[str]) -> Self:
        """An index of sentences."""
        none = np.zeros(0, np.int64)
        return cls({}, none, none, none, np.zeros(1, np.int64)).changed(None, sentences)

    def changed(self, kept: Integers | None, more: Sequence[str]) -> Self:
        """An index of some of the sentences, and of more behind them."""
        lengths, places, times, ends = self._lengths, self._places, self._times, self._ends
        if kept is not None:
            now = np.full(len(lengths), -1)
            now[kept] = np.arange(len(kept))
            stays = now[places] >= 0
            ends = np.concatenate([[0], stays.cumsum()])[ends]
            places, times, lengths = now[places[stays]], times[stays], lengths[kept]
        pairs: list[tuple[int, int, int]] = []
        more_lengths = []
        for place, sentence in enumerate(more, start=len(lengths)):
            count = Counter(words(sentence))
            more_lengths.append(count.total())
            pairs += [
                (self._numbers.setdefault(word, len(self._numbers)), place, often)
                for word, often in count.items()
            ]
        word, place, often = np.array(pairs, np.int64).reshape(-1, 3).T
        order = word.argsort(kind="stable")
        word, place, often = word[order], place[order], often[order]
        ends = np.concatenate([ends, np.full(len(self._numbers) + 1 - len(ends), ends[-1])])
        behind = ends[word + 1]
        held = np.bincount(word, minlength=len(ends) - 1).cumsum()
        return type(self)(
            self._numbers,
            np.concatenate([lengths, np.array(more_lengths, np.int64)]),
            np.insert(places, behind, place),
            np.insert(times, behind, often),
            ends + np.concatenate([[0], held]),
        )

    def scores(self, questions: Sequence[str]) -> Scores:
        """Shares of the questions that the sentences cover."""
        result = np.zeros((len(questions), len(self._lengths)))
        asked = [words(question) for question in questions]
        known = {word: self._covered(word) for word in {word for some in asked for word in some}}
        for row, some in zip(result, asked, strict=True):
            reachable = 0.0
            for word in some:
                rarity, places, covered = known[word]
                reachable += rarity * (BM25.saturation + 1)
                if places is not None:
                    row[places] += covered
            row /= reachable or 1.0
        return result

    def _covered(self, word: str) -> tuple[float, Integers | slice | None, Scores]:
        """How rare a word is, the sentences that hold it, and what it adds to their scores."""
        number = self._numbers.get(word, len(self._ends))
        if number + 1 >= len(self._ends):
            return self._rarity(0), None, np.zeros(0)
        pairs = slice(self._ends[number], self._ends[number + 1])
        places = self._places[pairs]
        rarity = self._rarity(len(places))
        covered = rarity * self._strengths[pairs]
        if len(places) * 4 < len(self._lengths):
            return rarity, places, covered
        # A word that many sentences hold is added to all of them, which is faster.
        whole = np.zeros(len(self._lengths))
        whole[places] = covered
        return rarity, slice(None), whole

    @cached_property
    def _strengths(self) -> Scores:
        """How strongly each word stands for its sentence, shape (P,)."""
        k, b = BM25.saturation, BM25.length_weight
        mean = self._lengths.sum() / max(1, len(self._lengths)) or 1.0
        shorter = k * (1 - b + b * self._lengths / mean)
        return self._times * (k + 1) / (self._times + shorter[self._places])

    def _rarity(self, holding: int) -> float:
        return math.log1p((len(self._lengths) - holding + 0.5) / (holding + 0.5))


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
        return VectorIndex(self, self.embed(sentences))

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


class Embedder(Protocol):
    """What turns texts into vectors."""

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts, shape (n, width), on the processor."""
        ...


class VectorIndex:
    """Sentences as vectors, compared with questions by one matrix product."""

    def __init__(self, encoder: Embedder, vectors: Tensor, norms: Tensor | None = None) -> None:
        """Take the sentences' vectors.

        Args:
            encoder: Makes vectors of questions and of further sentences.
            vectors: Shape (n, width).
            norms: Their lengths, shape (n,), where they are known.
        """
        self._encoder = encoder
        self._vectors = vectors
        self._norms = vectors.norm(dim=1) if norms is None else norms

    def changed(self, kept: Integers | None, more: Sequence[str]) -> VectorIndex:
        """An index of some of the sentences, and of more behind them."""
        old, norms, new = self._vectors, self._norms, self._encoder.embed(more)
        if kept is not None:
            chosen = torch.from_numpy(kept)
            old, norms = old[chosen], norms[chosen]
        return VectorIndex(self._encoder, appended(old, new), appended(norms, new.norm(dim=1)))

    def scores(self, questions: Sequence[str]) -> Scores:
        """Dot products, scaled."""
        asked = self._encoder.embed(questions)
        scale = asked.norm(dim=1, keepdim=True) * self._norms.mean()
        return (asked @ self._vectors.mT / scale.clamp(min=1e-12)).double().numpy()
