"""Sentences are found where they stand, and paired with what they replace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.sentences import align, counterpart, split


def sentences(text: str) -> list[str]:
    return [s.text for s in split(Marked(text), "en")]


def test_abbreviations_brackets_and_lines() -> None:
    text = "Dr. Smith (b. 1954. He lives) went to Acme Corp. in May. He left.\nA line\nAnother."
    assert sentences(text) == [
        "Dr. Smith (b. 1954. He lives) went to Acme Corp. in May.",
        "He left.",
        "A line",
        "Another.",
    ]


def test_a_mention_is_never_cut() -> None:
    marked = Marked.joined([("He wrote ", None), ("Stop. Look. Go", "Book"), (". It sold.", None)])
    first, second = split(marked, "en")
    assert first.text == "He wrote Stop. Look. Go."
    assert [m.entity for m in first.mentions] == ["Book"]
    assert second.text == "It sold."


@given(st.text(alphabet="aB. !?\n()", max_size=60))
@settings(deadline=None)
def test_sentences_stand_where_they_say(text: str) -> None:
    at = 0
    for sentence in split(Marked(text), "en"):
        assert sentence.start >= at
        assert text[sentence.start : sentence.start + len(sentence.text)] == sentence.text
        at = sentence.start + len(sentence.text)


def test_alignment() -> None:
    before = split(Marked("One stays. The mayor is Anna Bell. Third goes."), "en")
    after = split(Marked("A new one came. One stays. The mayor is Carl Dunn."), "en")
    alignment = align(before, after)
    assert [s.text for s in alignment.kept] == ["One stays."]
    assert [(c.new.text, c.old and c.old.text) for c in alignment.changes] == [
        ("A new one came.", None),
        ("The mayor is Carl Dunn.", "The mayor is Anna Bell."),
    ]


def test_a_sentence_that_moved_is_kept() -> None:
    before = split(Marked("One is here. Two is here. Three is here."), "en")
    after = split(Marked("Three is here. One is here. Two is here."), "en")
    assert align(before, after).changes == ()


def test_words_that_take_the_place_of_others() -> None:
    old = Marked.joined([("The mayor is ", None), ("Anna Bell", "Anna"), (" of Rome.", None)])
    new = Marked.joined([("The mayor is ", None), ("Carl Dunn", "Carl"), (" of Rome.", None)])
    (change,) = align(split(old, "en"), split(new, "en")).changes
    assert counterpart(change, change.new.mentions[0]) == (13, 22, 13, 22)


def test_languages_without_rules_work() -> None:
    assert [s.text for s in split(Marked("Eins. Zwei."), "nds-nl")] == ["Eins.", "Zwei."]
