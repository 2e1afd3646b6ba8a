"""Row rules for document edits, beside those that hold for every record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.documents import Document, DocumentRecord, Version
from schemas.findings import Finding
from schemas.rules import MAX_QUESTION, Problem, forbidden, normalised, quoted

DocumentRule = Callable[[DocumentRecord], Iterator[Problem]]


def check_document(record: DocumentRecord) -> list[Finding]:
    """Everything that is wrong with the document of a record."""
    return [
        Finding("rows", rule.__name__, record.id, column, reason)
        for rule in DOCUMENT_RULES
        for column, reason in rule(record)
    ]


def document_is_clean(record: DocumentRecord) -> Iterator[Problem]:
    """Texts of a document say something, without control characters, at a readable length."""
    document = record.document
    texts = [
        *((f"document.{name}", getattr(document, name)) for name in _NAMED),
        *((f"document.{name}.text", version.text) for name, version in _versions(document)),
        *((f"document.retrieved[{i}]", text) for i, text in enumerate(document.retrieved)),
    ]
    for i, fact in enumerate(document.facts):
        texts += [(f"document.facts[{i}].{n}", getattr(fact, n)) for n in ("id", "text", "object")]
        texts += [(f"document.facts[{i}].passage", fact.passage or fact.text)]
    for column, text in texts:
        if not text.strip():
            yield column, "is blank"
        if found := forbidden(text):
            yield column, found
        if len(text) > MAX_QUESTION:
            yield column, f"has {len(text):,} characters, more than {MAX_QUESTION:,}"


def document_changes(record: DocumentRecord) -> Iterator[Problem]:
    """The article differs between two different dates, and at least one fact explains it."""
    document = record.document
    if document.before.text == document.after.text:
        yield "document.after.text", "is the same as before"
    if document.snapshot_before == document.snapshot_after:
        yield "document.snapshot_after", f"is {quoted(document.snapshot_after)} on both sides"
    if not document.facts:
        yield "document.facts", "is empty"


def mentions_point_at_their_text(record: DocumentRecord) -> Iterator[Problem]:
    """A mention's offsets give its text; mentions are in order and do not overlap."""
    for name, version in _versions(record.document):
        end = 0
        for i, mention in enumerate(version.mentions):
            column = f"document.{name}.mentions[{i}]"
            found = version.text[max(0, mention.start) : max(0, mention.end)]
            if not mention.text or found != mention.text:
                yield column, f"points at {quoted(found)}, not at {quoted(mention.text)}"
            if mention.start < end:
                yield column, "begins before the one before it ends"
            if not mention.entity.strip():
                yield f"{column}.entity", "is blank"
            end = mention.end


def facts_are_requested(record: DocumentRecord) -> Iterator[Problem]:
    """Every fact has an id of its own, which is that of the request that states it."""
    requests = {request.id for request in record.requests}
    seen: set[str] = set()
    for i, fact in enumerate(record.document.facts):
        if fact.id in seen:
            yield f"document.facts[{i}].id", f"is {quoted(fact.id)}, like that of an earlier fact"
        elif fact.id not in requests:
            yield f"document.facts[{i}].id", f"is {quoted(fact.id)}, which is no request's"
        seen.add(fact.id)


def requests_can_be_told_apart(record: DocumentRecord) -> Iterator[Problem]:
    """No two requests ask the same, and a request's subject stands in its prompt."""
    seen: dict[str, int] = {}
    for i, request in enumerate(record.requests):
        column, asked = f"requests[{i}]", normalised(request.prompt)
        if asked in seen:
            yield f"{column}.prompt", f"is {quoted(request.prompt)}, like that of {seen[asked]}"
        seen.setdefault(asked, i)
        if request.subject is not None and request.subject not in request.prompt:
            yield f"{column}.subject", f"is {quoted(request.subject)}, not in the prompt"


def facts_show_in_the_article(record: DocumentRecord) -> Iterator[Problem]:
    """What a fact says that is new stands in the article afterwards."""
    for i, fact in enumerate(record.document.facts):
        if fact.object not in record.document.after.text:
            yield f"document.facts[{i}].object", f"is {quoted(fact.object)}, not in the after-text"


def evidence_stands_in_its_page(record: DocumentRecord) -> Iterator[Problem]:
    """A fact's sentence stands in the passage of its page where its offset says."""
    for i, fact in enumerate(record.document.facts):
        column = f"document.facts[{i}]"
        if (fact.passage is None) != (fact.start is None):
            yield f"{column}.start", "and passage are not both there"
        elif fact.passage is not None and fact.start is not None:
            found = fact.passage[max(0, fact.start) :][: len(fact.text)]
            if found != fact.text:
                yield f"{column}.start", f"points at {quoted(found)}, not at the fact's text"
        if not fact.page.strip():
            yield f"{column}.page", "is blank"


def old_statements_are_outdated(record: DocumentRecord) -> Iterator[Problem]:
    """A statement that a fact makes untrue stands in the article before, and not afterwards."""
    document = record.document
    for i, fact in enumerate(document.facts):
        column, statement = f"document.facts[{i}].statement_old", fact.statement_old
        if statement is None:
            continue
        if statement not in document.before.text:
            yield column, f"is {quoted(statement)}, not in the before-text"
        if _is_sentence_of(document.after.text, statement):
            yield column, f"is {quoted(statement)}, still in the after-text"


DOCUMENT_RULES: tuple[DocumentRule, ...] = (
    document_is_clean,
    document_changes,
    mentions_point_at_their_text,
    facts_are_requested,
    requests_can_be_told_apart,
    facts_show_in_the_article,
    evidence_stands_in_its_page,
    old_statements_are_outdated,
)
"""All row rules for documents, in the order in which their findings are reported."""

_ENDS = '.!?\n"”'


def _is_sentence_of(text: str, statement: str) -> bool:
    """Whether a statement stands in a text as a sentence, not as the end of a longer one."""
    at = text.find(statement)
    while at >= 0:
        if not (before := text[:at].rstrip(" ")) or before[-1] in _ENDS:
            return True
        at = text.find(statement, at + 1)
    return False


_NAMED = ("title", "language", "snapshot_before", "snapshot_after")


def _versions(document: Document) -> tuple[tuple[str, Version], tuple[str, Version]]:
    return ("before", document.before), ("after", document.after)
