"""Second moments on disk: finished ones, and how far an unfinished pass over a corpus has come.

All files are safetensors, appear under their names only when they are whole, and say in their
metadata what they belong to.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from editors.outer import OuterSum
from editors.packing import Place
from schemas.digest import digest128
from schemas.errors import InputError
from schemas.layout import atomic_write

CHECKPOINT_SECONDS = 300.0
"""Seconds between two checkpoints."""

_SHARE = 20
"""A checkpoint that takes long to write is followed by at least so many times as long without."""

_TYPES = {torch.float32: "F32", torch.float64: "F64"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """The second moment of one layer's keys.

    Attributes:
        matrix: C, shape (d, d), float32.
        tokens: How many tokens it is the mean of.
    """

    matrix: Tensor
    tokens: int


@dataclass(frozen=True)
class MomentFile:
    """The file of one layer's moment.

    Attributes:
        model: Digest of the weights.
        layer: The layer.
        corpus: Digest of the corpus and of how it is read.
    """

    model: str
    layer: int
    corpus: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.model[:16]}-{self.layer}-{self.corpus[:16]}.safetensors"

    def load(self, folder: Path) -> Moment | None:
        """The moment, or None if it was not saved.

        Raises:
            InputError: If the file holds something else.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / self.name
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as opened:
                written = opened.metadata() or {}
                matrix = opened.get_tensor("second_moment")
        except (SafetensorError, OSError) as error:
            raise InputError(f"is damaged, delete it ({error})", file=path) from None
        if (wrong := _foreign(written, self._metadata())) is not None:
            raise InputError(f"belongs to another {wrong}, delete it", file=path, field=wrong)
        return Moment(matrix, int(written["tokens"]))

    def save(self, folder: Path, moment: Moment) -> None:
        """Write the moment; readers see the whole file or none."""
        metadata = {**self._metadata(), "tokens": str(moment.tokens)}
        _write(folder / self.name, {"second_moment": moment.matrix}, metadata)

    def _metadata(self) -> dict[str, str]:
        return {"model": self.model, "layer": str(self.layer), "corpus": self.corpus}


@dataclass(frozen=True)
class Progress:
    """How far a pass over a corpus has come.

    Attributes:
        tokens: Tokens read.
        part: Number of the part that is being read; see `corpus.parts_of`.
        place: Place in that part.
    """

    tokens: int = 0
    part: int = 0
    place: Place = field(default_factory=Place)


@dataclass
class Checkpoint:
    """The file of an unfinished pass, written every few minutes and removed in the end.

    Attributes:
        folder: Where it lies.
        model: Digest of the weights.
        layers: The layers.
        corpus: Digest of the corpus and of how it is read.
        tokens_per_batch: Bound on the tokens of a batch, which decides what is added up together.
        every: Seconds between two checkpoints.
        clock: Tells the seconds.
    """

    folder: Path
    model: str
    layers: tuple[int, ...]
    corpus: str
    tokens_per_batch: int
    every: float = CHECKPOINT_SECONDS
    clock: Callable[[], float] = time.monotonic
    _due: float = field(init=False)

    def __post_init__(self) -> None:
        self._due = self.clock() + self.every

    @property
    def path(self) -> Path:
        """The file."""
        asked = digest128(json.dumps(self._metadata()))
        return self.folder / f"{self.model[:16]}-unfinished-{asked[:16]}.safetensors"

    def load(self, sums: Mapping[int, OuterSum]) -> Progress:
        """How far the pass has come, and the sums up to there; the beginning without a file.

        A file that is damaged or belongs to another pass is warned of and not used.

        Args:
            sums: The sum of each layer, still empty.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return Progress()
        try:
            with safe_open(self.path, framework="pt") as opened:
                written = opened.metadata() or {}
                if (wrong := _foreign(written, self._metadata())) is not None:
                    return self._unused(f"belongs to another {wrong.replace('_', ' ')}")
                place = Place(int(written["start"]), int(written["batches"]))
                progress = Progress(int(written["tokens"]), int(written["part"]), place)
                panels = {
                    layer: [opened.get_tensor(f"{layer}.{i}") for i in range(len(own.panels))]
                    for layer, own in sums.items()
                }
            for layer, own in sums.items():
                own.take_up(panels[layer])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            return self._unused(f"is damaged ({error})")
        _log.info("second moments: going on after %d tokens", progress.tokens)
        return progress

    def save_if_due(self, sums: Mapping[int, OuterSum], progress: Progress) -> None:
        """Write how far the pass has come, if the last time is long enough ago.

        A disk that is full or read-only is warned of; the pass goes on without.
        """
        began = self.clock()
        if began < self._due:
            return
        tensors = {
            f"{layer}.{i}": panel
            for layer, own in sums.items()
            for i, panel in enumerate(own.panels)
        }
        place = {
            "tokens": progress.tokens,
            "part": progress.part,
            "start": progress.place.start,
            "batches": progress.place.batches,
        }
        metadata = {**self._metadata(), **{name: str(value) for name, value in place.items()}}
        try:
            _write(self.path, tensors, metadata)
        except OSError as error:
            warnings.warn(f"{self.path} cannot be written: {error.strerror}", stacklevel=2)
        now = self.clock()
        self._due = now + max(self.every, _SHARE * (now - began))

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def _unused(self, reason: str) -> Progress:
        warnings.warn(f"{self.path} {reason}; the corpus is read from its beginning", stacklevel=3)
        return Progress()

    def _metadata(self) -> dict[str, str]:
        return {
            "model": self.model,
            "layers": " ".join(map(str, self.layers)),
            "corpus": self.corpus,
            "tokens_per_batch": str(self.tokens_per_batch),
        }


def _foreign(written: Mapping[str, str], own: Mapping[str, str]) -> str | None:
    """The first field in which a file belongs to something else."""
    return next((name for name, value in own.items() if written.get(name) != value), None)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, written tensor by tensor: the library would hold all of it twice."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        shape: Sequence[int] = list(tensor.shape)
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with atomic_write(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().numpy().data)
