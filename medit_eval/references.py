"""Texts that continuations are compared with, for the metric `counterfact_consistency`.

Two forms of JSON are read: an object from a record's id, or from a new answer, to a list of texts;
and the `attribute_snippets.json` of CounterFact's release, a list of objects with `relation_id`,
`target_id` and `samples`, each with a `text` (kmeng01/rome, `dsets/attr_snippets.py`). Words are
weighed over all texts of the file (`dsets/tfidf_stats.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medit_eval.metrics.counterfact import References
from medit_eval.tfidf import Tfidf
from schemas.errors import InputError
from schemas.layout import read_json
from schemas.records import EditRecord

Ids = tuple[str, str]
"""A relation's id and a new answer's."""


def read_references(path: Path, records: Sequence[EditRecord] | None = None) -> References:
    """The texts in a file.

    Args:
        path: The file.
        records: The records, whose ids the release's form is about; None where nobody has them.

    Raises:
        InputError: If the file is neither form, holds no text, or is the release's and there are
            no records, or none with these ids.
    """
    found = read_json(path)
    if isinstance(found, Mapping):
        held = {name: _texts(path, name, texts) for name, texts in found.items()}
        every = [text for texts in held.values() for text in texts]
    elif isinstance(found, list):
        snippets = _snippets(path, found)
        every = [text for texts in snippets.values() for text in texts]
        held = _of_records(path, snippets, records)
    else:
        raise InputError("is neither a JSON object nor a list", file=path)
    if not every:
        raise InputError("holds no texts", file=path)
    return References(held, Tfidf.of(every))


def _texts(path: Path, name: str, texts: Any) -> list[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError("is no list of texts", file=path, field=name)
    return texts


def _snippets(path: Path, rows: Sequence[Any]) -> dict[Ids, list[str]]:
    held: dict[Ids, list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError("is not an object", file=path, row=number)
        for field in ("relation_id", "target_id"):
            if not isinstance(row.get(field), str):
                raise InputError("is missing or no text", file=path, row=number, field=field)
        samples = row.get("samples")
        if not isinstance(samples, list) or not all(
            isinstance(sample, Mapping) and isinstance(sample.get("text"), str)
            for sample in samples
        ):
            raise InputError(
                "is no list of objects with a text", file=path, row=number, field="samples"
            )
        held[row["relation_id"], row["target_id"]] += [sample["text"] for sample in samples]
    return held


def _of_records(
    path: Path, snippets: Mapping[Ids, list[str]], records: Sequence[EditRecord] | None
) -> dict[str, list[str]]:
    if records is None:
        raise InputError(
            "names texts by relation and target ids, which only the records tell; give it to "
            "score, or give an object from a record's id or new answer to its texts",
            file=path,
        )
    held: dict[str, list[str]] = {}
    for record in records:
        for ids in _ids(record.extra_fields):
            held[record.id] = snippets.get(ids, [])
    if not held:
        raise InputError(
            "names texts by relation and target ids, and no record has such", file=path
        )
    return held


def _ids(value: Any) -> Iterator[Ids]:
    """The ids in what is left of a CounterFact row, wherever its reader put them."""
    if isinstance(value, Mapping):
        target = value.get("target_new")
        if isinstance(target, Mapping) and "relation_id" in value and "id" in target:
            yield str(value["relation_id"]), str(target["id"])
        for part in value.values():
            yield from _ids(part)
