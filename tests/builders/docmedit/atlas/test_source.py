"""The embedded document edits hold what every document edit promises, over the whole data set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import pytest

from builders.definition import Row, Source
from builders.docmedit.atlas import AtlasSource
from builders.docmedit.atlas.source import STYLE_ONLY
from builders.docmedit.draft import Draft
from builders.docmedit.record import assemble
from builders.steps import Reject
from medit_eval.documents import copy_input, gold, score_documents
from schemas.arrow import from_row
from schemas.documents import Document
from schemas.errors import InputError
from schemas.sentences import sentences

NOWHERE = Path("unused")


@cache
def drafts() -> tuple[Draft, ...]:
    """The whole default data set, made once."""
    return tuple(from_row(Draft, row.fields) for row in _rows(AtlasSource()))


def _rows(source: AtlasSource) -> list[Row]:
    return [row for row in source.ingest(NOWHERE) if isinstance(row, Row)]


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def test_there_are_enough_of_all_sizes() -> None:
    facts = Counter(len(draft.document.facts) for draft in drafts())
    assert len(drafts()) >= 300
    assert set(facts) == {1, 2, 3, 4, 5, 6}
    assert min(facts.values()) >= 15


def test_no_title_and_no_id_comes_twice() -> None:
    rows = _rows(AtlasSource())
    assert len({row.id for row in rows}) == len(rows)
    titles = [draft.document.title for draft in drafts()]
    assert len(set(titles)) == len(titles)


def test_mentions_stand_where_they_say_in_order() -> None:
    for document in (draft.document for draft in drafts()):
        for version in (document.before, document.after):
            end = 0
            for mention in version.mentions:
                assert version.text[mention.start : mention.end] == mention.text
                assert mention.start >= end
                end = mention.end
        assert document.title in {mention.entity for mention in document.after.mentions}


def test_objects_are_new_in_the_after_text() -> None:
    for document in (draft.document for draft in drafts()):
        for fact in document.facts:
            assert _says(document.after.text, fact.object)
            assert not _says(document.before.text, fact.object), document.title
            assert fact.object_old is None or _says(document.before.text, fact.object_old)


def test_old_statements_stood_in_the_before_text_alone() -> None:
    seen = 0
    for document in (draft.document for draft in drafts()):
        for fact in document.facts:
            assert (fact.statement_old is None) == (fact.object_old is None)
            if fact.statement_old is not None:
                seen += 1
                assert fact.statement_old in sentences(document.before.text)
                assert fact.statement_old not in sentences(document.after.text)
    assert seen > 200


def test_evidence_is_a_sentence_of_another_page() -> None:
    for document in (draft.document for draft in drafts()):
        assert len({fact.id for fact in document.facts}) == len(document.facts)
        for fact in document.facts:
            assert fact.evidence == "other_page"
            assert fact.page != document.title
            assert fact.passage is not None
            assert fact.start is not None
            assert fact.passage[fact.start : fact.start + len(fact.text)] == fact.text
            assert _says(fact.text, fact.object)


def test_a_page_reads_the_same_wherever_it_is_cited() -> None:
    """No two records disagree on a page: the passages of one section are its paragraphs."""
    paragraphs: dict[tuple[str, str], dict[str, str]] = {}
    titles = {draft.document.title for draft in drafts()}
    for fact in (fact for draft in drafts() for fact in draft.document.facts):
        assert fact.passage is not None
        known = paragraphs.setdefault((fact.page, fact.section), {})
        assert known.setdefault(fact.text, fact.passage) == fact.passage
        assert fact.section == ("Details" if fact.page in titles else "INTRODUCTION")


def test_introductions_are_short_and_share_what_did_not_change() -> None:
    for document in (draft.document for draft in drafts()):
        before, after = (sentences(v.text) for v in (document.before, document.after))
        assert 3 <= len(before) <= 7, document.title
        assert 3 <= len(after) <= 7, document.title
        assert len(document.before.text) <= 450
        assert len(document.after.text) <= 450
        stale = {fact.statement_old for fact in document.facts}
        kept = [sentence for sentence in before if sentence not in stale]
        # At most one sentence is reworded for style.
        assert sum(sentence not in after for sentence in kept) <= 1
        assert document.before.text != document.after.text


def test_triples_say_what_the_texts_say() -> None:
    for document in (draft.document for draft in drafts()):
        for version in (document.before, document.after):
            assert version.triples
            assert all(t.object in version.text for t in version.triples)
        for fact in document.facts:
            assert fact.triple in document.after.triples
            assert fact.triple is not None
            assert fact.triple.object == fact.object


def test_every_fact_can_be_asked_about() -> None:
    hops = 0
    for draft in drafts():
        assert len(draft.asked) == len(draft.document.facts)
        for fact, asked in zip(draft.document.facts, draft.asked, strict=True):
            assert not asked.prompt.endswith((".", "?", " "))
            assert not _says(asked.prompt, fact.object)
            assert asked.subject is not None
            assert asked.subject in asked.prompt
            assert 2 <= len(asked.questions) <= 3
            assert len(asked.rephrasings) >= 4
            texts = (asked.prompt, *asked.questions, *asked.rephrasings)
            assert len(set(texts)) == len(texts)
            assert not any("{" in text for text in texts)
            hops += len(asked.hops)
            assert all(hop.answer != hop.answer_old for hop in asked.hops)
            assert all("{" not in hop.question for hop in asked.hops)
    assert hops > 300


def test_what_is_kept_is_no_fact_of_the_change() -> None:
    for draft in drafts():
        counts = Counter(kept.kind for kept in draft.kept)
        assert set(counts) == {"unchanged_sentence", "related_document", "random_document"}
        assert all(2 <= count <= 4 for count in counts.values()), draft.document.title
        asked = {t for a in draft.asked for t in (a.prompt, *a.questions, *a.rephrasings)}
        assert not asked & {kept.prompt for kept in draft.kept}
        for kept in draft.kept:
            if kept.kind == "unchanged_sentence":
                assert kept.answer in draft.document.before.text
                assert kept.answer in draft.document.after.text


def test_no_two_statements_on_a_stranger_state_the_same_fact() -> None:
    for draft in drafts():
        strange = [kept for kept in draft.kept if kept.kind == "random_document"]
        facts = [(kept.title, kept.answer) for kept in strange]
        assert len(set(facts)) == len(facts), draft.document.title
        # The last one may go to the editor, so that no probe at all may state its fact.
        assert draft.kept[-1].kind == "random_document"
        others = {(kept.title, kept.answer) for kept in draft.kept[:-1]}
        assert facts[-1] not in others, draft.document.title


def test_what_an_editor_gets_is_one_request_per_fact() -> None:
    for draft in drafts():
        requests = assemble(draft, "atlas", ()).requests
        assert len(requests) == len(draft.document.facts)
        assert len({request.prompt for request in requests}) == len(requests)
        for request, fact in zip(requests, draft.document.facts, strict=True):
            assert request.subject is not None
            assert request.subject in request.prompt
            assert _says(fact.text, request.target_new) or _says(fact.page, request.target_new)


@pytest.mark.parametrize(("output", "recall"), [(gold, 1.0), (copy_input, 0.0)])
def test_scores_tell_the_gold_from_the_copied_text(
    output: Callable[[Document], str], recall: float
) -> None:
    documents = [draft.document for draft in Random(0).sample(drafts(), 80)]
    scores = score_documents([(document, output(document)) for document in documents]).strict
    for document, score in zip(documents, scores, strict=True):
        assert score["facts_recall"] == recall, document.title
        assert score["facts_f1"] == recall, document.title
        assert score["additions_recall"] == recall, document.title
        assert score["additions_f1"] == recall, document.title
        assert score["retention"] == 1.0, document.title


def test_other_articles_do_not_tell_of_the_change() -> None:
    for draft in drafts():
        kinds = [other.kind for other in draft.elsewhere]
        assert kinds == ["related_document", "random_document"], draft.document.title
        for other in draft.elsewhere:
            assert other.title != draft.document.title
            assert not any(fact.text in other.text for fact in draft.document.facts)


def test_a_search_finds_every_fact_among_others() -> None:
    first = 0
    for document in (draft.document for draft in drafts()):
        texts = [fact.text for fact in document.facts]
        assert set(texts) < set(document.retrieved)
        assert len(set(document.retrieved)) == len(document.retrieved)
        first += document.retrieved[0] in texts
    assert 0 < first < len(drafts())


def test_rows_depend_neither_on_the_limit_nor_on_what_was_read_before() -> None:
    rows = {row.id: row for row in _rows(AtlasSource())}
    few = _rows(AtlasSource(limit=20))
    assert few == list(rows.values())[:20]
    more = _rows(AtlasSource(limit=len(rows) + 30))
    assert len(more) == len(rows) + 30
    assert more[: len(rows)] == list(rows.values())
    assert len({row.fields["document"]["title"] for row in more}) == len(more)


def test_another_seed_gives_other_people_and_the_same_history() -> None:
    other = {row.fields["document"]["title"] for row in _rows(AtlasSource(seed=1))}
    own = {draft.document.title for draft in drafts()}
    assert {"Estonia", "Eswatini", "Bengaluru"} <= own & other
    people = {d.document.title for d in drafts() if (d.document.page_id or "")[:6] == "person"}
    assert not people & other


def test_articles_that_are_only_reworded_are_rejected_with_that_reason() -> None:
    rejects = [row for row in AtlasSource().ingest(NOWHERE) if isinstance(row, Reject)]
    assert len(rejects) >= 20
    assert {reject.rule for reject in rejects} == {STYLE_ONLY}
    numbers = [row.row for row in AtlasSource().ingest(NOWHERE)]
    assert numbers == list(range(len(numbers)))


def test_dates_decide_what_changed() -> None:
    rows = _rows(AtlasSource(before="2012-01-01", after="2016-01-01"))
    documents = {d.title: d for d in (from_row(Draft, row.fields).document for row in rows)}
    snapshots = {(d.snapshot_before, d.snapshot_after) for d in documents.values()}
    assert snapshots == {("2012-01-01", "2016-01-01")}
    assert {fact.object for fact in documents["Lithuania"].facts} == {"euro"}
    assert "Estonia" not in documents, "nothing told of Estonia changed in those years"
    assert "Estonia" in {draft.document.title for draft in drafts()}


@pytest.mark.parametrize(
    ("before", "after"),
    [("2016-01-01", "2012-01-01"), ("1999-01-01", "2012-01-01"), ("2012-01-01", "2030-01-01")],
)
def test_dates_that_the_data_does_not_cover_are_refused(before: str, after: str) -> None:
    with pytest.raises(InputError, match="two dates in order"):
        next(AtlasSource(before=before, after=after).ingest(NOWHERE))


def test_the_source_describes_itself() -> None:
    source: Source = AtlasSource()
    about = source.describe()
    assert {"name", "title", "licence", "as_of", "notes"} <= about.keys()
    assert source.context() == {}
