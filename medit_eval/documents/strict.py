"""Scores of a rewritten document to rely on: precision beside recall, undefined never a number.

Only what the gold adds and the evidence supports is wanted. What the gold adds without support can
be asked of nobody and is no fault either: it is ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields

from medit_eval.documents.entities import Entity, Recogniser, by_form
from medit_eval.documents.rates import NAN, Rates, rates, set_rates, share
from medit_eval.documents.rouge import rouge_l, similarity, words
from medit_eval.documents.sentences import Addition, additions, holds, sentences, squash
from medit_eval.documents.triples import Extractor, key, stated_triples
from medit_eval.metrics.matching import normalise, says
from schemas.documents import Document, Fact

GRAM = 4
"""Words in a row whose return counts as repetition."""


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """The strict judgement of one output; every number may be NaN, for undefined.

    Attributes:
        additions: ROUGE-L of the added sentences against the gold's.
        entities: Names that were added.
        numbers: Numbers that were added.
        facts: Recall of the facts, and precision of all that was added by the evidence.
        triples: Triples that the added sentences state.
        removals: Share of the stale statements that are gone.
        retention: Share of the unchanged sentences that are still there, word by word.
        retention_rouge: How much of them is, by ROUGE-L with the most similar sentence.
        length_ratio: Words of the output by words of the gold.
        repetition: Share of the rows of four words that were there before in the output.
        exact: Whether the output is the gold, up to spacing.
    """

    additions: Rates
    entities: Rates
    numbers: Rates
    facts: Rates
    triples: Rates
    removals: float
    retention: float
    retention_rouge: float
    length_ratio: float
    repetition: float
    exact: float

    def values(self) -> dict[str, float]:
        """The numbers by name; of rates for example `facts_precision`."""
        flat: dict[str, float] = {}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if isinstance(value, Rates):
                parts = (("precision", value.precision), ("recall", value.recall), ("f1", value.f1))
                flat |= {f"{name}_{part}": number for part, number in parts}
            else:
                flat[name] = value
        return flat


def strict_score(
    document: Document,
    output: str,
    recogniser: Recogniser | None = None,
    extractor: Extractor | None = None,
) -> DocumentScore:
    """The strict judgement of an output.

    Args:
        document: The article before and after, with the facts of the change.
        output: What the model wrote.
        recogniser: Finds names and numbers; None finds them by form (`entities.by_form`).
        extractor: Finds triples; None matches the article's own (`stated_triples`).
    """
    return _Judgement(document, output, recogniser or by_form, extractor or stated_triples).score()


class _Judgement:
    """One output beside its article; holds what several scores need."""

    def __init__(
        self, document: Document, output: str, recogniser: Recogniser, extractor: Extractor
    ) -> None:
        self.document = document
        self.before = squash(document.before.text)
        self.after = squash(document.after.text)
        self.output = squash(output)
        self.recogniser = recogniser
        self.extractor = extractor
        self.evidence = "\n".join(
            part for fact in document.facts for part in (fact.page, fact.text)
        )
        language = document.language
        self.old = sentences(document.before.text, language)
        self.said = sentences(output, language)
        self.gold = additions(document.before.text, document.after.text, language)
        self.given = additions(document.before.text, output, language)
        self.gold_entities = self._new_entities(document.after.text)
        self.given_entities = self._new_entities(output)
        self.facts = [
            fact
            for fact in document.facts
            if _states(self.gold, fact) and self._supported(fact.object)
        ]

    def score(self) -> DocumentScore:
        unchanged = [sentence for sentence in self.old if holds(self.after, sentence)]
        held = sum(holds(self.output, sentence) for sentence in unchanged)
        spoken = [words(sentence) for sentence in self.said]
        alike = [
            1.0
            if holds(self.output, sentence)
            else max((similarity(words(sentence), other) for other in spoken), default=0.0)
            for sentence in unchanged
        ]
        all_words = words(self.output)
        return DocumentScore(
            additions=self._additions(),
            entities=self._entities("name"),
            numbers=self._entities("number"),
            facts=self._facts(),
            triples=self._triples(),
            removals=self._removals(),
            retention=share(held, len(unchanged)),
            retention_rouge=sum(alike) / len(alike) if alike else NAN,
            length_ratio=share(len(all_words), len(words(self.after))),
            repetition=repetition(all_words),
            exact=float(self.output == self.after),
        )

    def _additions(self) -> Rates:
        named = [entity.text for entity in self.gold_entities if self._supported(entity.text)]
        wanted, ignored = [], set()
        for sentence in self.gold:
            if says(sentence.text, named) or any(_states([sentence], fact) for fact in self.facts):
                wanted.append(sentence.text)
            else:
                ignored.add(sentence.text)
        given = [sentence.text for sentence in self.given if sentence.text not in ignored]
        return rouge_l(words(" ".join(given)), words(" ".join(wanted)))

    def _entities(self, kind: str) -> Rates:
        wanted = {
            normalise(entity.text)
            for entity in self.gold_entities
            if entity.kind == kind and self._supported(entity.text)
        }
        found = {name for name in wanted if says(self.output, [name])}
        given = {normalise(entity.text) for entity in self.given_entities if entity.kind == kind}
        return self._judge(given | found, len(found), len(wanted))

    def _facts(self) -> Rates:
        """Facts that were added, and whether the evidence has what else was."""
        found = [fact for fact in self.facts if _states(self.given, fact)]
        stated = {normalise(fact.object) for fact in found} - {""}
        added = {normalise(entity.text) for entity in self.given_entities}
        claims = stated | {
            name for name in added if not any(says(known, [name]) for known in stated)
        }
        kept = {name for name in claims if self._supported(name) or not says(self.after, [name])}
        right = sum(self._supported(name) for name in kept)
        return rates(right, len(kept), len(found), len(self.facts))

    def _judge(self, given: Collection[str], found: int, wanted: int) -> Rates:
        """Rates of surfaces: right is what the gold has, with support."""
        gold = {name for name in given if says(self.after, [name])}
        right = sum(self._supported(name) for name in gold)
        return rates(right, len(given) - (len(gold) - right), found, wanted)

    def _triples(self) -> Rates:
        document = self.document
        before = self._extract(self.old) | {key(triple) for triple in document.before.triples}
        gold = self._extract([sentence.text for sentence in self.gold])
        after = self._extract(sentences(document.after.text, document.language)) | {
            key(triple) for triple in document.after.triples
        }
        explained = {key(fact.triple) for fact in document.facts if fact.triple is not None}
        wanted = {
            triple for triple in gold - before if triple in explained or self._supported(triple[2])
        }
        given = self._extract([sentence.text for sentence in self.given])
        return set_rates(given, wanted, (gold | (before & after)) - wanted)

    def _removals(self) -> float:
        stale = {
            (fact.statement_old, fact.object_old): fact
            for fact in self.document.facts
            if self._stale_statement(fact) or self._stale_object(fact)
        }
        return share(sum(self._gone(fact) for fact in stale.values()), len(stale))

    def _stale_statement(self, fact: Fact) -> bool:
        statement = squash(fact.statement_old or "")
        return holds(self.before, statement) and not holds(self.after, statement)

    def _stale_object(self, fact: Fact) -> bool:
        old = [fact.object_old or ""]
        return says(self.before, old) and not says(self.after, old)

    def _gone(self, fact: Fact) -> bool:
        if self._stale_statement(fact) and holds(self.output, squash(fact.statement_old or "")):
            return False
        if fact.object_old is None:
            return True
        if self._stale_object(fact):
            return not says(self.output, [fact.object_old])
        # The article may go on to name the old object, as a thing of the past: what is left of the
        # statement are sentences that name it, but not what took its place.
        return not any(
            says(sentence, [fact.object_old]) and not says(sentence, [fact.object])
            for sentence in self.said
            if not holds(self.after, sentence)
        )

    def _new_entities(self, text: str) -> list[Entity]:
        return [
            entity
            for entity in self.recogniser(text)
            if normalise(entity.text) and not says(self.before, [entity.text])
        ]

    def _supported(self, name: str) -> bool:
        return says(self.evidence, [name])

    def _extract(self, texts: Iterable[str]) -> set[tuple[str, str, str]]:
        return {key(found) for text in texts for found in self.extractor(text, self.document)}


def repetition(all_words: Sequence[str]) -> float:
    """Share of the rows of four words that came earlier in the text; NaN for fewer than four."""
    grams = [tuple(all_words[i : i + GRAM]) for i in range(len(all_words) - GRAM + 1)]
    return share(len(grams) - len(set(grams)), len(grams))


def _states(added: Sequence[Addition], fact: Fact) -> bool:
    """Whether an added sentence says a fact's object, and the one that it replaces does not."""
    return any(
        says(sentence.text, [fact.object])
        and not (sentence.replaces is not None and says(sentence.replaces, [fact.object]))
        for sentence in added
    )
