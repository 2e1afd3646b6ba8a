"""Edits on the disk: what is read back is what was written, and nothing else is ever taken."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.normalizers import Lowercase

from editors.base import EditedModel
from editors.digest import setup_digests
from editors.lm import LM
from schemas.errors import InputError
from schemas.layout import sha256_of
from schemas.records import EditRequest
from tests.editors.facts import ANN
from tests.editors.test_matrix import NAMES, answers, editor, requests_for
from tests.tiny_models import tiny


@pytest.mark.parametrize("family", ["gpt2", "llama", "llava"])
@pytest.mark.parametrize("name", NAMES)
def test_going_on_from_a_file_gives_the_same_numbers(
    name: str, family: str, tmp_path: Path
) -> None:
    lm = tiny(family)
    method, (first, second) = editor(name, lm, tmp_path), requests_for(family)
    digest = lm.digest()
    with method.apply(lm) as edited:
        edited.edit([first])
        half = answers(edited, family)
        edited.save(tmp_path / "half", form="exact")
        edited.edit([second])
        whole = answers(edited, family)
    with method.apply(lm) as edited:
        edited.edit([second])  # what is loaded takes the place of this
        edited.load(tmp_path / "half")
        assert answers(edited, family) == half
        edited.edit([second])
        assert answers(edited, family) == whole
        edited.restore()
    assert lm.digest() == digest


@dataclass(frozen=True)
class _Remembered:
    numbers: dict[int, torch.Tensor]
    names: tuple[str, ...]
    radius: float


class _Remembering(EditedModel):
    state_kinds = (_Remembered,)
    state: _Remembered | None

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        names = tuple(request.id for request in requests)
        self.state = _Remembered({3: torch.arange(4.0)[::2]}, names, float("inf"))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[LM, Path]:
    lm = tiny("gpt2")
    with _Remembering(lm) as edited:
        edited.edit([ANN])
        edited.save(tmp_path / "saved")
    return lm, tmp_path / "saved"


def test_a_memory_comes_back_as_it_was(saved: tuple[LM, Path]) -> None:
    lm, folder = saved
    with _Remembering(lm) as edited:
        edited.load(folder)
        assert edited.state is not None
        assert edited.state.names == (ANN.id,)
        assert edited.state.radius == float("inf")
        assert edited.state.numbers[3].tolist() == [0.0, 2.0]


def test_edits_of_another_model_are_refused(saved: tuple[LM, Path]) -> None:
    lm, folder = saved
    with torch.no_grad():
        next(iter(lm.model.parameters())).add_(1)
    with _Remembering(lm) as edited, pytest.raises(InputError, match="belongs to a model") as error:
        edited.load(folder)
    assert error.value.file == folder / "edit.json"


def _spaced(lm: LM) -> None:
    words = lm.tokenizer.backend_tokenizer
    words.normalizer = Lowercase()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda lm: setattr(lm.config, "n_head", 2 * lm.config.n_head), "configuration"),
        (lambda lm: setattr(lm.config, "layer_norm_epsilon", 1e-3), "configuration"),
        (_spaced, "tokenizer"),
        (lambda lm: setattr(lm.tokenizer, "chat_template", "{{ messages }}"), "chat template"),
    ],
)
def test_the_same_weights_otherwise_used_are_refused(
    saved: tuple[LM, Path], change: Any, part: str
) -> None:
    lm, folder = copy.deepcopy(saved[0]), saved[1]
    lm.config.torch_dtype = "float32"  # says nothing of answers
    with _Remembering(lm) as edited:
        edited.load(folder)
    change(lm)
    with _Remembering(lm) as edited:
        with pytest.raises(InputError, match=f"the same weights and another {part}") as error:
            edited.load(folder)
        assert error.value.file == folder / "edit.json"
        described = json.loads((folder / "edit.json").read_text())
        described["versions"]["transformers"] = "4.0"
        (folder / "edit.json").write_text(json.dumps(described))
        with pytest.warns(UserWarning, match=f"another {part}.*tells it otherwise than 4.0"):
            edited.load(folder)


def test_what_a_model_is_stays_what_it_is_on_the_disk(tmp_path: Path) -> None:
    for family in ("gpt2", "llama", "llava"):
        lm = tiny(family)
        lm.model.save_pretrained(tmp_path / family)
        (lm.processor or lm.tokenizer).save_pretrained(tmp_path / family)
        read = LM.load(tmp_path / family, device="cpu", dtype="float32")
        assert setup_digests(read) == setup_digests(lm)


def test_a_full_disk_leaves_earlier_edits(
    saved: tuple[LM, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path: Path, _: Any) -> None:
        raise OSError(28, f"no space left for {path.name}")

    with _Remembering(lm) as edited:
        edited.edit([ANN])
        with monkeypatch.context() as patch:
            patch.setattr("editors.saving.write_json", full)
            with pytest.raises(OSError, match="no space left"):
                edited.save(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        edited.load(folder)


@pytest.mark.parametrize("moves", range(3))
def test_a_folder_that_was_left_halfway_can_be_written_again(
    saved: tuple[LM, Path], moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, folder = saved
    (folder / "mine.txt").write_text("mine")
    move, left = shutil.move, iter(range(moves))

    def killed(source: Path, target: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        move(source, target)

    with _Remembering(lm) as edited:
        edited.edit([ANN])
        with monkeypatch.context() as patch:
            patch.setattr("editors.saving.shutil.move", killed)
            with pytest.raises(KeyboardInterrupt):
                edited.save(folder)
        with pytest.raises(InputError, match="no edits were saved here"):
            edited.load(folder)
        edited.edit([ANN])
        edited.save(folder)
        edited.load(folder)
        assert edited.edits == 1
    names = ["README.md", "edit.json", "edit.safetensors", "mine.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("fields", "names"), "abc", "a _Remembered whose names is a str"),
        (("fields", "radius"), None, "a _Remembered whose radius is a NoneType"),
        (("fields", "radius"), True, "a _Remembered whose radius is a bool"),
        (("fields", "names"), {"tuple": [-1]}, "a _Remembered whose names is a tuple"),
        (("fields", "numbers"), {"dict": [["a", 1]]}, "a _Remembered whose numbers is a dict"),
        ((), "abc", "holds a memory of another kind"),
        ((), {"tuple": [1]}, "holds a memory of another kind"),
    ],
)
def test_a_memory_of_other_kinds_is_refused(
    saved: tuple[LM, Path], where: tuple[str, ...], value: Any, said: str
) -> None:
    lm, folder = saved
    described = json.loads((folder / "edit.json").read_text())
    if where:
        described["state"][where[0]][where[1]] = value
    else:
        described["state"] = value
    (folder / "edit.json").write_text(json.dumps(described))
    with _Remembering(lm) as edited, pytest.raises(InputError, match=said) as error:
        edited.load(folder)
    assert error.value.file == folder / "edit.json"


def test_edits_of_another_method_are_refused(saved: tuple[LM, Path]) -> None:
    class Other(_Remembering):
        pass

    lm, folder = saved
    with Other(lm) as edited, pytest.raises(InputError, match="of _Remembering, not of Other"):
        edited.load(folder)


def test_a_class_that_the_method_does_not_name_is_never_made(saved: tuple[LM, Path]) -> None:
    lm, folder = saved
    path = folder / "edit.json"
    fields = json.loads(path.read_text())
    fields["state"]["class"] = "Path"
    path.write_text(json.dumps(fields))
    with _Remembering(lm) as edited, pytest.raises(InputError, match="holds a Path, which"):
        edited.load(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "edit.json").unlink(), "no edits were saved here"),
        (lambda folder: (folder / "edit.json").write_text("{"), "JSON"),
        (lambda folder: (folder / "edit.json").write_text('{"format": 99}'), "of format 3"),
        (lambda folder: (folder / "edit.safetensors").unlink(), "is not there"),
        (lambda folder: _truncate(folder / "edit.safetensors"), "has the SHA-256"),
    ],
)
def test_a_damaged_folder_is_named(saved: tuple[LM, Path], spoil: Any, said: str) -> None:
    lm, folder = saved
    spoil(folder)
    with _Remembering(lm) as edited, pytest.raises(InputError, match=said):
        edited.load(folder)


def test_a_file_that_is_no_safetensors_is_named(saved: tuple[LM, Path]) -> None:
    lm, folder = saved
    path = folder / "edit.json"
    (folder / "edit.safetensors").write_bytes(b"\x80\x04K\x01.")
    fields = json.loads(path.read_text())
    fields["files"]["edit.safetensors"] = sha256_of(folder / "edit.safetensors")
    path.write_text(json.dumps(fields))
    with _Remembering(lm) as edited, pytest.raises(InputError, match="cannot be read") as error:
        edited.load(folder)
    assert error.value.file == folder / "edit.safetensors"


def test_what_has_no_form_on_the_disk_is_said(tmp_path: Path) -> None:
    with _Remembering(tiny("gpt2")) as edited:
        edited.__dict__["state"] = {"a": {1, 2}}
        with pytest.raises(TypeError, match="holds a set"):
            edited.save(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])
