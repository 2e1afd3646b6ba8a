"""From a draft to a record: what editors get, and what they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from builders.docmedit.draft import Asked, Draft, Kept
from builders.seeds import content_id
from schemas.documents import Document, DocumentRecord, Fact, told
from schemas.records import Axis, EditRequest, Expectation, Probe, Provenance, Sample
from schemas.rules import normalised

EDITOR_REPHRASINGS = 2
"""Rephrasings of a fact that go to the editor instead of the probes, where there are enough."""

EDITOR_KEPT = 1
"""Statements that must not change that go to the editor as negative samples; see above."""

T = TypeVar("T")

_ELSEWHERE = {"related_document": "rewrite_related", "random_document": "rewrite_random"}


def record_id(document: Document) -> str:
    """The id of a document's record: a digest of its title, dates and texts."""
    edition = (document.title, document.snapshot_before, document.snapshot_after)
    return content_id(*edition, document.before.text, document.after.text)


def assemble(draft: Draft, source: str, generators: Sequence[tuple[str, str]]) -> DocumentRecord:
    """The finished record of a draft.

    Args:
        draft: The draft; how each of its facts is put stands in the order of the facts.
        source: The source's name.
        generators: Fields with the name of what made them.
    """
    document = draft.document
    kept, negatives = _shared(draft.kept, EDITOR_KEPT)
    # A wording is asked once, by whatever has it first; the editor's negatives never.
    given_away = (one.prompt for one in negatives)
    questions = _Questions([*(asked.prompt for asked in draft.asked), *given_away])
    requests, probes = [], []
    for fact, asked in zip(document.facts, draft.asked, strict=True):
        rephrasings, given = _shared(questions.new(asked.rephrasings), EDITOR_REPHRASINGS)
        requests.append(_request(fact, asked, given, negatives))
        probes += _probes(fact, asked, rephrasings, questions)
    probes += [
        Probe(
            id="",
            axis="locality",
            kind=one.kind,
            expectation="unchanged",
            prompts=(one.prompt,),
            images=(),
            answers=(one.answer,),
        )
        for one in kept
        if questions.new((one.prompt,))
    ]
    probes += _rewriting(draft)
    made = [Provenance(field, source, generator) for field, generator in generators]
    return DocumentRecord(
        id=record_id(document),
        requests=tuple(requests),
        probes=tuple(_numbered(probes)),
        provenance=tuple(made),
        extra=draft.extra,
        document=document,
    )


def _request(
    fact: Fact, asked: Asked, rephrasings: Sequence[str], negatives: Sequence[Kept]
) -> EditRequest:
    return EditRequest(
        id=fact.id,
        prompt=asked.prompt,
        image=None,
        subject=asked.subject,
        target_new=fact.object,
        target_new_aliases=asked.aliases,
        target_true=fact.object_old,
        positives=tuple(Sample("rephrase", text, None, fact.object) for text in rephrasings),
        negatives=tuple(Sample(one.kind, one.prompt, None, one.answer) for one in negatives),
        facts=(told(fact),),
    )


def _probes(
    fact: Fact, asked: Asked, rephrasings: Sequence[str], questions: _Questions
) -> Iterator[Probe]:
    """What is asked of one fact."""
    old = () if fact.object_old is None else (fact.object_old,)

    def probe(axis: Axis, kind: str, prompts: Sequence[str]) -> Probe:
        answers = (fact.object, *asked.aliases)
        return Probe("", axis, kind, "target", tuple(prompts), (), answers, old)

    yield probe("reliability", "edit", (asked.prompt,))
    if more := questions.new(asked.questions):
        yield probe("reliability", "question", more)
    if rephrasings:
        yield probe("generality", "rephrase", rephrasings)
    for hop in asked.hops:
        if not questions.new((hop.question,)):
            continue
        before = () if hop.answer_old in (None, hop.answer) else (hop.answer_old,)
        kind = {1: "one_hop", 2: "two_hop"}.get(hop.hops, "hop")
        yield Probe(
            "", "portability", kind, "target", (hop.question,), (), (hop.answer,), before, hop.hops
        )


def _rewriting(draft: Draft) -> Iterator[Probe]:
    """Documents to be rewritten: the article, and others, which are to stay as they are."""

    def probe(kind: str, expectation: Expectation, before: str, after: str) -> Probe:
        return Probe("", "document", kind, expectation, (before,), (), (after,))

    document = draft.document
    yield probe("rewrite", "target", document.before.text, document.after.text)
    for other in draft.elsewhere:
        yield probe(_ELSEWHERE[other.kind], "unchanged", other.text, other.text)


class _Questions:
    """The wordings that are taken in a record."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(map(normalised, taken))

    def new(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """The prompts that nobody has asked yet; they count as asked from now on."""
        found = []
        for prompt in prompts:
            if (key := normalised(prompt)) not in self._taken:
                self._taken.add(key)
                found.append(prompt)
        return tuple(found)


def _shared(items: Sequence[T], editors: int) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """The part for the probes and the part for editors, which get none of the last two."""
    count = min(editors, max(0, len(items) - 2))
    return tuple(items[: len(items) - count]), tuple(items[len(items) - count :])


def _numbered(probes: Sequence[Probe]) -> Iterator[Probe]:
    """The probes with their ids: kind, and a number from the second one of a kind on."""
    counts: dict[str, int] = {}
    for probe in probes:
        number = counts[probe.kind] = counts.get(probe.kind, 0) + 1
        yield replace(probe, id=probe.kind if number == 1 else f"{probe.kind}-{number}")
