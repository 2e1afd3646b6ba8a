"""What is known by a name: what medit brings, and plug-ins of an entry-point group.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from schemas.errors import InputError


class Origin(NamedTuple):
    """The installed package that a plug-in is of."""

    package: str
    version: str | None


@dataclass(frozen=True)
class Plugins:
    """One kind of thing that others may add to.

    Attributes:
        kind: What it is called in messages, such as `editor`.
        group: The entry-point group of plug-ins.
        built_in: Where medit's own are, `module:attribute` by name.
    """

    kind: str
    group: str
    built_in: Mapping[str, str]

    def names(self) -> list[str]:
        """All names, sorted; plug-ins are listed without being loaded."""
        return sorted({*self.built_in, *(point.name for point in entry_points(group=self.group))})

    def origin(self, name: str) -> Origin | None:
        """The package that a plug-in is of, without loading it; None for medit's own.

        Raises:
            InputError: If nothing has the name, or more than one thing.
        """
        point = self._point(name)
        if point is None:
            return None
        return Origin(_owner(point), point.dist.version if point.dist is not None else None)

    def find(self, name: str) -> Any:
        """What has a name.

        Raises:
            InputError: If nothing has it, more than one thing has, or a plug-in cannot be loaded.
        """
        point = self._point(name)
        if point is None:
            module, _, attribute = self.built_in[name].partition(":")
            return getattr(import_module(module), attribute)
        try:
            return point.load()
        except Exception as error:  # a stranger's module may raise anything
            why = said(error)
            raise InputError(
                f"the {self.kind} {name!r} of {_owner(point)} cannot be loaded: {why}"
            ) from None

    def name_of(self, thing: Any) -> str | None:
        """The name under which a class or callable is found, or None; plug-ins are loaded."""
        place = f"{thing.__module__}:{thing.__qualname__}"
        for name, where in self.built_in.items():
            if where == place:
                return name
        for point in entry_points(group=self.group):
            with contextlib.suppress(Exception):  # a stranger's module may raise anything
                if point.load() is thing:
                    return point.name
        return None

    def _point(self, name: str) -> EntryPoint | None:
        """The entry point of a plug-in; None for medit's own."""
        points = [point for point in entry_points(group=self.group) if point.name == name]
        owners = [*(["medit"] if name in self.built_in else []), *map(_owner, points)]
        if len(owners) > 1:
            raise InputError(f"several {self.kind}s are called {name!r}: of {', '.join(owners)}")
        if not owners:
            raise InputError(f"there is no {self.kind} {name!r}; {hint(name, self.names())}")
        return points[0] if points else None


def hint(name: str, known: Sequence[str]) -> str:
    """The known names that are like one that is not; all of them where none is."""
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(known)}"


def said(error: Exception) -> str:
    """What an exception of a stranger's code says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
