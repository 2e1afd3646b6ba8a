"""Links lead where MediaWiki lets them lead."""

from __future__ import annotations

import dataclasses

import pytest

from tests.builders.docmedit.mediawiki.support import TITLES


@pytest.mark.parametrize(
    ("link", "kind", "title"),
    [
        ("berlin", "article", "Berlin"),
        (" Berlin_Wall ", "article", "Berlin Wall"),
        ("berlin#History of_it", "article", "Berlin"),
        ("#History", "none", ""),
        ("", "none", ""),
        ("AT&amp;T", "article", "AT&T"),
        ("Caf%C3%A9", "article", "Café"),
        ("100% (film)", "article", "100% (film)"),
        ("École", "article", "École"),
        ("éclair", "article", "Éclair"),
        ("ßeta", "article", "ßeta"),
        ("File:A.jpg", "dropped", ""),
        ("image:A.jpg", "dropped", ""),
        ("Category:Towns", "dropped", ""),
        (":Category:Towns", "namespace", ""),
        ("Talk:Berlin", "namespace", ""),
        ("fr:Berlin", "dropped", ""),
        (":fr:Berlin", "interwiki", ""),
        ("wikt:berlin", "interwiki", ""),
        ("Star Trek: Picard", "article", "Star Trek: Picard"),
        (":Berlin", "article", "Berlin"),
    ],
)
def test_target(link: str, kind: str, title: str) -> None:
    assert TITLES.target(link) == (kind, title)


def test_a_wiki_may_keep_small_letters() -> None:
    assert dataclasses.replace(TITLES, first_letter=False).normal("berlin") == "berlin"
