"""Wikitext as plain text with marked entities.

Templates, tables, comments and references are cut out by scans whose time grows with the text
alone, before a parser sees it: the parser's own time grows with the square of what is left open,
so that 80 kB of `{{a|` would keep it busy for minutes. It then reads one paragraph at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.templates import WikitextError, cut, without_templates
from builders.docmedit.mediawiki.titles import Titles

INTRODUCTION = "INTRODUCTION"
"""The name of what stands before a page's first heading."""

MAX_PARAGRAPH = 20_000
"""Characters of wikitext in a paragraph."""

MAX_MARKS = 300
"""Tags, and links that are never closed, in a paragraph."""

_TABLE = re.compile(r"^[ \t:]*(?:(\{\|)|(\|\}))", re.M)
_ELEMENT = re.compile(
    r"<(ref|gallery|timeline|imagemap|math|score|syntaxhighlight|source|graph|hiero|chem)\b([^<>]*)>",
    re.I,
)
_MAGIC = re.compile(r"__[A-Z]{3,30}__")
_DISAMBIGUATION = re.compile(
    r"\{\{ *(?![^{}|]{0,90}needed)(?:[\w /-]{0,60}disambig[\w /-]{0,30}|dab|hndis|geodis|"
    r"begriffskl\u00e4rung|homonymie|desambiguaci\u00f3n|disambigua|doorverwijspagina|"
    r"\u043d\u0435\u043e\u0434\u043d\u043e\u0437\u043d\u0430\u0447\u043d\u043e\u0441\u0442\u044c)"
    r"\s*(?:\||\}\})",
    re.I,
)

_NO_PROSE = (
    "ref math gallery timeline score imagemap table syntaxhighlight source chem hiero graph "
    "mapframe maplink references indicator style templatestyles ce"
)
_SILENT = frozenset(_NO_PROSE.split())
"""Elements that are no prose."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page between two headings.

    Attributes:
        heading: The heading's plain text, or `INTRODUCTION`.
        raw: Its wikitext without comments.
    """

    heading: str
    raw: str


def is_disambiguation(title: str, raw: str) -> bool:
    """Whether a page lists others of the same name."""
    if title.endswith("(disambiguation)") or "__DISAMBIG__" in raw:
        return True
    return _DISAMBIGUATION.search(raw) is not None


def introduction(raw: str) -> str:
    """The wikitext before the first heading, comments cut out."""
    return next(sections(raw)).raw


def sections(raw: str) -> Iterator[Section]:
    """The sections of a page, the introduction first, subsections on their own."""
    heading, lines = INTRODUCTION, []
    for line in without_comments(raw).split("\n"):
        stripped = line.strip()
        if len(stripped) > 2 and line[0] == "=" == stripped[-1] and stripped.strip("= \t"):
            yield Section(heading, "\n".join(lines))
            heading, lines = _heading(stripped), []
        else:
            lines.append(line)
    yield Section(heading, "\n".join(lines))


def without_comments(raw: str) -> str:
    """The text without HTML comments; one that is never closed ends it."""
    kept: list[str] = []
    done = 0
    while (start := raw.find("<!--", done)) >= 0:
        kept.append(raw[done:start])
        end = raw.find("-->", start + 4)
        if end < 0:
            return "".join(kept)
        done = end + 3
    return "".join((*kept, raw[done:])) if kept else raw


def prose(raw: str) -> list[str]:
    """The paragraphs of a section, as wikitext without templates, tables and references.

    Raises:
        WikitextError: If templates are nested too deep or a paragraph is too long.
    """
    text = without_tables(without_marks(raw))
    paragraphs = [
        paragraph
        for line in text.split("\n")
        if (paragraph := line.strip())
        and paragraph[0] not in "|!"
        and any(map(str.isalnum, paragraph))
    ]
    for paragraph in paragraphs:
        if problem := too_much(paragraph):
            raise WikitextError(problem)
    return paragraphs


def plain(paragraph: str, titles: Titles, own: str = "") -> Marked:
    """A paragraph of wikitext as plain text; links to articles become mentions.

    Args:
        paragraph: Wikitext.
        titles: The wiki's naming rules.
        own: The page's own title: a link to it is no mention.

    Raises:
        WikitextError: If the parser gives up.
    """
    import mwparserfromhell

    try:
        pieces = list(_walk(mwparserfromhell.parse(paragraph).nodes, titles, own))
    except mwparserfromhell.parser.ParserError:
        raise WikitextError("has a paragraph that cannot be parsed") from None
    return Marked.joined(pieces).cleaned()


def _heading(line: str) -> str:
    text = re.sub(
        r"<[^<>]*>|'{2,5}|\[\[(?:[^\[\]|]*\|)?|\]\]|\{\{[^{}]*\}\}", "", line.strip("= \t")
    )
    return " ".join(text.split())[:200] or "(untitled)"


def too_much(paragraph: str) -> str | None:
    """Why a paragraph is not read; None where it is."""
    if len(paragraph) > MAX_PARAGRAPH:
        return f"has a paragraph of more than {MAX_PARAGRAPH:,} characters"
    unclosed = paragraph.count("[[") - paragraph.count("]]")
    if paragraph.count("<") > MAX_MARKS or unclosed > MAX_MARKS:
        return f"has a paragraph with more than {MAX_MARKS} tags or open links"
    return None


def without_marks(raw: str) -> str:
    """A section without templates, references, galleries and the like.

    Raises:
        WikitextError: If templates are nested too deep.
    """
    return _MAGIC.sub("", without_templates(_without_elements(raw)))


def without_tables(raw: str) -> str:
    """The text without its tables."""
    return cut(raw, table_spans(raw))


def table_spans(raw: str) -> list[tuple[int, int, str]]:
    """Where outermost tables stand, as `cut` wants it; one that is never closed ends the text."""
    spans: list[tuple[int, int, str]] = []
    depth = start = 0
    for found in _TABLE.finditer(raw):
        if found[1]:
            start = start if depth else found.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                spans.append((start, found.end(), ""))
    if depth:
        spans.append((start, len(raw), ""))
    return spans


def _without_elements(raw: str) -> str:
    """The text without references, galleries, formulas and the like, on however many lines."""
    spans: list[tuple[int, int, str]] = []
    open_for_good: set[str] = set()
    done = 0
    for found in _ELEMENT.finditer(raw):
        name = found[1].lower()
        if found.start() < done or name in open_for_good:
            continue
        if found[2].endswith("/"):
            done = found.end()
        else:
            closing = re.compile(rf"</{name}\s*>", re.I).search(raw, found.end())
            if closing is None:
                open_for_good.add(name)
                continue
            done = closing.end()
        spans.append((found.start(), done, ""))
    return cut(raw, spans)


def _walk(nodes: Iterable[Any], titles: Titles, own: str) -> Iterator[tuple[str, str | None]]:
    """Pieces of text with the entity that each names."""
    from mwparserfromhell import nodes as kinds

    trail: str | None = None  # the entity of a link that letters may follow
    for node in nodes:
        after, trail = trail, None
        if isinstance(node, kinds.Text):
            text = str(node)
            letters = re.match(r"[^\W\d_]+", text) if after is not None else None
            if letters and letters[0].islower():
                yield letters[0], after
                text = text[letters.end() :]
            yield text, None
        elif isinstance(node, kinds.HTMLEntity):
            yield _entity(node), None
        elif isinstance(node, kinds.Wikilink):
            shown, entity = _link(node, titles, own)
            yield shown, entity
            trail = entity
        elif isinstance(node, kinds.ExternalLink):
            if node.title is not None:
                yield from _walk(node.title.nodes, titles, own)
        elif isinstance(node, kinds.Tag):
            yield from _tag(node, titles, own)


def _entity(node: Any) -> str:
    try:
        return node.normalize()
    except (ValueError, OverflowError, KeyError):
        return ""


def _tag(node: Any, titles: Titles, own: str) -> Iterator[tuple[str, str | None]]:
    name = str(node.tag).strip().lower()
    if name in _SILENT:
        return
    if name == "br":
        yield " ", None
    elif name == "nowiki":
        yield str(node.contents or ""), None
    elif node.contents is not None:
        yield from _walk(node.contents.nodes, titles, own)


def _link(node: Any, titles: Titles, own: str) -> tuple[str, str | None]:
    kind, title = titles.target(str(node.title))
    if kind == "dropped":
        return "", None
    if node.text is None:
        shown = str(node.title).strip().removeprefix(":").replace("_", " ")
    else:
        inner = Marked.joined(_walk(node.text.nodes, titles, own))
        shown = inner.text if inner.text.strip() else str(node.title).strip()
    if kind != "article" or title == own:
        return shown, None
    return shown, title
