"""The real Hub client in a process of its own, with the environment that the stub server needs.

`huggingface_hub` reads its endpoint and whether to use Xet when it is imported, so a test cannot
set them in its own process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from schemas.errors import InputError

ROOT = Path(__file__).parents[2]

_PUBLISHER = """
import dataclasses, json, pathlib, sys
from builders.publish import publish
from schemas.errors import InputError

for line in sys.stdin:
    root, repo_id, options = json.loads(line)
    try:
        reply = {"done": dataclasses.asdict(publish(pathlib.Path(root), repo_id, **options))}
    except InputError as error:
        reply = {"refused": str(error)}
    print(json.dumps(reply), flush=True)
"""


def hub_environment(endpoint: str, home: Path, token: str | None = None) -> dict[str, str]:
    """An environment whose Hub is `endpoint`, free of this machine's own Hub settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return kept | hub | ({"HF_TOKEN": token} if token else {})


def run_python(code: str, environment: dict[str, str], *arguments: str) -> str:
    """What a Python program prints, run from the repository's root."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Publisher:
    """A process that publishes data sets, one after the other.

    Args:
        environment: Its environment.
        log: Where its standard error goes.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PUBLISHER],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def __call__(self, root: Path, repo_id: str, **options: Any) -> dict[str, Any]:
        """The fields of `Published`.

        Raises:
            InputError: If `publish` did.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([str(root), repo_id, options]) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, f"the process ended: {self.log.read_text()}"
        reply = json.loads(line)
        if "refused" in reply:
            raise InputError(reply["refused"])
        return reply["done"]
