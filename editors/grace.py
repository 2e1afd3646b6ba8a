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
numbers are; here their words are compared. An edit that asks the same question as an earlier one
replaces it, as in BalancEdit: two keys at the distance 0 have no radii between them.

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
from editors.codebook import Codebook, CodebookModel, Entry, Key, Measure, find_layer
from editors.copies import Copies, FullCopies, LowRankCopies, Vectors, train
from editors.lm import LM
from editors.presets import OWN_SEARCH, Kind, Preset, depth_source, listed, listed_sources
from editors.prompts import Query
from editors.routing import latest, question_id
from schemas.digest import digest128
from schemas.errors import InputError, require_one_of
from schemas.records import EditRequest

GraceValue = Literal["vector", "full", "low_rank"]
"""What an entry answers with: a vector, as in the paper, or a copy of the layer, as in
BalancEdit."""

Initial = Literal["random", "layer"]
"""What a vector's training begins with: numbers between 0 and 1 (`cold` in the code), or what the
layer puts out at the question's last token (`warm`)."""

RADIUS, LEARNING_RATE, STEPS = 1.0, 1.0, 100
"""`eps`, `edit_lr` and `n_iter` of the code's configurations."""

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
        if self.radius <= 0 or self.rank < 1 or self.steps < 1 or self.learning_rate <= 0:
            raise InputError("radius, rank, steps and learning_rate must be positive")

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

    def _place(self, request: EditRequest, key: Tensor, start: Copies) -> int:
        """Make or widen the entry of a request; its index."""
        question, epsilon = question_id(request.prompt, request.image), self.editor.radius
        book: Codebook | None = self.state
        if book is not None:
            same = [i for i, e in enumerate(book.entries) if e.question == question]
            if same:
                return self._replace(same[0], request, start)
        fresh = Entry(request.id, question, epsilon, answer=request.target_new)
        if book is None:
            self.state = Codebook((fresh,), key, start)
            return 0
        distance, index = book.nearest(key, self.editor.distance)
        d, near = float(distance[0]), int(index[0])
        entry = book.entries[near]
        if d <= epsilon + entry.radius:
            if _alike(entry.answer, request.target_new):
                self._let(near, replace(entry, radius=max(entry.radius, d)))
                return near
            self._let(near, replace(entry, radius=d / 2))
            fresh = replace(fresh, radius=d / 2)
        self.state = self._book.with_more(Codebook((fresh,), key, start))
        return len(self.state.entries) - 1

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
        where = torch.tensor(list(waiting))
        with self.unrouted():
            trained = train(
                self.lm,
                self.layer,
                [(queries[i], answers[i]) for i in waiting.values()],
                self._book.copies[where.to(self._book.keys.device)],
                learning_rate=self.editor.learning_rate,
                steps=self.editor.steps,
            )
        self._put(where, trained)

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
