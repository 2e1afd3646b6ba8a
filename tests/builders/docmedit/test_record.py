from __future__ import annotations

from dataclasses import replace

from builders.docmedit.draft import Asked
from builders.docmedit.record import assemble, record_id
from schemas.manifest import Rules
from schemas.validate import RowChecker
from tests.document_factories import make_document, make_document_record, make_draft


def test_a_record_keeps_all_rules_and_every_fact_is_a_request() -> None:
    record = make_document_record()
    assert RowChecker(Rules()).check(record) == []
    (request,) = record.requests
    assert request.id == record.document.facts[0].id
    assert (request.prompt, request.target_new, request.target_true) == (
        "Ada Berg works for", "Sundal", "Nordfrost",
    )  # fmt: skip
    assert request.facts == ("Ada Berg joined Sundal in 2020.",)


def test_editors_and_probes_share_no_wording() -> None:
    record = make_document_record()
    (request,) = record.requests
    given = {sample.prompt for sample in (*request.positives, *request.negatives)}
    asked = {prompt for probe in record.probes for prompt in probe.prompts}
    assert len(request.positives) == 2
    assert len(request.negatives) == 1
    assert not given & asked


def test_few_rephrasings_go_to_the_probes_alone() -> None:
    draft = make_draft()
    asked = (replace(draft.asked[0], rephrasings=draft.asked[0].rephrasings[:2]),)
    record = assemble(replace(draft, asked=asked), "tests", [])
    assert record.requests[0].positives == ()
    assert [len(p.prompts) for p in record.of_kind("rephrase")] == [2]


def test_the_kinds_of_probes_say_what_is_asked() -> None:
    record = make_document_record()
    found = {probe.kind: (probe.axis, probe.expectation) for probe in record.probes}
    assert found == {
        "edit": ("reliability", "target"),
        "question": ("reliability", "target"),
        "rephrase": ("generality", "target"),
        "one_hop": ("portability", "target"),
        "unchanged_sentence": ("locality", "unchanged"),
        "related_document": ("locality", "unchanged"),
        "rewrite": ("document", "target"),
        "rewrite_random": ("document", "unchanged"),
    }
    (hop,) = record.of_kind("one_hop")
    assert (hop.answers, hop.answers_pre_edit, hop.hops) == (("Bergen",), ("Tromsø",), 1)


def test_a_wording_of_two_facts_is_asked_once() -> None:
    draft = make_draft()
    (fact,) = draft.document.facts
    twice = replace(draft.document, facts=(fact, replace(fact, id="f1")))
    other = Asked("Ada Berg is employed by", "Ada Berg", draft.asked[0].questions)
    record = assemble(replace(draft, document=twice, asked=(*draft.asked, other)), "tests", [])
    assert [p.prompts for p in record.of_kind("question")] == [("Who employs Ada Berg?",)]
    assert len({probe.id for probe in record.probes}) == len(record.probes)


def test_the_id_depends_on_title_dates_and_texts() -> None:
    ids = {
        record_id(document)
        for document in (
            make_document(),
            make_document(title="Eva Berg"),
            make_document(snapshot_after="2022-01-01"),
        )
    }
    assert len(ids) == 3
    assert record_id(make_document(page_id="7")) in ids
