"""Entities that a text names without a link: by their titles, and the redirects to them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from builders.docmedit.mediawiki.marked import Marked
from schemas.documents import Mention

_NAME = re.compile(r"[^\W\d_a-z].{2,}", re.S)


def is_name(text: str) -> bool:
    """Whether a title can be looked for in a text: with a capital, and without an explanation.

    "Capital city" stands in texts with a small letter, and "Mercury (planet)" never does.
    """
    return _NAME.match(text) is not None and not text.endswith(")")


def with_named(marked: Marked, names: Mapping[str, str], language: str) -> Marked:
    """The text with mentions of names that no link covers; the longer of two that overlap.

    Args:
        marked: The text and its links.
        names: Entities by names that `is_name` accepts.
        language: The language of the text.
    """
    present = [name for name in names if name in marked.text]
    if not present:
        return marked
    from spacy.matcher import PhraseMatcher

    pipeline = _tokenizer(language)
    matcher = PhraseMatcher(pipeline.vocab)
    matcher.add("name", [pipeline.make_doc(name) for name in present])
    doc = pipeline.make_doc(marked.text)
    spans = [
        (doc[start].idx, doc[end - 1].idx + len(doc[end - 1])) for _, start, end in matcher(doc)
    ]
    taken = list(marked.mentions)
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        text = marked.text[start:end]
        free = all(end <= mention.start or mention.end <= start for mention in taken)
        if free and text in names:
            taken.append(Mention(start, end, text, names[text]))
    return Marked(marked.text, tuple(sorted(taken, key=lambda mention: mention.start)))


@functools.cache
def _tokenizer(language: str) -> Any:
    import spacy

    try:
        return spacy.blank(language.split("-")[0])
    except ImportError:  # a language that spaCy has no rules for
        return spacy.blank("xx")
