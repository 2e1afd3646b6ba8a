"""Markdown cards for the Hub, filled from templates with text that nobody has checked."""

from __future__ import annotations

import json
import re
import shlex

import jinja2

_ADDRESS = re.compile(r"(https?://[A-Za-z0-9./?=%#:+,;@_-]*[A-Za-z0-9/=_-])")


class Done(str):
    """Text that needs no more escaping."""

    __slots__ = ()


def card_environment() -> jinja2.Environment:
    """Templates of cards: whatever one prints is escaped unless a filter has marked it as done.

    So text from data breaks neither a table nor the YAML header, and no template can forget it.
    """
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701  `finalize` escapes for Markdown, which includes HTML
        finalize=markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=_code,
        fenced=_fenced,
        literal=_literal,
        number=lambda n: f"{n:,}",
        word=lambda text: Done(shlex.quote(one_line(text))),
    )
    return environment


def markdown(value: object) -> str:
    """Text as one line of Markdown that shows exactly itself, also in a table cell.

    Web addresses become links; nothing else in the text has an effect.
    """
    if isinstance(value, Done):
        return value
    pieces = _ADDRESS.split(one_line(str(value)))
    pieces[0::2] = map(_escape, pieces[0::2])
    pieces[1::2] = [f"<{address}>" for address in pieces[1::2]]
    return "".join(pieces)


def _escape(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)
    # At the start of a line these would begin a heading, a list or a rule.
    return re.sub(r"^([#+=-])|^(\d+)(?=[.)])", r"\2\\\1", text)


def one_line(text: str) -> str:
    """One line of printable characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _code(value: object) -> Done:
    """Inline code for a table cell, where a pipe needs a backslash even in code."""
    text = one_line(str(value)).replace("|", r"\|")
    if not text:
        return Done("")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if len(fence) > 1 else ""
    return Done(f"{fence}{pad}{text}{pad}{fence}")


def _fenced(text: str, language: str) -> Done:
    """A code block, fenced by more backticks than any run inside it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    lines = ("".join(c for c in line if c.isprintable()) for line in text.split("\n"))
    return Done("\n".join([f"{fence}{language}", *lines, fence]))


def _literal(value: object) -> Done:
    """A string literal, the same in JSON, Python and YAML."""
    return Done(json.dumps(one_line(str(value)), ensure_ascii=False))
