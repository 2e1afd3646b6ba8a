from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.okedit.support import CommandLine, Vqa, make_vqa


@pytest.fixture
def okedit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs the command line in this process."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def vqa(tmp_path: Path) -> Vqa:
    """OK-VQA style files with a dozen questions."""
    return make_vqa(tmp_path / "source")
