"""An editor's hyperparameters as JSON, and the editor that is made of them again.

What JSON holds is written as it is, and lists are read as tuples, for hyperparameters are frozen.
An editor inside an editor, as CoME's base, is written by its name. Left out is what belongs to one
machine and is not needed to answer: paths that have a default, such as caches, and corpora, but
for those that a Hub id tells. Neither is read: what a file says decides no place on the machine
that reads it. No code comes from a file: classes are those of the registry.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editors import registry
from editors.card import hub_id
from editors.corpus import HubTexts, NotSaved, as_corpus
from editors.kinds import annotated, fits
from schemas.errors import InputError

if TYPE_CHECKING:
    from editors.base import EditedModel, Editor

CORPUS = "corpus"
"""What editors call the texts that should stay as they are."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an editor is made of.

    Attributes:
        editor: Its name in the registry, or None.
        values: Hyperparameters by name, as JSON.
        left_out: What is not among them, in words.
    """

    editor: str | None
    values: dict[str, Any]
    left_out: dict[str, str]


def editor_of(edited: EditedModel) -> Editor | None:
    """The editor that an edited model is of: its `method`, else the one among its attributes."""
    from editors.base import Editor

    if edited.method is not None:
        return edited.method
    found = [
        value
        for value in vars(edited).values()
        if dataclasses.is_dataclass(value) and isinstance(value, Editor)
    ]
    return found[0] if len(found) == 1 else None


def settings_of(editor: Editor | None) -> Settings:
    """The hyperparameters of an editor.

    Raises:
        TypeError: If one has no form on the disk and no default.
    """
    if editor is None or not dataclasses.is_dataclass(editor):
        return Settings(None, {}, {})
    values: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for field in dataclasses.fields(editor):
        if not field.init:
            continue
        value, optional = getattr(editor, field.name), _optional(field)
        if field.name == CORPUS:
            known = _corpus(value)
            if known is None:
                left_out[CORPUS] = _described(value)
            else:
                values[CORPUS] = known
        elif optional and isinstance(value, Path):
            left_out[field.name] = "a path"
        elif _is_editor(value):
            inner = settings_of(value)
            values[field.name] = {"editor": inner.editor, "settings": inner.values}
            left_out |= {f"{field.name}.{name}": why for name, why in inner.left_out.items()}
        else:
            try:
                values[field.name] = _written(value)
            except TypeError:
                if not optional:
                    kind = f"{type(editor).__name__}'s {field.name} is a {type(value).__name__}"
                    raise TypeError(f"{kind}, which cannot be saved") from None
                left_out[field.name] = f"a {type(value).__name__}"
    return Settings(registry.name_of(editor), values, left_out)


def editor_from(
    settings: Settings, options: Mapping[str, Any] | None = None, file: Path | None = None
) -> Editor:
    """The editor that hyperparameters are of.

    Args:
        settings: The hyperparameters.
        options: Others to put in their place, by name, such as what was left out.
        file: Where they are from, for messages.

    Raises:
        InputError: If no editor has the name, or it does not take the hyperparameters.
    """
    name = settings.editor
    if name is None:
        raise InputError("names no editor: give the one that made the edits, editor=...", file=file)
    rest = dict(options or {})
    editor = _made(name, settings.values, settings.left_out, rest, file)
    if rest:
        raise InputError(f"the editor {name!r} has no option {next(iter(rest))!r}")
    return editor


def _made(
    name: str,
    values: Mapping[str, Any],
    left_out: Mapping[str, str],
    options: dict[str, Any],
    file: Path | None,
) -> Any:
    """An editor; options that it has are taken out of `options`."""
    try:
        kind = registry.find(name)
    except InputError as error:
        raise InputError(error.reason, file=file, field="editor") from None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise InputError(
            f"the editor {name!r} of this installation is no class of hyperparameters",
            file=file,
            field="editor",
        )
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    for field in values:
        if field not in fields:
            raise InputError(
                f"the editor {name!r} of this installation has no {field!r}",
                file=file,
                field="settings",
            )
    given: dict[str, Any] = {}
    if CORPUS in left_out and CORPUS in fields:
        given[CORPUS] = NotSaved(left_out[CORPUS])
    given |= {field: options.pop(field) for field in [*options] if field in fields}
    places = {f.name for f in dataclasses.fields(kind) if "Path" in str(f.type) and _optional(f)}
    for field, value in values.items():
        if field in given:
            continue
        if field == CORPUS or field in places:
            try:
                given[field] = _read_corpus(value) if field == CORPUS else _no_place(value)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"no editor wrote its {field!r}: {error}", file=file, field="settings"
                ) from None
            continue
        if isinstance(value, Mapping) and "editor" in value:
            prefix = f"{field}."
            inner = {
                name.removeprefix(prefix): why
                for name, why in left_out.items()
                if name.startswith(prefix)
            }
            settings = value.get("settings")
            inside = settings if isinstance(settings, Mapping) else {}
            given[field] = _made(str(value["editor"]), inside, inner, options, file)
    try:
        rest = {field: _read(value) for field, value in values.items() if field not in given}
        return kind(**given, **rest)
    except (AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the editor {name!r} does not take them: {reason}", file=file, field="settings"
        ) from None


def _optional(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _is_editor(value: Any) -> bool:
    from editors.base import Editor

    return dataclasses.is_dataclass(value) and isinstance(value, Editor)


def _corpus(value: Any) -> Any:
    """A corpus as JSON; None where it is not known by its name alone."""
    try:
        found = as_corpus(value)
    except InputError:  # such as a file that is gone
        return None
    if not isinstance(found, HubTexts) or hub_id(found.repo) is None:
        return None
    return {"hub": {f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.init}}


def _described(corpus: Any) -> str:
    try:
        found = as_corpus(corpus)
        return f"a {type(found).__name__} with the digest {found.digest}"
    except InputError:
        return corpus.what if isinstance(corpus, NotSaved) else f"a {type(corpus).__name__}"


def _written(value: Any) -> Any:
    """A hyperparameter as JSON.

    Raises:
        TypeError: If it has no such form.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_written(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"map": {key: _written(item) for key, item in value.items()}}
    raise TypeError(f"a {type(value).__name__}")


def _read(value: Any) -> Any:
    """The hyperparameter that `_written` wrote."""
    match value:
        case {"float": text}:
            return float(text)
        case {"map": items}:
            return {key: _read(item) for key, item in items.items()}
        case list():
            return tuple(map(_read, value))
        case Mapping():
            raise ValueError("holds something that no editor wrote")
        case _:
            return value


def _read_corpus(value: Any) -> HubTexts:
    """The corpus that `_corpus` wrote: of the Hub, for others may lie anywhere on a machine.

    Raises:
        TypeError: If it is none.
        ValueError: If it is not one of the Hub.
    """
    match value:
        case {"hub": {"repo": str(repo), **rest}} if hub_id(repo) is not None:
            for field, hint in annotated(HubTexts).items():
                if not fits(rest.get(field), hint | None):
                    raise TypeError(f"its {field} is {rest[field]!r}")
            return HubTexts(repo, **rest)
        case _:
            raise ValueError("it is not the name of one on the Hub")


def _no_place(value: Any) -> None:
    """Nothing, for paths are not saved: what a file says must not be written to, nor read.

    Raises:
        ValueError: If there is one.
    """
    if value is not None:
        raise ValueError("paths belong to one machine")
