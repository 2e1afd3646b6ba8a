from __future__ import annotations

import pytest

from medit_eval import testbed
from medit_eval.testbed import covariance_corpus, people_records
from medit_eval.testbed.records import INSIDE, OUTSIDE
from medit_eval.testbed.world import PERSON_RELATIONS, World
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.records import PROBE_KINDS


def test_records_survive_the_schema() -> None:
    records = people_records(40)
    assert list(OKEDIT.records(OKEDIT.table(records))) == records


def test_relations_take_turns_and_ids_are_unique() -> None:
    records = people_records()
    assert len({record.id for record in records}) == len(records) == 500
    prompts = [r.requests[0].prompt.replace(r.requests[0].subject or "", "X") for r in records]
    assert len(set(prompts)) == len(PERSON_RELATIONS) == len(set(prompts[:5]))


def test_a_record_changes_its_answer_and_what_follows() -> None:
    for record in people_records(200):
        (request,) = record.requests
        assert request.subject
        assert request.subject in request.prompt
        assert request.target_new != request.target_true
        assert request.target_new in request.facts[0]
        kinds = {probe.kind for probe in record.probes}
        assert kinds <= set(PROBE_KINDS)
        assert {"edit", "rephrase", "one_hop", "relation_specificity", "text"} <= kinds
        for probe in record.probes:
            assert probe.answers
            if probe.expectation == "target":
                assert probe.answers != probe.answers_pre_edit


def test_probes_share_no_wording_with_what_editors_see() -> None:
    for record in people_records(100):
        seen = {sample.prompt for sample in record.requests[0].positives}
        (rephrase,) = record.of_kind("rephrase")
        assert seen.isdisjoint(rephrase.prompts)


def test_who_is_edited_tuned_on_or_asked_about_as_outside_is_not_in_the_corpus() -> None:
    corpus = "".join(covariance_corpus(1500))
    world = World.draw()
    for group in ("edited", "tuning", "locality"):
        assert not any(person.name in corpus for person in world.of_group(group))
    inside = sum(person.name in corpus for person in world.of_group("covariance"))
    assert inside > 200


def test_locality_is_asked_inside_and_outside_of_the_corpus() -> None:
    world = World.draw()
    members = {g: {p.name for p in world.of_group(g)} for g in ("covariance", "locality")}
    for record in people_records(50):
        graded = {p.grade: p.prompts[0] for p in record.of_kind("text") if p.grade}
        assert any(name in graded[INSIDE] for name in members["covariance"])
        assert any(name in graded[OUTSIDE] for name in members["locality"])


def test_tuning_records_are_about_other_people() -> None:
    edited = {record.requests[0].subject for record in people_records()}
    tuned = {record.requests[0].subject for record in people_records(group="tuning")}
    assert edited.isdisjoint(tuned)
    with pytest.raises(InputError, match="not for editing"):
        people_records(group="locality")


def test_another_seed_asks_for_other_answers() -> None:
    first, second = people_records(20), people_records(20, seed=1)
    assert [r.requests[0].prompt for r in first] == [r.requests[0].prompt for r in second]
    assert [r.requests[0].target_new for r in first] != [r.requests[0].target_new for r in second]
    assert people_records(20) == first


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"testbed/gpt.*testbed/lm"):
        testbed.path("testbed/gpt")
