"""What a triple extractor is, and extractors by name: medit's own and plug-ins.

A plug-in's entry point in the group `medit.triples` names a class or function without arguments
that gives a `TripleExtractor`:

    [project.entry-points."medit.triples"]
    capitals = "my_package:Capitals"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from schemas.documents import Triple
from schemas.errors import InputError
from schemas.plugins import Origin, Plugins, said

GROUP = "medit.triples"
"""The entry-point group of plug-ins."""

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "source": "builders.docmedit.extractors:SourceTriples",
        "openai": "builders.docmedit.model_triples:ModelTriples",
    }
)
"""Where medit's own extractors are. `openai` is the one that needs a model."""

EXTRACTORS = Plugins("triple extractor", GROUP, BUILT_IN)


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that triples are read from: an introduction, or the sentence of a fact.

    Attributes:
        page: The title of its page.
        text: The text.
        stated: What the source itself says there: facts, rows of infoboxes and tables.
        record_id: The record that it is for.
        seed: What anything random about it derives from.
    """

    page: str
    text: str
    stated: tuple[Triple, ...]
    record_id: str
    seed: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there are no triples of a passage, as a clause; its record is left out."""

    reason: str


@dataclass(frozen=True)
class Relations:
    """The relations that triples may have; an empty list admits all.

    Attributes:
        names: The names.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Relations:
        """A list of relations: one per line, what follows a tab is left out.

        Raises:
            InputError: If the file cannot be read or names none.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", file=path) from None
        names = [line.partition("\t")[0].strip() for line in lines]
        names = [name for name in names if name and not name.startswith("#")]
        if not names:
            raise InputError("names no relation", file=path)
        return cls(tuple(dict.fromkeys(names)))

    def admit(self, triple: Triple) -> bool:
        """Whether a triple has a relation of the list; case and underscores do not matter."""
        return not self.names or _key(triple.relation) in self._keys

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(map(_key, self.names))


@runtime_checkable
class TripleExtractor(Protocol):
    """Whatever says which triples a text states; opened once in every worker."""

    @property
    def name(self) -> str:
        """Short name for provenance."""
        ...

    def extract(
        self, passages: Sequence[Passage], relations: Relations
    ) -> Sequence[Sequence[Triple] | Failed]:
        """One result per passage, in their order, whichever other passages there are.

        Args:
            passages: The texts.
            relations: What the user admits; triples with others are dropped afterwards.

        Raises:
            InputError: If no passage can be read at all, which ends the build.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds; the extractor is not used again."""
        ...


class SourceTriples:
    """What the source states: nothing is read from the text."""

    name = "source"

    def extract(
        self, passages: Sequence[Passage], relations: Relations
    ) -> list[Sequence[Triple] | Failed]:
        """The triples that the passages came with."""
        return [passage.stated for passage in passages]

    def close(self) -> None:
        """Nothing is held."""


def open_extractor(name: str) -> TripleExtractor:
    """The extractor of a name, `openai` excepted: that needs a model.

    Raises:
        InputError: If there is none, it cannot be loaded or opened, or it is no extractor.
    """
    make, origin = EXTRACTORS.find(name), EXTRACTORS.origin(name)
    if origin is None:
        return make()
    try:
        made = make()
    except InputError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise InputError(f"{_called(name, origin)} cannot be opened: {said(error)}") from error
    if not isinstance(made, TripleExtractor):
        kind = type(made).__name__
        raise InputError(
            f"{name!r} makes a {kind}, which is no triple extractor: it needs name, extract and "
            "close"
        )
    if not isinstance(made.name, str) or not made.name.strip():
        raise InputError(f"{_called(name, origin)} has no name for provenance")
    return _Guarded(made, name, origin)


def describe(name: str) -> dict[str, Any]:
    """An extractor for the manifest: its name, and package and version of a plug-in.

    Raises:
        InputError: If there is no such extractor, or a plug-in cannot be loaded.
    """
    EXTRACTORS.find(name)
    origin = EXTRACTORS.origin(name)
    return {"generator": name} | ({} if origin is None else origin._asdict())


@dataclass(frozen=True)
class _Guarded:
    """A plug-in whose answers are looked at before anybody relies on them."""

    extractor: TripleExtractor
    known_as: str
    origin: Origin

    @property
    def name(self) -> str:
        return f"{self.extractor.name} ({' '.join(filter(None, self.origin))})"

    def extract(
        self, passages: Sequence[Passage], relations: Relations
    ) -> list[Sequence[Triple] | Failed]:
        me = _called(self.known_as, self.origin)
        try:
            answer: Any = self.extractor.extract(passages, relations)
        except InputError:
            raise
        except Exception as error:  # a bug of the plug-in's; the passage at fault is unknown
            raise InputError(f"{me} raised {type(error).__name__}: {said(error)}") from error
        if not _is_list(answer):
            raise InputError(f"{me} must return a list, not a {type(answer).__name__}")
        if len(answer) != len(passages):
            raise InputError(f"{me} gave {len(answer)} results for {len(passages)} passages")
        return [self._checked(result, me) for result in answer]

    def close(self) -> None:
        self.extractor.close()

    @staticmethod
    def _checked(result: Any, me: str) -> Sequence[Triple] | Failed:
        if isinstance(result, Failed):
            return Failed(" ".join(str(result.reason).split()) or "gave no reason")
        if not _is_list(result):
            kind = type(result).__name__
            raise InputError(f"{me} must return lists of triples, or Failed, not a {kind}")
        for triple in result:
            if not isinstance(triple, Triple):
                raise InputError(f"{me} must return Triple objects, not a {type(triple).__name__}")
            parts = (triple.subject, triple.relation, triple.object)
            if not all(isinstance(part, str) for part in parts):
                raise InputError(f"{me} must return triples of strings, not {triple!r}")
            if not all(part.strip() for part in parts):
                return Failed("leaves a part of a triple empty")
        return list(dict.fromkeys(result))


def _called(name: str, origin: Origin) -> str:
    return f"the triple extractor {name!r} of {origin.package}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _key(relation: str) -> str:
    return " ".join(relation.replace("_", " ").casefold().split())
