"""When something was made, and by which versions of what shapes its numbers."""

from __future__ import annotations

import contextlib
import time
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Versions of what shapes the numbers of models."""
    found = {}
    for name in ("medit", "torch", "transformers", "tokenizers", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def now() -> str:
    """The time, for manifests."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
