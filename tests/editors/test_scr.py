from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from editors.base import Editor
from editors.confirm import Claim, Reader
from editors.likelihood import Likelihood
from editors.lm import LM
from editors.prompts import Query
from editors.routing import Routed
from editors.scr import SCR, SCRModel, sentences
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRequest, Sample
from tests.factories import make_image, make_stripes
from tests.tiny_models import tiny

ANN = EditRequest(
    id="ann",
    prompt="Ann Smith was born in",
    image=None,
    subject="Ann Smith",
    target_new="Rome",
    target_true="Paris",
    facts=("Ann Smith was born in Rome.",),
)
BOB = replace(
    ANN,
    id="bob",
    prompt="Bob Jones was born in",
    subject="Bob Jones",
    target_new="Oslo",
    facts=("Bob Jones was born in Oslo.", "Oslo is the birthplace of Bob Jones."),
)
ABOUT_ANN = Query("Where was Ann Smith born?")
ABOUT_BOB = Query("Which town is the birthplace of Bob Jones?")
UNRELATED = Query("Zork, quux?")


def model_of(lm: LM, **options: Any) -> SCRModel:
    return SCR.for_model(lm, **{"confirm": "none", **options}).apply(lm)


def seen_by(model: SCRModel, queries: Sequence[Query]) -> Sequence[Query]:
    """The queries as the model underneath reads them."""
    return model.rewritten(queries)


def flag(number: int, answer: str, *colours: str, **more: Any) -> EditRequest:
    return EditRequest(
        id=f"flag-{number}",
        prompt="What country is shown?",
        image=make_stripes(*colours),
        subject=None,
        target_new=answer,
        target_true="Paris",
        facts=(f"This is the flag of {answer}.",),
        **more,
    )


def test_facts_are_put_before_questions_about_them() -> None:
    lm = tiny("llama")
    with model_of(lm) as model:
        assert isinstance(model, Routed)
        assert seen_by(model, [ABOUT_ANN]) == [ABOUT_ANN]
        model.edit([ANN, BOB])
        asked = [ABOUT_BOB, UNRELATED, ABOUT_ANN]
        bob, unrelated, ann = seen_by(model, asked)
        assert ann == replace(ABOUT_ANN, context="Ann Smith was born in Rome.\n")
        assert bob.context == "Oslo is the birthplace of Bob Jones.\n"
        assert unrelated is UNRELATED
        routes = [route.request_id for route in model.routing(asked)]
        assert routes == ["bob", None, "ann"]
        assert model.generate(asked) == lm.generate([bob, UNRELATED, ann])
        assert model.score(asked, ["Rome"] * 3) == lm.score([bob, UNRELATED, ann], ["Rome"] * 3)
        model.restore()
        assert seen_by(model, asked) == asked
        assert model.routing(asked)[0].nearest is None


def test_unrelated_queries_are_passed_on_untouched() -> None:
    lm = tiny("llama")
    queries = [UNRELATED, replace(UNRELATED, context="Some text.\n"), Query("Quux " * 9)]
    expected = lm.generate(queries)
    with model_of(lm) as model:
        model.edit([ANN, BOB])
        for query, passed in zip(queries, seen_by(model, queries), strict=True):
            assert passed is query
        assert model.generate(queries) == expected
    with SCR(threshold=2.0).apply(lm) as model:  # no fact explains more than all of a question
        model.edit([ANN, BOB])
        related = [ABOUT_ANN, ABOUT_BOB]
        for query, passed in zip(related, seen_by(model, related), strict=True):
            assert passed is query


def test_a_context_of_the_questions_own_is_kept() -> None:
    lm = tiny("llama")
    query = replace(ABOUT_ANN, context="A document.\n")
    with model_of(lm) as model:
        model.edit([ANN])
        assert seen_by(model, [query])[0].context == "Ann Smith was born in Rome.\nA document.\n"


def test_the_last_write_wins() -> None:
    lm = tiny("llama")
    later = replace(ANN, id="later", prompt="ann smith  was born in", target_new="Lima", facts=())
    with model_of(lm) as model:
        model.edit([ANN, BOB])
        model.edit([later])
        assert seen_by(model, [ABOUT_ANN])[0].context == "ann smith  was born in Lima.\n"
        assert model.state is not None
        assert {fact.request_id for fact in model.state} == {"bob", "later"}
        with pytest.warns(UserWarning, match="'later' and 'ann' contradict"):
            model.edit([later, ANN])
        assert model.routing([ABOUT_ANN])[0].request_id == "ann"


def test_statements_are_made_of_prompt_and_answer() -> None:
    bare = replace(ANN, facts=())
    assert sentences(bare) == ("Ann Smith was born in Rome.",)
    assert sentences(replace(bare, prompt="Who is it? ", target_new="Dr. No.")) == (
        "Who is it? Dr. No.",
    )


class Scripted:
    """Stands for a base model that repeats what it reads, whomever it is about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lm: LM) -> None:
        self.asked: list[tuple[str, str]] = []
        monkeypatch.setattr(lm, "score", self.score)

    def score(
        self, queries: Sequence[Query], answers: Sequence[str], *, top: int = 10
    ) -> list[Likelihood]:
        self.asked += [(query.text, answer) for query, answer in zip(queries, answers, strict=True)]
        costs = [
            sum(0.1 if word in query.text else 1.0 for word in answer.split())
            for query, answer in zip(queries, answers, strict=True)
        ]
        return [Likelihood((0,), (-cost,), ((0,),)) for cost in costs]


def test_a_fact_is_confirmed_by_whom_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("llama")
    script = Scripted(monkeypatch, lm)
    eve = replace(ANN, id="eve", prompt="Eve", subject="Eve Dole", facts=("Eve Dole was a queen.",))
    with model_of(lm, confirm="likelihood") as model:
        model.edit([ANN, BOB])
        # The words of the second one's relation stand in both facts, its name in neither.
        asked = [Query("Ann Smith was a child once"), Query("Eve Dole was born in")]
        ann, other = seen_by(model, asked)
        assert ann.context == "Ann Smith was born in Rome.\n"
        assert other is asked[1]
        routes = model.routing(asked)
        assert (routes[0].request_id, routes[0].nearest) == ("ann", "ann")
        # Behind the fact four of the six words cost a tenth, behind those about others two do.
        assert routes[0].score == pytest.approx(1 - (4 * 0.1 + 2) / (2 * 0.1 + 4))
        assert routes[0].threshold == 0.12
        assert (routes[1].request_id, routes[1].score) == (None, pytest.approx(0))
        assert routes[1].nearest is not None
        calls = len(script.asked)
        seen_by(model, asked)
        model.routing(list(reversed(asked)))
        assert len(script.asked) == calls  # the same questions are not confirmed again
        model.edit([eve])
        assert seen_by(model, asked)[1].context == "Eve Dole was a queen.\n"


def test_support_is_what_the_fact_explains_better_than_anything_else() -> None:
    lm = tiny("gpt2")
    query = Query("Where was Ann Smith born?")
    fact, others = "Ann Smith was born in Rome.", ("Bob was born in Rome.", "Eve was born in Rome.")
    claim = Claim(query, fact, others)

    def expected(*others: str) -> float:
        texts = (fact, lm.tokenizer.bos_token, *others)
        after, *elsewhere = lm.score([Query(f"{text}\n") for text in texts],
                                     [query.prompt] * len(texts))  # fmt: skip
        return 1 - after.total / max(other.total for other in elsewhere)

    found = Reader(lm).support([claim, claim, replace(claim, others=())])
    assert found == pytest.approx([expected(*others)] * 2 + [expected()], abs=1e-5)
    assert found[0] <= found[2]
    unreadable = [
        replace(claim, text="Rome " * 300),
        replace(claim, query=Query(" ")),
    ]
    assert Reader(lm).support(unreadable) == [0, 0]
    assert Reader(lm).support([]) == []


def test_reading_less_finds_the_same_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("gpt2")
    names = ("Ann Smith", "Bob Jones", "Eve Dole", "Kofi Mensah", "Nora Lind")
    towns = ("Rome", "Oslo", "Lima", "Cairo", "Quito")

    def claims(question: str) -> list[Claim]:
        return [
            Claim(
                Query(question),
                f"{name} was born in {town}.",
                tuple(f"{other} was born in {town}." for other in names if other != name),
            )
            for name, town in zip(names, towns, strict=True)
        ]

    among = [claims(f"Where was {name} born?") for name in names]
    among += [claims("What is zinc?"), [], claims(" "), claims("Rome " * 300), among[0] * 2]
    whole = [Reader(lm).support(some) for some in among]
    read: list[int] = []
    score = LM.score

    def counted(self: LM, queries: Any, *args: Any, **options: Any) -> Any:
        read.append(len(queries))
        return score(self, queries, *args, **options)

    monkeypatch.setattr(LM, "score", counted)
    found = Reader(lm).best(among)
    for got, expected in zip(found, whole, strict=True):
        if not expected:
            assert got is None
            continue
        assert got is not None
        assert got[0] == expected.index(max(expected))
        assert got[1] == pytest.approx(max(expected), abs=1e-5)
    fewer = sum(read)
    read.clear()
    for some in among[:6]:
        Reader(lm).support(some)
    assert fewer < sum(read)


@pytest.mark.parametrize(
    ("reply", "confirmed"),
    [("1", "ann"), ("Fact 2.", "bob"), ("NONE", None), ("7", None), ("0", None), ("", None)],
)
def test_instruction_models_name_the_number_of_a_fact(
    reply: str, confirmed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("llama", prompt_format="chat", chat=True)
    asked: list[Query] = []

    def answer(queries: Sequence[Query], **_: Any) -> list[str]:
        asked.extend(queries)
        return [reply] * len(queries)

    monkeypatch.setattr(lm, "generate", answer)
    editor = SCR.for_model(lm)
    assert (editor.confirm, editor.template) == ("generate", "instruction")
    with editor.apply(lm) as model:
        model.edit([ANN, replace(BOB, facts=BOB.facts[:1])])
        question = Query("Was Ann Smith really born there?")
        passed = seen_by(model, [question, UNRELATED])
        assert len(asked) == 1
        assert "1. Ann Smith was born in Rome.\n2. Bob Jones was born in Oslo.\n" in asked[0].prompt
        assert question.prompt in asked[0].prompt
        assert model.routing([question])[0].request_id == confirmed
        assert passed[1] is UNRELATED
        if confirmed is None:
            assert passed[0] is question
        else:
            assert passed[0].context is not None
            assert "Take this as true" in passed[0].context


def test_routing_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("llama")
    Scripted(monkeypatch, lm)
    with model_of(lm, confirm="likelihood", threshold=0.99) as model:
        model.edit([ANN])
        assert seen_by(model, [ABOUT_ANN])[0] is ABOUT_ANN
        model.force("on")
        assert seen_by(model, [ABOUT_ANN])[0].context == "Ann Smith was born in Rome.\n"
        assert model.routing([ABOUT_ANN])[0].request_id is None
        model.force("off")
        assert seen_by(model, [ABOUT_ANN])[0] is ABOUT_ANN
        model.force(None)
        with pytest.raises(InputError, match="'on', 'off' or None"):
            model.force("maybe")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "blip2"])
def test_pictures_decide_which_facts_a_question_is_compared_with(family: str) -> None:
    lm = tiny(family)
    red, blue = flag(1, "Peru", "red", "white"), flag(2, "Cuba", "blue", "yellow", "blue")
    with model_of(lm, image_threshold=0.99999) as model:
        model.edit([red, blue, ANN])
        asked = [
            Query("What country is shown?", red.image),
            Query("This is the flag of", blue.image),
            Query("What is shown?", make_image(5, 48)),
            Query("Which flag is this?"),
            Query("Where was Ann Smith born?", make_image(5, 48)),
        ]
        routes = model.routing(asked)
        assert [route.request_id for route in routes[:3]] == ["flag-1", "flag-2", None]
        assert routes[2].nearest in {"flag-1", "flag-2"}
        assert routes[3].request_id in {"flag-1", "flag-2"}  # words alone
        assert routes[4].request_id == "ann"
        passed = seen_by(model, asked)
        assert passed[0].context == "This is the flag of Peru.\n"
        assert passed[0].image is red.image
        assert passed[2] is asked[2]
        assert model.routing([asked[0]]) == routes[:1]
        model.force("on")
        assert seen_by(model, [asked[2]])[0].context is not None
        assert len(model.generate(asked, max_new_tokens=2)) == len(asked)


def test_a_requests_own_pictures_set_its_threshold() -> None:
    lm = tiny("llava")
    own = make_image(1)

    def threshold(alike: Sequence[EncodedImage], other: Sequence[EncodedImage]) -> float:
        request = replace(
            flag(1, "Peru", "red"),
            image=own,
            positives=tuple(Sample("image_augmented", "?", image, "Peru") for image in alike),
            negatives=tuple(Sample("negative", "?", image, "Cuba") for image in other),
        )
        with model_of(lm, image_threshold=0.5) as model:
            model.edit([request])
            assert model.state is not None
            picture = model.state[0].picture
            assert picture is not None
            return picture.threshold

    with model_of(lm) as model:
        ours, two, three = model._sight.keys([own, make_image(2), make_image(3)])
        near, far = sorted((float(ours @ two), float(ours @ three)), reverse=True)
        images = [make_image(2), make_image(3)]
        if float(ours @ two) < float(ours @ three):
            images.reverse()
    like, unlike = images
    assert threshold([], []) == 0.5
    assert threshold([], [own]) == 0.5  # the same file tells nothing
    assert threshold([], [unlike]) == pytest.approx((1 + far) / 2, abs=1e-5)
    assert threshold([like], [unlike]) == pytest.approx((near + far) / 2, abs=1e-5)
    assert threshold([unlike], [like]) == pytest.approx((1 + near) / 2, abs=1e-5)


def test_a_text_model_refuses_requests_with_pictures() -> None:
    with model_of(tiny("llama")) as model:
        with pytest.raises(InputError, match="text model"):
            model.edit([flag(1, "Peru", "red")])
        assert model.state is None


def test_questions_in_one_batch_are_decided_as_alone() -> None:
    lm = tiny("gpt2")
    asked = [ABOUT_ANN, ABOUT_BOB, UNRELATED, Query("Ann Smith was born in")]
    with SCR(threshold=-5.0).apply(lm) as model:
        model.edit([ANN, BOB])
        together = model.routing(asked)
        texts = model.generate(asked, max_new_tokens=4)
    for query, route, text in zip(asked, together, texts, strict=True):
        with SCR(threshold=-5.0).apply(lm) as model:
            model.edit([ANN, BOB])
            alone = model.routing([query])[0]
            assert alone.request_id == route.request_id
            assert alone.score == pytest.approx(route.score, abs=1e-4)
            assert model.generate([query], max_new_tokens=4) == [text]


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    lm = tiny("llama")
    assert isinstance(SCR(), Editor)
    for wrong in ({"confirm": "x"}, {"template": "x"}, {"k": 0}):
        with pytest.raises(InputError):
            SCR(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"the retriever .* is neither"):
        SCR(retriever=str(tmp_path / "nowhere")).apply(lm)
    with pytest.raises(InputError, match="layers 0 to 2"):
        SCR(image_layer=7).apply(tiny("llava"))
