"""A prompt holds its subject and ends where the answer stands."""

from __future__ import annotations

import pytest

from builders.docmedit.mediawiki.asking import cloze
from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.sentences import split


def put(title: str, *pieces: tuple[str, str | None]) -> tuple[str, str | None] | None:
    (sentence,) = split(Marked.joined(pieces), "en")
    asked = cloze(title, sentence, sentence.mentions[-1])
    return asked and (asked.prompt, asked.subject)


@pytest.mark.parametrize(
    ("title", "start", "prompt", "subject"),
    [
        ("Rome", "It lies on the ", "Rome: It lies on the", "Rome"),
        ("Rome", "The city of Rome lies on the ", "The city of Rome lies on the", "Rome"),
        ("IPhone", "An iPhone is made by ", "An iPhone is made by", "iPhone"),
        ("EBay", "In 1999 eBay bought ", "In 1999 eBay bought", "eBay"),
        ("Apple (firm)", "In 1999 Apple bought ", "In 1999 Apple bought", "Apple"),
        ("Rome", "The Romeo club plays in ", "Rome: The Romeo club plays in", "Rome"),
        (
            "Apple Store",
            "An apple STORE holds ",
            "Apple Store: An apple STORE holds",
            "Apple Store",
        ),
    ],
)
def test_the_subject_stands_in_the_prompt(
    title: str, start: str, prompt: str, subject: str
) -> None:
    assert put(title, (start, None), ("Acme", "Acme"), (".", None)) == (prompt, subject)


def test_the_title_in_another_name_is_no_subject() -> None:
    wall = ("Berlin Wall", "Berlin Wall")
    assert put("Berlin", ("It has the ", None), wall, (" and the ", None), ("Gate", "Gate")) == (
        "Berlin: It has the Berlin Wall and the",
        "Berlin",
    )
    show = ("The ", None), ("Ren", "Ren"), (" Show was made by ", None), ("Acme", "Acme")
    assert put("The Ren Show", *show) == ("The Ren Show was made by", "The Ren Show")


def test_the_prompt_ends_at_the_link_and_not_at_its_words() -> None:
    port = ("Port", "Port"), (".", None)
    assert put("Rome", ("The Portland firm moved to ", None), *port) == (
        "Rome: The Portland firm moved to",
        "Rome",
    )
    assert put("Rome", ("The port firm moved to ", None), *port) is None
    assert put("Rome", ("It lies at Air", None), *port) is None


@pytest.mark.parametrize("start", ["", "In ", "The "])
def test_too_little_is_no_prompt(start: str) -> None:
    assert put("Rome", (start, None), ("Acme", "Acme"), (" grew.", None)) is None


def test_a_title_that_gives_the_answer_is_no_prompt() -> None:
    assert put("Acme Hall", ("It was built by ", None), ("Acme", "Acme")) is None
