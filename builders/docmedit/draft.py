"""What every source of document edits gives: an article at two dates, and what may be asked of it.

A source gives drafts as rows: `to_row(draft)` from `schemas.arrow` is their JSON form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.documents import Document

Kind = Literal["unchanged_sentence", "related_document", "random_document"]
"""Where a statement that must not change stands: in the article, in one that is linked with it, or
in any other."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A question that chains a fact with others.

    Attributes:
        question: The question.
        answer: Its answer after the edit.
        answer_old: Its answer before, or None where nobody knows.
        hops: How many further facts are chained.
    """

    question: str
    answer: str
    answer_old: str | None
    hops: int


@dataclass(frozen=True, slots=True)
class Asked:
    """How one fact is put to an editor and asked about.

    Attributes:
        prompt: A text whose continuation is the fact's object; what is edited.
        subject: Whom or what the prompt is about, as it stands in it, or None.
        questions: Questions whose answer is the object, or other texts that it continues; the
            first are asked for reliability, together with the prompt.
        rephrasings: The same in other words, for generality.
        aliases: Other accepted wordings of the object.
        hops: Questions further on.
    """

    prompt: str
    subject: str | None
    questions: tuple[str, ...] = ()
    rephrasings: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement that the edit must not touch.

    Attributes:
        kind: Where it stands.
        title: The article that it stands in.
        prompt: A text, or a question.
        answer: What continues or answers it, before as after.
    """

    kind: Kind
    title: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another article, whose text is to stay as it is when it is rewritten.

    Attributes:
        kind: What it is to the edited one.
        title: Its title.
        text: Its introduction.
    """

    kind: Literal["related_document", "random_document"]
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document edit before it becomes a record.

    Attributes:
        document: The article, before and after, with its facts.
        asked: How each fact is put, in the order of the facts.
        kept: What must not change.
        elsewhere: Other articles.
        extra: JSON object with what an imported row holds beside all that.
    """

    document: Document
    asked: tuple[Asked, ...]
    kept: tuple[Kept, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    extra: str | None = None
