"""GRACE: a codebook with one radius for all edits, until they meet (Hartvigsen et al. 2023).

Symbols, for one edit:

    k       its key: what the layer reads at the question's last token
    ε       its radius, at first the same for every edit
    v       its value: a vector that takes the place of the layer's output from there on

A question whose key is nearest to k and no further than ε is answered by v, any other by the layer.
An edit that comes at a distance d from the nearest entry, with radius ε' there,

    d > ε + ε'                              gets an entry of its own;
    d <= ε + ε' and the same answer         widens that entry to d, and its value is trained on;
    d <= ε + ε' and another answer          gets its own entry, and both radii are d / 2.

Sources: algorithm 1 of the paper (NeurIPS 2023, arXiv 2211.11031) and the code of its authors
(Thartvigsen/GRACE, 457f3b7). The code calls two answers the same where the means of their tokens'
numbers are; here their words are compared.

An edit that asks the same question as an earlier one with another answer replaces it, as in
BalancEdit, where the entry holds no other question: two keys at the distance 0 have no radii
between them. Where it holds others, they keep the old answer: the entry moves to the nearest of
their keys, and is split from the new one by the rule above. A split leaves those questions in an
entry that lie within its new radius.

GRACE differs from BalancEdit in radius, key and value. `key="prompt"` and `value="full"` leave the
radius as the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from editors.anatomy import fan_out, oriented
from editors.codebook import (
    Codebook,
    CodebookModel,
    Entry,
    Key,
    Measure,
    Merged,
    distances,
    find_layer,
    require_layer,
)
from editors.copies import Copies, FullCopies, LowRankCopies, Vectors, train
from editors.lm import LM
from editors.presets import OWN_SEARCH, Kind, Preset, depth_source, listed, listed_sources
from editors.prompts import Query
from editors.routing import latest, question_id
from schemas.digest import digest128
from schemas.errors import require_number, require_one_of
from schemas.records import EditRequest

GraceValue = Literal["vector", "full", "low_rank"]
"""What an entry answers with: a vector, as in the paper, or a copy of the layer, as in
BalancEdit."""

Initial = Literal["random", "layer"]
"""What a vector's training begins with: numbers between 0 and 1 (`cold` in the code), or what the
layer puts out at the question's last token (`warm`)."""

RADIUS, LEARNING_RATE, STEPS = 1.0, 1.0, 100
"""`eps`, `edit_lr` and `n_iter` of the code's configurations."""

EPSILON = 1e-8
"""Adam's epsilon: torch's own, which the code leaves as it is."""

DEPTH = 0.9
"""Where the layer is in models that nothing was published for, as a share of the depth: GPT-J's."""

PAPER: Mapping[Kind, Preset] = MappingProxyType(
    {
        ("gptj", 28, 4096, 50400): Preset(
            "hparams/GRACE of zjunlp/EasyEdit, 14cea82", {"layer": 25, "steps": 200}
        ),
        ("gpt2", 6, 128, 2048): Preset(
            OWN_SEARCH,
            {
                "layer": 4,
                "radius": 8.0,
                "initial": "layer",
                "learning_rate": 0.1,
                "steps": 50,
            },
            own=True,
        ),
    }
)
"""Settings that are not the defaults, by model."""


@dataclass(frozen=True)
class GRACE:
    """The hyperparameters of GRACE; `for_model` chooses those that depend on the model.

    Attributes:
        layer: Path of the linear layer, or number of the block whose MLP's projection it is; None
            for the last block's.
        radius: ε of a new entry, in the unit of `distance`.
        key: What keys are made of.
        distance: How far keys are from each other.
        value: What an entry answers with.
        initial: What a vector's training begins with.
        rank: Rank of a copy's change, for `low_rank`.
        learning_rate: Adam's.
        steps: Updates of a value.
        seed: Of random beginnings.
        name: What it is called in reports.
    """

    layer: int | str | None = None
    radius: float = RADIUS
    key: Key = "last"
    distance: Measure = "euclidean"
    value: GraceValue = "vector"
    initial: Initial = "random"
    rank: int = 8
    learning_rate: float = LEARNING_RATE
    steps: int = STEPS
    seed: int = 0
    name: str = "grace"

    def __post_init__(self) -> None:
        require_one_of("key", self.key, get_args(Key))
        require_one_of("distance", self.distance, get_args(Measure))
        require_one_of("value", self.value, get_args(GraceValue))
        require_one_of("initial", self.initial, get_args(Initial))
        require_layer(self.layer)
        require_number("radius", self.radius, above=0)
        require_number("rank", self.rank, whole=True, least=1)
        require_number("learning_rate", self.learning_rate, above=0)
        require_number("steps", self.steps, whole=True, least=1)
        require_number("seed", self.seed, whole=True)

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        layer: int | str | None = None,
        radius: float | None = None,
        key: Key = "last",
        distance: Measure = "euclidean",
        value: GraceValue = "vector",
        initial: Initial | None = None,
        rank: int = 8,
        learning_rate: float | None = None,
        steps: int | None = None,
        seed: int = 0,
    ) -> Self:
        """The settings for a model: what was published for it, but for what is given.

        Args:
            lm: The model.
            layer: See the class, as for all that follows; by default at nine tenths of the depth.
            radius: ε of a new entry.
            key: What keys are made of.
            distance: How far keys are from each other.
            value: What an entry answers with.
            initial: What a vector's training begins with.
            rank: Rank of a copy's change.
            learning_rate: Adam's.
            steps: Updates of a value.
            seed: Of random beginnings.

        Raises:
            InputError: If a setting does not exist.
        """
        given = {
            "layer": layer,
            "radius": radius,
            "initial": initial,
            "learning_rate": learning_rate,
            "steps": steps,
        }
        settings: dict[str, Any] = {
            "layer": int(DEPTH * len(lm.anatomy.blocks)),
            **listed(lm, PAPER, given),
        }
        return cls(key=key, distance=distance, value=value, rank=rank, seed=seed, **settings)

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        return {**depth_source(options), **listed_sources(lm, PAPER, options)}

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model: late layers, and radii in their widths' unit."""
        depth = len(lm.anatomy.blocks)
        return {
            "layer": range(depth // 2, depth),
            "radius": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
            "learning_rate": (0.1, 1.0),
        }

    def apply(self, lm: LM) -> GRACEModel:
        """An edited model with an empty codebook.

        Raises:
            InputError: If the model has no such layer.
        """
        return GRACEModel(lm, self, find_layer(lm, self.layer))


class GRACEModel(CodebookModel):
    """A model with GRACE's codebook.

    Attributes:
        editor: The hyperparameters.
    """

    def __init__(self, lm: LM, editor: GRACE, layer: nn.Module) -> None:
        """Put an empty codebook beside a layer."""
        super().__init__(lm, layer, key=editor.key, measure=editor.distance, rank=editor.rank)
        self.editor = editor
        self._own = 0

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        requests = latest(requests)
        queries = [Query(request.prompt, request.image) for request in requests]
        answers = [request.target_new for request in requests]
        keys = self.keys(queries, answers)
        start = self._start(queries, requests)
        # A failed edit is undone by the state before it, whose values must be left alone.
        self._own = 0 if self.state is None else len(self.state.entries)
        # Entries come one after another, but values that do not build on each other train together.
        waiting: dict[int, int] = {}
        for i, request in enumerate(requests):
            entry = self._place(request, keys[i : i + 1], start[i : i + 1])
            if entry in waiting:
                self._train(waiting, queries, answers)
                waiting.clear()
            waiting[entry] = i
        self._train(waiting, queries, answers)

    def alone(self, requests: Sequence[EditRequest]) -> Codebook:
        """An entry for each request, as it would be in an empty codebook."""
        queries = [Query(request.prompt, request.image) for request in requests]
        answers = [request.target_new for request in requests]
        entries = tuple(self._fresh(request) for request in requests)
        keys, start = self.keys(queries, answers), self._start(queries, requests)
        return Codebook(entries, keys, self._trained(queries, answers, start))

    def _fresh(self, request: EditRequest) -> Entry:
        question = question_id(request.prompt, request.image)
        return Entry(request.id, question, self.editor.radius, answer=request.target_new)

    def _place(self, request: EditRequest, key: Tensor, start: Copies) -> int:
        """Make or widen the entry of a request; its index."""
        fresh, epsilon = self._fresh(request), self.editor.radius
        question = fresh.question
        if self.state is None:
            self.state = Codebook((fresh,), key, start)
            return 0
        for i, entry in enumerate(self._book.entries):
            if entry.question == question and not _alike(entry.answer, request.target_new):
                if not self._handed_on(i):
                    return self._replace(i, request, start)
            elif entry.question == question and not entry.merged:
                return self._replace(i, request, start)
            elif any(merged.question == question for merged in entry.merged):
                rest = tuple(m for m in entry.merged if m.question != question)
                self._let(i, replace(entry, merged=rest))
        distance, index = self._book.nearest(key, self.editor.distance)
        d, near = float(distance[0]), int(index[0])
        entry = self._book.entries[near]
        if d <= epsilon + entry.radius:
            if _alike(entry.answer, request.target_new):
                more = (*entry.merged, Merged(request.id, question, key[0]))
                if entry.question == question:
                    entry, more = replace(entry, request_id=request.id), entry.merged
                self._let(near, replace(entry, radius=max(entry.radius, d), merged=more))
                return near
            self._let(near, self._within(near, d / 2))
            fresh = replace(fresh, radius=d / 2)
        self.state = self._book.with_more(Codebook((fresh,), key, start))
        return len(self.state.entries) - 1

    def _handed_on(self, index: int) -> bool:
        """Move an entry to the nearest key of its other questions; False if none is elsewhere."""
        book = self._book
        entry, own = book.entries[index], book.keys[index]
        away = self._away(own, entry)
        apart = [(d, i) for i, d in enumerate(away) if d > 0]
        if not apart:
            return False
        heir = entry.merged[min(apart)[1]]
        rest = tuple(m for m in entry.merged if m is not heir)
        self._let(
            index,
            replace(entry, request_id=heir.request_id, question=heir.question, merged=rest),
        )
        keys = book.keys.clone()
        keys[index] = heir.key.to(keys)
        self.state = replace(self._book, keys=keys)
        self._let(index, self._within(index, entry.radius))
        return True

    def _within(self, index: int, radius: float) -> Entry:
        """An entry with a smaller radius, and those of its questions that lie within it."""
        entry = self._book.entries[index]
        away = self._away(self._book.keys[index], entry)
        kept = tuple(m for m, d in zip(entry.merged, away, strict=True) if d <= radius)
        return replace(entry, radius=radius, merged=kept)

    def _away(self, key: Tensor, entry: Entry) -> list[float]:
        """How far the keys of an entry's other questions are from a key."""
        if not entry.merged:
            return []
        keys = torch.stack([merged.key for merged in entry.merged]).to(key)
        return distances(key[None], keys, self.editor.distance)[0].tolist()

    def _replace(self, index: int, request: EditRequest, start: Copies) -> int:
        """Give an entry another request's answer to its question, to be learned from the start."""
        entry = self._book.entries[index]
        self._let(index, replace(entry, request_id=request.id, answer=request.target_new))
        self._put(torch.tensor([index]), start)
        return index

    @property
    def _book(self) -> Codebook:
        """The codebook, which has entries by now."""
        assert self.state is not None
        return self.state

    def _let(self, index: int, entry: Entry) -> None:
        self.state = self._book.with_entry(index, entry)

    def _put(self, where: Tensor, copies: Copies) -> None:
        """Put values in the place of those of some entries."""
        self.state = self._book.with_copies(where, copies, self._own)

    def _train(
        self, waiting: Mapping[int, int], queries: Sequence[Query], answers: Sequence[str]
    ) -> None:
        """Train the values of entries, each on one of the edits at hand."""
        if not waiting:
            return
        where, edits = torch.tensor(list(waiting)), list(waiting.values())
        trained = self._trained(
            [queries[i] for i in edits],
            [answers[i] for i in edits],
            self._book.copies[where.to(self._book.keys.device)],
        )
        self._put(where, trained)

    def _trained(self, queries: Sequence[Query], answers: Sequence[str], start: Copies) -> Copies:
        """Values trained on one edit each."""
        with self.unrouted():
            return train(
                self.lm,
                self.layer,
                list(zip(queries, answers, strict=True)),
                start,
                learning_rate=self.editor.learning_rate,
                steps=self.editor.steps,
                epsilon=EPSILON,
            )

    def _start(self, queries: Sequence[Query], requests: Sequence[EditRequest]) -> Copies:
        """What the training of each edit's value begins with."""
        editor, weight = self.editor, oriented(self.layer)
        if editor.value == "full":
            return FullCopies.of(self.layer, len(queries))
        if editor.value == "low_rank":
            return LowRankCopies.of(self.layer, len(queries), editor.rank)
        if editor.initial == "layer":
            return Vectors(self.outputs(queries).to(weight.dtype))
        rows = [self._random(request.id) for request in requests]
        return Vectors(torch.stack(rows).to(weight.device, weight.dtype))

    def _random(self, name: str) -> Tensor:
        """Numbers between 0 and 1 that belong to a request, whatever it is edited with."""
        seed = int(digest128(f"{self.editor.seed} {name}")[:15], 16)
        return torch.rand(fan_out(self.layer), generator=torch.Generator().manual_seed(seed))


def _alike(answer: str | None, other: str) -> bool:
    return answer is not None and answer.split() == other.split()
