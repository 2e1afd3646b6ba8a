from __future__ import annotations

import pytest

from tests.builders.okedit.support import CommandLine


@pytest.fixture
def docmedit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs the command line in this process."""
    return CommandLine(monkeypatch, capsys, "docmedit")
