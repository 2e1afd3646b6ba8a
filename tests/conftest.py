"""What holds for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

# Tests run side by side on tiny models: threads within one would only stand in each other's way.
# Set before torch is imported by anything, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window and without errands of its own."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()
