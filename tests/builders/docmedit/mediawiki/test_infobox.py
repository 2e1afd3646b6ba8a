"""Boxes become triples with plain values."""

from __future__ import annotations

from builders.docmedit.mediawiki import infobox
from tests.builders.docmedit.mediawiki.support import TITLES

BOX = """{{short description|x}}
{{Infobox company
| name = [[Acme]]<ref>x</ref>
| image = A.jpg
| key_people = {{ubl|[[Anna Bell]] (CEO)|[[Carl Dunn|Carl]]}}
| products = {{plainlist|
* [[Boat|Boats]]
* Cars
}}
| founded = {{start date and age|1949|2|19|df=y}}
| location1 = [[Rome]],<br />Italy
| owner =
| traded = yes
}}
'''Acme''' is {{convert|1|km}}."""


def rows() -> list[tuple[str, str]]:
    found = infobox.triples(BOX, "Acme", TITLES)
    assert {triple.subject for triple in found} <= {"Acme"}
    return [(triple.relation, triple.object) for triple in found]


def test_triples() -> None:
    assert rows() == [
        ("name", "Acme"),
        ("key people", "Anna Bell (CEO)"),
        ("key people", "Carl"),
        ("products", "Boats"),
        ("products", "Cars"),
        ("founded", "1949-02-19"),
        ("location", "Rome"),
        ("location", "Italy"),
    ]


def test_a_text_without_a_box_has_none() -> None:
    assert infobox.triples("'''A''' {{b|c=d}}", "A", TITLES) == ()
