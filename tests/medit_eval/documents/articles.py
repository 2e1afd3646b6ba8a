"""Small articles at two dates, made from sentences."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.documents import Document, Fact, Triple, Version


def make_fact(text: str, object: str, **more: object) -> Fact:  # noqa: A002
    """A fact from another page, unless said otherwise."""
    fields: dict[str, object] = {
        "id": f"fact-{object}",
        "text": text,
        "page": "Elsewhere",
        "section": "INTRODUCTION",
        "evidence": "other_page",
        "passage": None,
        "start": None,
        "object": object,
    }
    return Fact(**(fields | more))  # pyright: ignore[reportArgumentType]


def make_document(
    before: str,
    after: str,
    facts: Sequence[Fact] = (),
    *,
    title: str = "Estonia",
    triples: tuple[Sequence[Triple], Sequence[Triple]] = ((), ()),
    language: str = "en",
) -> Document:
    """A document edit."""
    return Document(
        title=title,
        page_id="1",
        language=language,
        snapshot_before="2010",
        snapshot_after="2020",
        before=Version(before, triples=tuple(triples[0])),
        after=Version(after, triples=tuple(triples[1])),
        facts=tuple(facts),
    )


BEFORE = (
    "Estonia is a country in Northern Europe. Its currency is the kroon. "
    "The capital is Tallinn, where 3.5 percent of Dr. Tamm's firms are."
)
AFTER = (
    "Estonia is a country in Northern Europe. Since 2011 its currency is the euro. "
    "The capital is Tallinn, where 3.5 percent of Dr. Tamm's firms are. "
    "Alar Karis has been its president since 2021. It is known for Jaan Kross."
)
FACTS = (
    make_fact(
        "Estonia adopted the euro in 2011.",
        "euro",
        object_old="kroon",
        statement_old="Its currency is the kroon.",
        triple=Triple("Estonia", "currency", "euro"),
    ),
    make_fact("In 2021 Alar Karis was elected president of Estonia.", "Alar Karis"),
)
ESTONIA = make_document(
    BEFORE,
    AFTER,
    FACTS,
    triples=(
        [Triple("Estonia", "capital", "Tallinn"), Triple("its", "currency", "kroon")],
        [Triple("Estonia", "capital", "Tallinn"), Triple("its", "currency", "euro")],
    ),
)
"""Two facts with evidence, and an addition, Jaan Kross, without."""
