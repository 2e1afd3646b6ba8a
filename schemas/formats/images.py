"""Pictures beside foreign rows: read from a folder that paths in data cannot leave, and written.

A row names its pictures by a path relative to some folder. Rows come from strangers, so a path
is resolved, links included, and refused unless the file it leads to lies inside that folder.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from PIL import Image

from schemas.images import FORMATS, EncodedImage, ImageError, fingerprint
from schemas.layout import atomic_write

MAX_BYTES = 64 * 1024 * 1024
"""Size above which an image file is not read."""

_SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tiff",
    "PPM": ".ppm",
}
_KNOWN_SUFFIXES = frozenset({*_SUFFIXES.values(), ".jpeg", ".tif", ".pgm", ".pnm"})


class UnsafePathError(ImageError):
    """A path that leads, or could lead, out of the folder it belongs to."""


class MissingImageError(ImageError):
    """A path under which there is no file."""


class DamagedImageError(ImageError):
    """A file that is not a whole image of an accepted format and size."""


def safe_path(path: str) -> PurePosixPath:
    """A relative path from data, checked by its spelling alone.

    Raises:
        UnsafePathError: If it is empty, absolute, climbs (`..`) or holds control characters.
    """
    pure, windows = PurePosixPath(path), PureWindowsPath(path)
    if not pure.parts:
        raise UnsafePathError("the image path is empty")
    if not path.isprintable():
        raise UnsafePathError(f"the image path {path!r} holds control characters")
    if pure.is_absolute() or windows.drive or windows.root:
        raise UnsafePathError(f"the image path {path!r} is absolute")
    if ".." in pure.parts or ".." in windows.parts:
        raise UnsafePathError(f"the image path {path!r} climbs out of its folder")
    return pure


@dataclass(frozen=True)
class ImageFolder:
    """A folder of pictures that rows refer to.

    Attributes:
        root: The folder that paths are relative to.
        mounts: Other folders, by the first part of the paths that lead into them:
            `{"val2014": Path("/data/coco/val2014")}`. They stand in for links, which may not
            lead out of `root`.
    """

    root: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)

    def read(self, path: str) -> EncodedImage:
        """The picture at a relative path, checked to be whole.

        Raises:
            UnsafePathError: If the path leads out of the folder.
            MissingImageError: If no file is there.
            DamagedImageError: If the file is not a whole image of an accepted format and size.
        """
        file = self._resolve(path)
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DamagedImageError(f"the image {path!r} cannot be read: {reason}") from None
        if len(data) > MAX_BYTES:
            raise DamagedImageError(f"the image {path!r} has more than {MAX_BYTES:,} bytes")
        try:
            fingerprint(data)
        except ImageError as error:
            raise DamagedImageError(f"{error} ({path!r})") from None
        return EncodedImage(data, path)

    def names(self, path: str) -> list[str]:
        """Paths of the files in a subfolder, sorted by name; hidden files are left out.

        Raises:
            UnsafePathError: If the path leads out of the folder.
            MissingImageError: If no folder is there.
        """
        folder = self._locate(path)
        if not folder.is_dir():
            raise MissingImageError(f"there is no image folder {path!r}")
        found = sorted(entry.name for entry in folder.iterdir() if not entry.is_dir())
        return [str(PurePosixPath(path) / name) for name in found if not name.startswith(".")]

    def _locate(self, path: str) -> Path:
        pure = safe_path(path)
        first, *rest = pure.parts
        base = self.mounts.get(first)
        base, inner = (self.root, pure) if base is None else (base, PurePosixPath(*rest))
        try:
            anchor = base.resolve()
            target = (anchor / inner).resolve()
        except (OSError, RuntimeError):  # a link that leads to itself, or a name too long
            raise MissingImageError(f"there is no image {path!r}") from None
        if not target.is_relative_to(anchor):
            raise UnsafePathError(f"the image path {path!r} leads out of its folder")
        return target

    def _resolve(self, path: str) -> Path:
        target = self._locate(path)
        try:
            mode = target.stat().st_mode
        except OSError:
            raise MissingImageError(f"there is no image {path!r}") from None
        # A pipe or device would block or never end.
        if not stat.S_ISREG(mode):
            raise DamagedImageError(f"the image {path!r} is not a regular file")
        return target


class ImageSink(Protocol):
    """Where the pictures of written rows go."""

    def put(self, image: EncodedImage, path: str | None = None) -> str:
        """Take a picture and return the path by which a row refers to it.

        Args:
            image: The picture.
            path: The path that the format prescribes, or None to choose one.
        """
        ...


class KeepPaths:
    """A sink that writes nothing: rows refer to pictures by the paths they came with."""

    def put(self, image: EncodedImage, path: str | None = None) -> str:
        """The prescribed path, or the picture's own.

        Raises:
            ImageError: If there is neither.
        """
        if path is None and image.path is None:
            raise ImageError("the image has no path; give a folder to write it to")
        return path if path is not None else str(image.path)


class ImageWriter:
    """A sink that writes pictures into a folder, each distinct file once.

    A picture keeps its own relative path where that is safe and not yet taken by another
    picture; otherwise it is named by its content hash.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._written: dict[PurePosixPath, bytes] = {}
        self._folders: set[PurePosixPath] = set()

    def __len__(self) -> int:
        """How many files were written."""
        return len(self._written)

    def put(self, image: EncodedImage, path: str | None = None) -> str:
        """Write a picture and return its path relative to the folder.

        Raises:
            UnsafePathError: If the prescribed path leads out of the folder.
            ImageError: If the prescribed path is taken by another picture.
            OSError: If the file cannot be written.
        """
        digest = hashlib.sha256(image.bytes).digest()
        if path is not None:
            if not self._write(safe_path(path), image.bytes, digest):
                raise ImageError(f"the path {path!r} is taken by another image")
            return path
        own = image.path
        if own is not None and _usable(own) and self._write(safe_path(own), image.bytes, digest):
            return own
        name = PurePosixPath(f"{digest.hex()}{_suffix(image.bytes)}")
        self._write(name, image.bytes, digest)
        return str(name)

    def _write(self, name: PurePosixPath, data: bytes, digest: bytes) -> bool:
        """Whether the name now holds the data; False if it is taken by something else."""
        present = self._written.get(name)
        if present is not None:
            return present == digest
        if name in self._folders or any(parent in self._written for parent in name.parents):
            return False
        target = self.root / name
        if not target.parent.resolve().is_relative_to(self.root.resolve()):
            raise UnsafePathError(f"the image path {str(name)!r} leads out of its folder")
        with atomic_write(target) as file:
            file.write(data)
        self._written[name] = digest
        self._folders.update(name.parents)
        return True


def _usable(path: str) -> bool:
    """Whether a picture's own path may name its file."""
    try:
        return safe_path(path).suffix.lower() in _KNOWN_SUFFIXES
    except UnsafePathError:
        return False


def _suffix(data: bytes) -> str:
    """The file suffix that fits encoded image bytes."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return _SUFFIXES[picture.format or ""]
    except (OSError, KeyError, Image.DecompressionBombError):
        raise DamagedImageError("the bytes are not an image of a known format") from None
