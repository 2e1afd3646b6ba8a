"""Locate, then edit: what MEMIT, AlphaEdit and CoME have in common.

1. Values: what the last edited layer should put out at each lookup token (`targets`).
2. Keys: what the MLP of each edited layer reads there, over all contexts.
3. Layer by layer, an update of the projection out of the MLP that gives the keys their share of
   what is missing to the values (`solve`).

n edits, L layers, d MLP width, H hidden width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypedDict, cast

import torch
from torch import Tensor

from editors.anatomy import laid
from editors.base import EditedModel, EditError, Groups, Told
from editors.branches import Branching
from editors.contexts import sample_contexts
from editors.corpus import WIKIPEDIA, CorpusSource, as_corpus
from editors.lm import LM
from editors.lookup import LOOKUP_RULES, LookupRule, Place, place
from editors.moments import Moment, second_moments
from editors.presets import Kind, Preset, preset_for, setting_sources
from editors.rounds import Rounds
from editors.solve import Past, Precision, remember, solve, solve_apart
from editors.targets import Aim, Descent, aim_at, find_values
from schemas.errors import InputError, require_number
from schemas.records import EditRequest

Aiming = Callable[["LocatedModel", Sequence[EditRequest]], Tensor]
"""What finds the values z of requests, shape (n, H)."""


class Settings(TypedDict, total=False):
    """What `LocateThenEdit.for_model` takes; see the attributes of `LocateThenEdit`."""

    layers: tuple[int, ...]
    steps: int
    learning_rate: float
    clamp: float
    weight_decay: float
    divergence: float
    lookup: LookupRule
    contexts: int
    corpus: CorpusSource
    cache: Path | None
    remember: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class LocateThenEdit:
    """Hyperparameters that all methods share; the defaults are those of GPT-J in MEMIT.

    Attributes:
        layers: The layers that are written to, ascending. Values are those of the last one.
        steps: Passes of the search for values; the last one takes no step, as in the released
            code, so Adam makes one update less.
        learning_rate: Of Adam.
        clamp: The largest change of a value, in norms of the block's own output.
        weight_decay: Weight of the change's norm.
        divergence: Weight of the divergence of what comes after "{subject} is a".
        lookup: Where requests without a subject are looked up.
        contexts: How many texts of the model's own each prompt is put after, beside standing alone.
        corpus: What should stay as it is, see `editors.corpus`.
        cache: The folder of second moments; that of the user's cache by default.
        remember: Whether the keys of earlier edits are kept in place too.
        seed: Seed of the contexts.
    """

    layers: tuple[int, ...]
    steps: int = 25
    learning_rate: float = 0.5
    clamp: float = 0.75
    weight_decay: float = 0.5
    divergence: float = 0.0625
    lookup: LookupRule = "last_prompt"
    contexts: int = 5
    corpus: CorpusSource = WIKIPEDIA
    cache: Path | None = None
    remember: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        given: Any = self.layers
        layers = tuple(given) if isinstance(given, Iterable) else (given,)
        if not all(isinstance(layer, int) and not isinstance(layer, bool) for layer in layers):
            raise InputError(f"layers are numbers, not {given!r}", field="layers")
        object.__setattr__(self, "layers", layers)
        if not isinstance(self.cache, str | Path | None):
            raise InputError(f"cache is a folder, not {self.cache!r}", field="cache")
        if self.cache is not None:
            object.__setattr__(self, "cache", Path(self.cache))
        if self.lookup not in LOOKUP_RULES:
            known = ", ".join(LOOKUP_RULES)
            raise InputError(f"unknown lookup {self.lookup!r}; known are {known}")
        require_number("steps", self.steps, whole=True, least=1)
        require_number("learning_rate", self.learning_rate, above=0)
        require_number("clamp", self.clamp, above=0)
        require_number("weight_decay", self.weight_decay, least=0)
        require_number("divergence", self.divergence, least=0)
        require_number("contexts", self.contexts, whole=True, least=0)
        require_number("seed", self.seed, whole=True)

    @property
    def name(self) -> str:
        """What it is called in reports."""
        raise NotImplementedError

    @classmethod
    def published(
        cls, lm: LM, chosen: Mapping[str, Any], paper: Mapping[Kind, Preset] | None = None
    ) -> Self:
        """The method as published for a model, but for what is chosen.

        Args:
            lm: The model.
            chosen: Hyperparameters by name.
            paper: What was published; that for MEMIT by default.

        Raises:
            InputError: If nothing was published for the model and no layers are chosen, or the
                method has none of what is chosen.
        """
        known = {field.name for field in fields(cls)}
        strange = [name for name in chosen if name not in known]
        if strange:
            raise InputError(f"{cls.__name__} has no option {strange[0]!r}")
        preset = preset_for(lm, chosen.get("layers"), paper).settings
        return cls(**{**{n: value for n, value in preset.items() if n in known}, **chosen})

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model: windows of layers, and published rates and bounds."""
        return {
            "layers": windows(lm, WINDOWS),
            "learning_rate": (0.1, 0.2, 0.5, 1.0),
            "clamp": (0.75, 1.0, 1.5, 4.0),
        }

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        names = (field.name for field in fields(cls) if field.name not in options)
        return setting_sources(lm, names)

    def precision(self, moment: Moment) -> Precision:
        """How much each direction of a layer's keys should be left alone."""
        raise NotImplementedError

    def precisions(self, moments: Callable[[], Mapping[int, Moment]]) -> dict[int, Precision]:
        """The same by layer.

        Args:
            moments: Takes the second moments of the edited layers, each where its layer lies.
        """
        return {layer: self.precision(moment) for layer, moment in moments().items()}

    def apply(self, lm: LM) -> LocatedModel:
        """The model, ready to be edited.

        Raises:
            InputError: If it has no such layers.
        """
        return self.edited(lm, new_values)

    def edited(self, lm: LM, aiming: Aiming) -> LocatedModel:
        """The model, ready to be edited towards values that are found in some way."""
        return LocatedModel(lm, self, aiming)

    @property
    def descent(self) -> Descent:
        """How values are searched."""
        return Descent(
            layer=self.layers[-1],
            learning_rate=self.learning_rate,
            clamp=self.clamp,
            weight_decay=self.weight_decay,
            divergence=self.divergence,
        )


WINDOWS = (1, 3, 5)
"""How many layers are worth writing to."""


def windows(lm: LM, widths: Sequence[int]) -> list[tuple[int, ...]]:
    """Runs of neighbouring layers of some widths, about eight places for each."""
    depth = len(lm.anatomy.blocks)
    return [
        tuple(range(start, start + width))
        for width in widths
        if width <= depth
        for start in range(0, depth - width + 1, max(1, depth // 8))
    ]


@dataclass(frozen=True)
class Memory:
    """What an edited model remembers of its edits.

    Attributes:
        past: By layer, K_p with K_p K_p^T that of all keys written so far, shape (d, m), m <= d.
    """

    past: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Prepared:
    """What depends on the unedited model only."""

    contexts: tuple[str, ...]
    precisions: dict[int, Precision]


class LocatedModel(EditedModel):
    """A model edited by writing to the projections out of its MLPs.

    Attributes:
        editor: The hyperparameters.
    """

    state_kinds = (Memory,)
    state: Memory

    def __init__(self, lm: LM, editor: LocateThenEdit, aiming: Aiming) -> None:
        """Take hold of a model; see `EditedModel`."""
        super().__init__(lm)
        lm.anatomy.require_layers(editor.layers)
        self.editor = editor
        self.state = Memory()
        self._aiming = aiming
        self._prepared: _Prepared | None = None
        self._past: dict[int, Past] = {}

    @property
    def contexts(self) -> tuple[str, ...]:
        """The texts that prompts are put after."""
        return self._prepare().contexts

    @property
    def precisions(self) -> dict[int, Precision]:
        """By layer, how much each direction of the keys should be left alone."""
        return self._prepare().precisions

    def _moments(self) -> dict[int, Moment]:
        """The second moments of the layers' keys, each where its layer lies."""
        editor, projections = self.editor, self.lm.anatomy.projections
        moments = second_moments(
            self.lm, editor.layers, as_corpus(editor.corpus), cache=editor.cache
        )
        return {
            layer: replace(
                moment, matrix=moment.matrix.to(projections[layer].get_parameter("weight").device)
            )
            for layer, moment in moments.items()
        }

    def aim(self, request: EditRequest, answer: str) -> Aim:
        """The aim that a request's prompt be answered in a certain way, by this method's search.

        Raises:
            InputError: If the prompt does not hold the subject, or prompt and answer are too long.
        """
        return aim_at(
            self.lm,
            request,
            answer,
            contexts=self.contexts,
            rule=self.editor.lookup,
            updates=self.editor.steps - 1,
        )

    def _prepare(self) -> _Prepared:
        if self._prepared is None:
            with self.unedited():
                self._prepared = _Prepared(
                    sample_contexts(self.lm, self.editor.contexts, self.editor.seed),
                    self.editor.precisions(self._moments),
                )
        return self._prepared

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        warn_of_contradictions(requests)
        layers = self.editor.layers
        layers, prepared = self.editor.layers, self._prepare()
        past = self.past() if self.editor.remember else {}
        z = self._aiming(self, requests)
        keys: dict[int, Tensor] = {}
        for done, (layer, k, h) in enumerate(self._rounds(requests)):
            keys[layer] = k
            residual = ((z - h) / (len(layers) - done)).t()
            try:
                delta = solve(k, residual, past.get(layer), prepared.precisions[layer])
            except EditError as error:
                raise EditError(f"layer {layer}: {error.reason}") from None
            self.change(layer, delta)
        if self.editor.remember:
            # These are also the keys of the edited model, which the released code of AlphaEdit
            # remembers: what a layer reads does not depend on what is written to it or behind it.
            precisions = prepared.precisions
            self._past = {i: remember(past.get(i), keys[i], precisions[i]) for i in layers}
            self.state = Memory({i: known.keys for i, known in self._past.items()})

    def _rounds(
        self, requests: Sequence[EditRequest], branches: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Layer after layer, the keys of n requests, (d, n), and the last layer's output, (n, H).

        The output is that for the bare prompts. A key is half that of the bare prompt, half the
        mean of those after the contexts.

        Args:
            requests: The requests.
            branches: The branch of each, if they have branches; see `EditedModel.branched`.
        """
        layers, contexts = self.editor.layers, self.contexts
        numbers = [None] * len(requests) if branches is None else branches

        def places(contexts: Sequence[str | None]) -> list[Place]:
            found = (
                (place(self.lm, request, self.editor.lookup, context), number)
                for request, number in zip(requests, numbers, strict=True)
                for context in contexts
            )
            return [replace(w, query=replace(w.query, branch=number)) for w, number in found]

        bare, contextual = Rounds(self.lm, places((None,))), Rounds(self.lm, places(contexts))
        for layer in layers:
            again = layer != layers[-1]
            keys, h = bare.read(layer, hidden=layers[-1], again=again)
            if contexts:
                after, _ = contextual.read(layer, again=again)
                keys = (keys + after.unflatten(0, (len(requests), -1)).mean(1)) / 2
            yield layer, keys.t(), cast(Tensor, h)

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """All groups, unless keys of other edits are remembered."""
        return 0 if self.state.past else len(groups)

    @contextmanager
    def _branched(self, groups: Groups) -> Iterator[Told]:
        """As `_edit`, with each group's updates made on the activations of its branch's rows."""
        for group in groups.values():
            warn_of_contradictions(group)
        requests = [request for group in groups.values() for request in group]
        owners = torch.tensor([number for number, group in groups.items() for _ in group])
        layers, prepared = self.editor.layers, self._prepare()
        z = self._aiming(self, requests)
        past: dict[int, dict[int, Past]] = {number: {} for number in groups}
        with Branching(self.lm) as branching:
            for done, (layer, keys, h) in enumerate(self._rounds(requests, owners.tolist())):
                residual = (z - h) / (len(layers) - done)
                right = solve_apart(keys, owners, prepared.precisions[layer])
                require_finite(requests, layer, residual, right)
                branching.write(layer, owners, residual, right)
                if self.editor.remember:
                    known = Past.of(keys, prepared.precisions[layer])
                    for number in groups:
                        own = (owners == number).to(known.keys.device)
                        past[number][layer] = Past(known.keys[:, own], known.applied[:, own])
            yield {number: self.told(known) for number, known in past.items()}

    def diagnostics(self) -> dict[str, float]:
        """What the method tells of the keys that are remembered."""
        return self.told(self.past())

    def told(self, past: Mapping[int, Past]) -> dict[str, float]:
        """What the method tells of remembered keys, by layer; nothing by default."""
        return {}

    def past(self) -> dict[int, Past]:
        """What is remembered, by layer; worked out anew where the state was replaced."""
        for layer, keys in self.state.past.items():
            if layer not in self._past or self._past[layer].keys is not keys:
                self._past[layer] = Past.of(keys, self.precisions[layer])
        return {layer: self._past[layer] for layer in self.state.past}

    def change(self, layer: int, delta: Tensor) -> None:
        """Write an update of shape (H, d) to the projection of a layer."""
        anatomy = self.lm.anatomy
        name = f"{anatomy.projection_names[layer]}.weight"
        self.write(name, laid(anatomy.projections[layer], delta))


def require_finite(requests: Sequence[EditRequest], layer: int, *rows: Tensor) -> None:
    """See to it that what is written for each request is finite.

    Args:
        requests: n requests.
        layer: The layer.
        rows: Tensors of shape (n, any).

    Raises:
        EditError: If it is not, for the first such request.
    """
    for part in rows:
        finite = torch.isfinite(part).all(1).tolist()
        for request, good in zip(requests, finite, strict=True):
            if not good:
                reason = f"layer {layer}: the update holds numbers that are not finite"
                raise EditError(reason, row=request.id)


def new_values(edited: LocatedModel, requests: Sequence[EditRequest]) -> Tensor:
    """The values at which the model gives the new answers, shape (n, H)."""
    aims = [edited.aim(request, request.target_new) for request in requests]
    found = find_values(edited.lm, aims, edited.editor.descent)
    return found.initial + found.delta


def warn_of_contradictions(requests: Sequence[EditRequest]) -> None:
    """Warn of requests that give one question different answers, by their ids."""
    first: dict[Any, EditRequest] = {}
    for request in requests:
        picture = None if request.image is None else request.image.bytes
        earlier = first.setdefault((" ".join(request.prompt.split()), picture), request)
        if earlier.target_new.strip() != request.target_new.strip():
            warnings.warn(
                f"the edits {earlier.id!r} and {request.id!r} contradict each other: to "
                f"{request.prompt!r} they answer {earlier.target_new!r} and "
                f"{request.target_new!r}",
                stacklevel=2,
            )
