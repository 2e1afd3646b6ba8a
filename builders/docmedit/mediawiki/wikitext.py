"""Wikitext as plain text with marked entities.

Templates, tables, comments and references are cut out by scans whose time grows with the text
alone, before a parser sees it: the parser's own time grows with the square of what is left open,
so that 80 kB of `{{a|` would keep it busy for minutes. It then reads one paragraph at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.titles import Titles

INTRODUCTION = "INTRODUCTION"
"""The name of what stands before a page's first heading."""

MAX_DEPTH = 100
"""Templates in templates; MediaWiki itself stops at 40."""

MAX_PARAGRAPH = 20_000
"""Characters of wikitext in a paragraph."""

MAX_MARKS = 300
"""Tags, and links that are never closed, in a paragraph."""

_BRACES = re.compile(r"\{\{|\}\}")
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

_SHOWN = {
    **dict.fromkeys(("nowrap", "nobold", "nobr", "small", "abbr", "nihongo", "visible anchor"), 1),
    **dict.fromkeys(("lang", "transl"), 2),
}
"""Templates that show one of their arguments as it is."""

_SIGNS = {
    "ndash": "\N{EN DASH}",
    "endash": "\N{EN DASH}",
    "emdash": "\N{EM DASH}",
    "en dash": "\N{EN DASH}",
    "\N{EN DASH}": "\N{EN DASH}",
    "em dash": "\N{EM DASH}",
    "spaced en dash": " \N{EN DASH} ",
    "mdash": "\N{EM DASH}",
    "spaced ndash": " \N{EN DASH} ",
    "snd": " \N{EN DASH} ",
    "spnd": " \N{EN DASH} ",
    "spaces": " ",
    "nbsp": " ",
    "'": "'",
    "'s": "'s",
    "-": "",
}
"""Templates that stand for a sign."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_NO_PROSE = (
    "ref math gallery timeline score imagemap table syntaxhighlight source chem hiero graph "
    "mapframe maplink references indicator style templatestyles ce"
)
_SILENT = frozenset(_NO_PROSE.split())
"""Elements that are no prose."""


class WikitextError(Exception):
    """Wikitext that is beyond reading; the message says why, as a clause."""


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
    text = _without_tables(_without_templates(_without_elements(raw)))
    text = _MAGIC.sub("", text)
    paragraphs = [
        paragraph
        for line in text.split("\n")
        if (paragraph := line.strip())
        and paragraph[0] not in "|!"
        and any(map(str.isalnum, paragraph))
    ]
    for paragraph in paragraphs:
        if len(paragraph) > MAX_PARAGRAPH:
            raise WikitextError(f"has a paragraph of more than {MAX_PARAGRAPH:,} characters")
        unclosed = paragraph.count("[[") - paragraph.count("]]")
        if paragraph.count("<") > MAX_MARKS or unclosed > MAX_MARKS:
            raise WikitextError(f"has a paragraph with more than {MAX_MARKS} tags or open links")
    return paragraphs


def plain(paragraph: str, titles: Titles, own: str = "") -> Marked:
    """A paragraph of wikitext as plain text; links to articles become mentions.

    Args:
        paragraph: Wikitext.
        titles: The wiki's naming rules.
        own: The page's own title: a link to it is no mention.
    """
    import mwparserfromhell

    pieces = list(_walk(mwparserfromhell.parse(paragraph).nodes, titles, own))
    return Marked.joined(pieces).cleaned()


def templates(raw: str) -> Iterator[str]:
    """The outermost templates of a text, each as it is written.

    Raises:
        WikitextError: If they are nested too deep.
    """
    for start, end in _template_spans(raw):
        yield raw[start:end]


def _heading(line: str) -> str:
    text = re.sub(
        r"<[^<>]*>|'{2,5}|\[\[(?:[^\[\]|]*\|)?|\]\]|\{\{[^{}]*\}\}", "", line.strip("= \t")
    )
    return " ".join(text.split())[:200] or "(untitled)"


def _template_spans(raw: str) -> list[tuple[int, int]]:
    """Where outermost closed templates stand."""
    open_at: list[int] = []
    spans: list[tuple[int, int]] = []
    for found in _BRACES.finditer(raw):
        if found[0] == "{{":
            open_at.append(found.start())
            if len(open_at) > MAX_DEPTH:
                raise WikitextError(f"has templates that are nested more than {MAX_DEPTH} deep")
        elif open_at:
            start = open_at.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, found.end()))
    return spans


def _without_templates(raw: str) -> str:
    return _cut(raw, ((s, e, _shown(raw[s:e])) for s, e in _template_spans(raw)))


def _shown(template: str) -> str:
    """What a template leaves in the text: nothing, but for a few that only format it."""
    if len(template) > 500:
        return ""
    name, *arguments = _split(template[2:-2])
    name = name.strip().lower().replace("_", " ")
    if name in _SIGNS:
        return _SIGNS[name]
    plain_arguments = [a.strip() for a in arguments if not _named(a)[1]]
    if name == "as of":
        return _as_of(arguments)
    if name in ("convert", "cvt") and len(plain_arguments) >= 2:
        return " ".join(plain_arguments[:2])
    place = _SHOWN.get(name, 1 if name.startswith("lang-") else 0)
    if not place or len(plain_arguments) < place:
        return ""
    return _without_templates(plain_arguments[place - 1])


def _as_of(arguments: Sequence[str]) -> str:
    """What `{{As of|2018|9|post=,}}` shows: "As of September 2018,"."""
    named = {
        name.strip(): value.strip() for name, equals, value in map(_named, arguments) if equals
    }
    year, *rest = [*(a.strip() for a in arguments if not _named(a)[1]), ""][:4]
    month = rest[0] if rest else ""
    if month.isdigit():
        month = _MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else ""
    words = "as of" if named.get("lc") else "As of"
    day = rest[1] if len(rest) > 1 else ""
    date = " ".join(part for part in (words, day, month, year) if part)
    return _without_templates(named.get("alt") or date) + named.get("post", "")


def _named(argument: str) -> tuple[str, str, str]:
    if re.match(r"\s*[\w -]+=", argument):
        return argument.partition("=")
    return "", "", argument


def arguments_of(template: str) -> list[str]:
    """The arguments of a template, named or not, as they are written."""
    return _split(template[2:-2])[1:]


def _split(inner: str) -> list[str]:
    """The name and arguments of a template: parted by bars outside of brackets."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(r"\{\{|\[\[|\}\}|\]\]|\|", inner):
        sign = found[0]
        if sign == "|":
            if not depth:
                parts.append(inner[start : found.start()])
                start = found.end()
        else:
            depth += 1 if sign in ("{{", "[[") else -1
    return [*parts, inner[start:]]


def _without_tables(raw: str) -> str:
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
    return _cut(raw, spans)


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
    return _cut(raw, spans)


def _cut(raw: str, spans: Iterable[tuple[int, int, str]]) -> str:
    kept, done = [], 0
    for start, end, new in spans:
        kept += (raw[done:start], new)
        done = end
    return "".join((*kept, raw[done:])) if kept else raw


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
