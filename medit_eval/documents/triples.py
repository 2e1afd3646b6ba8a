"""Triples that a sentence states."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from medit_eval.metrics.matching import normalise, says
from schemas.documents import Document, Triple

Extractor = Callable[[str, Document], Iterable[Triple]]
"""From a sentence, and the article that it is about, to the triples that it states."""


def stated_triples(sentence: str, document: Document) -> list[Triple]:
    """The known triples that a sentence states.

    Known are those of the article before and after and of its facts, the latter also with what
    they replace. A sentence states one if it holds its object, and its subject or the article's
    title. The relation is not looked at.
    """
    known: dict[Triple, None] = dict.fromkeys(document.before.triples + document.after.triples)
    for fact in document.facts:
        if fact.triple is not None:
            known[fact.triple] = None
            if fact.object_old is not None:
                known[Triple(fact.triple.subject, fact.triple.relation, fact.object_old)] = None
    return [
        triple
        for triple in known
        if says(sentence, [triple.object])
        and (says(sentence, [triple.subject]) or says(sentence, [document.title]))
    ]


def key(triple: Triple) -> tuple[str, str, str]:
    """The triple in a form in which equal ones are equal."""
    return normalise(triple.subject), normalise(triple.relation), normalise(triple.object)
