from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.okedit import tasks
from builders.okedit.offline import OfflineTextGenerator, pool_answers
from builders.okedit.words import normalise, same
from builders.text.protocol import TextRequest, TextResult, TextTask

POOLS = {
    "animal": ["dog", "dogs", "hot dog", "horse", "heron", "newt"],
    "colour": ["red", "navy"],
    "number": ["3", "5"],
    "sport": ["tennis"],
    "yes/no": ["yes"],
}
QUESTIONS = (
    "How many people are here?",
    "How many of the skiers wear goggles?",
    "What color is the bus?",
    "What color are they?",
    "What kind of animal is this?",
    "Which sort of bread is that?",
    "Where is the cat?",
    "Where is the cat looking at?",
    "Why is the man smiling?",
    "Is the bus red or blue?",
    "NASA built what?",
    "这是什么？",
)


def ask(
    task: TextTask[Any],
    pools: Mapping[str, Any] = POOLS,
    seed: int = 1,
    **inputs: Any,
) -> TextResult[Any]:
    (result,) = OfflineTextGenerator(pools).generate([TextRequest(task, inputs, seed, "r0")])
    return result


def output(task: TextTask[Any], **inputs: Any) -> Any:
    result = ask(task, **inputs)
    assert result.error is None
    return result.output


def rephrase(
    question: str, audience: str, n: int, seed: int = 1, avoid: tuple[str, ...] = ()
) -> list[str]:
    return output(
        tasks.REPHRASE,
        question=question,
        n=n,
        audience=audience,
        style="",
        avoid=avoid,
        seed=seed,
    ).rephrasings


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(("audience", "most"), [("probe", 12), ("editor", 8)])
def test_exactly_n_rephrasings_all_different(question: str, audience: str, most: int) -> None:
    for n in (1, 5, most):
        made = rephrase(question, audience, n)
        assert len({normalise(text) for text in made}) == n
        assert normalise(question) not in {normalise(text) for text in made}


def frames(question: str, audience: str, n: int) -> set[str]:
    """What is left of the rephrasings without the question itself."""
    variants = (question, question[:1].lower() + question[1:])
    return {
        text.replace(variants[0], "{q}").replace(variants[1], "{q}")
        for seed in range(6)
        for text in rephrase(question, audience, n, seed)
    }


@pytest.mark.parametrize("question", QUESTIONS)
def test_editors_and_probes_share_no_frame(question: str) -> None:
    probe, editor = frames(question, "probe", 12), frames(question, "editor", 8)
    assert len(probe) >= 12
    assert len(editor) >= 8
    assert not probe & editor


def test_rephrasings_that_are_taken_are_avoided_and_too_many_are_refused() -> None:
    first = rephrase("Where is it?", "probe", 12)
    others = rephrase("Where is it?", "probe", 1, avoid=tuple(first[1:]))
    assert others == first[:1] or others[0] not in first
    result = ask(
        tasks.REPHRASE, question="Where is it?", n=20, audience="editor", style="", avoid=()
    )
    assert result.output is None
    assert "20 are wanted" in (result.error or "")


@pytest.mark.parametrize(
    ("question", "probe", "editor"),
    [
        ("What color is the bus?", "What is the color of the bus?", "Of which color is the bus?"),
        ("What color are the buses?", "What is the color of the buses?", None),
        ("How many dogs are there?", "What number of dogs are there?", None),
        ("Why is he sad?", "For what reason is he sad?", "Because of what is he sad?"),
        ("Where is it?", "In which place is it?", "At what place is it?"),
    ],
)
def test_rewordings_are_grammatical(question: str, probe: str, editor: str | None) -> None:
    assert probe in rephrase(question, "probe", 12)
    if editor:
        assert editor in rephrase(question, "editor", 8)


@pytest.mark.parametrize(
    ("question", "nonsense"),
    [
        ("How many of these are ripe?", "What number of of"),
        ("What color is she wearing?", "the color of she"),
        ("What color is the man wearing?", "the color of the man wearing"),
        ("Where is the cat looking at?", "In which place"),
    ],
)
def test_rewordings_that_would_be_ungrammatical_are_not_made(question: str, nonsense: str) -> None:
    assert not any(nonsense in text for text in rephrase(question, "probe", 12))


def test_names_keep_their_capital_inside_a_frame() -> None:
    assert "Please answer: NASA built what?" in rephrase("NASA built what?", "editor", 8)
    assert "Please answer: what is it?" in rephrase("What is it?", "editor", 8)


@pytest.mark.parametrize("seed", range(8))
def test_a_counterfactual_is_of_the_same_kind_and_not_nearly_the_old_answer(seed: int) -> None:
    asked = {"question": "What kind of animal is this?", "old": "dog", "avoid": ("heron",)}
    assert output(tasks.COUNTERFACTUAL, **asked, seed=seed).answer in ("horse", "newt")


@pytest.mark.parametrize(
    ("question", "old", "new"),
    [
        ("Is it red?", "yes", "no"),
        ("Is it red?", "No", "yes"),
        ("Is the bus red or blue?", "red", "blue"),
        ("Is this a cat or a dog?", "dog", "cat"),
        ("How many cats?", "5", "3"),
        ("How many cats?", "three", "5"),
    ],
)
def test_the_only_other_answer_is_found(question: str, old: str, new: str) -> None:
    assert output(tasks.COUNTERFACTUAL, question=question, old=old, avoid=()).answer == new


def test_pools_too_small_are_widened_within_reason() -> None:
    colour = output(tasks.COUNTERFACTUAL, question="What color is it?", old="red", avoid=("navy",))
    assert colour.answer not in ("red", "navy")
    sport = output(tasks.COUNTERFACTUAL, question="What sport is it?", old="tennis", avoid=())
    assert sport.answer in POOLS["animal"]
    nothing = ask(tasks.COUNTERFACTUAL, pools={}, question="What sport?", old="golf", avoid=())
    assert nothing.output is None
    assert "'sport'" in (nothing.error or "")


def test_a_third_answer_is_neither_old_nor_new() -> None:
    for seed in range(8):
        asked = {"question": "What animal is it?", "old": "horse", "new": "newt", "avoid": ()}
        third = output(tasks.THIRD_ANSWER, **asked, seed=seed).answer
        assert third not in ("horse", "newt")
    no_third = ask(tasks.THIRD_ANSWER, question="Is it?", old="yes", new="no", avoid=())
    assert no_third.output is None


@pytest.mark.parametrize(
    ("question", "answer", "phrase"),
    [
        ("What color is the bus?", "red", "red bus"),
        ("What color is his earring?", "red", "red earring"),
        ("What color are the man's pants?", "white", "man's pants in white"),
        ("What color are they?", "white", "white"),
        ("What color is the bus?", "no", 'a scene where "What color is the bus?" is answered no'),
        ("How many people are here?", "3", "3 people"),
        ("How many people are here?", "one", "one person"),
        ("How many berries are in it?", "1", "1 berry"),
        ("How many dogs?", "none", "no dogs"),
        ("Is there a dog?", "yes", "a dog"),
        ("Is there a dog?", "no", "a scene without a dog"),
        ("What is this?", "a kite", "a kite"),
    ],
)
def test_phrases_for_pictures(question: str, answer: str, phrase: str) -> None:
    assert output(tasks.OBJECT_PHRASE, question=question, answer=answer).phrase == phrase


@pytest.mark.parametrize(
    ("question", "old", "edit_type", "scope"),
    [
        ("What color is the bus?", "red", "image_text", "recognition"),
        ("How many people are in this photo?", "3", "image_text", "recognition"),
        ("What is the man holding?", "kite", "image_text", "recognition"),
        ("Why do people usually visit Rome?", "history", "text", "knowledge"),
        ("In what century did Napoleon die?", "19th", "text", "knowledge"),
    ],
)
def test_the_majority_of_three_voters(question: str, old: str, edit_type: str, scope: str) -> None:
    votes = [
        output(tasks.EDIT_TYPE, question=question, image_object="", old=old, new="x", vote=vote)
        for vote in range(3)
    ]
    assert sum(vote.edit_type == edit_type for vote in votes) >= 2
    assert sum(vote.scope == scope for vote in votes) >= 2
    assert len({vote.reason[:6] for vote in votes}) == 3


def test_hops_follow_from_numbers_alone() -> None:
    hops = output(tasks.HOPS, question="How many dogs are there?", old="two", new="9")
    assert hops.one_hop.answers == ["10", "ten"]
    assert hops.one_hop.answers_before == ["3", "three"]
    assert hops.two_hop.answers == ["20", "twenty"]
    assert hops.two_hop.answers_before == ["6", "six"]
    assert '?"' not in hops.one_hop.question
    unknown = ask(tasks.HOPS, question="What is it?", old="dog", new="cat")
    assert unknown.output is None
    assert "no offline rule" in (unknown.error or "")


@pytest.mark.parametrize("task", [tasks.NAMED_QUESTION, tasks.SAME_IMAGE])
def test_what_needs_knowledge_is_refused_not_made_up(task: TextTask[Any]) -> None:
    result = ask(task, question="What is it?", image_object="", scope="", old="a", new="b")
    assert result.output is None
    assert task.name in (result.error or "")


def test_a_fact_states_the_new_answer_and_not_the_old() -> None:
    fact = output(tasks.FACT, question="What is it?", image_object="an old dog", new="cat")
    assert "cat" in fact.sentence
    assert "dog" not in fact.sentence


def test_the_seed_alone_decides() -> None:
    asked = {"question": "What animal is it?", "old": "gnu", "avoid": ()}
    answers = [output(tasks.COUNTERFACTUAL, **asked, seed=seed).answer for seed in range(10)]
    assert answers == [output(tasks.COUNTERFACTUAL, **asked, seed=s).answer for s in range(10)]
    assert len(set(answers)) > 1
    shuffled = {kind: list(reversed(pool)) for kind, pool in POOLS.items()}
    again = ask(tasks.COUNTERFACTUAL, pools=shuffled, **asked, seed=3)
    assert again.output is not None
    assert again.output.answer == answers[3]


def test_pools_hold_distinct_fitting_answers_up_to_a_limit() -> None:
    pools: dict[str, list[str]] = {}
    for answer in ("3", "three", "no", "", "4"):
        pool_answers(pools, "How many cats?", answer)
    pool_answers(pools, "Is it red or blue?", "red")
    assert pools == {"number": ["3", "4"]}
    for number in range(9):
        pool_answers(pools, "How many cats?", str(number), limit=5)
    assert len(pools["number"]) == 5


WORDS = st.text(max_size=40)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(question=WORDS, old=WORDS, new=WORDS, pool=st.lists(WORDS, max_size=4))
def test_any_text_gives_a_checked_output_or_an_error(
    question: str, old: str, new: str, pool: list[str]
) -> None:
    pools: dict[str, list[str]] = {}
    for answer in pool:
        pool_answers(pools, question, answer)
    inputs = {
        "question": question, "old": old, "new": new, "answer": old, "avoid": (),
        "image_object": "it", "n": 3, "audience": "probe", "style": "", "vote": 1, "scope": "",
    }  # fmt: skip
    for task in (
        tasks.REPHRASE, tasks.OBJECT_PHRASE, tasks.COUNTERFACTUAL, tasks.EDIT_TYPE,
        tasks.THIRD_ANSWER, tasks.HOPS, tasks.FACT,
    ):  # fmt: skip
        result = ask(task, pools=pools, **inputs)
        assert (result.output is None) == bool(result.error)
        if isinstance(result.output, tasks.NewAnswer):
            assert not same(result.output.answer, old)
