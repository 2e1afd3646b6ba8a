from __future__ import annotations

from collections.abc import Container

from builders.images.mined import EASY, HARD, MEDIUM, Candidate, choose

SAME = [
    Candidate(i, "What color is the bus?", colour, "colour", f"same-{i}.jpg")
    for i, colour in enumerate(["red", "blue", "green", "white", "The Red.", "blue"])
]
LIKE = [
    Candidate(10 + i, "What color is the cat?", colour, "colour", f"like-{i}.jpg")
    for i, colour in enumerate(["black", "orange", "BLUE"])
]
OTHER = [Candidate(20 + i, "How many dogs?", str(i), "number", f"other-{i}.jpg") for i in range(4)]
ALL = SAME + LIKE + OTHER


def mine(
    *,
    candidates: list[Candidate] = ALL,
    n: int = 4,
    seed: int = 3,
    exclude: Container[str] = (),
) -> list[tuple[Candidate, str]]:
    return choose(
        candidates,
        question="what color is the bus ?",
        old_answer="red",
        new_answer="A Blue",
        answer_type="colour",
        exclude_images=exclude,
        seed=seed,
        n=n,
    )


def test_neither_the_old_nor_the_new_answer_is_chosen() -> None:
    answers = {candidate.answer for candidate, _ in mine(n=100)}
    assert answers == {"green", "white", "black", "orange", "0", "1", "2", "3"}


def test_a_grade_says_what_a_picture_shares_with_the_edit() -> None:
    for candidate, grade in mine(n=100):
        wanted = {"same": HARD, "like": MEDIUM, "other": EASY}[candidate.image.split("-")[0]]
        assert grade == wanted


def test_few_negatives_still_span_the_grades_hardest_first() -> None:
    assert [grade for _, grade in mine(n=2)] == [HARD, MEDIUM]
    assert [grade for _, grade in mine(n=5)] == [HARD, MEDIUM, EASY, HARD, MEDIUM]


def test_pictures_and_answers_come_once() -> None:
    twice = [
        *(Candidate(i, "Who?", f"answer {i}", "who", "one.jpg") for i in range(5)),
        *(Candidate(9 + i, "Who?", "the same", "who", f"{i}.jpg") for i in range(5)),
    ]
    chosen = [candidate for candidate, _ in mine(candidates=twice, n=100)]
    assert len(chosen) == 2
    assert len({c.image for c in chosen}) == len({c.answer for c in chosen}) == 2


def test_excluded_pictures_are_not_chosen() -> None:
    excluded = {"same-2.jpg", "same-3.jpg", "like-0.jpg"}
    images = {candidate.image for candidate, _ in mine(n=100, exclude=excluded)}
    assert images == {"like-1.jpg", *(c.image for c in OTHER)}


def test_the_seed_alone_decides_and_the_candidates_stay_as_they_are() -> None:
    before = list(ALL)
    assert mine(seed=5) == mine(seed=5)
    assert before == ALL
    assert len({tuple(c.row for c, _ in mine(seed=seed)) for seed in range(20)}) > 3


def test_there_may_be_fewer_than_wanted_or_none() -> None:
    assert mine(candidates=[], n=3) == []
    assert mine(candidates=[SAME[0], SAME[1]], n=3) == []
    assert len(mine(candidates=[SAME[0], SAME[2]], n=3)) == 1
    assert mine(n=0) == []
