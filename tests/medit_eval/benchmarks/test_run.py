"""Answers, what they cost, what is kept of them, and which an edit excuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from editors.balancedit import BalancEdit
from editors.base import no_edit
from medit_eval.benchmarks.answers import UNEDITED, Answer
from medit_eval.benchmarks.exclusion import changed_by
from medit_eval.benchmarks.run import run
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.medit_eval.benchmarks import support
from tests.tiny_models import tiny


def answer(prompt: str, gold: str, **overrides: object) -> Answer:
    made = Answer(
        phase=UNEDITED,
        task="t",
        item=prompt,
        cluster="c",
        kind="generation",
        metric="exact_match",
        question="0" * 32,
        prompt=prompt,
        choices=(),
        gold=gold,
        output="",
        logprobs=(),
        value=1.0,
    )
    return dataclasses.replace(made, **overrides)


REQUEST = EditRequest("q", "Ann Smith was born in", None, "Ann Smith", "Rome", target_true="Oslo")


def test_answers_hold_what_was_asked_and_what_came_of_it() -> None:
    asked = support.benchmark(support.choices())
    answers, (info,), (timing,) = run(tiny("llama"), [asked], phase="edits-10")
    assert [a.item for a in answers] == [f"born:{i}" for i in range(5)]
    assert {a.cluster for a in answers} == {"odd", "even"}
    for one in answers:
        assert len(one.logprobs) == 3
        best = one.logprobs.index(max(one.logprobs))
        assert one.output == one.choices[best]
        assert one.value == float(one.output == one.gold)
        assert (one.phase, one.kind, one.metric) == ("edits-10", "choice", "acc")
        assert one.activated is None
        assert one.tokens > 0
    assert (info.items, info.shots, info.kind) == (5, 0, "choice")
    assert (timing.requests, timing.phase) == (15, "edits-10")
    assert timing.tokens == sum(3 * one.tokens for one in answers)


def test_a_single_continuation_is_right_if_greedy_decoding_gives_it() -> None:
    config = {
        **support.choices(),
        "output_type": "loglikelihood",
        "doc_to_choice": None,
        "doc_to_target": "question",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        ],
    }
    answers, (info,), _ = run(tiny("llama"), [support.benchmark(config)], phase="after")
    assert (info.metric, info.chance) == ("acc", None)
    assert [(one.value, one.output) for one in answers] == [(0.0, "")] * 5


def test_the_score_of_a_text_is_nats_per_word() -> None:
    asked = support.benchmark(support.texts("Ann Smith was born", "Rome"))
    answers, (info,), _ = run(tiny("llama"), [asked], phase="after")
    assert [one.weight for one in answers] == [4.0, 1.0]
    for one in answers:
        assert one.value == pytest.approx(-one.logprobs[0] / one.weight)
    assert info.kind == "perplexity"


def test_what_a_filter_takes_from_an_answer_is_told_from_the_answer() -> None:
    config = support.free(
        filter_list=[
            {
                "name": "numbers",
                "filter": [
                    {"function": "regex", "regex_pattern": "([0-9]+)"},
                    {"function": "take_first"},
                ],
            }
        ]
    )
    answers, (info,), _ = run(tiny("llama"), [support.benchmark(config)], phase="after")
    assert info.metric == "exact_match,numbers"
    assert all(a.extracted is None or a.extracted.isdigit() for a in answers)
    assert any(a.extracted is None and a.output for a in answers)


def test_two_models_are_asked_the_same() -> None:
    asked = support.benchmark(support.choices(num_fewshot=2))
    runs = [run(tiny("llama", seed=seed), [asked], phase="after")[0] for seed in (0, 1)]
    first, second = ([(a.item, a.question) for a in answers] for answers in runs)
    assert first == second
    assert [a.logprobs for a in runs[0]] != [a.logprobs for a in runs[1]]


def test_answers_of_the_same_weights_are_kept_and_those_of_others_are_not_taken_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = support.benchmark(support.choices())
    lm = tiny("llama")
    first = run(lm, [asked], phase=UNEDITED, cache=tmp_path)

    other = tiny("llama", seed=1)
    assert run(other, [asked], phase=UNEDITED, cache=tmp_path)[0] != first[0]
    weight = next(iter(lm.model.parameters()))
    weight.data += 0.5
    assert run(lm, [asked], phase=UNEDITED, cache=tmp_path)[0] != first[0]
    more = support.benchmark(support.choices(num_fewshot=1))
    assert run(tiny("llama"), [more], phase=UNEDITED, cache=tmp_path)[0] != first[0]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the model is asked again")

    monkeypatch.setattr("medit_eval.benchmarks.harness.Harness.read", never)
    assert run(tiny("llama"), [asked], phase=UNEDITED, cache=tmp_path) == first


def test_nothing_of_an_edited_model_is_kept(tmp_path: Path) -> None:
    asked = support.benchmark(support.choices())
    lm = tiny("llama")
    with no_edit(lm) as model:
        run(model, [asked], phase=UNEDITED, cache=tmp_path)
    with BalancEdit.for_model(lm).apply(lm) as model:
        run(model.lm, [asked], phase=UNEDITED, cache=tmp_path)  # its hooks answer, too
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_damaged_cache_is_asked_again(tmp_path: Path) -> None:
    asked = support.benchmark(support.choices())
    first = run(tiny("llama"), [asked], phase=UNEDITED, cache=tmp_path)
    for file in tmp_path.rglob("*.parquet"):
        file.write_bytes(b"PAR1 nothing")
    assert run(tiny("llama"), [asked], phase=UNEDITED, cache=tmp_path)[0] == first[0]
    assert run(tiny("llama"), [asked], phase=UNEDITED, cache=tmp_path)[0] == first[0]


def test_a_task_with_pictures_is_refused_by_a_model_without_eyes() -> None:
    with pytest.raises(InputError, match="world_flags shows pictures, and tiny-llama reads none"):
        run(tiny("llama"), ["world_flags"], phase="after", limit=2)


def test_a_task_with_pictures_is_asked_of_a_model_that_sees() -> None:
    answers, _, _ = run(tiny("llava"), ["world_flags"], phase="after", limit=4)
    assert all(one.reason is None and len(one.choices) == 4 for one in answers)
    assert len({one.question for one in answers}) == 4


# What an edit excuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "gold", "excused"),
    [
        ("Ann Smith was born in", "Oslo", True),
        ("Question: ann smith was born in\nA. Rome\nB. Oslo\nAnswer:", "B", True),
        ("In which land was Ann Smith born?", "Oslo, so Norway", True),
        ("Who was born in Oslo?", "Ann Smith | Oslo", True),
        ("In which land was Ann Smith born?", "Norway", False),
        ("What is the job of Ann Smith?", "nurse", False),
        ("Ann Smithson was born in", "Oslo", False),
        ("What is the capital of Norway?", "Oslo", False),
    ],
)
def test_an_item_is_excused_if_it_names_the_subject_and_its_old_answer(
    prompt: str, gold: str, excused: bool
) -> None:
    assert changed_by([answer(prompt, gold)], [REQUEST]) == ({("t", prompt)} if excused else set())


def test_an_edit_without_a_subject_excuses_the_same_question_with_the_old_answer() -> None:
    request = dataclasses.replace(REQUEST, subject=None, prompt="What is shown?")
    answers = [
        answer("What is shown?", "Oslo", item="same"),
        answer("What is shown?", "Lima", item="another picture"),
        answer("What is it?", "Oslo", item="other words"),
    ]
    assert changed_by(answers, [request]) == {("t", "same")}
    assert changed_by(answers, []) == set()
