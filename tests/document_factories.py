"""Small documents that tests share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders.docmedit.draft import Asked, Draft, Elsewhere, Hop, Kept
from builders.docmedit.record import assemble
from schemas.documents import Document, DocumentRecord, Fact, Mention, Triple, Version

BEFORE = "Ada Berg was born in Oslo. Ada Berg works for Nordfrost. They play the cello."
AFTER = "Ada Berg was born in Oslo. Ada Berg works for Sundal. They play the cello."
PASSAGE = "Sundal is a company in Bergen. Ada Berg joined Sundal in 2020."


def make_document(**overrides: Any) -> Document:
    """Somebody who changes employer."""
    start = AFTER.index("Sundal")
    fact = Fact(
        id="f0",
        text="Ada Berg joined Sundal in 2020.",
        page="Sundal",
        section="INTRODUCTION",
        evidence="other_page",
        passage=PASSAGE,
        start=PASSAGE.index("Ada"),
        object="Sundal",
        object_old="Nordfrost",
        triple=Triple("Ada Berg", "employer", "Sundal"),
        statement_old="Ada Berg works for Nordfrost.",
    )
    document = Document(
        title="Ada Berg",
        page_id=None,
        language="en",
        snapshot_before="2019-01-01",
        snapshot_after="2021-01-01",
        before=Version(BEFORE, triples=(Triple("Ada Berg", "employer", "Nordfrost"),)),
        after=Version(
            AFTER,
            mentions=(Mention(start, start + 6, "Sundal", "Sundal"),),
            triples=(Triple("Ada Berg", "employer", "Sundal"),),
        ),
        facts=(fact,),
        retrieved=("Ada Berg joined Sundal in 2020.", "Sundal is a company in Bergen."),
    )
    return replace(document, **overrides)


def make_draft(**overrides: Any) -> Draft:
    """The same with questions, and with a document that stays as it is."""
    asked = Asked(
        prompt="Ada Berg works for",
        subject="Ada Berg",
        questions=("Who employs Ada Berg?",),
        rephrasings=(
            "Name the employer of Ada Berg.",
            "Which company does Ada Berg work for?",
            "The company that pays Ada Berg is",
            "For whom does Ada Berg work?",
        ),
        hops=(Hop("In which city is the employer of Ada Berg based?", "Bergen", "Tromsø", 1),),
    )
    kept = (
        Kept("unchanged_sentence", "Ada Berg", "Ada Berg was born in", "Oslo"),
        Kept("related_document", "Sundal", "Sundal is a company in", "Bergen"),
        Kept("random_document", "Peru", "The capital of Peru is", "Lima"),
    )
    elsewhere = (Elsewhere("random_document", "Peru", "Peru is a country. Its capital is Lima."),)
    return replace(Draft(make_document(), (asked,), kept, elsewhere), **overrides)


def make_document_record(**overrides: Any) -> DocumentRecord:
    """The record of that draft."""
    return replace(assemble(make_draft(), "tests", [("document", "source")]), **overrides)
