"""Tasks of lm-evaluation-harness as YAML files, with questions of our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

YAML = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1}}
"""


def write_task(folder: Path, name: str, items: Sequence[dict[str, Any]]) -> str:
    """The YAML file of a task with `question`, `choices` and `gold`."""
    data, path = folder / f"{name}.json", folder / f"{name}.yaml"
    data.write_text(json.dumps(items))
    path.write_text(YAML.format(name=name, data=data))
    return str(path)
