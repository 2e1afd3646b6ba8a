"""What an editor is: hyperparameters that, applied to a model, give one that can be edited.

    with AlphaEdit.for_model(lm).apply(lm) as edited:
        for batch in batches(requests, 100):
            edited.edit(batch)
        edited.generate(queries)
    # here the model is what it was, bit for bit

An edited model reaches the model through three seams only, so that one undo serves all editors:
`write` for weights, `hook` for activations, `rewrite` for prompts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from editors.kinds import annotated
from editors.likelihood import Likelihood
from editors.lm import LM
from editors.prompts import Query
from editors.reading import Answering, Reply
from editors.saving import Content, Form, Made, describe, read, save
from schemas.errors import InputError
from schemas.records import EditRequest

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
"""A forward hook as torch knows it: module, inputs, output, and what replaces the output."""

Rewrite = Callable[[Sequence[Query]], Sequence[Query]]
"""What takes the queries' place before they are encoded: as many, in the same order."""


_BRANCHING = ("_branched", "alone")
"""What edits branches: the method's own part of it, and that which a codebook asks it for."""

_BRANCHED_TOO = ("edit", "_edit", "restore", "score", "generate", "reply", "rewritten")
"""What cannot be changed in an edited model without its branches being changed as well."""


class EditError(InputError):
    """An edit that could not be made; the model is what it was before it."""


@dataclass(frozen=True)
class Branch:
    """One of several edited models side by side.

    Attributes:
        failure: Why its edits could not be made, or None; it then answers like the unedited model.
        told: What the method tells of itself there; see `EditedModel.diagnostics`.
    """

    failure: InputError | None = None
    told: Mapping[str, float] = field(default_factory=dict)


Groups = Mapping[int, Sequence[EditRequest]]
"""Requests by the number of the branch that they are for."""

Told = Mapping[int, Mapping[str, float]]
"""What a method tells of itself, by the number of the branch."""


@runtime_checkable
class Editor(Protocol):
    """An editing method with its hyperparameters; anything with these two can be scored."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def apply(self, lm: LM) -> EditedModel:
        """An edited model without edits as yet."""
        ...


class EditedModel(Answering):
    """A model under edit: it answers like an `LM`, and gives the model back as it found it.

    Subclasses implement `_edit`, and keep what they learn in `state`: an object whose attributes
    are replaced, never changed in place, so that a shallow copy can be put back if an edit fails.

    Attributes:
        lm: The model underneath.
        state: What the method remembers of its edits, or None.
        method: The editor that it is of, as it is saved; by default the one among its attributes.
    """

    keeps_weights: ClassVar[bool] = False
    """Whether the method leaves all weights alone, so that they are compared at the end only."""

    state_kinds: ClassVar[tuple[type, ...]] = ()
    """The classes that `state` is made of beside tensors and plain values, so that it can be read
    back from a file."""

    state_in_weights: ClassVar[bool] = False
    """Whether all that `state` does is in the weights already, so that an edited model that is
    saved as a whole goes on from its weights alone."""

    def __init__(self, lm: LM) -> None:
        """Take hold of a model; nothing is changed yet."""
        self.lm = lm
        self.state: Any = None
        self.method: Editor | None = None
        self._initial: Any = None
        self._made: tuple[Made, ...] = ()
        self._originals: dict[str, Tensor] = {}
        self._undo: dict[str, Tensor] | None = None
        self._hooks = ExitStack()
        self._hooked = False
        self._rewrites: list[Rewrite] = []
        self._digest: str | None = None

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        """Make the edits; the method itself."""
        raise NotImplementedError

    def diagnostics(self) -> Mapping[str, float]:
        """What the method tells of itself after an edit, by name; nothing by default."""
        return {}

    # One undo -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Note what the model is like."""
        self._begin()
        return self

    def _begin(self) -> None:
        if self._digest is None:
            self._digest = self.lm.digest()
            self._initial = copy.deepcopy(self.state)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the model back as it was.

        Raises:
            RuntimeError: If its weights are not bit for bit what they were.
        """
        self._hooks.close()
        self._rewrites.clear()
        self.restore()
        if self.keeps_weights:
            self._verify()
        self._digest = None

    def edit(self, requests: Sequence[EditRequest]) -> None:
        """Edit the model; edits add up until `restore`.

        Nothing changes for an empty sequence. If an edit fails, weights and state are what they
        were before this call.

        Raises:
            InputError: If a request cannot be used.
            EditError: If the method fails on the requests.
        """
        for request in requests:
            if not request.target_new.strip():
                raise InputError("the new answer is empty", row=request.id, field="target_new")
        if not requests:
            return
        saved, self._undo = copy.copy(self.state), {}
        try:
            self._edit(requests)
        except BaseException:
            for name, original in self._undo.items():
                self._parameter(name).data.copy_(original)
            self.state = saved
            raise
        finally:
            self._undo = None
        self._made += tuple(map(Made.of, requests))

    def restore(self) -> None:
        """Take back all edits.

        Raises:
            RuntimeError: If the weights are not bit for bit what they were on entry.
        """
        for name, original in self._originals.items():
            self._parameter(name).data.copy_(original)
        self._originals.clear()
        self._made = ()
        self.state = copy.deepcopy(self._initial)
        if not self.keeps_weights:
            self._verify()

    def _verify(self) -> None:
        if self._digest is not None and self.lm.digest() != self._digest:
            raise RuntimeError(f"{self.lm.name} is not what it was before it was edited")

    # Side by side ---------------------------------------------------------------------------

    def branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """How many groups, from the first on, can be edited side by side.

        None where the method has no branches, or a subclass changes what it does alone.
        """
        kinds = type(self).__mro__
        own = next(i for i, kind in enumerate(kinds) if any(n in vars(kind) for n in _BRANCHING))
        changed = (name in vars(kind) for kind in kinds[:own] for name in _BRANCHED_TOO)
        return 0 if any(changed) else self._branches(groups)

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """What the method allows; none by default."""
        return 0

    @contextmanager
    def branched(self, groups: Sequence[Sequence[EditRequest]]) -> Iterator[list[Branch]]:
        """As many edited models as there are groups, each with one group's edits alone.

        While the context is open, a query whose `branch` is i is answered as if the unedited model
        had been edited with the i-th group and nothing else; queries without a branch are answered
        by the unedited model. The edits are made together and no weight is touched, which takes a
        fraction of the time of editing, asking and restoring for one group after another.

        Args:
            groups: The requests of each branch; no more groups than `branches` allows.

        Raises:
            RuntimeError: If there are edits in the model.
            InputError: If the edits fail together though each group's do not.
        """
        if self.edits:
            raise RuntimeError("branches are those of a model without edits")
        left, failures = dict(enumerate(groups)), dict[int, InputError]()
        saved = copy.copy(self.state)
        with ExitStack() as stack:
            stack.callback(lambda: setattr(self, "state", saved))
            told: Told = {}
            for number, group in enumerate(groups):
                empty = [request for request in group if not request.target_new.strip()]
                if empty:
                    failures[number] = EditError("the new answer is empty", row=empty[0].id)
                    del left[number]
            while left:
                try:
                    told = stack.enter_context(self._branched(left))
                    break
                except InputError as error:
                    named = [n for n, g in left.items() if any(r.id == error.row for r in g)]
                    found = dict.fromkeys(named, error) or self._failing(left)
                    if not found:
                        raise
                    failures |= found
                    left = {n: group for n, group in left.items() if n not in found}
            yield [Branch(failures.get(n), told.get(n, {})) for n in range(len(groups))]

    def _failing(self, groups: Groups) -> dict[int, InputError]:
        """The groups that cannot be edited though no error names them, found by trying each."""
        found = {}
        for number, group in groups.items():
            try:
                with self._branched({number: group}):
                    pass
            except InputError as error:
                found[number] = error
        return found

    def _branched(self, groups: Groups) -> AbstractContextManager[Told]:
        """Make the edits of branches while a context is open, and tell of them.

        Raises:
            InputError: If an edit fails; `row` is the request's id where it is that one's fault.
        """
        raise NotImplementedError

    # On the disk ----------------------------------------------------------------------------

    def save(self, folder: str | Path, *, form: Form = "delta", texts: bool = True) -> None:
        """Write the edits that are in the model into a folder, for `load`.

        Args:
            folder: The folder; saved edits that are there are replaced.
            form: `delta`, what changed, kept small, which gives the same answers; `exact`, edited
                weights as a whole, which gives the same bits; or `model`, the edited model for
                transformers. See `editors.saving`.
            texts: Whether questions and answers of the edits are written, or their ids alone.

        Raises:
            InputError: If the method cannot be saved in the form, or the folder holds other things.
            TypeError: If the method's state holds something that has no form on the disk.
        """
        weights = {
            name: (original, self._parameter(name).detach())
            for name, original in self._originals.items()
        }
        content = Content(
            self, self.lm, self._own_digest(), weights, self.state, self._made, self.in_weights
        )
        save(Path(folder), content, form, texts=texts)

    def load(self, folder: str | Path) -> None:
        """Take the edits of a folder in place of those in the model.

        Raises:
            InputError: If they are of another model or method, or a file is missing or altered.
        """
        self._begin()
        self.restore()
        folder = Path(folder)
        about = describe(folder)
        about.require(folder, self.lm, digest=self._own_digest(), kind=type(self).__name__)
        weights, state = read(
            folder,
            about,
            original=self._parameter,
            kinds=self.state_kinds,
            state_kind=annotated(type(self)).get("state", Any),
            device=self.lm.device,
        )
        for name, weight in weights.items():
            parameter = self._parameter(name)
            self._originals[name] = parameter.detach().clone()
            parameter.data.copy_(weight)
        self.state, self._made = state, about.requests

    def _own_digest(self) -> str:
        """The digest of the unedited weights."""
        return self._digest if self._digest is not None else self.lm.digest()

    # Three seams ----------------------------------------------------------------------------

    def write(self, parameter: str, delta: Tensor) -> None:
        """Add to a weight; the original is kept from the first touch on.

        Raises:
            EditError: If the update is not finite.
        """
        if not bool(torch.isfinite(delta).all()):
            raise EditError(f"the update of {parameter} holds numbers that are not finite")
        weight = self._parameter(parameter)
        if self._undo is not None and parameter not in self._undo:
            self._undo[parameter] = weight.detach().clone()
        if parameter not in self._originals:
            self._originals[parameter] = weight.detach().clone()
        with torch.no_grad():
            weight.add_(delta.to(weight.device, torch.promote_types(weight.dtype, torch.float32)))

    @contextmanager
    def unedited(self) -> Iterator[None]:
        """Give the model its original weights while the context is open."""
        edited = {name: self._parameter(name).detach().clone() for name in self._originals}
        self._set(self._originals)
        try:
            yield
        finally:
            self._set(edited)

    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, weight in weights.items():
            self._parameter(name).data.copy_(weight)

    def hook(self, module: nn.Module, hook: Hook, *, shared: bool = False) -> None:
        """Run a forward hook on a module until the context is left.

        Args:
            module: The module.
            hook: The hook.
            shared: Whether the hook knows of prompts that are read once for several answers; see
                `Batch.read_in`. Otherwise none are.
        """
        self._hooked = True
        self._hooks.callback(module.register_forward_hook(hook).remove)
        if not shared:
            self._hooks.enter_context(self.lm.unshared())

    def rewrite(self, rewrite: Rewrite) -> None:
        """Put queries through a function before they are encoded, until the context is left."""
        self._rewrites.append(rewrite)

    # Asking ---------------------------------------------------------------------------------

    def score(
        self, queries: Sequence[Query], answers: Sequence[str], *, top: int = 10
    ) -> list[Likelihood]:
        """The likelihood of one answer per query; see `LM.score`."""
        return self.lm.score(self.rewritten(queries), answers, top=top)

    def generate(
        self, queries: Sequence[Query], *, max_new_tokens: int = 32, stop: Sequence[str] = ("\n",)
    ) -> list[str]:
        """What the edited model answers greedily; see `LM.generate`."""
        return self.lm.generate(self.rewritten(queries), max_new_tokens=max_new_tokens, stop=stop)

    def reply(
        self,
        queries: Sequence[Query],
        answers: Sequence[Sequence[str | None]],
        *,
        max_new_tokens: int = 32,
        stop: Sequence[str] = ("\n",),
        top: int = 10,
    ) -> list[Reply]:
        """Free answers and likelihoods of answers, in one reading; see `LM.reply`."""
        if self.scores_itself or self.writes_itself:
            return super().reply(
                queries, answers, max_new_tokens=max_new_tokens, stop=stop, top=top
            )
        return self.lm.reply(
            self.rewritten(queries), answers, max_new_tokens=max_new_tokens, stop=stop, top=top
        )

    def rooms(self, queries: Sequence[Query]) -> list[int | None]:
        """Tokens that fit behind each query as the edited model reads it; see `LM.rooms`."""
        return self.lm.rooms(self.rewritten(queries))

    def rewritten(self, queries: Sequence[Query]) -> Sequence[Query]:
        """The queries as the model reads them; see `rewrite`."""
        for rewrite in self._rewrites:
            queries = rewrite(queries)
        return queries

    @property
    def edits(self) -> int:
        """How many edits are in it."""
        return len(self._made)

    @property
    def in_weights(self) -> bool:
        """Whether its edits are in the weights and nowhere else, so that they are a model."""
        elsewhere = self._hooked or self.rewrites or self.scores_itself or self.writes_itself
        return not (self.keeps_weights or elsewhere)

    @property
    def scores_itself(self) -> bool:
        """Whether the method scores answers in a way of its own."""
        return type(self).score is not EditedModel.score

    @property
    def writes_itself(self) -> bool:
        """Whether the method writes answers in a way of its own."""
        return type(self).generate is not EditedModel.generate

    @property
    def rewrites(self) -> bool:
        """Whether it changes prompts before the model reads them."""
        return bool(self._rewrites)

    def _parameter(self, name: str) -> nn.Parameter:
        return self.lm.model.get_parameter(name)


def no_edit(lm: LM) -> EditedModel:
    """The model unedited, as an edited model: the line that every editor is compared with."""
    return _Unedited(lm)


class _Unedited(EditedModel):
    keeps_weights = True

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        pass

    def _branches(self, groups: Sequence[Sequence[EditRequest]]) -> int:
        """All groups."""
        return len(groups)

    def _branched(self, groups: Groups) -> AbstractContextManager[Told]:
        return nullcontext({})
