"""Imports point one way, and what is slow to import is imported where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "schemas": {"schemas"},
    "data_cards": {"data_cards"},
    "builders": {"builders", "data_cards", "schemas"},
    "editors": {"editors", "schemas"},
    "medit_eval": {"medit_eval", "editors", "schemas"},
}

HEAVY = (
    "datasets",
    "great_expectations",
    "huggingface_hub",
    "lm_eval",
    "openai",
    "pandas",
    "pyarrow.dataset",
    "ray",
    "spacy",
    "torch",
    "transformers",
)

COMPUTING = {"editors": ("torch", "transformers"), "medit_eval": ("torch", "transformers")}
"""What modules that compute may import at their top; they are themselves imported in functions."""

OPTIONAL = {"medit_eval/benchmarks/harness.py": ("lm_eval",)}
"""Modules that define what a library of an extra subclasses; they too are imported in functions."""

LIGHT = ("__init__.py", "__main__.py", "registry.py")
"""Modules of those packages that a command line loads before it knows what to do."""

FILES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imported(node: ast.AST, package: str) -> list[str]:
    """The modules that an import statement may load, by full name."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
        module = ".".join(part for part in (base, node.module) if part)
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []


def all_imports(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for name in imported(node, package):
            yield getattr(node, "lineno", 0), name


def is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports_at_load(node: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Imports that run when the module is imported: all but those in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if is_type_checking(child):
            for part in getattr(child, "orelse", []):
                yield from imports_at_load(ast.Module([part], []), package)
            continue
        for name in imported(child, package):
            yield getattr(child, "lineno", 0), name
        yield from imports_at_load(child, package)


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def parse(path: Path) -> tuple[ast.Module, str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return ast.parse(path.read_text(encoding="utf-8"), str(path)), package


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_imports_point_one_way(path: Path):
    tree, package = parse(path)
    allowed = MAY_IMPORT[package.split(".")[0]]
    wrong = [
        f"line {line}: {name}"
        for line, name in all_imports(tree, package)
        if (top := name.split(".")[0]) in {*MAY_IMPORT, "tests", "benchmarks"}
        and top not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_heavy_modules_are_imported_in_functions(path: Path):
    tree, package = parse(path)
    computing = () if path.name in LIGHT else COMPUTING.get(package.split(".")[0], ())
    computing = (*computing, *OPTIONAL.get(identify(path), ()))
    wrong = [
        f"line {line}: {name}"
        for line, name in imports_at_load(tree, package)
        if any(within(name, heavy) for heavy in HEAVY if heavy not in computing)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        *("import builders", "import editors", "import medit_eval", "import schemas"),
        *("import builders.okedit.__main__", "import schemas.__main__"),
    ],
)
def test_command_lines_start_without_what_computes(statement: str):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "pandas", "datasets", "spacy"} & set(loaded)


def test_every_package_is_walked():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch.nn", ["torch.nn"]),
        ("from pyarrow import dataset", ["pyarrow", "pyarrow.dataset"]),
        ("try:\n  import pandas\nexcept ImportError:\n  pass", ["pandas"]),
        ("class A:\n  import torch", ["torch"]),
        ("def f():\n  import torch", []),
        ("if TYPE_CHECKING:\n  import torch", []),
        ("if typing.TYPE_CHECKING:\n  import torch\nelse:\n  import ray", ["ray"]),
        ("from . import x", ["a.b", "a.b.x"]),
        ("from ..c import x", ["a.c", "a.c.x"]),
    ],
)
def test_the_walk_itself(source: str, found: list[str]):
    assert [name for _, name in imports_at_load(ast.parse(source), "a.b")] == found
