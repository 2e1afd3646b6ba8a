"""The pages of a MediaWiki export, one at a time."""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.docmedit.mediawiki import files
from builders.docmedit.mediawiki.titles import Titles
from schemas.errors import InputError

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_REDIRECT = re.compile(r"\s*#\s*redirect\w*\s*:?\s*\[\[([^\[\]|]+)", re.I)


@dataclass(frozen=True)
class Site:
    """The wiki that an export comes from.

    Attributes:
        dbname: Its short name, for example `enwiki`, or None where the file does not say.
        language: Its language, or None where the file does not say.
        titles: Its naming rules.
    """

    dbname: str | None
    language: str | None
    titles: Titles


@dataclass(frozen=True, slots=True)
class Page:
    """The newest revision of a page.

    Attributes:
        id: The page's number.
        namespace: Its namespace; 0 holds the articles.
        title: Its title.
        redirect: The title of the page that it leads to, or None.
        text: Its wikitext; empty where it has none.
        revision: The revision's number.
        timestamp: When that was saved, in ISO 8601.
        wikitext: Whether the text is wikitext at all.
    """

    id: int
    namespace: int
    title: str
    redirect: str | None
    text: str
    revision: str
    timestamp: str
    wikitext: bool


@dataclass(frozen=True)
class Export:
    """One file of a snapshot, opened.

    Attributes:
        site: The wiki.
        pages: Its pages; can be read once.
    """

    site: Site
    pages: Iterator[Page]


@contextlib.contextmanager
def opened(path: Path, pages_before: int = 0) -> Iterator[Export]:
    """An export, read as a stream.

    Args:
        path: The file.
        pages_before: Pages that were read from other files, for messages.

    Raises:
        InputError: If it is no export, now or while its pages are read. The message says how many
            pages were read before.
    """
    with files.open_part(path) as file:
        count = _Count(path, pages_before)
        with _explained(count):
            head = file.read(files.prolog_size())
        files.check_prolog(head, path)
        with _explained(count):
            export = _export(_Rejoined(head, file), count)
        yield export


class _Count:
    """How far a file was read."""

    def __init__(self, path: Path, pages: int) -> None:
        self.path = path
        self.pages = pages


class _Rejoined(io.RawIOBase):
    """A file whose first bytes were read already."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        # More than the parser asks for: each call into a compressed file costs as much again.
        return self._rest.read(max(size, 1 << 18))


def _export(file: Any, count: _Count) -> Export:
    from mwxml import Dump
    from mwxml.element_iterator import ElementIterator

    root = ElementIterator.from_file(file)
    language = root.attr(_LANG)
    dump: Any = Dump.from_element(root)
    info = dump.site_info
    names = {(space.name or "").lower(): int(space.id) for space in info.namespaces or ()}
    titles = Titles(names, first_letter=info.case != "case-sensitive")
    return Export(Site(info.dbname, language, titles), _pages(dump, root, titles, count))


def _pages(dump: Any, root: Any, titles: Titles, count: _Count) -> Iterator[Page]:
    with _explained(count):
        for page in dump.pages:
            newest = max(page, key=lambda revision: revision.timestamp or 0, default=None)
            if newest is not None:
                yield _page(page, newest, titles)
            count.pages += 1
            # The parser keeps an empty element of every page that it has seen.
            root.element.clear()


def _page(page: Any, newest: Any, titles: Titles) -> Page:
    content = newest.slots.contents.get("main")
    text = (content.text if content is not None else None) or ""
    redirect = page.redirect
    if redirect is None and text[:40].lstrip()[:9].lower() == "#redirect":
        found = _REDIRECT.match(text)
        redirect = found[1] if found else None
    return Page(
        id=page.id,
        namespace=page.namespace,
        title=page.title,
        redirect=titles.normal(redirect) if redirect else None,
        text=text,
        revision=str(newest.id),
        timestamp=str(newest.timestamp) if newest.timestamp else "",
        wikitext=content is None or content.model in (None, "wikitext"),
    )


@contextlib.contextmanager
def _explained(count: _Count) -> Iterator[None]:
    """Errors of decompressing and parsing as one sentence."""
    from xml.etree.ElementTree import ParseError

    from mwxml.errors import MalformedXML

    try:
        yield
    except EOFError:
        raise _broken("ends in the middle: it is cut off or was not fetched whole", count) from None
    except ParseError as error:
        raise _broken(f"is not valid XML ({str(error).splitlines()[0][:100]})", count) from None
    except (MalformedXML, AssertionError, AttributeError, TypeError, ValueError) as error:
        reason = f"is no MediaWiki export as it should be ({str(error)[:100] or 'no text'})"
        raise _broken(reason, count) from None
    except (OSError, zlib.error) as error:
        raise _broken(f"cannot be unpacked ({error})", count) from None


def _broken(reason: str, count: _Count) -> InputError:
    return InputError(f"{reason}; {count.pages:,} pages were read before", file=count.path)
