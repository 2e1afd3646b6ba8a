"""Editors are found by name, near misses are named, and strangers' faults are said."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from editors.base import EditedModel, Editor, no_edit
from editors.lm import LM
from editors.registry import BUILT_IN, GROUP, find, make, names, option_names
from schemas import plugins as lookup
from schemas.errors import InputError
from tests.tiny_models import tiny


@dataclass(frozen=True)
class Toy:
    strength: int = 1
    name: str = "toy"

    @classmethod
    def for_model(cls, lm: LM, *, strength: int = 1) -> Toy:
        return cls(strength)

    def apply(self, lm: LM) -> EditedModel:
        return no_edit(lm)


NOT_AN_EDITOR = dict

HERE = "tests.editors.test_registry"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs plug-ins: names and what they point to."""

    def install(**points: str) -> None:
        found = [EntryPoint(name, value, GROUP) for name, value in points.items()]
        monkeypatch.setattr(lookup, "entry_points", lambda group: found)

    install()
    sys.modules[HERE] = sys.modules[__name__]
    return install


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


def test_the_editors_of_this_package_are_listed(plugins: Any) -> None:
    baselines = {"ft", "lora", "rome", "ike", "grace"}
    assert {"none", "memit", "alphaedit", "come", "balancedit", "scr", *baselines} == set(names())


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_listed_editor_is_there(name: str, plugins: Any) -> None:
    assert callable(find(name).for_model)
    assert "lm" not in option_names(name)


@pytest.mark.parametrize("name", ["memit", "alphaedit"])
def test_all_hyperparameters_of_a_method_are_options(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(find(name))}
    assert fields | {"constants"} == {*option_names(name), "constants"}
    assert set(option_names("come")) >= fields


def test_no_edit_is_an_editor(lm: LM, plugins: Any) -> None:
    editor = make("none", lm)
    assert isinstance(editor, Editor)
    assert editor.name == "none"
    with editor.apply(lm) as edited:
        assert edited.lm is lm


def test_a_plug_in_is_made_with_its_options(lm: LM, plugins: Any) -> None:
    plugins(toy=f"{HERE}:Toy")
    assert "toy" in names()
    editor: Any = make("toy", lm, {"strength": 3})
    assert editor.strength == 3
    assert option_names("toy") == ["strength"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alphaedti", "no editor 'alphaedti'; did you mean alphaedit?"),
        ("AlphaEdit", "did you mean alphaedit?"),
        (
            "xyzzy",
            "known are alphaedit, balancedit, come, ft, grace, ike, lora, memit, none, rome, scr",
        ),
    ],
)
def test_unknown_names(name: str, reason: str, plugins: Any) -> None:
    with pytest.raises(InputError, match=reason):
        find(name)


def test_unknown_options(lm: LM, plugins: Any) -> None:
    plugins(toy=f"{HERE}:Toy")
    with pytest.raises(InputError, match="'toy' has no option 'strenght'; did you mean str"):
        make("toy", lm, {"strenght": 3})
    with pytest.raises(InputError, match="'none' has no option 'layers'; it has none"):
        make("none", lm, {"layers": 3})


def test_two_editors_of_one_name(plugins: Any) -> None:
    plugins(memit=f"{HERE}:Toy")
    with pytest.raises(InputError, match="several editors are called 'memit': of medit, "):
        find("memit")


def test_plug_ins_that_do_not_work(lm: LM, plugins: Any) -> None:
    plugins(gone="no_such_module:Toy", odd=f"{HERE}:NOT_AN_EDITOR")
    with pytest.raises(InputError, match="'gone' of no_such_module:Toy cannot be loaded: No modul"):
        find("gone")
    with pytest.raises(InputError, match="'odd' makes a dict, which is no editor"):
        make("odd", lm)


def test_looking_names_up_loads_no_editor() -> None:
    code = (
        "import sys; from editors import registry; registry.names();"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
