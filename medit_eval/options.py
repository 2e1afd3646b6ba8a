"""Options that several commands have, and how settings are read from words."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

from schemas.cli import option
from schemas.errors import InputError

WHAT, HOW, MODEL, RUN = "What", "How", "Model", "Run"
"""The panels of a help page."""


class FormatChoice(enum.StrEnum):
    """How prompts are put to the model."""

    plain = "plain"
    qa = "qa"
    chat = "chat"


class ProtocolChoice(enum.StrEnum):
    """When edits are made and taken back."""

    single = "single"
    batch = "batch"
    sequential = "sequential"


# Options of several commands.
Model = Annotated[str, option("Folder, Hub id, testbed/lm or testbed/vlm.", WHAT)]
Records = Annotated[
    str,
    option(
        "A builder's folder, a file, a Hub data set, testbed/people or testbed/documents.", WHAT
    ),
]
RecordsFormat = Annotated[
    str, option("Format of a file: counterfact, zsre, wikidata_counterfact, mmedit...", WHAT)
]
Limit = Annotated[int | None, option("Records to use; default: all.", WHAT, min=1)]
ForeignImages = Annotated[Path | None, option("Folder of a foreign file's pictures.", WHAT)]
Split = Annotated[str, option("Split of a data set on the Hub.", WHAT)]
ChosenProtocol = Annotated[
    ProtocolChoice, option("In which order to edit, ask and take back.", HOW)
]
BatchSize = Annotated[
    int | None,
    option(
        "Records edited with one call, but for single; default: 100, or 1 with checkpoints.",
        HOW,
        min=1,
    ),
]
Checkpoints = Annotated[
    str | None, option("For sequential: numbers of edits to look at, such as 1,10,100.", HOW)
]
Settings = Annotated[
    list[str] | None,
    option("A hyperparameter of the editor: name=value, value as JSON.", HOW, "--set"),
]
StudySettings = Annotated[
    list[str] | None,
    option(
        "A hyperparameter: name=value, or with several editors editor.name=value; value as JSON.",
        HOW,
        "--set",
    ),
]
Metrics = Annotated[
    str | None,
    option(
        "Names, with commas between, or counterfact, zsre, balancedit, scr for those of a paper; "
        "default: the usual ones.",
        HOW,
    ),
]
JudgeModel = Annotated[str | None, option("Model that judges answers, behind an endpoint.", HOW)]
BaseUrl = Annotated[str | None, option("The judge's endpoint; default: $OPENAI_BASE_URL.", HOW)]
Recogniser = Annotated[
    str | None, option("spaCy pipeline for entities in documents; default: by form.", HOW)
]
References = Annotated[Path | None, option("Texts for counterfact_consistency, as JSON.", HOW)]
Device = Annotated[str | None, option("Such as cpu or cuda:1.", MODEL)]
Dtype = Annotated[str, option("auto, float32, bfloat16 or float16.", MODEL)]
Rows = Annotated[
    int | None,
    option("Questions asked at once, at most; default: found by memory.", MODEL, min=1),
]
TF32 = Annotated[
    bool, option("Matrix products of float32 in TF32: faster, less exact.", MODEL, "--tf32")
]
Seed = Annotated[int, option("Everything random derives from it.", RUN)]
Everything = Annotated[bool, option("Show all metrics, not the headline alone.", RUN, "--all")]


def setting_of(text: str) -> tuple[str, Any]:
    """Name and value of `name=value`; what is no JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"a setting is name=value, not {text!r}")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    return name.strip().replace("-", "_"), setting_value(parsed)


def setting_value(value: Any) -> Any:
    """A hyperparameter as editors take it: they are frozen, so a list of layers is a tuple."""
    return tuple(value) if isinstance(value, list) else value
