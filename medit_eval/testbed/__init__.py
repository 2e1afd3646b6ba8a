"""Small models that truly know a small world, so that editing can be tried without downloads.

`testbed/lm` knows the atlas's countries and a thousand invented people; `testbed/vlm` knows flags
by sight as well. `testbed/people` are records that edit what `testbed/lm` knows, and
`testbed/documents` the same with documents to be brought up to date.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import InputError

if TYPE_CHECKING:
    from medit_eval.testbed.documents import document_records
    from medit_eval.testbed.records import (
        covariance_corpus,
        covariance_pictures,
        people_records,
    )

__all__ = [
    "MODELS",
    "covariance_corpus",
    "covariance_pictures",
    "document_records",
    "path",
    "people_records",
]

MODELS = ("testbed/lm", "testbed/vlm")
"""The models that come with this package."""


def path(name: str) -> Path:
    """The folder of a model that comes with this package.

    Args:
        name: One of `MODELS`.

    Raises:
        InputError: If there is no such model.
    """
    if name not in MODELS:
        raise InputError(f"there is no model {name!r}; known are {', '.join(MODELS)}")
    folder = Path(__file__).parent / "models" / name.removeprefix("testbed/")
    if not (folder / "config.json").is_file():
        kind = folder.name
        raise InputError(
            f"{name} is not in this installation; "
            f"`python -m medit_eval.testbed train {kind} --out {folder}` makes it"
        )
    return folder


def __getattr__(name: str) -> object:
    # Loaded at first use, so that a path costs nothing.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "documents" if name == "document_records" else "records"
    return getattr(import_module(f"medit_eval.testbed.{home}"), name)
