"""An editor of another package is installed, found by its name, and scored."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "test_package"

SCRIPT = """
import sys
from medit_eval import score
from tests.medit_eval.support import person
from tests.tiny_models import tiny

lm = tiny("llama")
before = lm.digest()
report = score(
    "finetune", lm, [person(0), person(1)], editor_options={"steps": 60, "layer": 1},
    cache=sys.argv[1], max_new_tokens=8, metrics=["teacher_forced", "unchanged_generated"],
)
print(report.value("reliability", "teacher_forced"), lm.digest() == before)
"""


def test_an_installed_plug_in_is_found_and_edits(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(PACKAGE, source)  # building leaves files beside the source
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("--target", str(site), str(source)),
        ],
        check=True,
        capture_output=True,
    )
    environment = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}"}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "cache")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["1.0", "True"]


def test_the_guide_shows_the_package_as_it_is() -> None:
    guide = (ROOT / "docs" / "writing-an-editor.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```(?:python|toml)\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    code = (PACKAGE / "medit_finetune.py").read_text(encoding="utf-8")
    assert code in shown
    entry = '[project.entry-points."medit.editors"]\nfinetune = "medit_finetune:FineTune"\n'
    assert entry in shown
    assert entry in (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
