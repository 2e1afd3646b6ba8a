"""Sentences begin and end where readers see it, in any language."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.sentences import MAX_BRACKET, blank_pipeline, sentence_spans, sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. J. R. Smith went to the U.S. in 1990.",
        "It has 3.5 million inhabitants, e.g. Finns.",
        "It was no. 5 of the list.",
        "Is it (approx. 12 km) far?",
        "Ida Tarn and J. K. Brandt met at St. Mary's.",
        "It has 3.5 m. of rope (i.e. a lot).",
        'He said "Go."',
        "Smith (b. 1954. He lives) went to Acme Corp. in May.",
        "It is “old.”",
        "She said no.",
        "''Tarn Mill'' is a mill.",
        '"Go," he said.',
        "(It was new.)",
        "It rained. 'so it did,' she said.",
    ],
)
def test_a_sentence_stays_whole(sentence: str) -> None:
    assert sentences(f"It began. {sentence} It ended.") == ["It began.", sentence, "It ended."]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A heading\n\nOne  two.\tThree.\r\n", ["A heading", "One  two.", "Three."]),
        ("It ran. 5 came.", ["It ran.", "5 came."]),
        ("It is p. 1298. . It was.", ["It is p. 1298. .", "It was."]),
        ("...", ["..."]),
        (" \n ", []),
        ("", []),
    ],
)
def test_lines_and_spaces(text: str, found: list[str]) -> None:
    assert sentences(text) == found


@pytest.mark.parametrize("language", ["de-AT", "DE", "nds-nl", "xx", "th", "ja", "tlh", "", "../x"])
def test_any_language_is_split(language: str) -> None:
    assert sentences("Eins. Zwei.", language) == ["Eins.", "Zwei."]


@pytest.mark.parametrize("language", ["ja", "zh", "en"])
def test_scripts_without_spaces_are_split(language: str) -> None:
    assert sentences("东京很大。「它很老。」（他说。）它很美！", language) == [
        "东京很大。",
        "「它很老。」",
        "（他说。）",
        "它很美！",
    ]


def test_a_year_ends_a_sentence_where_numbers_are_ordinals() -> None:
    text = "Er starb am 3. Mai 1984. Sie lebt."
    assert sentences(text, "de") == ["Er starb am 3. Mai 1984.", "Sie lebt."]


def test_titles_count_in_every_language() -> None:
    assert sentences("Es kam Dr. Tarn. Er ging.", "xx") == ["Es kam Dr. Tarn.", "Er ging."]


def test_a_part_that_is_to_stay_whole_is_never_cut() -> None:
    text = "He wrote Stop. Look. Go. It sold. 《东。京》。好。"
    book, place = text.index("Stop"), text.index("东")
    spans = sentence_spans(text, whole=[(book, book + 14), (place, place + 3)])
    assert [text[start:end] for start, end in spans] == [
        "He wrote Stop. Look. Go.",
        "It sold.",
        "《东。京》。",
        "好。",
    ]


def test_a_bracket_that_nobody_closes_ends_with_its_limit() -> None:
    found = sentences("It (began here. " + "It went on. " * MAX_BRACKET)
    assert MAX_BRACKET < len(found[0]) < MAX_BRACKET + 20
    assert set(found[1:]) == {"It went on."}


def test_half_surrogate_pairs_and_long_texts_are_split() -> None:
    assert sentences("One \ud800 is. Two\0 is.") == ["One \ud800 is.", "Two\0 is."]
    assert len(sentences("word " * 210_000 + ".")) == 1


@given(st.text(alphabet="aB. !?\n()。」\u2028\ud800", max_size=60))
@settings(deadline=None)
def test_sentences_are_apart_and_hold_every_word(text: str) -> None:
    spans = sentence_spans(text)
    last = 0
    for start, end in spans:
        assert last <= start < end
        assert text[start:end] == text[start:end].strip()
        assert not text[last:start].strip()
        last = end
    assert not text[last:].strip()


def test_a_language_has_one_pipeline() -> None:
    assert blank_pipeline("en") is blank_pipeline("en")
    assert blank_pipeline("de-AT").lang == "de"
    assert blank_pipeline("tlh").lang == "xx"
