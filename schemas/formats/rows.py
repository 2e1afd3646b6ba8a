"""Typed access to the fields of a foreign row, with errors that say where a fault is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.formats.images import ImageFolder, MissingImageError
from schemas.images import EncodedImage, ImageError


@dataclass(frozen=True)
class ReadContext:
    """What a reader knows of a row beyond its fields.

    Attributes:
        source: The data set's name, for provenance; None to note none.
        file: The file that holds the row, for messages.
        row: Its number or name there, for messages.
        allow_missing_images: Whether a picture that is not in the folder is left out, with the
            questions that need it, instead of refused. A path that leads out of the folder and a
            damaged file are always refused.
    """

    source: str | None = None
    file: Path | str | None = None
    row: int | str | None = None
    allow_missing_images: bool = False


NO_CONTEXT = ReadContext()


class Row:
    """Typed access to the fields of a foreign row.

    Every method raises `InputError` naming file, row and field where a value has another type.

    Attributes:
        fields: The row, with its canonical field names.
        id: Content hash of the row.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        images: ImageFolder | None,
        context: ReadContext,
        row_id: str,
    ) -> None:
        self.fields = fields
        self.id = row_id
        self._images = images
        self._context = context

    def error(self, reason: str, field: str | None = None) -> InputError:
        """The error to raise about a field."""
        return InputError(reason, file=self._context.file, row=self._context.row, field=field)

    def text(self, field: str) -> str:
        """A field that must hold text, and not of spaces alone."""
        value = self.optional_text(field)
        if value is None:
            raise self.error("is missing or empty", field)
        return value

    def optional_text(self, field: str) -> str | None:
        """A field that may hold text; None where it is missing, null, empty or of spaces alone."""
        value = self.fields.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.error(f"is {_kind(value)}, not text", field)
        return value if value.strip() else None

    def texts(self, field: str) -> tuple[str, ...]:
        """A field that holds a list of texts; empty where it is missing or null."""
        value = self.fields.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error("is not a list of texts", field)
        return tuple(value)

    def prompts(self, field: str) -> tuple[str, ...]:
        """A list of texts to ask, none of which may be empty."""
        found = self.texts(field)
        for index, text in enumerate(found):
            if not text.strip():
                raise self.error("is empty", f"{field}[{index}]")
        return found

    def objects(self, field: str) -> tuple[dict[str, Any], ...]:
        """A field that holds a list of objects; empty where it is missing or null."""
        value = self.fields.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error("is not a list of objects", field)
        return tuple(value)

    def part(self, field: str, name: str, fields: Mapping[str, Any]) -> Row:
        """A nested object as a row of its own; `field` is where it sits, for messages."""
        named = {f"{field}.{key}": value for key, value in fields.items()}
        return Row(named, self._images, self._context, f"{self.id}/{name}")

    def inner(self, field: str, name: str | None = None) -> Row:
        """The object in a field, as a row of its own whose fields keep their paths."""
        value = self.fields.get(field)
        if not isinstance(value, dict):
            raise self.error("is not an object", field)
        return self.part(field, name or field, value)

    def each(self, field: str) -> tuple[tuple[str, Row], ...]:
        """The objects in a list, as rows of their own, each with the path it sits at."""
        found = ((f"{field}[{i}]", entry) for i, entry in enumerate(self.objects(field)))
        return tuple((at, self.part(at, at, entry)) for at, entry in found)

    def image(self, field: str) -> EncodedImage | None:
        """The picture that a field names; None where it names none or none is at hand."""
        path = self.optional_text(field)
        return None if path is None else self.image_at(path, field)

    def image_at(self, path: str, field: str | None = None) -> EncodedImage | None:
        """The picture at a path; None where no folder is given or its absence is allowed."""
        if self._images is None:
            return None
        try:
            return self._images.read(path)
        except MissingImageError as error:
            if self._context.allow_missing_images:
                return None
            raise self.error(str(error), field) from None
        except ImageError as error:
            raise self.error(str(error), field) from None

    def images_in(self, folder: str) -> tuple[EncodedImage, ...]:
        """All pictures of a folder, sorted by name; none where the folder's absence is allowed."""
        if self._images is None:
            return ()
        try:
            paths = self._images.names(folder)
        except MissingImageError as error:
            if self._context.allow_missing_images:
                return ()
            raise self.error(str(error)) from None
        except ImageError as error:
            raise self.error(str(error)) from None
        found = (self.image_at(path) for path in paths)
        return tuple(image for image in found if image is not None)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return {list: "a list", dict: "an object"}.get(type(value), f"a {type(value).__name__}")
