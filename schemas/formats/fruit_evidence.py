"""Evidence of FRUIT and DocMEdit rows: one line that names page, section and sentence.

Where a section ends and the sentence begins is not marked, and guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.documents import Document

INTRODUCTION = "INTRODUCTION"
"""How the formats call the section before the first heading."""

JOINTS = frozenset(
    ("of", "the", "&", "de", "la", "del", "der", "van", "von", "di", "da", "do", "dos", "for")
)
"""Words in small letters within names and headings."""

_NUMBERED = re.compile(r"^\s*\(\d{1,3}\)\s+")
_TABLE = re.compile(r"(.{0,300}?Table-\d+-\d+) (?=\[|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence, list or table row of another page.

    Attributes:
        page: The page's title.
        section: Its section; empty where it cannot be told from the text.
        text: The sentence.
    """

    page: str
    section: str
    text: str

    @classmethod
    def parse(cls, line: str) -> Evidence:
        """The parts of `Page_title SECTION text`, with or without a number before it."""
        page, _, rest = _NUMBERED.sub("", line).strip().partition(" ")
        section, text = _split(rest.strip())
        return cls(page.replace("_", " "), section, text)

    @property
    def line(self) -> str:
        """The same in one line, as the formats have it."""
        return " ".join(part for part in (slug(self.page), self.section, self.text) if part)


def evidence_lines(document: Document) -> list[str]:
    """The evidence of a document's facts, each line once."""
    lines = (Evidence(fact.page, fact.section, fact.text).line for fact in document.facts)
    return list(dict.fromkeys(lines))


def slug(title: str) -> str:
    """A page's title as the formats have it."""
    return title.replace(" ", "_")


def _split(text: str) -> tuple[str, str]:
    """Section and sentence: a table's name, else the words before a list or a sentence."""
    if text.startswith(f"{INTRODUCTION} "):
        table = _TABLE.match(text)
        section = table[1] if table else INTRODUCTION
        return section, text[len(section) :].strip()
    if table := _TABLE.match(text):
        return table[1], text[table.end() :].strip()
    words = text.split(" ")
    for place, word in enumerate(words[1:], 1):
        last, following = words[place - 1], words[place + 1 : place + 2]
        begins = word[:1].isupper() and last.lower() not in {"-", "–", "and", *JOINTS}
        if word == "*" or (begins and following and not following[0][:1].isupper()):
            if following and following[0] in ("&", "-") and word != "*":
                continue
            return " ".join(words[:place]), " ".join(words[place:])
    return "", text
