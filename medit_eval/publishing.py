"""Saved edits on the Hugging Face Hub: one commit with a card, as data sets are published."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.hub import Published, commit_files

_OWNED = (None, (".safetensors", ".safetensors.index.json"))
"""What a repository of edits holds and a later commit may replace by less: weights."""


RETRIEVER = "retriever"
"""What editors call the option that may name an encoder."""

_PATH = re.compile(r"[/\\~]|\.{1,2}[/\\]|[A-Za-z]:[/\\]")
"""How paths of a machine begin."""


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    base_model: str | None = None,
    licence: str | None = None,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> Published:
    """Publish saved edits in one commit to a model repository.

    The card is written anew into the folder, dry run or not, unless somebody wrote one of their
    own. Paths of this machine stay here: a model that was loaded from a folder is published under
    its Hub id, which `base_model` gives, and edits whose settings name a path are refused.

    Args:
        folder: What `EditedModel.save` wrote.
        repo_id: The repository, as `ORG/NAME`.
        base_model: The Hub id of the unedited model; by default the name by which it was loaded.
        licence: A licence id of the Hub for the card.
        private: Create the repository as private, and refuse one that is public.
        revision: The branch to commit to, or None for the default one.
        token: An access token with write permission, or None for the one of the environment or
            of `hf auth login`.
        dry_run: Write the card and list the files; nothing is sent.
        message: The commit message, or None for one that tells the edits.

    Raises:
        InputError: If the folder holds no edits, a file is missing or altered, nobody but this
            machine knows the model or a retriever, or the Hub did not take it.
    """
    from editors.card import CARD, hub_id, is_own, render_card
    from editors.saving import JSON, check_files, describe
    from medit_eval.models import TESTBED
    from schemas.layout import write_text

    root = Path(folder)
    about = describe(root)
    check_files(root, about)
    if about.form == "exact":
        raise InputError(
            "holds edits in the form 'exact', which serves runs that go on: save them as 'delta' "
            "or 'model'",
            file=root,
        )
    if base_model is not None and hub_id(base_model) is None:
        raise InputError(f"{base_model!r} is no id of a model on the Hub")
    name = about.model.name
    known = base_model or hub_id(name)
    if known is None and not name.startswith(TESTBED):
        if about.form == "delta":
            raise InputError(
                f"belongs to the model {name!r}, which others do not have under this name: give "
                "its id on the Hub, --base-model ORG/NAME",
                file=root / JSON,
            )
        name = Path(name).name
    _require_no_paths(about.settings, root / JSON)
    about = dataclasses.replace(about, model=dataclasses.replace(about.model, name=known or name))
    card = root / CARD
    if is_own(card):
        text = render_card(about, repo_id=repo_id, base_model=known, licence=licence)
        write_text(card, text)
    described = json.dumps(dataclasses.asdict(about), indent=2, ensure_ascii=False) + "\n"
    method = about.editor or about.kind
    return commit_files(
        repo_id,
        {
            **{name: root / name for name in about.files},
            CARD: card,
            JSON: described.encode(),
        },
        repo_type="model",
        owned=_OWNED,
        private=private,
        revision=revision,
        token=token,
        dry_run=dry_run,
        message=message or f"{about.edits:,} edits of {about.model.name} by {method}",
    )


def _require_no_paths(settings: Mapping[str, Any], file: Path) -> None:
    """See to it that hyperparameters name nothing that lies on this machine alone.

    Raises:
        InputError: If one does.
    """
    from editors.card import hub_id

    for name, value in settings.items():
        if isinstance(value, Mapping):
            _require_no_paths(value, file)
            continue
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, str):
                continue
            if name == RETRIEVER and item != "bm25" and hub_id(item) is None:
                raise InputError(
                    f"holds edits with the {name} {item!r}, which others do not have under this "
                    "name: edit with bm25 or an encoder of the Hub",
                    file=file,
                )
            if _PATH.match(item):
                raise InputError(
                    f"has the setting {name}={item!r}, a path of this machine", file=file
                )
