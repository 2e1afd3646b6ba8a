"""`edit`: a model edited with requests, to be asked or saved; and requests read from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.digest import digest128
from schemas.errors import InputError
from schemas.formats.files import read_rows
from schemas.formats.images import ImageFolder
from schemas.images import EncodedImage, ImageError
from schemas.records import EditRecord, EditRequest

if TYPE_CHECKING:
    from editors.base import EditedModel, Editor
    from editors.lm import LM
    from editors.prompts import PromptFormat, Query

_TEXTS = ("id", "prompt", "subject", "target_new", "target_true")
_FIELDS = (*_TEXTS, "image", "facts")
_ASKED = ("prompt", "image", "context")


def edit(
    editor: str | Editor,
    model: str | Path | LM | Any,
    requests: Sequence[EditRequest | EditRecord],
    *,
    batch_size: int | None = None,
    editor_options: Mapping[str, Any] | None = None,
    processor: Any = None,
    prompt_format: PromptFormat | None = None,
    device: str | None = None,
    dtype: str = "auto",
    device_map: str | None = None,
    rows: int | None = None,
    tf32: bool = False,
) -> EditedModel:
    """A model edited with requests; a context manager that gives the model back as it was.

    Args:
        editor: An editor's name, or an editor.
        model: The model, as `score` takes it.
        requests: The edits, or records, whose requests are taken in order.
        batch_size: Requests that are edited with one call; all by default.
        editor_options: Hyperparameters of an editor that is given by name.
        processor: The tokenizer or processor of a `PreTrainedModel`.
        prompt_format: How prompts are put to the model.
        device: Where a model that is loaded goes.
        dtype: The dtype of a model that is loaded.
        device_map: How to spread a model that is loaded over several devices.
        rows: The most questions that are asked at once, halved where memory runs out; found by the
            memory that there is by default.
        tf32: Whether float32 matrix products of the model's forwards may be made of TF32 numbers,
            which is faster and less exact; see `editors.lm.LM`.

    Raises:
        InputError: If there are no requests, an argument cannot be used, or an edit cannot be made.
    """
    from editors.registry import make
    from medit_eval.corpora import with_corpus, with_lessons
    from medit_eval.models import resolve

    wanted = [
        request
        for given in requests
        for request in (given.requests if isinstance(given, EditRecord) else (given,))
    ]
    if not wanted:
        raise InputError("there are no edits to make")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"the batch size must be at least 1, not {batch_size}")
    if not isinstance(editor, str) and editor_options:
        raise InputError("options belong to an editor that is given by name")
    lm = resolve(
        model,
        processor,
        prompt_format=prompt_format,
        device=device,
        dtype=dtype,
        device_map=device_map,
        rows=rows,
        tf32=tf32,
    )
    method = editor
    if isinstance(method, str):
        options = with_lessons(method, lm, with_corpus(method, lm, editor_options), wanted)
        method = make(method, lm, options)
    size = batch_size or len(wanted)
    edited = method.apply(lm).__enter__()
    try:
        for start in range(0, len(wanted), size):
            edited.edit(wanted[start : start + size])
    except BaseException as error:
        edited.__exit__(type(error), error, error.__traceback__)
        raise
    return edited


def read_requests(path: Path) -> list[EditRequest]:
    """The edits in a JSON or JSON Lines file.

    A row has `prompt` and `target_new`, and may have `id`, `subject`, `target_true`, `facts` (a
    list of sentences) and `image`, the path of a picture in the file's folder.

    Raises:
        InputError: If the file cannot be read, or a row has other fields, lacks one, or holds
            something else than texts.
    """
    found: dict[str, EditRequest] = {}
    for number, row in _rows(path, _FIELDS):
        texts = {name: _text(path, number, row, name) for name in _TEXTS}
        facts = row.get("facts") or []
        if not isinstance(facts, list) or not all(isinstance(fact, str) for fact in facts):
            raise InputError("is no list of sentences", file=path, row=number, field="facts")
        prompt, target = texts["prompt"], texts["target_new"]
        if prompt is None or target is None:
            field = "target_new" if prompt else "prompt"
            raise InputError("is missing", file=path, row=number, field=field)
        image = _picture(path, number, row)
        name = texts["id"] or digest128(f"{prompt}\0{target}\0{row.get('image') or ''}")
        if name in found:
            raise InputError(f"two edits have the id {name!r}", file=path, row=number, field="id")
        found[name] = EditRequest(
            name, prompt, image, texts["subject"], target, texts["target_true"], facts=tuple(facts)
        )
    return list(found.values())


def read_queries(path: Path) -> list[Query]:
    """The questions in a JSON or JSON Lines file: rows with `prompt`, `image` and `context`.

    Raises:
        InputError: If the file cannot be read, or a row has other fields or no prompt.
    """
    from editors.prompts import Query

    found = []
    for number, row in _rows(path, _ASKED):
        prompt = _text(path, number, row, "prompt")
        if prompt is None:
            raise InputError("is missing", file=path, row=number, field="prompt")
        image, context = _picture(path, number, row), _text(path, number, row, "context")
        found.append(Query(prompt, image, context))
    return found


def _rows(path: Path, fields: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in read_rows(path):
        for name in row:
            if name not in fields:
                known = ", ".join(fields)
                raise InputError(f"is not known; known are {known}", file=path, row=number,
                                 field=name)  # fmt: skip
        yield number, row


def _text(path: Path, number: int, row: Mapping[str, Any], field: str) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        kind = "is empty" if isinstance(value, str) else f"is a {type(value).__name__}, not a text"
        raise InputError(kind, file=path, row=number, field=field)
    return value


def _picture(path: Path, number: int, row: Mapping[str, Any]) -> EncodedImage | None:
    name = _text(path, number, row, "image")
    if name is None:
        return None
    try:
        return ImageFolder(path.parent).read(name)
    except ImageError as error:
        raise InputError(str(error), file=path, row=number, field="image") from None
