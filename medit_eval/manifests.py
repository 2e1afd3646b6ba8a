"""What a run writes down when it begins: what is asked of which edits, and all settings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medit_eval.documents.report import documents_of
from medit_eval.metrics import Metric
from medit_eval.protocols import Episode
from medit_eval.provenance import Setting, Sitting, settings_of
from medit_eval.runs import VERSION, RunManifest
from medit_eval.sources import records_digest
from schemas.digest import digest128
from schemas.records import EditRecord
from schemas.versions import now, versions

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.lm import LM
    from medit_eval.judge import Judge

_LONG = 200
"""Characters above which a setting is written down as its digest."""


def asked_of(
    records: Any,
    found: Sequence[EditRecord],
    protocol: str,
    size: int,
    seed: int,
    episodes: Sequence[Episode],
    order: int,
) -> dict[str, Any]:
    """What was asked, and of which edits, as arguments of a run."""
    reached = [step.edits for episode in episodes for step in episode if step.edits is not None]
    documents = documents_of(found)
    sequence = {"checkpoints": reached, "order": order, "sequence": [r.id for r in found]}
    return {
        "records": str(records) if isinstance(records, str | Path) else "in memory",
        "records_digest": records_digest(found),
        "record_count": len(found),
        "protocol": protocol,
        "batch_size": size,
        "seed": seed,
        **({"document_count": len(documents)} if documents else {}),
        **(sequence if reached else {}),
    }


def reporting(
    chosen: Sequence[Metric],
    measurable_from: float,
    judge: Judge | None,
    recogniser: str | None,
    references: str | Path | None,
) -> dict[str, Any]:
    """What decides the scores and the summary of a run, but not its predictions."""
    return {
        "metrics": [metric.name for metric in chosen] + (["judged"] if judge else []),
        "measurable_from": measurable_from,
        "judge": judge.model if judge else None,
        "recogniser": recogniser,
        **({} if references is None else {"references": str(references)}),
    }


def manifest_of(
    arguments: dict[str, Any],
    reporting: dict[str, Any],
    *,
    settings: tuple[Setting, ...] = (),
    sittings: tuple[Sitting, ...] = (),
    model: dict[str, Any] | None = None,
) -> RunManifest:
    """The manifest of a run that begins now."""
    return RunManifest(
        run_version=VERSION,
        arguments=arguments,
        reporting=reporting,
        versions=versions(),
        complete=False,
        predictions=0,
        parts={},
        notes=(),
        started=sittings[0].started if sittings else now(),
        settings=settings,
        sittings=sittings,
        model=model or {},
    )


def settings_with_sources(
    named: str | Editor, editor: Editor, lm: LM, chosen: Mapping[str, tuple[Any, str]]
) -> tuple[Setting, ...]:
    """Every setting of an editor with its source, as far as the editor tells."""
    from editors.registry import setting_sources
    from medit_eval.corpora import corpus_source, lessons_source

    if not isinstance(named, str):
        return settings_of(editor, chosen=chosen, told={}, by_name=False)
    options = {name: value for name, (value, _) in chosen.items()}
    told = {
        **setting_sources(named, lm, options),
        **corpus_source(named, lm, options),
        **lessons_source(named, lm, options),
    }
    return settings_of(editor, chosen=chosen, told=told, by_name=True)


def described(editor: Editor) -> dict[str, Any]:
    """An editor's name, class and hyperparameters, as JSON."""
    kind = type(editor)
    described: dict[str, Any] = {"name": editor.name, "class": f"{kind.__module__}.{kind.__name__}"}
    if dataclasses.is_dataclass(editor):
        for field in dataclasses.fields(editor):
            described.setdefault(field.name, _json(getattr(editor, field.name)))
    return described


def _json(value: Any) -> Any:
    """A setting as JSON; what is long or has no JSON form is a digest of how it prints."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) <= 64:
        return [_json(item) for item in value]
    if isinstance(value, dict) and len(value) <= 64:
        return {str(key): _json(item) for key, item in value.items()}
    # Where an object has no better form than its address, its class has to do.
    text = value if isinstance(value, str) else re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    if len(text) <= _LONG:
        return text
    return f"digest {digest128(text)}"
