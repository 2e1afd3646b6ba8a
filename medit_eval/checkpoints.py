"""Edits of a sequence on the way, so that a run that is killed goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medit_eval.protocols import checkpoint_phase, edits_of
from schemas.errors import InputError
from schemas.layout import read_json, write_json

if TYPE_CHECKING:
    from editors.base import EditedModel


@dataclass(frozen=True)
class Checkpoints:
    """The last checkpoint of a sequence, as a folder `edits-N` that appears whole or not at all.

    Attributes:
        root: The folder that holds it.
    """

    root: Path

    def latest(self) -> int | None:
        """How many edits the last checkpoint holds; None where there is none."""
        found = (edits_of(path.name) for path in self.root.glob("*"))
        return max((edits for edits in found if edits is not None), default=None)

    def save(self, edited: EditedModel, edits: int, failed: Mapping[str, str]) -> None:
        """Keep the edits of a model in place of those of earlier checkpoints.

        Args:
            edited: The model.
            edits: How many edits were made.
            failed: Records that could not be edited, each with its reason.
        """
        folder = self.root / checkpoint_phase(edits)
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        edited.save(unfinished, form="exact")
        write_json(unfinished / "failed.json", dict(failed))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        for other in self.root.iterdir():
            if other != folder:
                shutil.rmtree(other)

    def load(self, edited: EditedModel, edits: int) -> dict[str, str]:
        """Put the edits of a checkpoint into a model.

        Returns:
            Records that could not be edited, each with its reason.

        Raises:
            InputError: If it is of another model, or a file of it is missing or altered.
        """
        folder = self.root / checkpoint_phase(edits)
        failed = read_json(folder / "failed.json")
        if not isinstance(failed, Mapping):
            raise InputError("is not a JSON object", file=folder / "failed.json")
        edited.load(folder)
        return {str(record): str(reason) for record, reason in failed.items()}

    def clear(self) -> None:
        """Forget all checkpoints: the sequence has come to its end."""
        shutil.rmtree(self.root, ignore_errors=True)
