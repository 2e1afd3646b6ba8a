"""The options of a build, and the data set definition that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from builders.definition import Source
from builders.okedit.sources.flags import FlagsSource, FlagsWorld
from builders.okedit.sources.hub import SPOOL_MOUNT, HubSource, HubWorld
from builders.okedit.sources.mmedit import MmeditSource, MmeditWorld
from builders.okedit.sources.okvqa import OkVqaSource, OkVqaWorld
from builders.okedit.sources.photos import PhotoWorld
from builders.okedit.world import World
from schemas.errors import InputError
from schemas.formats.images import ImageFolder
from schemas.manifest import Rules

SourceName = Literal["flags", "okvqa", "mmedit", "hub"]
TextName = Literal["offline", "openai"]
ImagesName = Literal["offline", "openai", "diffusers"]

NAMES: Mapping[SourceName, str] = {
    "flags": "FlagEdit",
    "okvqa": "OKVQA-Edit",
    "mmedit": "EVQA-Edit",
    "hub": "VQA-Edit",
}
"""Names of the data sets, unless one is given. None is OKEDIT: they are built the OKEDIT way."""

_PHOTO_WORLDS: Mapping[str, type[PhotoWorld]] = {
    "okvqa": OkVqaWorld,
    "mmedit": MmeditWorld,
    "hub": HubWorld,
}


@dataclass(frozen=True)
class Options:
    """What `python -m builders.okedit build` was told, as far as it shapes the content.

    Attributes:
        source: Where rows come from.
        name: The data set's name, or None for the source's usual one.
        questions: The source's question file.
        annotations: OK-VQA's annotation file.
        columns: The column map of `hub`.
        image_folder: Where pictures are.
        allow_missing_images: Whether rows without a picture become text-only records.
        limit: Rows to read, or None for all.
        seed: Everything random derives from it and from the record's id.
        split: The split's name.
        text: Who writes text.
        images: Who draws pictures.
        fallback: Whether the offline generators answer what another one failed at.
        rephrasings: Rephrasings per record for the probes.
        editor_rephrasings: Rephrasings per record for the editor.
        image_size: Pixels per side of drawn flags.
        shard_rows: Source rows per shard.
    """

    source: SourceName = "flags"
    name: str | None = None
    questions: Path | None = None
    annotations: Path | None = None
    columns: Path | None = None
    image_folder: Path | None = None
    allow_missing_images: bool = False
    limit: int | None = None
    seed: int = 0
    split: str = "test"
    text: TextName = "offline"
    images: ImagesName = "offline"
    fallback: bool = False
    rephrasings: int = 5
    editor_rephrasings: int = 3
    image_size: int = 256
    shard_rows: int = 100

    def __post_init__(self) -> None:
        for option, path in self._needed().items():
            if path is None:
                raise InputError(f"--source {self.source} needs --{option}")
            if not path.exists():
                raise InputError("does not exist", file=path)
        if self.image_folder is not None and not self.image_folder.is_dir():
            raise InputError("is not a folder of images", file=self.image_folder)
        needs_folder = self.source in ("okvqa", "mmedit") and not self.allow_missing_images
        if needs_folder and self.image_folder is None:
            raise InputError(
                f"--source {self.source} needs --images-folder, or --allow-missing-images to build "
                "text-only records"
            )
        if not self.split.isidentifier():
            raise InputError(f"the split's name must be one word, not {self.split!r}")

    def _needed(self) -> dict[str, Path | None]:
        """The files that the source needs, by option."""
        if self.source == "okvqa":
            return {"questions": self.questions, "annotations": self.annotations}
        if self.source == "mmedit":
            return {"questions": self.questions}
        return {"columns": self.columns} if self.source == "hub" else {}

    def arguments(self) -> dict[str, Any]:
        """The options by the names of the command line, without paths' folders."""
        files = {
            "questions": self.questions,
            "annotations": self.annotations,
            "columns": self.columns,
            "images-folder": self.image_folder,
        }
        return {
            "source": self.source,
            "name": self.name,
            **{option: path.name if path else None for option, path in files.items()},
            "allow-missing-images": self.allow_missing_images or None,
            "limit": self.limit,
            "seed": self.seed,
            "split": self.split,
            "text": self.text,
            "images": self.images,
            "fallback": self.fallback or None,
            "rephrasings": self.rephrasings,
            "editor-rephrasings": self.editor_rephrasings,
            "image-size": self.image_size,
            "shard-size": self.shard_rows,
        }

    def make_source(self) -> Source:
        """The source, not read yet."""
        if self.source == "flags":
            return FlagsSource(self.seed, self.limit)
        if self.source == "hub":
            assert self.columns is not None
            return HubSource(self.columns, self.seed, self.limit)
        assert self.questions is not None
        if self.source == "mmedit":
            return MmeditSource(self.questions, self.seed, self.limit)
        assert self.annotations is not None
        return OkVqaSource(self.questions, self.annotations, self.seed, self.limit)

    def make_world(self, context: Mapping[str, Any], spool: Path) -> World:
        """The source as a worker sees it."""
        if self.source == "flags":
            return FlagsWorld(templates=self.text == "offline", size=self.image_size)
        folder = ImageFolder(self.image_folder or spool, {SPOOL_MOUNT: spool})
        return _PHOTO_WORLDS[self.source](
            self.source,
            context,
            folder if self.image_folder or self.source == "hub" else None,
            allow_missing=self.allow_missing_images,
            drawn_negatives=self.images != "offline",
        )

    def rules(self) -> Rules:
        """What the records promise."""
        kinds = ["edit", "rephrase", "text"]
        pictured = self.source == "flags" or (
            self.image_folder is not None and not self.allow_missing_images
        )
        if pictured:
            kinds.append("negative")
        if self.source == "flags":
            kinds += ["image_augmented", "image_other_instance", "text_only", "unrelated_image"]
            kinds += ["one_hop", "two_hop"]
        return Rules(rephrasings=self.rephrasings, images=pictured, kinds=tuple(kinds))
