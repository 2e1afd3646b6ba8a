"""Templates in wikitext: where they stand, and what the few that only format words show."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

MAX_DEPTH = 100
"""Templates in templates; MediaWiki itself stops at 40."""

MAX_SHOWN = 500
"""Characters of a template that is looked into."""

_BRACES = re.compile(r"\{\{|\}\}")

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

_RANGES = {
    **dict.fromkeys(("-", "\N{EN DASH}"), "\N{EN DASH}"),
    **dict.fromkeys(("to", "to(-)"), " to "),
    **dict.fromkeys(("and", "and(-)"), " and "),
    **dict.fromkeys(("x", "*", "\N{MULTIPLICATION SIGN}", "xx"), " \N{MULTIPLICATION SIGN} "),
    **dict.fromkeys(("+/-", "\N{PLUS-MINUS SIGN}"), " \N{PLUS-MINUS SIGN} "),
    "or": " or ",
    "by": " by ",
}
"""What stands between the numbers of a measurement, by how the template is told so."""

_PARTS = frozenset({("ft", "in"), ("st", "lb"), ("lb", "oz"), ("mi", "yd"), ("yd", "ft")})
"""Units that a measurement may be given in together."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class WikitextError(Exception):
    """Wikitext that is beyond reading; the message says why, as a clause."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """A page is read within: whatever goes wrong with it is a `WikitextError`.

    Anybody may write anything into a page, and one page must not end a build.
    """
    try:
        yield
    except (ValueError, LookupError, RecursionError) as error:
        raise WikitextError(f"is more than the reader can take ({type(error).__name__})") from error


def templates(raw: str) -> Iterator[str]:
    """The outermost templates of a text, each as it is written.

    Raises:
        WikitextError: If they are nested too deep.
    """
    for start, end in _spans(raw):
        yield raw[start:end]


def arguments_of(template: str) -> list[str]:
    """The arguments of a template, named or not, as they are written."""
    return _split(template[2:-2])[1:]


def cut(raw: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with other words at some places, which are in order and apart."""
    kept, done = [], 0
    for start, end, new in spans:
        kept += (raw[done:start], new)
        done = end
    return "".join((*kept, raw[done:])) if kept else raw


def without_templates(raw: str) -> str:
    """The text with what its templates show in their stead.

    Raises:
        WikitextError: If they are nested too deep.
    """
    return cut(raw, ((s, e, _shown(raw[s:e])) for s, e in _spans(raw)))


def _spans(raw: str) -> list[tuple[int, int]]:
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


def _shown(template: str) -> str:
    """What a template leaves in the text: nothing, but for a few that only format it."""
    if len(template) > MAX_SHOWN:
        return ""
    name, *arguments = _split(template[2:-2])
    name = name.strip().lower().replace("_", " ")
    if name in _SIGNS:
        return _SIGNS[name]
    positional = _positional(arguments)
    if name == "as of":
        return _as_of(positional, arguments)
    if name in ("convert", "cvt"):
        return _measure(positional)
    place = _SHOWN.get(name, 1 if name.startswith("lang-") else 0)
    if not place or len(positional) < place:
        return ""
    return without_templates(positional[place - 1])


def _measure(arguments: Sequence[str]) -> str:
    """What `{{convert|10|to|20|km|mi}}` shows, without the other unit: "10 to 20 km"."""
    shown, rest = "", list(arguments)
    while len(rest) > 2 and rest[1].lower() in _RANGES:
        shown += rest[0] + _RANGES[rest[1].lower()]
        rest = rest[2:]
    if len(rest) < 2:
        return ""
    shown += " ".join(rest[:2])
    if len(rest) > 3 and (rest[1], rest[3]) in _PARTS and _is_number(rest[2]):
        shown += f" {rest[2]} {rest[3]}"
    return without_templates(shown)


def _as_of(positional: Sequence[str], arguments: Sequence[str]) -> str:
    """What `{{As of|2018|9|post=,}}` shows: "As of September 2018,"."""
    named = {
        name.strip(): value.strip() for name, equals, value in map(_named, arguments) if equals
    }
    year, month, day = (*positional, "", "", "")[:3]
    if _is_number(month):
        month = _MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else ""
    words = "as of" if named.get("lc") else "As of"
    date = " ".join(part for part in (words, day, month, year) if part)
    return without_templates((named.get("alt") or date) + named.get("post", ""))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()  # "\N{SUPERSCRIPT TWO}" is a digit, and no number


def _positional(arguments: Iterable[str]) -> list[str]:
    """The arguments by their places, as far as there is no gap; `1=` names the first one."""
    found: dict[int, str] = {}
    count = 0
    for argument in arguments:
        name, equals, value = _named(argument)
        if not equals:
            count += 1
            found[count] = value.strip()
        elif _is_number(number := name.strip()):
            found[int(number)] = value.strip()
    places = itertools.takewhile(found.__contains__, itertools.count(1))
    return [found[place] for place in places]


def _named(argument: str) -> tuple[str, str, str]:
    if re.match(r"\s*[\w -]+=", argument):
        return argument.partition("=")
    return "", "", argument
