"""Sentences with their places, and which of them two texts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from builders.docmedit.mediawiki.marked import Marked
from schemas.documents import Mention
from schemas.sentences import sentence_spans

MAX_SENTENCES = 2_000
"""Sentences of a text that are compared: the time grows with their product."""

MAX_WORDS = 300
"""Words of a sentence that is compared with others word by word."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        start: Where it begins in the text.
        text: The sentence.
        mentions: The entities in it, counted from its own beginning.
    """

    start: int
    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A sentence that was inserted or reworded.

    Attributes:
        new: The sentence.
        old: The one that it takes the place of, or None where nothing did.
    """

    new: Sentence
    old: Sentence | None


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two lists of sentences side by side.

    Attributes:
        kept: Sentences that stand in both, as in the second.
        changes: Sentences of the second that the first lacks.
    """

    kept: tuple[Sentence, ...]
    changes: tuple[Change, ...]


def split(marked: Marked, language: str) -> list[Sentence]:
    """The sentences of a text; none ends within a mention."""
    mentions = [(mention.start, mention.end) for mention in marked.mentions]
    parts = (
        (start, marked.part(start, end))
        for start, end in sentence_spans(marked.text, language, mentions)
    )
    return [Sentence(start, part.text, part.mentions) for start, part in parts]


def align(before: Sequence[Sentence], after: Sequence[Sentence]) -> Alignment:
    """What two lists of sentences share, and what the second one adds."""
    before, after = before[:MAX_SENTENCES], after[:MAX_SENTENCES]
    matcher = SequenceMatcher(
        None, [s.text for s in before], [s.text for s in after], autojunk=False
    )
    known = {s.text for s in before}
    kept: list[Sentence] = []
    changes: list[Change] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            kept += after[j1:j2]
        elif tag in ("replace", "insert"):
            # A sentence that only moved is no change.
            fresh = [s for s in after[j1:j2] if s.text not in known]
            kept += [s for s in after[j1:j2] if s.text in known]
            changes += _paired(before[i1:i2], fresh)
    return Alignment(tuple(kept), tuple(changes))


def _paired(old: Sequence[Sentence], new: Sequence[Sentence]) -> list[Change]:
    """Each new sentence with the most similar old one, every old one once."""
    if len(old) * len(new) > 400:  # so much at once is no rewording
        return [Change(sentence, None) for sentence in new]
    scored = []
    words = [sentence.text.split() for sentence in old]
    for j, sentence in enumerate(new):
        mine = sentence.text.split()
        matcher = SequenceMatcher(None, b=mine, autojunk=False)
        for i, other in enumerate(words):
            if max(len(mine), len(other)) > MAX_WORDS:
                continue
            matcher.set_seq1(other)
            if (score := matcher.ratio()) >= 0.4:
                scored.append((-score, abs(i - j), i, j))
    partner: dict[int, int] = {}
    for _, _, i, j in sorted(scored):
        if j not in partner and i not in partner.values():
            partner[j] = i
    return [
        Change(sentence, old[partner[j]] if j in partner else None)
        for j, sentence in enumerate(new)
    ]


def counterpart(change: Change, mention: Mention) -> tuple[int, int, int, int] | None:
    """The words that a mention in a reworded sentence takes the place of.

    Returns:
        Start and end in the old sentence, then in the new one, or None where the words around the
        mention were not replaced.
    """
    if change.old is None:
        return None
    old, new = _words(change.old.text), _words(change.new.text)
    matcher = SequenceMatcher(
        None, [text for _, _, text in old], [text for _, _, text in new], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "replace" and new[j1][0] <= mention.start and mention.end <= new[j2 - 1][1]:
            return old[i1][0], old[i2 - 1][1], new[j1][0], new[j2 - 1][1]
    return None


def _words(text: str) -> list[tuple[int, int, str]]:
    words = []
    at = 0
    for word in text.split():
        at = text.index(word, at)
        words.append((at, at + len(word), word))
        at += len(word)
    return words
