"""Edits that contradict each other, and the questions that they leave without a judgement."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from medit_eval.clashes import Clashes
from medit_eval.questions import slots
from schemas.conflicts import find_conflicts
from schemas.records import EditRecord, EditRequest, Probe


def record(number: int, prompt: str, new: str, *aliases: str, **more: str) -> EditRecord:
    """An edit; `hop` is the answer of a fact F that its multi-hop question goes through."""
    request = EditRequest(f"q{number}", prompt, None, None, new, "old", aliases)
    probes = [Probe("edit", "reliability", "edit", "target", (prompt,), (), (new,))]
    if "hop" in more:
        probes.append(Probe("hop", "portability", "hop", "target", ("Chain?",), (), ("x",)))
        probes.append(
            Probe("fact", "locality", "single_hop", "unchanged", ("F?",), (), (more["hop"],))
        )
    return EditRecord(f"r{number}", (request,), tuple(probes))


USA = record(0, "P is in", "USA")
BOTH = record(1, "p is  in", "United States", "usa")
STATES = record(2, "P is in", "United States")
OTHER = record(3, "P is in", "France", "Gaul")


def failures(calls: Sequence[Sequence[EditRecord]]) -> dict[tuple[str, str], str]:
    """Why questions cannot be judged after edits with these calls, by record and probe."""
    clashes = Clashes([])
    for call in calls:
        clashes.made(call)
    records = [record for call in calls for record in call]
    found = {
        (slot.record.id, slot.probe.id): clashes.failure(slot)
        for record in records
        for slot in slots(record)
    }
    return {name: reason for name, reason in found.items() if reason is not None}


def notes(calls: Sequence[Sequence[EditRecord]]) -> list[str]:
    found: list[str] = []
    clashes = Clashes(found)
    with warnings.catch_warnings(action="ignore"):
        for call in calls:
            clashes.warn_of_contradictions(call)
    return found


@pytest.mark.parametrize("order", [(USA, BOTH), (BOTH, USA)], ids=["alias later", "alias first"])
def test_another_accepted_wording_is_no_contradiction(order: tuple[EditRecord, ...]) -> None:
    assert find_conflicts(order) == ()
    for calls in ([order], [[one] for one in order]):
        assert failures(calls) == {}
        assert notes(calls) == []


@pytest.mark.parametrize("order", list(permutations([USA, BOTH, STATES, OTHER])))
def test_both_ways_to_look_agree_in_every_order(order: tuple[EditRecord, ...]) -> None:
    # USA and STATES share no wording, though BOTH shares one with each of them.
    pairs = {
        (one, other) for one in order for other in order if order.index(one) < order.index(other)
    }
    wrong = {frozenset((USA.id, STATES.id))}
    wrong |= {frozenset((OTHER.id, one.id)) for one in (USA, BOTH, STATES)}
    clashing = {(a.id, b.id) for a, b in pairs if frozenset((a.id, b.id)) in wrong}
    assert {(c.record, c.other) for c in find_conflicts(order)} == clashing
    one_by_one = failures([[one] for one in order])
    assert {name for name, _ in one_by_one} == {hurt for hurt, _ in clashing}
    assert failures([order]) == {}  # none of them is the later one
    named = notes([order])[0].rpartition(": ")[2].split(", ")
    assert {frozenset(pair.replace("q", "r").split(" and ")) for pair in named} <= wrong


def test_the_latest_edit_stands_and_says_who_took_back() -> None:
    assert failures([[USA], [OTHER], [STATES]]) == {
        ("r0", "edit"): "superseded by the later edit of record r3",
        ("r3", "edit"): "superseded by the later edit of record r2",
    }
    assert failures([[OTHER], [USA], [OTHER]]) == {
        ("r0", "edit"): "superseded by the later edit of record r3"
    }


SOUND, SPOILT = record(5, "F?", "V"), record(6, "f?", "W")
CHAIN = record(4, "C", "Bonn", hop="v")
LEFT = {("r4", "fact"): "the edit of record r5 is meant to change this answer"}
BARRED = "the edit of record r6 changes a fact that this question relies on"


def test_an_edit_to_the_hop_s_own_answer_breaks_no_chain() -> None:
    for order in permutations([CHAIN, SOUND]):
        assert find_conflicts(order) == ()
        for calls in ([order], [[one] for one in order]):
            assert failures(calls) == LEFT
    for order in permutations([CHAIN, SPOILT]):
        assert [(c.record, c.other) for c in find_conflicts(order)] == [("r4", "r6")]
        assert failures([order])["r4", "hop"] == BARRED
        assert failures([[one] for one in order])["r4", "hop"] == BARRED
    named = replace(SOUND.requests[0], target_new="Vee", target_new_aliases=("V",))
    alias = replace(SOUND, requests=(named,), probes=(replace(SOUND.probes[0], answers=("Vee",)),))
    assert find_conflicts([CHAIN, alias]) == ()
    assert failures([[CHAIN, alias]]) == LEFT


def test_of_two_edits_to_a_hop_the_later_one_counts() -> None:
    assert ("r4", "hop") not in failures([[CHAIN], [SPOILT], [SOUND]])
    assert failures([[CHAIN], [SOUND], [SPOILT]])["r4", "hop"] == BARRED
    for together in permutations([CHAIN, SOUND, SPOILT]):
        assert failures([together])["r4", "hop"] == BARRED  # which of them stands is not known


def test_an_edit_without_a_probe_of_its_own_changes_its_question_all_the_same() -> None:
    bare = replace(SPOILT, probes=())
    assert failures([[CHAIN, bare]]) == {
        ("r4", "hop"): BARRED,
        ("r4", "fact"): "the edit of record r6 is meant to change this answer",
    }


def test_a_record_s_own_edit_hides_no_other_that_changes_its_question() -> None:
    own = replace(CHAIN, requests=(replace(CHAIN.requests[0], prompt="F?", target_new="V"),))
    assert ("r4", "fact") in failures([[own], [SPOILT]])
    assert ("r4", "fact") not in failures([[own]])
