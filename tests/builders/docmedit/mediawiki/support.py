"""Tiny MediaWiki exports."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from builders.definition import Row
from builders.docmedit.draft import Draft
from builders.docmedit.mediawiki.source import DumpSource
from builders.docmedit.mediawiki.titles import Titles
from builders.steps import Reject
from schemas.arrow import from_row

TITLES = Titles({"": 0, "talk": 1, "file": 6, "category": 14, "template": 10})

EARLY, LATE = "2020-06-01T00:00:00Z", "2021-12-01T00:00:00Z"


@dataclass(frozen=True)
class Revision:
    """A version of a page."""

    text: str | None
    timestamp: str = EARLY
    id: int = 1


@dataclass(frozen=True)
class PageXml:
    """A page of an export."""

    id: int
    title: str
    text: str | None = ""
    ns: int = 0
    redirect: str | None = None
    revisions: tuple[Revision, ...] = ()

    def xml(self, timestamp: str) -> str:
        """The `<page>` element."""
        redirect = f"<redirect title={quoteattr(self.redirect)} />" if self.redirect else ""
        revisions = self.revisions or (Revision(self.text, timestamp, self.id * 10),)
        return (
            f"<page><title>{escape(self.title)}</title><ns>{self.ns}</ns><id>{self.id}</id>"
            f"{redirect}{''.join(map(_revision, revisions))}</page>\n"
        )


def _revision(revision: Revision) -> str:
    text = "" if revision.text is None else escape(revision.text)
    return (
        f"<revision><id>{revision.id}</id><timestamp>{revision.timestamp}</timestamp>"
        f"<contributor><username>A</username><id>1</id></contributor><model>wikitext</model>"
        f'<format>text/x-wiki</format><text xml:space="preserve">{text}</text></revision>'
    )


def export(
    pages: Sequence[PageXml], timestamp: str = EARLY, *, lang: str = "en", dbname: str = "testwiki"
) -> str:
    """An export as XML."""
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" '
        f'xml:lang="{lang}">\n<siteinfo><sitename>Test</sitename><dbname>{dbname}</dbname>'
        f"<case>first-letter</case><namespaces>"
        f'<namespace key="0" case="first-letter" /><namespace key="1">Talk</namespace>'
        f'<namespace key="6">File</namespace><namespace key="10">Template</namespace>'
        f'<namespace key="14">Category</namespace></namespaces></siteinfo>\n'
        f"{''.join(page.xml(timestamp) for page in pages)}</mediawiki>\n"
    )


def write(path: Path, xml: str) -> Path:
    """The XML in a file, packed as its name says."""
    data = xml.encode()
    if path.suffix == ".bz2":
        data = bz2.compress(data)
    elif path.suffix == ".gz":
        data = gzip.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def source(
    folder: Path, before: Sequence[PageXml], after: Sequence[PageXml], **options: Any
) -> DumpSource:
    """A source of two exports with these pages."""
    return DumpSource(
        write(folder / "wiki-20200620.xml", export(before, EARLY)),
        write(folder / "wiki-20211220.xml", export(after, LATE)),
        **options,
    )


@dataclass(frozen=True)
class Ingested:
    """What a source gave."""

    drafts: dict[str, Draft]
    rows: list[Row]
    rejects: list[Reject]
    counts: dict[str, int]

    @property
    def rules(self) -> dict[str, str]:
        """The rule of every reject, by the title or reason."""
        return {reject.rule: reject.reason for reject in self.rejects}


def ingested(made: DumpSource, spool: Path) -> Ingested:
    """All that a source gives."""
    items = list(made.ingest(spool))
    rows = [item for item in items if isinstance(item, Row)]
    drafts = [from_row(Draft, row.fields) for row in rows]
    return Ingested(
        {draft.document.title: draft for draft in drafts},
        rows,
        [item for item in items if isinstance(item, Reject)],
        made.context()["counts"],
    )


def ruler(folder: Path) -> str:
    """The folder of a spaCy pipeline that knows a few names by heart."""
    import spacy
    from spacy.pipeline import EntityRuler

    pipeline = spacy.blank("en", meta={"name": "ruler", "version": "1.2.3"})
    rules = pipeline.add_pipe("entity_ruler")
    assert isinstance(rules, EntityRuler)
    names = [("GPE", "the Netherlands"), ("GPE", "Oslo"), ("DATE", "May"), ("PERSON", "Nobody")]
    rules.add_patterns([{"label": label, "pattern": name} for label, name in names])
    pipeline.to_disk(folder)
    return str(folder)
