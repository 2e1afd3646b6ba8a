"""What a document edit is: an edit record with the article before, the article after, and why.

A record of this kind is an `EditRecord` all the same, so editors and scorers that know nothing of
documents can read it: its facts stand in `requests`, its questions in `probes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from schemas.records import EditRecord

Evidence = Literal["other_page", "same_document", "source"]
"""Where a fact's sentence stands: on another page, in the article itself, or, for imported records,
wherever the source took it from."""


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity in a text.

    Attributes:
        start: Where it begins, in characters.
        end: Where it ends; the character there is no part of it.
        text: What stands there.
        entity: The title of the page that it names, redirects resolved.
    """

    start: int
    end: int
    text: str
    entity: str


@dataclass(frozen=True, slots=True)
class Triple:
    """One relation between two things, in words.

    Attributes:
        subject: What it is said of.
        relation: What is said, as a short phrase such as `capital`.
        object: What it is.
    """

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Version:
    """An article's introduction at one date.

    Attributes:
        text: Plain text.
        mentions: The entities in it, in order; they do not overlap.
        triples: What it says.
        revision: The source's id of this version.
        timestamp: When it was written, in ISO 8601.
    """

    text: str
    mentions: tuple[Mention, ...] = ()
    triples: tuple[Triple, ...] = ()
    revision: str | None = None
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that explains the change, with the page that it comes from.

    Attributes:
        id: Unique in its record; that of the request that states it.
        text: A sentence that states it.
        page: The title of the page where the sentence stands.
        section: The section of that page.
        evidence: What that page is to the article.
        passage: The paragraph or section that holds the sentence, or None where the source does
            not give it.
        start: Where the sentence begins in the passage, in characters; None without passage.
        object: What the fact says that is new, as it stands in the article afterwards.
        object_old: What stood there before, or None where nothing did or nobody knows.
        triple: The same as a triple, or None where no extractor found one.
        statement_old: The sentence of the article that the fact makes untrue, or None.
    """

    id: str
    text: str
    page: str
    section: str
    evidence: Evidence
    passage: str | None
    start: int | None
    object: str
    object_old: str | None = None
    triple: Triple | None = None
    statement_old: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An article at two dates, and the facts between them.

    Attributes:
        title: Its title, afterwards.
        page_id: The source's id of the page.
        language: As a BCP 47 tag, for example `en`.
        snapshot_before: The first date, as the source gives it.
        snapshot_after: The second one.
        before: The introduction at the first date.
        after: The introduction at the second one.
        facts: What explains the change, at least one.
        retrieved: Sentences that a search for the article finds, in its order; some are no facts
            about the change. Empty where the source offers no search.
    """

    title: str
    page_id: str | None
    language: str
    snapshot_before: str
    snapshot_after: str
    before: Version
    after: Version
    facts: tuple[Fact, ...]
    retrieved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentRecord(EditRecord):
    """One document edit.

    Attributes:
        document: The article before and after, and the facts that explain the change.
    """

    document: Document = field(kw_only=True)


def told(fact: Fact) -> str:
    """A fact as it is shown: its sentence, behind its page's title where it does not say the new.

    A sentence of another page may say "he", and mean whom the page is about.
    """
    return fact.text if fact.object in fact.text else f"{fact.page}: {fact.text}"
