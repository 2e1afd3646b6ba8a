"""When something was made, and by which versions of what shapes its numbers."""

from __future__ import annotations

import contextlib
import platform
import time
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("medit", "torch", "transformers", "tokenizers", "numpy", "peft", "lm_eval")
"""Packages that shape the numbers."""


def versions() -> dict[str, str]:
    """Versions of what shapes the numbers of models."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def now() -> str:
    """The time, for manifests."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
