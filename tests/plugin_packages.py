"""Packages with a plug-in, as they lie on the disk once they are installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str, code: str, attribute: str
) -> None:
    """Install the package `medit-NAME` with one module and one entry point, version 1.2."""
    package = f"medit_{name}"
    (folder / f"{package}.py").write_text(code)
    metadata = folder / f"{package}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: medit-{name}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {package}:{attribute}\n")
    monkeypatch.delitem(sys.modules, package, raising=False)  # another test's of the same name
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
