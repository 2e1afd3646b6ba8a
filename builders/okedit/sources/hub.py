"""Any visual-question-answering data: a Hub data set or a local file, with a column map in TOML.

```toml
[dataset]
path = "org/name"          # or a .parquet, .jsonl or .json file, or a folder of them
config = "default"         # optional
split = "validation"       # optional, default "train"
title = "My VQA data"      # optional, for the card
licence = "CC BY 4.0"      # optional, for the card

[columns]
question = "question"      # text
answer = "answers"         # text, or a list of texts whose most frequent one counts
image = "image"            # optional: an image, its bytes, or a path below --images-folder
id = "question_id"         # optional
new_answer = "target"      # optional: the answer after the edit
rephrasings = "paraphrases"  # optional: a list of texts
```
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from builders.definition import Row
from builders.okedit.draft import Answer, Draft
from builders.okedit.sources.fields import FieldError, text, texts
from builders.okedit.sources.photos import PhotoWorld, copied
from builders.okedit.sources.survey import Survey
from builders.okedit.words import answer_type
from builders.seeds import content_id
from builders.steps import Problem, Reject
from schemas.errors import InputError
from schemas.images import EncodedImage, ImageError, fingerprint
from schemas.layout import atomic_write, sha256_of
from schemas.records import Provenance

SPOOL_MOUNT = ".spool"
"""First part of the paths of pictures that came inside rows."""

_READERS: Mapping[str, Literal["parquet", "json"]] = {
    ".parquet": "parquet",
    ".jsonl": "json",
    ".json": "json",
}


class DatasetTable(BaseModel):
    """The `[dataset]` table of a column map."""

    model_config = ConfigDict(extra="forbid")

    path: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    title: str | None = None
    licence: str | None = None


class ColumnTable(BaseModel):
    """The `[columns]` table of a column map."""

    model_config = ConfigDict(extra="forbid")

    question: str
    answer: str
    image: str | None = None
    id: str | None = None
    new_answer: str | None = None
    rephrasings: str | None = None


class ColumnMap(BaseModel):
    """A column map."""

    model_config = ConfigDict(extra="forbid")

    dataset: DatasetTable
    columns: ColumnTable

    @classmethod
    def read(cls, path: Path) -> ColumnMap:
        """The map in a TOML file.

        Raises:
            InputError: Naming the field that is missing, unknown or of another type.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", file=path) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"is not TOML: {error}", file=path) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(first["msg"].lower(), file=path, field=where) from None


@dataclass
class HubSource:
    """Rows of any data set that `datasets` can stream.

    Attributes:
        columns_file: The column map.
        seed: The build's seed.
        limit: Rows to read, or None for all.
    """

    columns_file: Path
    seed: int
    limit: int | None
    _survey: Survey = field(init=False)

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The mapped rows; pictures inside rows go to files in `spool`."""
        self._survey = Survey(self.seed)
        mapping = ColumnMap.read(self.columns_file)
        for number, row in enumerate(_stream(mapping, self.columns_file)):
            if number == self.limit:
                return
            try:
                yield self._map(number, row, mapping.columns, spool)
            except FieldError as error:
                yield Reject(number, None, "ingest", "field", error.name, error.reason)

    def context(self) -> dict[str, Any]:
        """Answer pools and other pictures."""
        return self._survey.to_json()

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card."""
        mapping = ColumnMap.read(self.columns_file)
        dataset = mapping.dataset
        described: dict[str, Any] = {
            "name": "hub",
            "title": dataset.title or Path(dataset.path).name,
            "licence": dataset.licence or "see the source",
            "columns": mapping.columns.model_dump(exclude_none=True),
            "files": {p.name: sha256_of(p) for p in _local_files(dataset, self.columns_file)},
        }
        if not described["files"]:
            described["dataset"] = dataset.model_dump(include={"path", "config", "revision"})
        return {**described, "split": dataset.split}

    def _map(self, number: int, row: Mapping[str, Any], columns: ColumnTable, spool: Path) -> Row:
        question = text(row, columns.question)
        answers = _ranked(row, columns.answer)
        if not answers:
            raise FieldError(columns.answer, "is empty")
        fields: dict[str, Any] = {"question": question, "answers": answers, "image": None}
        if columns.image is not None and row.get(columns.image) is not None:
            fields["image"] = _picture_path(row[columns.image], columns.image, spool)
        if columns.new_answer is not None:
            fields["new"] = text(row, columns.new_answer)
        if columns.rephrasings is not None:
            fields["rephrasings"] = texts(row, columns.rephrasings)
        self._survey.add(number, question, answers[0], fields["image"])
        if columns.id is not None:
            key = row.get(columns.id)
            if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
                raise FieldError(columns.id, "is no text or number")
            return Row(number, str(key), fields)
        return Row(number, f"hub-{content_id(fields)}", fields)


class HubWorld(PhotoWorld):
    """Mapped rows as drafts."""

    def draft(self, row: Row) -> Draft | Problem:
        """The first form of a record, with what the columns gave."""
        fields = row.fields
        image: EncodedImage | Problem | None = None
        if fields["image"] is not None:
            image = self.picture(fields["image"])
        if isinstance(image, Problem):
            return image
        first, *others = fields["answers"]
        draft = Draft(
            id=row.id,
            row=row.row,
            source=self.name,
            question=fields["question"],
            image=image,
            old=Answer(first, tuple(others)),
            answer_type=answer_type(fields["question"], first),
        )
        draft = draft.with_(*copied(draft))
        if "new" in fields:
            origin = Provenance("requests.target_new", self.name, "source")
            draft = draft.with_(origin, new=Answer(fields["new"]))
        if fields.get("rephrasings"):
            origin = Provenance("probes.rephrase", self.name, "source")
            draft = draft.with_(origin, rephrasings=tuple(fields["rephrasings"]))
        return draft


def _local_files(dataset: DatasetTable, columns_file: Path) -> list[Path]:
    """The local files that a path means, sorted; none where it names a data set on the Hub.

    Raises:
        InputError: If it names a file that is not there.
    """
    path = columns_file.parent / dataset.path
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix in _READERS)
    if path.suffix not in _READERS:
        return []
    if not path.is_file():
        raise InputError("does not exist", file=path)
    return [path]


def _stream(mapping: ColumnMap, columns_file: Path) -> Iterator[dict[str, Any]]:
    import datasets

    dataset = mapping.dataset
    files = _local_files(dataset, columns_file)
    try:
        if files:
            reader = _READERS[files[0].suffix]
            stream = datasets.load_dataset(
                reader, data_files=[str(path) for path in files], split="train", streaming=True
            )
        else:
            stream = datasets.load_dataset(
                dataset.path,
                dataset.config,
                split=dataset.split,
                revision=dataset.revision,
                streaming=True,
            )
        for name, feature in (stream.features or {}).items():
            if isinstance(feature, datasets.Image):
                stream = stream.cast_column(name, datasets.Image(decode=False))
        absent = [
            column
            for column in mapping.columns.model_dump(exclude_none=True).values()
            if stream.features and column not in stream.features
        ]
        if absent:
            known = ", ".join(sorted(stream.features or ()))
            raise InputError(
                f"there is no such column; the data has {known}",
                file=columns_file,
                field=absent[0],
            )
        yield from stream
    except InputError:
        raise
    except Exception as error:
        # `datasets` raises errors of many libraries, and its own wrap the cause.
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise InputError(f"cannot be read: {reason}", file=dataset.path) from None


def _ranked(row: Mapping[str, Any], column: str) -> list[str]:
    """Distinct answers, the most frequent one first."""
    value = row.get(column)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [a for a, _ in Counter(v.strip() for v in value if v.strip()).most_common()]
    return list(texts(row, column))


def _picture_path(value: Any, column: str, spool: Path) -> str:
    """A path below the image folder: as given, or of a new file with the picture's bytes."""
    if isinstance(value, str):
        return value
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(data, bytes):
        raise FieldError(column, "holds neither a picture nor a path")
    try:
        fingerprint(data)
    except ImageError as error:
        raise FieldError(column, str(error)) from None
    name = f"{hashlib.sha256(data).hexdigest()}.img"
    with atomic_write(spool / name) as file:
        file.write(data)
    return f"{SPOOL_MOUNT}/{name}"
