"""`load`: saved edits put back into their model, ready to answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError

if TYPE_CHECKING:
    from editors.base import EditedModel, Editor
    from editors.lm import LM
    from editors.prompts import PromptFormat
    from editors.saving import About


def load(
    folder: str | Path,
    model: str | Path | LM | Any = None,
    *,
    editor: Editor | None = None,
    editor_options: Mapping[str, Any] | None = None,
    processor: Any = None,
    prompt_format: PromptFormat | None = None,
    device: str | None = None,
    dtype: str | None = None,
    device_map: str | None = None,
    rows: int | None = None,
    tf32: bool = False,
    revision: str | None = None,
) -> EditedModel:
    """The edited model that was saved in a folder.

    It answers at once, and gives the model back as it was when it is used as a context manager.
    Nothing that only further edits need, such as second moments of a corpus, is computed before
    there are any. A folder of the form `model` is a model of its own: its edits cannot be taken
    back, and further ones are edits of it.

    Args:
        folder: What `EditedModel.save` wrote, or the Hub id of a repository that holds it.
        model: The unedited model, as `score` takes it; by default the one that the folder names.
        editor: The editor that made the edits, where it has no name in the registry.
        editor_options: Hyperparameters in place of the saved ones, and those that were not saved,
            such as `corpus`, which further edits may need.
        processor: The tokenizer or processor of a `PreTrainedModel`.
        prompt_format: How prompts are put to the model; as they were by default.
        device: Where a model that is loaded goes.
        dtype: The dtype of a model that is loaded; by default that of the edits, and edits of
            another one are refused.
        device_map: How to spread a model that is loaded over several devices.
        rows: The most questions that are asked at once, halved where memory runs out; found by the
            memory that there is by default.
        tf32: Whether float32 matrix products of the model's forwards may be made of TF32 numbers,
            which is faster and less exact; see `editors.lm.LM`.
        revision: The branch, tag or commit of a repository on the Hub.

    Raises:
        InputError: If no edits are there, a file is missing, altered or of another version, the
            model is another, or no editor has the name.
    """
    from editors.saving import check_files, describe

    place = place_of(folder, revision)
    about = describe(place)
    check_files(place, about)
    if editor is None and about.editor is not None:
        from editors.registry import find

        try:
            find(about.editor)  # shows before a model is loaded
        except InputError as error:
            raise InputError(error.reason, file=place / "edit.json", field="editor") from None
    if about.form == "model" and model is not None:
        raise InputError("holds a whole model, so no other is needed", file=place)
    from medit_eval.models import resolve

    lm = resolve(
        place if about.form == "model" else about.model.name if model is None else model,
        processor,
        prompt_format=prompt_format or about.prompt_format,
        device=device,
        dtype=dtype or about.model.dtype,
        device_map=device_map,
        rows=rows,
        tf32=tf32,
    )
    about.require(place, lm, digest=lm.digest())
    method = editor if editor is not None else _editor(about, lm, editor_options, place)
    edited = method.apply(lm)
    try:
        edited.load(place)
    except BaseException:
        edited.__exit__(*sys.exc_info())  # no hook stays on a model that somebody else holds
        raise
    return edited


def place_of(folder: str | Path, revision: str | None = None) -> Path:
    """The folder of saved edits, downloaded where it is one on the Hub.

    Raises:
        InputError: If there is none.
    """
    from editors.card import hub_id

    place = Path(folder)
    if not place.exists() and isinstance(folder, str) and "/" in folder and hub_id(folder):
        from schemas.hub import download

        return download(folder, revision=revision)
    if not place.is_dir():
        raise InputError("is no folder, so no edits were saved here", file=place)
    return place


def _editor(about: About, lm: LM, options: Mapping[str, Any] | None, place: Path) -> Editor:
    """The editor, made again of its hyperparameters."""
    from editors.settings import CORPUS, editor_from
    from medit_eval.corpora import with_corpus

    chosen = dict(options or {})
    missing = any(name.rpartition(".")[2] == CORPUS for name in about.left_out)
    if about.editor is not None and (missing or CORPUS in chosen):
        chosen = with_corpus(about.editor, lm, chosen)
    return editor_from(about.hyperparameters, chosen, place / "edit.json")
