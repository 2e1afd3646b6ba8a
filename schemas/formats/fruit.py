"""FRUIT and DocMEdit rows: an article before and after, and evidence from other pages.

Field names as in google-research's `language/fruit` and in BITHLP/DocMEdit. FRUIT rows have four
fields: `inputs` (numbered sentences, then `[CONTEXT]` and numbered evidence), `targets` (`[n]`
copies a sentence, `(n)` names the evidence of the text behind it) and both without the numbers.
DocMEdit rows add `id` and `title` (lists), `evidence`, `r_evidence` (what a search found) and
triples in `*_sro`. No row has requests: they are made here from what the later text adds and the
evidence names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.documents import Document, DocumentRecord, Fact, Mention, Triple, Version
from schemas.errors import InputError
from schemas.formats.core import Format, OutputFile
from schemas.formats.files import read_rows
from schemas.formats.fruit_additions import added_names
from schemas.formats.fruit_evidence import Evidence, evidence_lines, slug
from schemas.formats.images import ImageSink
from schemas.formats.rows import ReadContext, Row
from schemas.records import EditRecord, EditRequest, Probe
from schemas.sentences import sentences

FIELDS = (
    *("id", "title", "inputs", "targets", "normalized_inputs", "normalized_targets"),
    *("evidence", "r_evidence", "normalized_inputs_sro", "normalized_targets_sro", "evidence_sro"),
)
"""All fields of a written row, in order."""

CONTEXT = "[CONTEXT]"

_SENTENCE_MARK = re.compile(r"(?:^|(?<=\s))\[(\d{1,4})\](?=\s|$)")
_EVIDENCE_MARK = re.compile(r"(?:^|(?<=\s))\((\d{1,3})\)(?=\s|$)")
_SUBJECT = re.compile(r"^\W{0,3}(.{1,80}?)\W{0,3}(?:,| \(| is | was | are | were )")
_MIN_LEAD = 3
_TRIPLES = ("normalized_inputs", "normalized_targets", "evidence")


def read_fruit(
    path: Path, *, language: str = "en", snapshots: tuple[str, str] = ("before", "after")
) -> Iterator[tuple[int, DocumentRecord | InputError]]:
    """The rows of a file with their numbers; for a row that cannot be used, why.

    Args:
        path: JSON Lines, JSON or Parquet.
        language: The articles' language, which rows do not name.
        snapshots: The two dates, which rows do not name either.

    Raises:
        InputError: If the file itself cannot be read.
    """
    for number, fields in read_rows(path):
        context = ReadContext(source=path.name, file=path, row=number)
        try:
            record = FORMAT.read_row(fields, None, context)
        except InputError as error:
            yield number, error
            continue
        assert isinstance(record, DocumentRecord)
        before, after = snapshots
        document = replace(
            record.document, language=language, snapshot_before=before, snapshot_after=after
        )
        yield number, replace(record, document=document)


def fruit_row(record: DocumentRecord) -> dict[str, Any]:
    """The row of a record: the imported one, if nothing changed, else every field."""
    return FORMAT.write_row(record)


# Reading ------------------------------------------------------------------------------------


def parse(row: Row) -> DocumentRecord:
    """The record of a row.

    Raises:
        InputError: If a text is missing, or the later text adds nothing that the evidence names.
    """
    source, context = _cut(row.optional_text("inputs") or "")
    numbered = _numbered(source, _SENTENCE_MARK)
    targets = row.optional_text("targets") or ""
    cited = {int(mark[1]) for mark in _EVIDENCE_MARK.finditer(targets)}
    parts = _numbered(context, _EVIDENCE_MARK)
    before = row.optional_text("normalized_inputs") or " ".join(text for _, text in numbered)
    if not before:
        raise row.error("is missing or empty", "normalized_inputs")
    after = row.optional_text("normalized_targets") or _expanded(targets, dict(numbered))
    if not after:
        raise row.error("is missing or empty", "normalized_targets")
    # What the targets cite comes first, so that a name found twice is explained by that.
    listed = sorted(parts, key=lambda part: part[0] not in cited)
    lines = list(row.texts("evidence")) or [text for _, text in listed]
    evidence = [Evidence.parse(line) for line in lines if line.strip()]
    title = _first(row, "title")
    title = title.replace("_", " ") if title else _title_of(before)
    triples = {name: _triples(row.fields.get(f"{name}_sro")) for name in _TRIPLES}
    added = added_names(before, after, title, evidence)
    if not added:
        raise row.error("adds nothing that the evidence names", "normalized_targets")
    facts, requests, probes = [], [], []
    for place, name in enumerate(added):
        prefix, span, found = name.prefix, name.name, name.evidence
        fact_id = f"{row.id}/{place}"
        triple = next((t for t in triples["evidence"] if t.object == span), None)
        text = found.text or found.page
        facts.append(
            Fact(
                *(fact_id, text, found.page, found.section, "source", None, None, span),
                triple=triple,
            )
        )
        prompt = prefix if len(prefix.split()) >= _MIN_LEAD else f"{title}: {prefix}".rstrip()
        subject = title if title in prompt else None
        requests.append(EditRequest(fact_id, prompt, None, subject, span, None, facts=(text,)))
        probes.append(
            Probe(f"edit/{place}", "reliability", "edit", "target", (prompt,), (), (span,))
        )
    found_lines = row.texts("r_evidence") or tuple(text for _, text in parts)
    document = Document(
        title=title,
        page_id=_first(row, "id"),
        language="en",
        snapshot_before="before",
        snapshot_after="after",
        before=Version(before, (), triples["normalized_inputs"]),
        after=Version(after, _mentions(after, facts), triples["normalized_targets"]),
        facts=tuple(facts),
        retrieved=tuple(text for text in found_lines if text.strip()),
    )
    return DocumentRecord(row.id, tuple(requests), tuple(probes), document=document)


def _cut(inputs: str) -> tuple[str, str]:
    """The article and the context of `inputs`."""
    source, _, context = inputs.partition(CONTEXT)
    return source.strip(), context.strip()


def _numbered(text: str, mark: re.Pattern[str]) -> list[tuple[int, str]]:
    """Numbers with the text behind each; a text without numbers is one part."""
    marks = list(mark.finditer(text))
    if not marks:
        return [(0, text)] if text else []
    ends = [*(m.start() for m in marks[1:]), len(text)]
    return [(int(m[1]), text[m.end() : end].strip()) for m, end in zip(marks, ends, strict=True)]


def _expanded(targets: str, numbered: Mapping[int, str]) -> str:
    """The later text: copies written out, names of evidence left out."""
    copied = _SENTENCE_MARK.sub(lambda m: numbered.get(int(m[1]), ""), targets)
    return " ".join(_EVIDENCE_MARK.sub("", copied).split())


def _first(row: Row, field: str) -> str | None:
    """A text, a number, or the first of a list of those."""
    value = row.fields.get(field)
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise row.error("is neither a text nor a list of texts", field)
    return str(value)


def _triples(value: Any) -> tuple[Triple, ...]:
    """Triples, where a value is a list of three texts each; else none, for the form varies."""
    if not isinstance(value, list):
        return ()
    return tuple(
        Triple(*entry)
        for entry in value
        if isinstance(entry, list) and len(entry) == 3 and all(isinstance(x, str) for x in entry)
    )


def _title_of(text: str) -> str:
    """What an introduction begins with, where a row has no title."""
    named = _SUBJECT.match(text)
    return named[1] if named else " ".join(text.split()[:8])


def _mentions(text: str, facts: Sequence[Fact]) -> tuple[Mention, ...]:
    """Where the facts' objects stand first, without overlaps."""
    found: list[Mention] = []
    end = 0
    for start, name in sorted((text.index(fact.object), fact.object) for fact in facts):
        if start >= end:
            end = start + len(name)
            found.append(Mention(start, end, name, name))
    return tuple(found)


# Writing ------------------------------------------------------------------------------------


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """All fields of a document record.

    Raises:
        InputError: If the record is of another kind.
    """
    if not isinstance(record, DocumentRecord):
        raise InputError("is no document edit", row=record.id)
    document = record.document
    lines = evidence_lines(document)
    # Rows name no language, so all are split alike: else an imported one would look changed.
    before = sentences(document.before.text)
    triples = [f.triple for f in document.facts if f.triple is not None]
    context = " ".join(f"({number}) {line}" for number, line in enumerate(lines))
    numbered = " ".join(f"[{number}] {text}" for number, text in enumerate(before))
    return {
        "id": [document.page_id or slug(document.title)],
        "title": [slug(document.title)],
        "inputs": f"{numbered} {CONTEXT} {context}",
        "targets": " ".join(_targets(document, before, lines)),
        "normalized_inputs": document.before.text,
        "normalized_targets": document.after.text,
        "evidence": lines,
        "r_evidence": list(document.retrieved),
        "normalized_inputs_sro": _listed(document.before.triples),
        "normalized_targets_sro": _listed(document.after.triples),
        "evidence_sro": _listed(triples),
    }


def _targets(document: Document, before: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    """The later sentences: the number of an old one, or the evidence's and the new text."""
    for text in sentences(document.after.text):
        if text in before:
            yield f"[{before.index(text)}]"
            continue
        cited = {
            lines.index(Evidence(fact.page, fact.section, fact.text).line)
            for fact in document.facts
            if fact.object in text
        }
        yield " ".join([*(f"({number})" for number in sorted(cited)), text])


def _listed(triples: Sequence[Triple]) -> list[list[str]]:
    return [[t.subject, t.relation, t.object] for t in triples]


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row that is written."""
    return FIELDS


FORMAT = Format(
    name="fruit",
    title="FRUIT / DocMEdit",
    files=(OutputFile("fruit.jsonl", lines=True),),
    required=required,
    parse=parse,
    render=render,
)
