"""Small copies of the pictures that a run showed, kept so that its report can show them too.

Predictions hold digests of pictures alone. The copies are made once, when a run begins, so that a
report needs neither the records nor the builder's folder that they came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medit_eval.parts import read_part
from medit_eval.runs import images_path
from schemas.arrow import Schema
from schemas.gallery import thumbnail
from schemas.images import EncodedImage, ImageError
from schemas.layout import write_parquet


@dataclass(frozen=True, slots=True)
class RunPicture:
    """A picture of a run, at the size in which a report shows it.

    Attributes:
        digest: SHA-256 of the file that the model was shown.
        small: A small copy, or None where there can be none.
        reason: Why not.
    """

    digest: str
    small: EncodedImage | None
    reason: str | None = None


PICTURES: Schema[RunPicture] = Schema("run_pictures", 1, RunPicture)


def write_pictures(root: Path, images: Iterable[EncodedImage]) -> None:
    """Keep small copies of a run's pictures, each once, unless they are there already."""
    path = images_path(root)
    if path.is_file():
        return
    found: dict[str, RunPicture] = {}
    for image in images:
        digest = hashlib.sha256(image.bytes).hexdigest()
        if digest not in found:
            found[digest] = _small(digest, image)
    if found:
        write_parquet(path, PICTURES.table(list(found.values())))


def read_pictures(root: Path) -> dict[str, RunPicture]:
    """The pictures of a run by digest; nothing where it showed none, or kept none.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    path = images_path(root)
    if not path.is_file():
        return {}
    return {picture.digest: picture for picture in read_part(path, PICTURES)}


def _small(digest: str, image: EncodedImage) -> RunPicture:
    try:
        return RunPicture(digest, EncodedImage(thumbnail(image)))
    except ImageError as error:
        return RunPicture(digest, None, str(error))
