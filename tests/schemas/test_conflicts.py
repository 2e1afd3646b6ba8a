"""Records that are sound by themselves may contradict each other."""

from __future__ import annotations

from dataclasses import replace

from schemas.conflicts import find_conflicts, summary
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe


def record(name: str, prompt: str, target: str, *kept: tuple[str, str]) -> EditRecord:
    request = EditRequest(f"{name}/edit", prompt, None, None, target, None)
    probes = tuple(
        Probe(f"single_hop/{i}", "locality", "single_hop", "unchanged", (asked,), (), (answer,))
        for i, (asked, answer) in enumerate(kept)
    )
    return EditRecord(name, (request,), probes)


def test_an_edit_that_changes_what_another_record_relies_on() -> None:
    chain = record("a", "Per is a citizen of", "Dalia", ("The capital of Dalia is", "Dalby"))
    moved = record("b", "The capital of  DALIA is", "Sund")
    (found,) = find_conflicts([chain, moved])
    assert (found.clash, found.record, found.other) == ("fact", "a", "b")
    assert (found.answer, found.other_answer) == ("Dalby", "Sund")
    assert str(found) == (
        "a relies on 'Dalby' for 'The capital of Dalia is', which b changes to 'Sund'"
    )
    assert find_conflicts([chain, record("c", "The capital of Dalia is", "dalby")]) == ()


def test_two_edits_of_one_question() -> None:
    first, second = record("a", "Per speaks", "Norn"), record("b", "per speaks", "Dalish")
    (found,) = find_conflicts([first, second])
    assert (found.clash, found.record, found.other) == ("edit", "a", "b")
    (request,) = first.requests
    known = replace(first, requests=(replace(request, target_new_aliases=("Dalish",)),))
    assert find_conflicts([known, second]) == ()
    assert find_conflicts([first, replace(second, requests=first.requests)]) == ()


def test_an_accepted_wording_on_either_side_is_no_contradiction() -> None:
    first, second = record("a", "Per speaks", "Norn"), record("b", "per speaks", "Dalish")
    (request,) = second.requests
    known = replace(second, requests=(replace(request, target_new_aliases=("NORN.",)),))
    assert find_conflicts([first, known]) == find_conflicts([known, first]) == ()
    relies = record("c", "x", "1", ("Per speaks", "Norn"))
    assert find_conflicts([relies, known]) == find_conflicts([known, relies]) == ()
    assert len(find_conflicts([relies, second])) == len(find_conflicts([second, relies])) == 1


def test_a_record_does_not_conflict_with_itself() -> None:
    own = record("a", "Per speaks", "Norn", ("Per speaks", "Dalish"))
    assert find_conflicts([own]) == ()


def test_the_same_words_about_other_pictures_are_another_question() -> None:
    def seen(name: str, target: str, data: bytes) -> EditRecord:
        bare = record(name, "What is this?", target)
        (request,) = bare.requests
        return replace(bare, requests=(replace(request, image=EncodedImage(data, None)),))

    assert find_conflicts([seen("a", "kite", b"1"), seen("b", "hat", b"2")]) == ()
    assert len(find_conflicts([seen("a", "kite", b"1"), seen("b", "hat", b"1")])) == 1


def test_the_summary_counts_records_and_pairs() -> None:
    chain = record("a", "x", "1", ("y", "2"), ("z", "3"))
    found = find_conflicts([chain, record("b", "y", "4"), record("c", "z", "5")])
    assert summary(found) == (
        "1 record contradicts others where all are edited together (2 pairs): "
        "a relies on '2' for 'y', which b changes to '4'"
    )
