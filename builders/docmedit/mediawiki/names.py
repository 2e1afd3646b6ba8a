"""Entities that a text names without a link: by the titles of all pages, and redirects to them.

A matcher over all titles of a wiki would need gigabytes. The capitalised spans of a text are few:
those are looked up, and only what is found is matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from builders.docmedit.mediawiki.marked import Marked
from schemas.documents import Mention
from schemas.errors import InputError
from schemas.recognisers import NUMERIC, load_recogniser
from schemas.sentences import blank_pipeline

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

MAX_WORDS = 8
"""Tokens of a name that is looked up."""

_NAME = re.compile(r"[^\W\d_a-z][^()\n]{2,}", re.S)


class Recogniser(Protocol):
    """Finds names in a text."""

    def __call__(self, text: str) -> list[tuple[int, int]]:
        """Where names begin and end."""
        ...


@dataclass(frozen=True)
class SpacyRecogniser:
    """The named entities of a trained spaCy pipeline; numbers and dates are none.

    Attributes:
        pipeline: Its name or folder.
    """

    pipeline: str

    def __call__(self, text: str) -> list[tuple[int, int]]:
        """Where names begin and end, without an article in front.

        Raises:
            InputError: If the pipeline is not installed or finds no entities.
        """
        spans: list[tuple[int, int]] = []
        for span in load_recogniser(self.pipeline)(text).ents:
            if span.label_ in NUMERIC:
                continue
            spans.append((span.start_char, span.end_char))
            if len(span) > 1 and span[0].is_stop:  # "the Netherlands"
                spans.append((span[1].idx, span.end_char))
        return spans

    def check(self, language: str) -> None:
        """Make sure that the pipeline reads a language.

        Raises:
            InputError: If it is one for another language.
        """
        own = load_recogniser(self.pipeline).lang
        if own not in ("xx", language.split("-")[0]):
            raise InputError(
                f"the spaCy pipeline {self.pipeline!r} is for texts in {own!r}, not {language!r}"
            )

    def describe(self) -> dict[str, str]:
        """Its name and version, for the manifest."""
        meta = load_recogniser(self.pipeline).meta
        return {"name": f"{meta['lang']}_{meta['name']}", "version": meta["version"]}


def is_name(text: str) -> bool:
    """Whether a title can be looked for in a text: with a capital, and without an explanation.

    "Capital city" stands in texts with a small letter, and "Mercury (planet)" never does.
    """
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class Candidates:
    """What may be names in a text.

    Attributes:
        marked: The text and its links.
        doc: Its tokens.
        recognised: Where a recogniser finds names.
        names: The texts to look up.
    """

    marked: Marked
    doc: Doc
    recognised: frozenset[tuple[int, int]]
    names: frozenset[str]

    @classmethod
    def of(cls, marked: Marked, language: str, recogniser: Recogniser | None = None) -> Candidates:
        """The spans of a text that begin with a capital, and what a recogniser finds.

        Args:
            marked: The text and its links.
            language: The language of the text.
            recogniser: Finds names by more than their form.
        """
        doc = blank_pipeline(language).make_doc(marked.text)
        recognised = frozenset(recogniser(marked.text) if recogniser else ())
        spans = (*_capitalised(doc), *recognised)
        names = (marked.text[start:end] for start, end in spans)
        return cls(marked, doc, recognised, frozenset(name for name in names if is_name(name)))

    def named(
        self,
        pages: Mapping[str, str],
        linked: Collection[str],
        is_clear: Callable[[str], bool] = lambda _: True,
    ) -> Marked:
        """The text with mentions of names that no link covers; the longer of two that overlap.

        Args:
            pages: What the names lead to.
            linked: Pages that are near, as they are linked: any of their names means them.
            is_clear: Whether a name means one page, and another one than this. Where not, it is no
                mention, and neither is any name within it.
        """
        text = self.marked.text
        found = [
            (span.start_char, span.end_char)
            for span in self._matches(self.names & pages.keys())
            if (span.start_char, span.end_char) in self.recognised
            or (_is_whole(span) and (pages[span.text] in linked or _tells(span)))
        ]
        mentions = list(self.marked.mentions)
        taken = [(mention.start, mention.end) for mention in mentions]
        for start, end in sorted(found, key=lambda span: (span[0] - span[1], span[0])):
            if any(start < other[1] and other[0] < end for other in taken):
                continue
            # Also where it is unclear: "Ocean" of "Atlantic Ocean" is no name of its own.
            taken.append((start, end))
            name = text[start:end]
            if is_clear(name):
                mentions.append(Mention(start, end, name, pages[name]))
        return Marked(text, tuple(sorted(mentions, key=lambda mention: mention.start)))

    def _matches(self, names: Collection[str]) -> list[Span]:
        if not names:
            return []
        from spacy.matcher import PhraseMatcher

        pipeline = blank_pipeline(self.doc.lang_)
        matcher = PhraseMatcher(self.doc.vocab)
        matcher.add("name", [pipeline.make_doc(name) for name in names])
        spans = [self.doc[start:end] for _, start, end in matcher(self.doc)]
        # Tokens may match where what stands between them differs.
        return [span for span in spans if span.text in names]


def _capitalised(doc: Doc) -> Iterator[tuple[int, int]]:
    """Spans from a capital on, within a line and without brackets."""
    for first in doc:
        if not _is_capital(first):
            continue
        for last in doc[first.i : first.i + MAX_WORDS]:
            if last.is_space or last.text in "()[]":
                break
            yield first.idx, last.idx + len(last)


def _tells(span: Span) -> bool:
    """Whether a span is a name by its form alone, whatever is linked nearby.

    That takes two capitalised words that are no function words, and no third one behind them:
    "Angela Merkel" is a name; "Turkey", "The Turkey" and "Association football" may be anything,
    and "Ronald Reagan" of "Ronald Reagan Airport" is somebody else.
    """
    words = [token for token in span if _is_capital(token) and not token.is_stop]
    behind = span.doc[span.end] if span.end < len(span.doc) else None
    goes_on = behind is not None and _is_capital(behind) and not behind.is_stop
    return len(words) > 1 and not goes_on


def _is_whole(span: Span) -> bool:
    """Whether no word goes on at its ends: "Austria" of "Austria-Hungary" is another one."""
    doc = span.doc
    before = doc[span.start - 1] if span.start else None
    if before is not None and before.text in _HYPHENS and not before.whitespace_:
        return False
    after = doc[span.end] if span.end < len(doc) else None
    return after is None or after.text not in _HYPHENS or bool(span[-1].whitespace_)


def _is_capital(token: Token) -> bool:
    return token.text[:1].isupper()


_HYPHENS = frozenset("-\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}/")
