"""Editors by name: those of this package, and plug-ins of the entry-point group `medit.editors`.

A plug-in's entry point names a class with `for_model(lm, ...)`, or any callable that gives an
`Editor`:

    [project.entry-points."medit.editors"]
    finetune = "my_package:FineTune"

Nothing is imported before an editor is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints, is_typeddict

from schemas.errors import InputError
from schemas.plugins import Plugins, hint

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.lm import LM

GROUP = "medit.editors"
"""The entry-point group of plug-ins."""

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "none": "editors.none:NoEdit",
        "memit": "editors.memit:MEMIT",
        "alphaedit": "editors.alphaedit:AlphaEdit",
        "come": "editors.come:CoME",
        "balancedit": "editors.balancedit:BalancEdit",
        "scr": "editors.scr:SCR",
        "ft": "editors.ft:FT",
        "lora": "editors.lora:LoRA",
        "rome": "editors.rome:ROME",
        "ike": "editors.ike:IKE",
        "grace": "editors.grace:GRACE",
    }
)
"""Where the editors of this package are."""


_EDITORS = Plugins("editor", GROUP, BUILT_IN)


def names() -> list[str]:
    """All names that `make` knows, sorted; plug-ins are listed without being loaded."""
    return _EDITORS.names()


def find(name: str) -> Any:
    """The class or callable that makes an editor.

    Raises:
        InputError: If there is no such editor, two of that name, or a plug-in cannot be loaded.
    """
    return _EDITORS.find(name)


def make(name: str, lm: LM, options: Mapping[str, Any] | None = None) -> Editor:
    """An editor with the settings for a model.

    Args:
        name: One of `names()`.
        lm: The model that it is for.
        options: Hyperparameters by name, in place of those that the editor would choose.

    Raises:
        InputError: If there is no such editor, it has no such option, or it is none.
    """
    from editors.base import Editor

    found = find(name)
    maker = getattr(found, "for_model", None)
    chosen = dict(options or {})
    _check_options(name, maker or found, chosen)
    editor = maker(lm, **chosen) if maker is not None else found(**chosen)
    if not isinstance(editor, Editor):
        kind = type(editor).__name__
        raise InputError(f"{name!r} makes a {kind}, which is no editor: it needs a name and apply")
    return editor


def name_of(editor: Editor) -> str | None:
    """The name under which `find` gives an editor's class, or None where it has none."""
    return _EDITORS.name_of(type(editor))


def setting_sources(name: str, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
    """Where an editor's settings are from, as far as it says, by name.

    An editor may say so in a class method `setting_sources(lm, options)`, for the settings that
    its `for_model(lm, **options)` does not take from the options. Those of a part of it, such as
    CoME's base, are named `base.layers`.

    Raises:
        InputError: If there is no such editor, or what it says is no mapping of texts.
    """
    teller = getattr(find(name), "setting_sources", None)
    if teller is None:
        return {}
    told = teller(lm, options)
    if not isinstance(told, Mapping) or not all(isinstance(t, str) for t in told.values()):
        raise InputError(f"the editor {name!r} does not say where its settings are from by name")
    return {str(setting): where for setting, where in told.items()}


def option_names(name: str) -> list[str]:
    """The hyperparameters that `make` takes for an editor.

    Raises:
        InputError: If there is no such editor, or it cannot be loaded.
    """
    found = find(name)
    return _parameters(getattr(found, "for_model", None) or found)[0]


def _check_options(name: str, maker: Any, options: Mapping[str, Any]) -> None:
    known, anything = _parameters(maker)
    for option in options:
        if not anything and option not in known:
            advice = hint(option, known) if known else "it has none"
            raise InputError(f"the editor {name!r} has no option {option!r}; {advice}")


def _parameters(maker: Any) -> tuple[list[str], bool]:
    """Names of a callable's parameters but the model, and whether it takes any others."""
    try:
        parameters = inspect.signature(maker).parameters.values()
    except ValueError:  # what is built in may not say
        return [], True
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    unpacked = _unpacked(maker, others) if others is not None else []
    return [n for n in [*named, *unpacked] if n != "lm"], others is not None and not unpacked


def _unpacked(maker: Any, name: str) -> list[str]:
    """The keys of `**name: Unpack[...]`, where it is annotated so."""
    try:
        (settings,) = get_args(get_type_hints(maker).get(name))
    except (NameError, TypeError, ValueError):  # names that only a type checker knows, or none
        return []
    return [*get_type_hints(settings)] if is_typeddict(settings) else []
