"""Data cards: a Markdown template of `data_cards`, filled from a data set's manifest.

Whatever a template prints is escaped for Markdown and HTML unless a filter has marked it as done,
so text from data can break neither a table nor the YAML header, and a template cannot forget it.
A card holds no times: building a data set again gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Literal, Union, get_args, get_origin

from schemas.arrow import Schema
from schemas.describe import attributes
from schemas.images import EncodedImage
from schemas.manifest import Manifest
from schemas.markdown import Done, card_environment, one_line
from schemas.records import AXES, PROBE_KINDS

HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"}
    | {"cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odbl", "odc-by", "pddl", "gfdl", "unknown"}
)
"""Licence ids that the Hub knows and that data sets carry; others are named in words."""

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


def render_card(
    template: str,
    manifest: Manifest,
    schema: Schema[Any],
    *,
    truth_table: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The data card of a data set: YAML header and Markdown.

    Args:
        template: Name of a template in `data_cards`, without its ending.
        manifest: The data set's manifest. Its times and the digests of other files, which may
            not be known yet, are not used.
        schema: The schema of its records, which gives the header's features and the field tables.
        truth_table: What each kind of probe measures after a recognition edit and after a
            knowledge edit; the section is left out if there are no rows.
    """
    environment = card_environment()
    source = resources.files("data_cards").joinpath(f"{template}.md").read_text(encoding="utf-8")
    licence = str(manifest.source.get("licence") or "unknown")
    return environment.from_string(source).render(
        name=manifest.name,
        split=manifest.split,
        schema=schema,
        source=_facts(manifest.source),
        source_name=str(manifest.source.get("name") or ""),
        language=str(manifest.source.get("language") or "en"),
        title=manifest.source.get("title") or manifest.source.get("name") or "its source",
        as_of=manifest.source.get("as_of"),
        licence=licence,
        licence_id=licence.lower() if licence.lower() in HUB_LICENCES else "other",
        size=_SIZES[min(max(len(str(manifest.counts.records)) - 3, 0), len(_SIZES) - 1)],
        features=Done(_features(schema)),
        types=list(_record_types(schema.record)),
        probes=_probes(manifest),
        truth_table=truth_table,
        counts=manifest.counts,
        rules=manifest.rules,
        generators=_facts(manifest.generators),
        versions=manifest.versions,
        notes=manifest.notes,
        rebuild=rebuild_command(manifest),
    )


def rebuild_command(manifest: Manifest) -> str:
    """The command that makes the data set again.

    Arguments are options of the builder's `build` under the same name. An argument that is None is
    left out, a list repeats its option, and a boolean is a flag. The `fingerprint` that the
    pipeline adds is none of them.
    """
    words = ["python", "-m", f"builders.{manifest.builder}", "build"]
    for name, value in manifest.arguments.items():
        option = name.replace("_", "-")
        if value is None or name == "fingerprint":
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
            continue
        for item in value if isinstance(value, list | tuple) else [value]:
            words += [f"--{option}", item if isinstance(item, str) else json.dumps(item)]
    return shlex.join([*words, "--out", "DIR"])


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a free dict says, as (name, value) in words; empty values are left out."""
    return [
        (name.replace("_", " "), _words(value))
        for name, value in facts.items()
        if value not in (None, "", [], (), {})
    ]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(_words, value))
    return {True: "yes", False: "no", None: "none"}[value] if _is_flag(value) else str(value)


def _is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _probes(manifest: Manifest) -> list[tuple[str, str, str, int, int]]:
    """Axis, kind, meaning, probes and queries of each kind of probe, in the order of reports."""
    kinds = list(PROBE_KINDS)
    rows = []
    for key, (probes, queries) in manifest.counts.probes_by_kind.items():
        axis, _, kind = key.partition("/")
        rank = (
            AXES.index(axis) if axis in AXES else len(AXES),
            kinds.index(kind) if kind in kinds else len(kinds),
            key,
        )
        rows.append((rank, (axis, kind, PROBE_KINDS.get(kind, ""), probes, queries)))
    return [row for _, row in sorted(rows)]


def _features(schema: Schema[Any]) -> str:
    """The schema's features as the YAML list that the Hub's `dataset_info` holds."""
    metadata = schema.arrow.metadata
    assert metadata is not None  # `Schema.arrow` always sets it
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    return "\n".join(_feature_lines(features, "  "))


def _feature_lines(features: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, feature in features.items():
        yield f"{indent}- name: {name}"
        key, kind = _feature_kind(feature)
        if isinstance(kind, str):
            yield f"{indent}  {key}: {kind}"
        else:
            yield f"{indent}  {key}:"
            yield from _feature_lines(kind, f"{indent}  ")


def _feature_kind(feature: Any) -> tuple[str, Any]:
    """The YAML key of a feature, and a type's name or the fields below it."""
    match feature.get("_type"):
        case "Value":
            return "dtype", feature["dtype"]
        case "List":
            key, inner = _feature_kind(feature["feature"])
            if key == "list":
                raise TypeError("a record has no lists of lists")
            return "list", inner
        case str(name):
            return "dtype", name.lower()
        case _:
            return "struct", feature


@dataclasses.dataclass(frozen=True)
class RecordType:
    """A type that records are made of: name, first line of its docstring, and its fields.

    Attributes:
        name: Its name.
        summary: What it is.
        fields: Name, type and meaning of each field.
    """

    name: str
    summary: str
    fields: list[tuple[str, str, str]]


def _record_types(record: type) -> Iterator[RecordType]:
    """The record's type and those it is made of, outermost first."""
    seen = [record]
    for cls in seen:
        text = inspect.cleandoc(cls.__doc__ or "")
        meanings = {name: _own_words(words) for name, words in attributes(cls).items()}
        fields = []
        for name, hint in typing.get_type_hints(cls).items():
            label, parts = _label(hint)
            fields.append((name, label, meanings.get(name, "")))
            seen += [part for part in parts if part not in seen]
        yield RecordType(cls.__name__, _own_words(text.partition("\n")[0]), fields)


def _own_words(text: str) -> Done:
    """Words of a docstring, which are Markdown already."""
    return Done(one_line(text).replace("|", r"\|"))


def _label(hint: Any) -> tuple[str, list[type]]:
    """A type in words, and the record types in it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        label, parts = _label(next(a for a in arguments if a is not type(None)))
        return f"{label} or null", parts
    if origin is tuple:
        label, parts = _label(arguments[0])
        return f"list of {label}", parts
    if origin is Literal:
        return ", ".join(map(repr, arguments)), []
    if hint is EncodedImage:
        return "image", []
    if dataclasses.is_dataclass(hint):
        cls = typing.cast(type, hint)
        return cls.__name__, [cls]
    return {str: "string", int: "int64", float: "float64", bool: "bool"}[hint], []
