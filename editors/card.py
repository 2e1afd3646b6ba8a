"""The card of saved edits: what `README.md` says of them on the Hugging Face Hub and elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.layout import write_text
from schemas.markdown import Done, card_environment

if TYPE_CHECKING:
    from editors.saving import About

CARD = "README.md"

OWN = "<!-- This card is medit's: publishing writes it anew, unless you delete this line. -->"
"""The line without which a card is left alone."""

SHOWN = 50
"""Edits that a card lists."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def render_card(
    about: About,
    *,
    repo_id: str | None = None,
    base_model: str | None = None,
    licence: str | None = None,
) -> str:
    """The card: YAML header and Markdown.

    Args:
        about: What the edits' `edit.json` says.
        repo_id: The repository that it is for, or None.
        base_model: The Hub id of the model that the edits are of, or None.
        licence: A licence id of the Hub, or None to name none.
    """
    template = resources.files("editors").joinpath("templates/edit_card.md")
    changes = [made for made in about.requests if made.prompt is not None]
    return (
        card_environment()
        .from_string(template.read_text(encoding="utf-8"))
        .render(
            about=about,
            method=about.editor or about.kind,
            settings=[(name, _shown(value)) for name, value in about.settings.items()],
            versions=", ".join(f"{name} {version}" for name, version in about.versions.items()),
            repo_id=repo_id,
            base_model=base_model,
            licence=licence,
            shown=changes[:SHOWN],
            more=about.edits - len(changes[:SHOWN]),
            own=Done(OWN),
        )
    )


def hub_id(name: str) -> str | None:
    """A model's name, if it is the id of one on the Hub as far as it can be told from here."""
    known = bool(_HUB_ID.fullmatch(name)) and not name.startswith((".", "testbed/"))
    return name if known and not Path(name).exists() else None


def write_card(folder: Path, about: About) -> None:
    """Put the card into a folder, unless one is there that is not medit's."""
    path = folder / CARD
    if is_own(path):
        write_text(path, render_card(about, base_model=hub_id(about.model.name)))


def is_own(path: Path) -> bool:
    """Whether a card may be written over: there is none, or it is medit's."""
    return not path.is_file() or OWN in path.read_text(encoding="utf-8", errors="replace")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "editor" in value:
        inner = value.get("settings")
        fields = inner.items() if isinstance(inner, Mapping) else ()
        listed = ", ".join(f"{name}={_shown(item)}" for name, item in fields)
        return f"{value['editor']}({listed})"
    return json.dumps(value, ensure_ascii=False)
