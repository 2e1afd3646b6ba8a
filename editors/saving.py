"""Edits on the disk: changed weights and a method's memory as safetensors, the rest as JSON.

A folder holds `edit.json` and, in one of three forms, what the edits changed:

- `delta`: `edit.safetensors` with what is new of each changed weight, kept small (`delta.py`).
- `exact`: the same with changed weights as a whole, bit for bit; for sequences that go on.
- `model`: the edited model with its tokenizer or processor, as transformers reads it.

A memory beside the weights, such as a codebook or facts, is in `edit.safetensors` and `edit.json`
in each of them. `edit.json` also says which editor with which hyperparameters made which edits of
which model, which it knows by digests of its weights, configuration and tokenizer, and names all
other files by their SHA-256, so that neither a damaged file nor one of another model is ever put to
use. What a memory is made of is written by structure and read back into the classes that its method
names; no code comes from a file. The file is moved into place last: its presence means complete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from editors.card import CARD, is_own, write_card
from editors.delta import packed, restored
from editors.digest import setup_digests
from editors.kinds import annotated, fits
from editors.prompts import PromptFormat
from editors.settings import Settings, editor_of, settings_of
from schemas.arrow import from_row
from schemas.errors import InputError
from schemas.layout import atomic_write, read_json, sha256_of, write_json
from schemas.records import EditRequest
from schemas.versions import now, versions

if TYPE_CHECKING:
    from editors.base import EditedModel
    from editors.lm import LM

FORMAT = 3
"""Raised when the folder's layout changes."""

Form = Literal["delta", "exact", "model"]
"""What a folder holds; see the module."""

JSON, TENSORS = "edit.json", "edit.safetensors"

MOVING = ".edit.moving.json"
"""Names of the files of a folder whose files are being replaced; gone when that is done."""

_WEIGHT, _STATE = "weight.", "state."

_WRITES = "transformers"
"""The library that tells what a model is beside its weights."""


@dataclasses.dataclass(frozen=True)
class Made:
    """An edit that was made.

    Attributes:
        id: The request.
        prompt: Its question; None, as all that follows, where texts are not saved.
        subject: What it is about, or None.
        target_new: The answer after the edit.
        target_true: The answer before, or None.
        image: SHA-256 of its picture, or None.
    """

    id: str
    prompt: str | None
    subject: str | None
    target_new: str | None
    target_true: str | None
    image: str | None

    @classmethod
    def of(cls, request: EditRequest) -> Made:
        """What is kept of a request."""
        image = request.image
        return cls(
            request.id,
            request.prompt,
            request.subject,
            request.target_new,
            request.target_true,
            None if image is None else hashlib.sha256(image.bytes).hexdigest(),
        )


@dataclasses.dataclass(frozen=True)
class Base:
    """The model that edits belong to.

    Attributes:
        name: What it was called: a folder, a Hub id, a testbed model.
        digest: Digest of its weights without the edits.
        dtype: Their dtype.
        kind: Its class.
        sees: Whether it reads pictures.
        setup: Digests of what else decides its answers; see `editors.digest.setup_digests`.
    """

    name: str
    digest: str
    dtype: str
    kind: str
    sees: bool
    setup: dict[str, str]


@dataclasses.dataclass(frozen=True)
class About:
    """What `edit.json` says.

    Attributes:
        format: Version of the folder's layout.
        form: What the folder holds.
        editor: The editor's name in the registry; None for one that has none.
        kind: The class of the edited model.
        settings: Hyperparameters; see `editors.settings`.
        left_out: Hyperparameters that were not saved, in words.
        model: The model that the edits belong to.
        edited_digest: Digest of the edited weights, for the form `model`.
        prompt_format: How prompts are put to the model.
        edits: How many edits were made.
        requests: The edits, in order.
        versions: Versions of medit and of the libraries that shape the numbers.
        created: ISO 8601 time.
        files: SHA-256 of the other files, by path in the folder.
        state: What the method remembers.
    """

    format: int
    form: Form
    editor: str | None
    kind: str
    settings: dict[str, Any]
    left_out: dict[str, str]
    model: Base
    edited_digest: str | None
    prompt_format: PromptFormat
    edits: int
    requests: tuple[Made, ...]
    versions: dict[str, str]
    created: str
    files: dict[str, str]
    state: Any

    @property
    def hyperparameters(self) -> Settings:
        """What the editor is made of."""
        return Settings(self.editor, self.settings, self.left_out)

    @property
    def digest(self) -> str:
        """Digest of the weights that the folder's memory and changes are for."""
        return self.edited_digest or self.model.digest

    def require(self, folder: Path, lm: LM, *, digest: str, kind: str | None = None) -> None:
        """See to it that the edits are for a model and of a method.

        What the model is beside its weights is not asked of a folder that holds the model itself.
        Another version of transformers may write the same in another way, so there a difference
        is warned of only.

        Args:
            folder: The folder, for messages.
            lm: The model.
            digest: Digest of the model's weights without the edits.
            kind: Class of the edited model; any by default.

        Raises:
            InputError: If they are not.
        """
        file = folder / JSON
        if self.digest != digest:
            raise InputError(
                f"belongs to a model with the digest {self.digest}, not {digest} "
                f"({self.model.name}, {self.model.dtype})",
                file=file,
            )
        if self.form != "model":
            found = setup_digests(lm)
            other = [name for name in found if self.model.setup.get(name) != found[name]]
            if other:
                reason = (
                    f"belongs to a model with the same weights and another {' and '.join(other)} "
                    f"({self.model.name})"
                )
                saved, here = self.versions.get(_WRITES), versions().get(_WRITES)
                if saved == here:
                    raise InputError(reason, file=file)
                warnings.warn(
                    f"{file}: {reason}, or {_WRITES} {here} only tells it otherwise than {saved} "
                    "did",
                    stacklevel=3,
                )
        if kind is not None and self.kind != kind:
            raise InputError(f"holds edits of {self.kind}, not of {kind}", file=file)


@dataclasses.dataclass(frozen=True)
class Content:
    """What is in an edited model.

    Attributes:
        edited: The edited model.
        lm: The model underneath.
        digest: Digest of its unedited weights.
        weights: Changed weights by the parameters' names, each before and after.
        state: What the method remembers.
        made: The edits.
        in_weights: Whether the edits are in the weights and nowhere else.
    """

    edited: EditedModel
    lm: LM
    digest: str
    weights: Mapping[str, tuple[Tensor, Tensor]]
    state: Any
    made: tuple[Made, ...]
    in_weights: bool


def save(folder: Path, content: Content, form: Form, *, texts: bool = True) -> None:
    """Write edits into a folder; edits that are there are replaced, whole or not at all.

    All is written beside the folder first, so a full disk leaves it as it was. A process that is
    killed while files are moved leaves a folder without `edit.json`, which can be written again.

    Raises:
        InputError: If the method cannot have the form, or the folder holds other things.
        TypeError: If the method's memory holds something that has no form on the disk.
    """
    if form not in get_args(Form):
        raise InputError(f"unknown form {form!r}; known are {', '.join(get_args(Form))}")
    if form == "model" and not content.in_weights:
        kind = type(content.edited).__name__
        raise InputError(
            f"edits of {kind} are not in the weights, so there is no model to write: take the form "
            "'delta'"
        )
    settings = settings_of(editor_of(content.edited))
    tensors: dict[str, Tensor] = {}
    # What is in the weights of a whole model already must not be added to them again.
    remembered = not (form == "model" and content.edited.state_in_weights)
    structure = _written(content.state, tensors) if remembered else None
    for name, (original, edited) in content.weights.items():
        if form == "exact":
            tensors[f"{_WEIGHT}whole.{name}"] = edited
        elif form == "delta":
            for part, tensor in packed(original, edited).items():
                tensors[f"{_WEIGHT}{part}.{name}"] = tensor
    earlier = _earlier(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
        unfinished = Path(made)
        if form == "model":
            content.lm.model.save_pretrained(unfinished)
            (content.lm.processor or content.lm.tokenizer).save_pretrained(unfinished)
        if tensors or form != "model":
            _write_tensors(unfinished / TENSORS, tensors)
        about = _about(content, form, settings, structure, texts, unfinished)
        if form != "exact":
            write_card(unfinished, about)
        write_json(unfinished / JSON, dataclasses.asdict(about))
        _put_in_place(unfinished, folder, earlier)


def describe(folder: Path) -> About:
    """What the `edit.json` of a folder says.

    Raises:
        InputError: If there is none, or it is damaged or of another version.
    """
    path = folder / JSON
    if not path.is_file():
        raise InputError("holds no edit.json, so no edits were saved here", file=folder)
    found = read_json(path)
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        raise InputError(f"holds no edits of format {FORMAT}", file=path)
    try:
        return from_row(About, found)
    except InputError as error:
        raise InputError(error.reason, file=path, field=error.field) from None


def check_files(folder: Path, about: About) -> None:
    """See to it that a folder's files are those that were saved.

    Raises:
        InputError: If one is missing or another.
    """
    for name in about.files:
        _check_file(folder, about, name)


def read(
    folder: Path,
    about: About,
    *,
    original: Callable[[str], Tensor],
    kinds: Sequence[type],
    state_kind: Any = Any,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Tensor], Any]:
    """The edited weights of a folder by the parameters' names, and the method's memory.

    Args:
        folder: The folder.
        about: What its `edit.json` says.
        original: Gives the unedited weight of a parameter.
        kinds: The classes that the method's memory is made of.
        state_kind: The annotation of the memory as a whole.
        device: Where tensors go that were on the model's device.

    Raises:
        InputError: If a file is missing, damaged or altered.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if about.form != "model" and TENSORS not in about.files:
        raise InputError(f"does not list {TENSORS}", file=folder / JSON, field="files")
    tensors: dict[str, Tensor] = {}
    if TENSORS in about.files:
        _check_file(folder, about, TENSORS)
        try:
            tensors = load_file(folder / TENSORS)
        except (SafetensorError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"cannot be read: {reason}", file=folder / TENSORS) from None
    try:
        known = {kind.__name__: kind for kind in kinds}
        state = _read(about.state, tensors, known, device)
        if not fits(state, state_kind):
            raise ValueError(f"holds a memory of another kind than this editor's: {state!r:.80}")
        weights = {
            name: restored(original(name), parts) for name, parts in _weights(tensors).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot be read: {reason}", file=folder / JSON) from None
    return weights, state


def _about(
    content: Content, form: Form, settings: Settings, state: Any, texts: bool, folder: Path
) -> About:
    lm = content.lm
    nothing = dict.fromkeys(("prompt", "subject", "target_new", "target_true", "image"))
    made = content.made if texts else (dataclasses.replace(m, **nothing) for m in content.made)
    return About(
        format=FORMAT,
        form=form,
        editor=settings.editor,
        kind=type(content.edited).__name__,
        settings=settings.values,
        left_out=settings.left_out,
        model=Base(
            lm.name,
            content.digest,
            str(lm.model.dtype).removeprefix("torch."),
            type(lm.model).__name__,
            lm.sees,
            setup_digests(lm),
        ),
        edited_digest=lm.digest() if form == "model" else None,
        prompt_format=lm.renderer.format,
        edits=len(content.made),
        requests=tuple(made),
        versions=versions(),
        created=now(),
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()},
        state=state,
    )


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    # Tensors may share memory, as views of one another do, which the format does not allow.
    blob = save({name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()})
    with atomic_write(path) as file:
        file.write(blob)


def _earlier(folder: Path) -> list[Path]:
    """The files of the edits that a folder holds; none where it is new or empty.

    Raises:
        InputError: If it holds other things.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return []
    if (folder / JSON).is_file():
        found = read_json(folder / JSON)
        files = found.get("files") if isinstance(found, Mapping) else None
    elif (folder / MOVING).is_file():
        files = read_json(folder / MOVING)
    else:
        raise InputError("is there already and holds no edits: name another folder", file=folder)
    names = [Path(str(name)).name for name in files] if isinstance(files, Mapping | list) else []
    return [folder / name for name in names]


def _put_in_place(unfinished: Path, folder: Path, earlier: Sequence[Path]) -> None:
    """Move files into a folder; `edit.json` goes first and comes last."""
    folder.mkdir(exist_ok=True)
    fresh = sorted(path for path in unfinished.iterdir() if path.name != JSON)
    names = {path.name for path in (*earlier, *fresh) if path.name != CARD}
    write_json(folder / MOVING, sorted(names))
    (folder / JSON).unlink(missing_ok=True)
    for path in earlier:
        path.unlink(missing_ok=True)
    for path in (*fresh, unfinished / JSON):
        target = folder / path.name
        if path.name == CARD and not is_own(target):
            continue  # somebody's words about the edits that were here
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(path, target)
    (folder / MOVING).unlink()


def _check_file(folder: Path, about: About, name: str) -> None:
    path = folder / name
    if Path(name).name != name:
        raise InputError(f"lists {name!r}, which is not in its folder", file=folder / JSON)
    if not path.is_file():
        raise InputError("is not there", file=path)
    digest, expected = sha256_of(path), about.files[name]
    if digest != expected:
        raise InputError(f"has the SHA-256 {digest}; edit.json says {expected}", file=path)


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The parts of changed weights, by the parameters' names and their own."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_WEIGHT):
            part, _, name = key.removeprefix(_WEIGHT).partition(".")
            found.setdefault(name, {})[part] = tensor
    return found


def _written(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; its tensors go into a dictionary."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Tensor):
        name = f"{_STATE}{len(tensors)}"
        tensors[name] = value
        return {"tensor": name, "on": "cpu" if value.device.type == "cpu" else "model"}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_written(item, tensors) for item in value]}
    if isinstance(value, dict):
        pairs = [[_written(k, tensors), _written(v, tensors)] for k, v in value.items()]
        return {"dict": pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _written(getattr(value, field.name), tensors)
            for field in dataclasses.fields(value)
            if field.init
        }
        return {"class": type(value).__name__, "fields": fields}
    raise TypeError(f"an editor's memory holds a {type(value).__name__}, which cannot be saved")


def _read(
    value: Any, tensors: Mapping[str, Tensor], kinds: Mapping[str, type], device: torch.device | str
) -> Any:
    """The value that `_written` wrote."""

    def inner(part: Any) -> Any:
        return _read(part, tensors, kinds, device)

    match value:
        case {"float": text}:
            return float(text)
        case {"tensor": name, "on": where}:
            return tensors[name].to("cpu" if where == "cpu" else device)
        case {"tuple": items}:
            return tuple(map(inner, items))
        case {"list": items}:
            return list(map(inner, items))
        case {"dict": pairs}:
            return {inner(key): inner(item) for key, item in pairs}
        case {"class": name, "fields": fields}:
            if name not in kinds:
                raise ValueError(f"holds a {name}, which this editor does not know")
            given = {key: inner(item) for key, item in fields.items()}
            hints = annotated(kinds[name])
            for key, item in given.items():
                if not fits(item, hints.get(key, Any)):
                    raise ValueError(f"holds a {name} whose {key} is a {type(item).__name__}")
            return kinds[name](**given)
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise ValueError("holds something that no editor wrote")
