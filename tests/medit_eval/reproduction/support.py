"""Small shapes of the entries: files of their formats, a handful of records, few steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from schemas.arrow import DOCMEDIT
from schemas.formats import FORMATS
from schemas.layout import Layout, write_parquet
from tests.document_factories import make_document_record
from tests.editors.facts import corpus
from tests.medit_eval.benchmarks.yaml_tasks import write_task
from tests.schemas.formats.conftest import KNOWEDIT_ROW, OKEDIT_ROW, encode
from tests.schemas.formats.text_rows import MULTI_ROW, ZSRE_ROW

QUICK: Mapping[str, Any] = {"steps": 2, "layers": (0, 1), "contexts": 1}
"""Settings of the methods that write to layers, for models of three layers."""


def renamed(row: Mapping[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """The same row about somebody else."""
    made = json.loads(json.dumps(deepcopy(dict(row))).replace("Ida Holm", name))
    return {**made, **fields}


def write_data(folder: Path) -> Path:
    """The folder of data of all entries, with two or three records in each file."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "multi_counterfact.json", MULTI_ROW, renamed(MULTI_ROW, "Eva Berg", case_id=5))
    write(folder / "counterfact.json", MULTI_ROW, renamed(MULTI_ROW, "Eva Berg", case_id=5))
    write(folder / "zsre_mend_eval.json", ZSRE_ROW, renamed(ZSRE_ROW, "Eva Berg"))
    snippets = {"relation_id": "P19", "target_id": "Q-Oslo", "samples": [{"text": "Born in Oslo."}]}
    write(folder / "attribute_snippets.json", snippets)
    write(folder / "WikiData_counterfact.json", KNOWEDIT_ROW)
    write(folder / "zsRE.json", KNOWEDIT_ROW)
    documents = Layout(folder / "docmedit").shard("test", 0, 1)
    write_parquet(documents, DOCMEDIT.table([make_document_record()]))
    okedit, images = folder / "okedit", folder / "okedit-images"
    okedit.mkdir()
    for file in FORMATS["okedit"].files:
        (okedit / file.name).write_text(json.dumps({str(file.key): [file.part(OKEDIT_ROW)]}))
    places = ["val2014/COCO_val2014_000000000042.jpg", "locality/425/0.png"]
    places += [f"generality/425/{number}.jpg" for number in range(2)]
    for colour, place in enumerate(places):
        path = images / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(40 * colour))
    return folder


def write(path: Path, *rows: Mapping[str, Any]) -> Path:
    """A JSON file of rows."""
    path.write_text(json.dumps(rows))
    return path


def write_tasks(folder: Path) -> list[str]:
    """YAML files of the four benchmarks' names, with questions of our own."""
    return [
        write_task(
            folder,
            name,
            [
                {"question": f"Is {name} number {n} odd?", "choices": ["yes", "no"], "gold": n % 2}
                for n in range(4)
            ],
        )
        for name in ("mmlu", "gsm8k", "bbh", "commonsense_qa")
    ]


def quick(folder: Path, **more: Any) -> dict[str, Any]:
    """Overrides of hyperparameters under which a tiny model is edited in no time."""
    return {**QUICK, "corpus": corpus(folder), "cache": folder / "moments", **more}
