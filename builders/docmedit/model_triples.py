"""Triples that a model reads from texts, with structured output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from builders.docmedit.extractors import Failed, Passage, Relations
from builders.text.protocol import TextGenerator, TextRequest, TextResult, TextTask
from schemas.documents import Triple


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExtractedTriple(_Strict):
    """One relation between two things."""

    subject: str
    relation: str
    object: str


class ExtractedTriples(_Strict):
    """What a text says."""

    triples: list[ExtractedTriple]


def _check(inputs: Mapping[str, Any], output: ExtractedTriples) -> str | None:
    text = f"{inputs['title']}\n{inputs['text']}".casefold()
    for triple in output.triples:
        if not (triple.subject.strip() and triple.relation.strip() and triple.object.strip()):
            return "leaves a part of a triple empty"
        if triple.object.strip().casefold() not in text:
            return f"names {triple.object!r}, which the text does not hold"
    return None


EXTRACT: TextTask[ExtractedTriples] = TextTask(
    name="extract_triples",
    system=(
        "You read short passages of an encyclopedia and write down what they say as triples of "
        "subject, relation and object. Reply with one JSON object of the required form and with "
        "nothing else."
    ),
    template=(
        "List the facts that the passage states. Write subjects and objects as they stand in the "
        "passage, with full names for subjects, and relations as short phrases such as `capital` "
        "or `head of government`.{relations}\nPage: {title}\nPassage: {text}"
    ),
    output=ExtractedTriples,
    check=_check,
)
"""What a model is asked for each text."""


@dataclass(frozen=True)
class ModelTriples:
    """The extractor that asks a model.

    Attributes:
        text: The model.
    """

    text: TextGenerator

    @property
    def name(self) -> str:
        """The generator's name."""
        return self.text.name

    def extract(
        self, passages: Sequence[Passage], relations: Relations
    ) -> list[Sequence[Triple] | Failed]:
        """What the model reads from every passage.

        Raises:
            BudgetExhausted: No further request may be sent.
            EndpointError: The endpoint cannot be used at all.
        """
        known = "".join(f"\n- {name}" for name in relations.names)
        told = f" Use these relations only:{known}" if known else ""
        requests = [
            TextRequest(
                task=EXTRACT,
                inputs={"title": passage.page, "text": passage.text, "relations": told},
                seed=passage.seed,
                record_id=passage.record_id,
            )
            for passage in passages
        ]
        return [_triples(result) for result in self.text.generate(requests)]

    def close(self) -> None:
        """Close the generator."""
        self.text.close()


def _triples(result: TextResult[ExtractedTriples]) -> Sequence[Triple] | Failed:
    if result.error is not None:
        return Failed(f"the model {result.error}")
    assert result.output is not None
    found = (
        Triple(t.subject.strip(), t.relation.strip(), t.object.strip())
        for t in result.output.triples
    )
    return list(dict.fromkeys(found))
