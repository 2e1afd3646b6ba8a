"""Corpora: what an editor should leave as it is, as texts and questions for a model to read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from editors.prompts import Query
from schemas.errors import InputError


class Corpus(Protocol):
    """Something to read, the same in every run."""

    @property
    def digest(self) -> str:
        """A digest of all that is read, or of what determines it."""
        ...

    def queries(self) -> Iterator[Query]:
        """The texts and questions, in order."""
        ...

    @property
    def formatted(self) -> bool:
        """Whether they are read in the model's prompt format; running text is read plain."""
        ...


@runtime_checkable
class Skipping(Protocol):
    """A corpus that can begin to read at a place, without making the queries before it."""

    def queries_from(self, place: int) -> Iterator[tuple[int, Query]]:
        """The queries from a place on, each with the place behind it; the beginning is 0."""
        ...


def read_from(corpus: Corpus, place: int) -> Iterator[tuple[int, Query]]:
    """The queries of a corpus from a place on, each with the place behind it.

    Places of a corpus that cannot skip are numbers of queries, which are made and dropped.

    Args:
        corpus: The corpus.
        place: 0, or a place that this gave before.
    """
    if isinstance(corpus, Skipping):
        return corpus.queries_from(place)
    return islice(enumerate(corpus.queries(), start=1), place, None)


@dataclass(frozen=True)
class TextFile:
    """The texts of a file: one per line, or the field `text` of each line of a `.jsonl`.

    Attributes:
        path: The file.
    """

    path: Path
    formatted: bool = field(default=False, init=False)

    @property
    def digest(self) -> str:
        """A digest of the file's bytes."""
        digest = hashlib.blake2b(digest_size=16)
        _add(digest, self.path.suffix.encode())
        try:
            with self.path.open("rb") as file:
                digest.update(os.fstat(file.fileno()).st_size.to_bytes(8, "little"))
                while part := file.read(1 << 24):
                    digest.update(part)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", file=self.path) from None
        return digest.hexdigest()

    def queries(self) -> Iterator[Query]:
        """The texts; empty lines are left out.

        Raises:
            InputError: If the file cannot be read, or a line of JSON has no text.
        """
        return (query for _, query in self.queries_from(0))

    def queries_from(self, place: int) -> Iterator[tuple[int, Query]]:
        """The texts behind so many lines, each with the lines up to its end."""
        try:
            with self.path.open(encoding="utf-8") as lines:
                for number, line in islice(enumerate(lines), place, None):
                    text = self._text(line, number) if line.strip() else ""
                    if text.strip():
                        yield number + 1, Query(text)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", file=self.path) from None

    def _text(self, line: str, number: int) -> str:
        if self.path.suffix != ".jsonl":
            return line.rstrip("\n")
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"is not JSON: {error}", file=self.path, row=number) from None
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise InputError("expected a string", file=self.path, row=number, field="text")
        return text


@dataclass(frozen=True)
class HubTexts:
    """The first texts of a data set on the Hugging Face Hub, streamed.

    Attributes:
        repo: The data set's id.
        name: Its configuration, or None.
        split: Its split.
        column: The column of the texts.
        samples: How many texts.
        revision: A commit, branch or tag. Only a commit says for good what is read.
    """

    repo: str
    name: str | None = None
    split: str = "train"
    column: str = "text"
    samples: int = 100_000
    revision: str | None = None
    formatted: bool = field(default=False, init=False)

    @property
    def digest(self) -> str:
        """A digest of the arguments."""
        return _digest(repr(self))

    def queries(self) -> Iterator[Query]:
        """The texts.

        Raises:
            InputError: If the data set cannot be read or has no such column of strings.
        """
        return (query for _, query in self.queries_from(0))

    def queries_from(self, place: int) -> Iterator[tuple[int, Query]]:
        """The texts behind so many rows, each with the rows up to it."""
        import datasets

        try:
            rows: Any = datasets.load_dataset(
                self.repo, self.name, split=self.split, revision=self.revision, streaming=True
            )
            chosen = rows.skip(place) if place else rows
            for number, row in enumerate(chosen.take(self.samples - place), start=place + 1):
                if not isinstance(text := row.get(self.column), str):
                    columns = ", ".join(row)
                    raise InputError(
                        f"the corpus {self.repo!r} has no texts in {self.column!r}, only {columns}"
                    )
                if text.strip():
                    yield number, Query(text)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"the corpus {self.repo!r} cannot be read ({reason}); "
                "corpus= takes a file of texts as well"
            ) from None


@dataclass(frozen=True)
class Texts:
    """Running texts in memory.

    Attributes:
        texts: The texts.
    """

    texts: tuple[str, ...]
    formatted: bool = field(default=False, init=False)

    @property
    def digest(self) -> str:
        """A digest of the texts."""
        return _digest(*self.texts)

    def queries(self) -> Iterator[Query]:
        """The texts, each to be read as it is."""
        return map(Query, self.texts)

    def queries_from(self, place: int) -> Iterator[tuple[int, Query]]:
        """The texts behind so many others."""
        return ((i + 1, Query(self.texts[i])) for i in range(place, len(self.texts)))


@dataclass(frozen=True)
class Questions:
    """Questions, with or without pictures, read in the model's prompt format.

    Attributes:
        items: The questions.
    """

    items: tuple[Query, ...]
    formatted: bool = field(default=True, init=False)

    @property
    def digest(self) -> str:
        """A digest of texts and pictures."""
        parts: list[str | bytes] = []
        for query in self.items:
            picture = b"" if query.image is None else query.image.bytes
            parts += [query.prompt, query.context or "", picture]
        return _digest(*parts)

    def queries(self) -> Iterator[Query]:
        """The questions."""
        yield from self.items

    def queries_from(self, place: int) -> Iterator[tuple[int, Query]]:
        """The questions behind so many others."""
        return ((i + 1, self.items[i]) for i in range(place, len(self.items)))


@dataclass(frozen=True)
class Mixed:
    """Several corpora after one another, as image records need: texts and questions with pictures.

    Attributes:
        parts: The corpora.
    """

    parts: tuple[Corpus, ...]
    formatted: bool = field(default=False, init=False)

    @property
    def digest(self) -> str:
        """A digest of the parts' digests."""
        return _digest(*(part.digest for part in self.parts))

    def queries(self) -> Iterator[Query]:
        """The parts' texts and questions."""
        for part in self.parts:
            yield from part.queries()


@dataclass(frozen=True)
class NotSaved:
    """Stands for a corpus that saved edits were made with and that was not saved with them.

    Edits that were made need it no more; further ones do, and say so.

    Attributes:
        what: What it was.
    """

    what: str
    formatted: bool = field(default=False, init=False)

    @property
    def digest(self) -> str:
        """None is known.

        Raises:
            InputError: Always.
        """
        raise self._missing()

    def queries(self) -> Iterator[Query]:
        """None are known.

        Raises:
            InputError: Always.
        """
        raise self._missing()

    def _missing(self) -> InputError:
        return InputError(
            f"further edits need the corpus of the saved ones ({self.what}), which was not saved "
            "with them: give it as editor_options={'corpus': ...}"
        )


CorpusSource = Corpus | str | Path | Sequence[Query] | Sequence[Corpus | str | Path]
"""A corpus, the path of a file, a Hub id (`owner/name` or `owner/name:configuration`), questions,
or several of these."""

WIKIPEDIA = HubTexts("wikimedia/wikipedia", "20231101.en")
"""100,000 articles, as in MEMIT and AlphaEdit (theirs are of an older dump)."""


def as_corpus(source: CorpusSource) -> Corpus:
    """The corpus that a source stands for.

    Raises:
        InputError: If there is no such file and the source cannot be a Hub id, or it is empty.
    """
    if isinstance(source, str | Path):
        return _named(source)
    if hasattr(type(source), "queries"):
        return cast(Corpus, source)
    items = list(cast(Sequence[Any], source))
    if not items:
        raise InputError("the corpus is empty")
    queries = tuple(item for item in items if isinstance(item, Query))
    if len(queries) == len(items):
        return Questions(queries)
    others = [as_corpus(item) for item in items if not isinstance(item, Query)]
    return Mixed((*others, *([Questions(queries)] if queries else [])))


def _named(source: str | Path) -> Corpus:
    path = Path(source)
    if path.is_file():
        return TextFile(path)
    repo, _, name = str(source).partition(":")
    if isinstance(source, Path) or path.suffix in (".txt", ".jsonl") or repo.count("/") > 1:
        raise InputError("there is no such corpus file", file=path)
    return HubTexts(repo, name or None)


def parts_of(corpus: Corpus) -> tuple[Corpus, ...]:
    """The corpora that a corpus consists of, itself if it is not mixed."""
    return corpus.parts if isinstance(corpus, Mixed) else (corpus,)


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        _add(digest, part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


def _add(digest: Any, content: bytes) -> None:
    digest.update(len(content).to_bytes(8, "little") + content)
