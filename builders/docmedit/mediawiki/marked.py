"""Text with marked entities, whose marks stay right when the text is cleaned."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.documents import Mention

MAX_ROUNDS = 100
"""How deep empty brackets may stand in each other."""

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\N{ZERO WIDTH SPACE}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{ZERO WIDTH NO-BREAK SPACE}\N{SOFT HYPHEN}\ud800-\udfff]"
)

_CLEANING = (
    (_FORBIDDEN, ""),
    (re.compile(r"'{2,}"), ""),  # marks of italics that nobody closed
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r" ?\n[ \n]*"), "\n"),
    (re.compile(r"\A\s+|\s+\Z"), ""),
)

_LEFT_BY_TEMPLATES = (
    # "(; born 1954)" and "(, , 1954)": what separated parts that are gone.
    (re.compile(r"(?<=[(\[]) ?[;,:/\N{EN DASH}](?: ?[;,:])* ?"), ""),
    (re.compile(r"([;,:]) ?(?:[;,:] ?)+(?=[^;,:\s])"), r"\1 "),
    (re.compile(r" ?[;,:] ?(?=\))"), ""),
    (re.compile(r"(?<=\() | (?=\))"), ""),
    (re.compile(r" ?\(\)"), ""),
    (re.compile(r" (?=[.,;)](?:\s|\Z))"), ""),
    (re.compile(r"(?<=,),(?=\s)"), ""),
    (re.compile(r"  +"), " "),
    (re.compile(r" ?\n ?"), "\n"),
    (re.compile(r"\A[\s,;:]+(?=\w)|\A\s+|\s+\Z"), ""),
)


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and the entities in it, in order and apart.

    Attributes:
        text: The text.
        mentions: The entities; `text[m.start:m.end] == m.text` for each.
    """

    text: str
    mentions: tuple[Mention, ...] = ()

    @classmethod
    def joined(cls, pieces: Iterable[tuple[str, str | None]]) -> Marked:
        """Pieces of text, each with the entity that it names or None, as one.

        Neighbours that name the same are one mention: a link and the letters that follow it.
        """
        texts: list[str] = []
        mentions: list[Mention] = []
        at = 0
        for text, entity in pieces:
            if entity is not None and text:
                if mentions and mentions[-1].end == at and mentions[-1].entity == entity:
                    last = mentions.pop()
                    mentions.append(Mention(last.start, at + len(text), last.text + text, entity))
                else:
                    mentions.append(Mention(at, at + len(text), text, entity))
            texts.append(text)
            at += len(text)
        return cls("".join(texts), tuple(mentions))

    def cleaned(self) -> Marked:
        """Without control characters, doubled spaces, and what dropped templates leave behind."""
        marked = self
        for pattern, replacement in _CLEANING:
            marked = marked.replaced(pattern, replacement)
        # Again: a bracket that becomes empty may stand in another one.
        for _ in range(MAX_ROUNDS):
            last = marked.text
            for pattern, replacement in _LEFT_BY_TEMPLATES:
                marked = marked.replaced(pattern, replacement)
            if marked.text == last:
                break
        return marked

    def replaced(self, pattern: re.Pattern[str], replacement: str) -> Marked:
        """The text with all matches replaced, and the mentions where they are then.

        A mention loses what is replaced at its ends, and is dropped where nothing is left of it.
        """
        literal = "\\" not in replacement  # expanding costs more than finding
        cuts = [
            (m.start(), m.end(), replacement if literal else m.expand(replacement))
            for m in pattern.finditer(self.text)
        ]
        if not cuts:
            return self
        pieces: list[str] = []
        starts, shifts = [0], [0]
        done = shift = 0
        for start, end, new in cuts:
            pieces += (self.text[done:start], new)
            shift += len(new) - (end - start)
            starts.append(end)
            shifts.append(shift)
            done = end
        pieces.append(self.text[done:])
        text = "".join(pieces)
        cut_starts = [start for start, _, _ in cuts]

        def moved(position: int, *, begins: bool) -> int:
            before = bisect_right(cut_starts, position - 1)
            if before:
                start, end, new = cuts[before - 1]
                if start < position < end:
                    return start + shifts[before - 1] + (len(new) if begins else 0)
            return position + shifts[bisect_right(starts, position) - 1]

        mentions = [
            mention
            for old in self.mentions
            if (
                mention := _trimmed(
                    text, moved(old.start, begins=True), moved(old.end, begins=False), old.entity
                )
            )
        ]
        return Marked(text, tuple(mentions))

    def part(self, start: int, end: int) -> Marked:
        """The text from `start` to `end`, with the mentions that lie wholly in it."""
        mentions = tuple(
            Mention(m.start - start, m.end - start, m.text, m.entity)
            for m in self.mentions
            if start <= m.start and m.end <= end
        )
        return Marked(self.text[start:end], mentions)


def stacked(parts: Iterable[Marked]) -> Marked:
    """Texts as lines of one."""
    texts: list[str] = []
    mentions: list[Mention] = []
    at = 0
    for part in parts:
        mentions += [Mention(m.start + at, m.end + at, m.text, m.entity) for m in part.mentions]
        texts.append(part.text)
        at += len(part.text) + 1
    return Marked("\n".join(texts), tuple(mentions))


def _trimmed(text: str, start: int, end: int, entity: str) -> Mention | None:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return Mention(start, end, text[start:end], entity) if start < end else None
