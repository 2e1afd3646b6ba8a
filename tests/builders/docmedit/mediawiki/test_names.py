"""Names without a link are found where they stand, and never within a link."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.names import is_name, with_named
from tests.builders.docmedit.mediawiki.test_marked import check


@pytest.mark.parametrize(
    ("title", "expected"),
    [("New York", True), ("capital", False), ("Mercury (planet)", False), ("A", False),
     ("École", True), ("1990s", False)],
)  # fmt: skip
def test_what_can_be_looked_for(title: str, expected: bool) -> None:
    assert is_name(title) is expected


def test_the_longer_name_wins_and_links_stay() -> None:
    marked = Marked.joined(
        [("In New York City, ", None), ("York", "York"), (" is not New York.", None)]
    )
    found = with_named(marked, {"New York": "NY", "New York City": "NYC", "York": "Other"}, "en")
    assert [(m.text, m.entity) for m in found.mentions] == [
        ("New York City", "NYC"), ("York", "York"), ("New York", "NY"),
    ]  # fmt: skip
    check(found)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Rome", "New Rome", " ", ". ", "and ", "Old", "\n"]),
            st.sampled_from([None, "X"]),
        ),
        max_size=14,
    )
)
@settings(max_examples=150, deadline=None)
def test_mentions_stay_exact_and_apart(pieces: list[tuple[str, str | None]]) -> None:
    marked = Marked.joined(pieces).cleaned()
    found = with_named(marked, {"Rome": "Rome", "New Rome": "New Rome", "Old": "Old"}, "en")
    check(found)
    assert set(marked.mentions) <= set(found.mentions)
