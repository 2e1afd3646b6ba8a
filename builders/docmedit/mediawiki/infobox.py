"""Triples from the boxes of facts that stand beside an article."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.docmedit.mediawiki import templates, wikitext
from builders.docmedit.mediawiki.titles import Titles
from schemas.documents import Triple

MAX_BOX = 50_000
"""Characters of a box: longer ones are left alone."""

MAX_VALUE = 200
"""Characters of a value; longer ones are prose."""

_BOX = re.compile(r"\{\{\s*(?:infobox|(?:automatic )?taxobox|speciesbox)\b", re.I)
_NO_FACT = re.compile(
    r"image|photo|logo|caption|alt\b|size|width|map|signature|colou?r|coord|footnote|website|url|"
    r"homepage|embed|module|style|notes?\b|ref\b|blank|audio|pronunciation|flag|seal|upright",
    re.I,
)
_NO_VALUE = re.compile(r"\{\{|\}\}|\||^\(|^(?:yes|no|y|n|auto)$", re.I)
_PARTS = re.compile(r"<br\b[^<>]*>|^\s*\*+|\n\s*\*+", re.I)
_LIST = re.compile(
    r"\{\{\s*(?:plain ?list|flat ?list|hlist|ubl|unbulleted list|unbulleted)\s*\|([^{}]*)\}\}", re.I
)
_DATE = re.compile(
    r"\{\{\s*(?:start|end|birth|death)[- ](?:date|year)[\w ]*\|[^{}]{0,80}?(\d{4})(?:\|(\d{1,2}))?"
    r"(?:\|(\d{1,2}))?[^{}]{0,80}\}\}",
    re.I,
)


def triples(raw: str, title: str, titles: Titles) -> tuple[Triple, ...]:
    """What the boxes of an introduction say of the article.

    Args:
        raw: The introduction's wikitext.
        title: The article's title, the subject of all.
        titles: The wiki's naming rules.

    Raises:
        WikitextError: If the templates cannot be read.
    """
    found = (
        Triple(title, relation, value)
        for box in templates.templates(raw)
        if len(box) <= MAX_BOX and _BOX.match(box)
        for name, raw_value in _rows(box)
        if (relation := _relation(name))
        for value in values(raw_value, titles)
    )
    return tuple(dict.fromkeys(found))


def _rows(box: str) -> Iterator[tuple[str, str]]:
    for argument in templates.arguments_of(box):
        name, equals, value = argument.partition("=")
        if equals:
            yield name.strip(), value.strip()


def _relation(name: str) -> str:
    if not name or name[0].isdigit() or _NO_FACT.search(name):
        return ""
    return " ".join(re.sub(r"\d+$", "", name.replace("_", " ")).split())


def values(raw: str, titles: Titles) -> Iterator[str]:
    """What a field says, as plain text; lists and line breaks part several values.

    Raises:
        WikitextError: If it cannot be read.
    """
    raw = _DATE.sub(lambda m: "-".join(p.zfill(2) for p in m.groups() if p), raw)
    raw = _LIST.sub(lambda m: re.sub(r"\|(?![^\[\]]*\]\])", "<br>", m[1]), raw)
    for part in _PARTS.split(raw):
        text = " ".join(wikitext.plain(p, titles).text for p in wikitext.prose(part))
        text = text.strip(" ,;'")
        if 1 < len(text) <= MAX_VALUE and not _NO_VALUE.search(text):
            yield text
