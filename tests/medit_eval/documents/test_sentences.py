"""Sentences, and which of them are new."""

from __future__ import annotations

from medit_eval.documents.sentences import additions, holds, sentences, squash


def test_lines_are_taken_by_themselves() -> None:
    assert sentences("A heading\n\nOne  two.\tThree.\r\n") == ("A heading", "One two.", "Three.")
    assert sentences(" \n ") == ()


def test_broken_text_is_split() -> None:
    assert " ".join(sentences("One \ud800 is. Two\0 is.")) == "One ? is. Two\0 is."


def test_a_part_is_held_as_whole_words() -> None:
    assert holds("He left Rome.", "He left")
    assert not holds("He left Rome.", "He left Ro")
    assert not holds("She left.", "he left.")
    assert holds("She left. Then he left.", "he left.")
    assert not holds("Rome", "")
    assert not holds("", "Rome")


def test_what_only_moved_or_breaks_off_is_no_addition() -> None:
    before = "One is here. Two is there. Three is gone."
    assert additions(before, "Three is gone. One  is\nhere. Two is") == ()
    assert additions(before, before) == ()
    assert additions(before, "") == ()


def test_an_addition_knows_what_it_replaces() -> None:
    before = "Rome is old. The capital is Bonn since then."
    changed, new = additions(before, "The capital is Berlin since then. Ada won a prize.")
    assert changed.replaces == "The capital is Bonn since then."
    assert new.replaces is None


def test_all_is_new_to_an_empty_text() -> None:
    assert [a.text for a in additions("", "One. Two.")] == ["One.", "Two."]


def test_accents_may_be_composed_or_not() -> None:
    assert squash("Orle\u0301ans  is") == "Orl\u00e9ans is"
    assert additions("Orle\u0301ans is.", "Orl\u00e9ans is.") == ()
