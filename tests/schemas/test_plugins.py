"""What is called by name is found once, and whoever brings it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.plugins import Origin, Plugins, hint, said
from tests.plugin_packages import install

SHAPES = Plugins("shape", "medit.tests.shapes", {"path": "pathlib:Path"})


def test_what_medit_brings_has_no_package() -> None:
    assert SHAPES.find("path") is Path
    assert SHAPES.origin("path") is None
    assert SHAPES.names() == ["path"]


def test_a_plug_in_is_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, SHAPES.group, "square", "SIDES = 4", "SIDES")
    assert SHAPES.names() == ["path", "square"]
    assert SHAPES.origin("square") == Origin("medit-square", "1.2")
    assert SHAPES.find("square") == 4


def test_a_plug_in_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, SHAPES.group, "broken", "raise ValueError('not\\ntoday')", "X")
    assert SHAPES.origin("broken") == Origin("medit-broken", "1.2")
    with pytest.raises(InputError, match="'broken' of medit-broken cannot be loaded: not today"):
        SHAPES.find("broken")


def test_names_that_nothing_or_too_much_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="there is no shape 'paht'; did you mean path"):
        SHAPES.find("paht")
    install(tmp_path, monkeypatch, SHAPES.group, "path", "X = 1", "X")
    for ask in (SHAPES.find, SHAPES.origin):
        with pytest.raises(InputError, match="several shapes are called 'path': of medit, medit-p"):
            ask("path")


def test_words_for_people() -> None:
    assert hint("xyzzy", ["a", "b"]) == "known are a, b"
    assert said(KeyError()) == "KeyError"
