from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from builders import definition, pipeline
from builders.executor import OpenWork, Tick
from builders.progress import Quiet
from builders.workdir import WorkDir
from schemas.errors import InputError
from schemas.layout import Layout, read_json
from schemas.manifest import Manifest
from schemas.validate import validate
from tests.builders.toy import (
    BrokenError,
    Hooks,
    build_toy,
    files_of,
    pass_suite,
    same_data_sets,
    start,
    toy_build,
    tree,
    wait_until,
)
from tests.factories import RULES

FLAWS = {2: "ingest", 4: "duplicate", 7: "step", 11: "rule", 13: "draft"}


@pytest.fixture(autouse=True)
def without_suite(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "suite" not in request.keywords["real_suite"] if "real_suite" in request.keywords else True:
        pass_suite(monkeypatch)
