"""Snapshots of the real Wikipedia give the counts that were made independently."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from builders.docmedit.mediawiki.dump import opened
from builders.docmedit.mediawiki.source import DumpSource
from builders.docmedit.mediawiki.store import AFTER, BEFORE, Store
from tests.builders.docmedit.mediawiki.support import Ingested, ingested
from tests.builders.docmedit.mediawiki.test_source import check

DATA = Path(__file__).resolve().parents[5] / "shared/data/wikipedia"
PAIR = DATA / "enwiki-mini-20200611.xml.bz2", DATA / "enwiki-mini-20211213.xml.bz2"
REDIRECTS = DATA / "enwiki-2016-shortened.xml.bz2"

here = pytest.mark.skipif(not PAIR[0].exists(), reason="the data of others is not here")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    return ingested(DumpSource(*PAIR), tmp_path_factory.mktemp("spool"))


@here
def test_counts(real: Ingested) -> None:
    """The independent count: 21 shared articles, 17 changed introductions, 12 with a new link.

    It counts the list of namesakes `Food (disambiguation)` as an article, whose introduction
    changed; it is a reject here: 21 and 17. Its twelfth page is `Vehicle registration plates of
    China`, where the link `[[Special administrative regions of China]]` got a small first letter,
    which MediaWiki reads as the same page: 11 here. Names without a link add nothing: no name that
    counts by its form is one of the 27 pages without being linked there.
    """
    counts = real.counts
    shared = counts["articles_before"] - counts["deleted"]
    assert (shared, counts["disambiguation"]) == (21, 1)
    assert counts["introduction_changed"] + counts["disambiguation"] == 17
    assert counts["updated"] + 1 == 12
    assert set(real.drafts) == {
        "Angela Merkel", "Arthur Schopenhauer", "Asda", "Atlantic Ocean", "Berlin", "IBM", "IKEA",
        "Jim Pewter", 'Ren & Stimpy "Adult Party Cartoon"', "Samsung", "The Ren & Stimpy Show",
    }  # fmt: skip
    assert Counter(reject.rule for reject in real.rejects) == {
        "style_only": 5, "created": 3, "deleted": 1, "disambiguation": 1,
    }  # fmt: skip


@here
def test_every_draft_is_sound(real: Ingested) -> None:
    for draft in real.drafts.values():
        check(draft)
        for text in (draft.document.before.text, draft.document.after.text):
            for rest in ("{{", "}}", "[[", "]]", "<ref", "|", "''", "( ", " )", "()", "  "):
                assert rest not in text
        assert draft.elsewhere
        assert draft.kept


@here
def test_one_article(real: Ingested) -> None:
    document = real.drafts["Asda"].document
    (fact,) = document.facts
    assert fact.object == "TDR Capital"
    assert fact.triple is not None
    assert fact.triple.relation == "owner"
    assert document.after.timestamp == "2021-12-03T20:20:45Z"


@here
@pytest.mark.slow
def test_redirects_of_2016(tmp_path: Path) -> None:
    with Store(tmp_path) as store, opened(REDIRECTS) as export:
        kinds: Counter[str] = Counter()
        for position, page in enumerate(export.pages):
            kind = "other" if page.namespace else "redirect" if page.redirect else "article"
            kinds[kind] += 1
            if kind == "redirect":
                store.add_redirect(BEFORE, page, position)
        # The file has 100 redirects, one of them a page of the project's own.
        assert kinds == {"article": 106, "redirect": 99, "other": 1}
        store.index()
        assert list(store.close_chains()) == []
        assert store.resolve(BEFORE, "AccessibleComputing") == "Computer accessibility"
        assert store.resolve(AFTER, "AccessibleComputing") == "AccessibleComputing"
