"""IKE: what stands before a question."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from editors.ike import IKE, Lesson, _dealt
from editors.prompts import Query
from schemas.errors import InputError
from tests.editors.facts import ANN, FLAG, FRANCE, OTHER_FLAG
from tests.tiny_models import tiny

BORN = Lesson(
    "Bob Smith was born in", "Rome", ("Bob's town is",), (("Cleo Hall was born in", "Paris"),)
)
CAPITAL = Lesson("The capital of Spain is what?", "Oslo", ("Spain's capital:",), ())


def test_a_question_stands_behind_demonstrations_and_the_fact() -> None:
    lm = tiny("gpt2", positions=512)
    with IKE(lessons=(CAPITAL, BORN), k=1).apply(lm) as edited:
        edited.edit([ANN])
        (read,) = edited.rewritten([Query("Ann lives in")])
        fact = "Ann Smith was born in Rome"
        assert read.text in {
            f"New Fact: Bob Smith was born in Rome\nPrompt: {shown}\n\n"
            f"New Fact: {fact}\nPrompt: {fact}\n\n"
            f"New Fact: {fact}\nPrompt: Ann lives in"
            for shown in (
                "Bob Smith was born in Rome", "Bob's town is Rome", "Cleo Hall was born in Paris"
            )
        }  # fmt: skip


def test_the_nearest_lesson_stands_last() -> None:
    lm = tiny("gpt2", positions=512)
    lessons = (BORN, CAPITAL)
    with IKE(lessons=lessons, k=2).apply(lm) as edited:
        for request, last in ((ANN, "Bob Smith"), (FRANCE, "Spain")):
            edited.edit([request])
            assert edited.state is not None
            shown = edited.demonstrations(edited.state.facts[-1].text)
            assert last in shown[-1]


def test_kinds_are_dealt_as_in_the_paper() -> None:
    counted = Counter(_dealt(32, random.Random(0)))
    assert counted == {"copy": 4, "update": 12, "retain": 16}
    for count in range(1, 40):
        assert len(_dealt(count, random.Random(count))) == count


def test_every_question_gets_the_nearest_fact_whether_it_bears_on_it_or_not() -> None:
    lm = tiny("gpt2", positions=512)
    with IKE().apply(lm) as edited:
        assert edited.rewritten([Query("Why?")]) == [Query("Why?")]
        edited.edit([ANN, FRANCE])
        asked = [Query("Ann Smith works for"), Query("Whose capital is it?"), Query("xyzzy")]
        routes = [route.request_id for route in edited.routing(asked)]
        assert routes[:2] == ["ann", "france"]
        assert routes[2] is not None
        assert all(q.text.startswith("New Fact: ") for q in edited.rewritten(asked))
        edited.force("off")
        assert edited.rewritten(asked) == asked


def test_what_does_not_fit_is_left_out_the_farthest_first() -> None:
    lessons = tuple(Lesson(f"Person {i} was born in", "Rome") for i in range(20))
    lm = tiny("gpt2", positions=200)
    with IKE(lessons=lessons, k=20).apply(lm) as edited:
        edited.edit([ANN])
        (read,) = edited.rewritten([Query(ANN.prompt)])
        assert lm.prompt_tokens(read) + 40 <= 200
        shown = edited.demonstrations("Ann Smith was born in Rome")
        kept = [text for text in shown if text in read.text]
        assert 0 < len(kept) < len(shown)
        assert kept == list(shown[-len(kept) :])
        assert edited.generate([Query(ANN.prompt)])
        (bare,) = edited.rewritten([Query("word " * 150)])
        assert "Person" not in bare.text


def test_a_picture_is_told_by_its_likeness() -> None:
    lm = tiny("llava")
    with IKE().apply(lm) as edited:
        edited.edit([FLAG, OTHER_FLAG])
        asked = [Query("What is shown?", request.image) for request in (FLAG, OTHER_FLAG)]
        assert [route.request_id for route in edited.routing(asked)] == ["flag", "other"]
        (read,) = edited.rewritten(asked[:1])
        assert read.image == FLAG.image


def test_a_later_edit_of_a_question_stands() -> None:
    lm = tiny("gpt2")
    with IKE().apply(lm) as edited:
        edited.edit([ANN])
        edited.edit([replace(ANN, id="again", target_new="Oslo")])
        assert [fact.text for fact in (edited.state.facts if edited.state else ())] == [
            "Ann Smith was born in Oslo"
        ]


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InputError, match="k is a whole number of at least 0, not -1"):
        IKE(k=-1)
    with pytest.raises(InputError, match="lessons are made by `Lesson`"):
        IKE(lessons=("one",))  # type: ignore[arg-type]
