"""What the later text of a FRUIT row adds: names that its evidence has and the earlier text lacks.

No row has requests, so they are made from these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.formats.fruit_evidence import JOINTS, Evidence
from schemas.sentences import sentences

_EDGES = "\"'“”‘’.,;:!?()[]{}*"
_OPENERS = frozenset(
    (
        *("a", "an", "the", "in", "on", "at", "by", "of", "for", "from", "to", "as", "with"),
        *("after", "before", "during", "while", "since", "when", "where", "who", "it", "its"),
        *("he", "his", "she", "her", "they", "their", "this", "that", "these", "those", "there"),
        *("and", "but", "or", "also", "however", "both", "one", "two", "most", "some", "many"),
        *("all", "no", "not", "between", "under", "over", "until", "up"),
    )
)


@dataclass(frozen=True, slots=True)
class AddedName:
    """A name that a later text adds.

    Attributes:
        prefix: What stands before it in its sentence.
        name: The name.
        evidence: The first evidence that has it.
    """

    prefix: str
    name: str
    evidence: Evidence


def added_names(
    before: str, after: str, title: str, evidence: Sequence[Evidence]
) -> list[AddedName]:
    """The names that a later text adds and the evidence has, each once, in order."""
    found: dict[str, AddedName] = {}
    for sentence in sentences(after):
        if sentence in before:
            continue
        for start, span in _names(sentence):
            # A title that is new to the text is a new name; else it is how the article is called.
            called = title in before and (span in title or span.startswith(title))
            if span in before or called:
                continue
            if any(span in other for other in found):
                continue  # the rest of a longer name, or the same one again
            told = next((e for e in evidence if _says(e, span)), None)
            if told is not None:
                found[span] = AddedName(sentence[:start].rstrip(" \"'“‘("), span, told)
    return list(found.values())


def _says(evidence: Evidence, span: str) -> bool:
    return any(span in part for part in (evidence.page, evidence.section, evidence.text))


def _names(sentence: str) -> Iterator[tuple[int, str]]:
    """Capitalised spans with their offsets; a capital that only begins the sentence is none."""
    words = [(m.start(), m.end(), m[0]) for m in re.finditer(r"\S+", sentence)]
    place = 0
    while place < len(words):
        core = words[place][2].strip(_EDGES)
        if not core[:1].isupper() or (place == 0 and core.lower() in _OPENERS):
            place += 1
            continue
        last = place
        while (following := _next_of_name(words, last)) is not None:
            last = following
        begin = words[place][0] + words[place][2].index(core)
        tail = words[last][2].strip(_EDGES)
        end = words[last][0] + words[last][2].rindex(tail) + len(tail)
        yield begin, sentence[begin:end]
        place = last + 1


def _next_of_name(words: Sequence[tuple[int, int, str]], place: int) -> int | None:
    """The word that goes on with a name, past joints such as "of"."""
    word = words[place][2]
    if word[-1] in ',;:!?)"”' or word.endswith("''"):
        return None
    if word.endswith(".") and len(word) > 4:
        return None
    following = place + 1
    while following < len(words) and words[following][2] in JOINTS:
        following += 1
    if following >= len(words) or following - place > 3:
        return None
    core = words[following][2]
    return following if core[:1].isupper() or core[:1].isdigit() else None
