"""MQuAKE-Remastered rows: MQuAKE repaired, flattened for the Hub.

The loaders of henryzhongsc/MQuAKE-Remastered (Zhong et al. 2025, "MQuAKE-Remastered: Multi-Hop
Knowledge Editing Can Only Be Advanced with Reliable Evaluations") read two forms. `data_utils.py`
reads JSON files with MQuAKE's own fields, beside `6334_split` in CF-6334: such rows are read as
`mquake`. `eval/mquake_remastered/mquake_dataset.py` reads the data set on the Hub, whose rewrites
say `target_new_str` and `target_true_str`, and whose triples (`orig_triples`, `new_triples`, with
`_labeled` beside each) and `split` stand in the row itself. That the other fields of a Hub row are
MQuAKE's is read off the same loader; the data were not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.formats import mquake
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord


def parse(row: Row) -> EditRecord:
    """The record of a row with flat answers: `target_new_str`."""
    return mquake.parse_with(row, lambda rewrite, at, name: rewrite.text(f"{at}.{name}_str"))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures, with flat answers.

    Raises:
        InputError: If a request has a picture or a prompt without its subject.
    """
    return mquake.render_with(record, lambda name, text: {f"{name}_str": text})


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row on the Hub that a reader needs."""
    return (*mquake.REQUIRED, "split")


FORMAT = Format(
    name="mquake-remastered",
    title="MQuAKE-Remastered",
    files=(OutputFile("MQuAKE-Remastered.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults={**mquake.DEFAULTS, "split": {}},
    foreign=frozenset({"orig"}),
    forms=(mquake.FORMAT,),
)
