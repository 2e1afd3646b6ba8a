"""What the harness is told of a model, against the same worked out one item at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("lm_eval")

import torch

from editors.balancedit import BalancEdit
from editors.base import EditedModel, no_edit
from editors.lm import LM
from editors.prompts import Query
from editors.scr import SCR
from medit_eval.benchmarks.harness import NOT_FINITE, Harness
from medit_eval.benchmarks.run import run
from schemas.records import EditRequest, Sample
from tests.medit_eval.benchmarks import support
from tests.tiny_models import tiny

FAMILIES = ("gpt2", "llama", "gemma3", "bloom")

ANN = EditRequest(
    id="ann",
    prompt="Ann Smith was born in",
    image=None,
    subject="Ann Smith",
    target_new="Rome",
    target_true="Paris",
    positives=(Sample("rephrase", "Ann Smith is born in", None, "Rome"),),
    negatives=(Sample("negative", "What country is shown?", None, "Paris"),),
    facts=("Ann Smith was born in Rome.",),
)

PAIRS = (
    ("Ann Smith was born in", " Rome"),
    ("Ann Smith was born in", " the capital of France"),
    ("Was Ann born? ", "Yes"),
    ("A long question about the country that is shown, which country?", " Paris\n"),
    ("", " Rome"),
)


def tokens_of(lm: LM, text: str) -> list[int]:
    return lm.tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def literal(lm: LM, context: Sequence[int], answer: Sequence[int]) -> tuple[float, bool]:
    """One pass over one unpadded row, as the definition says."""
    row = torch.tensor([[*context, *answer]])
    logprobs = lm.model(input_ids=row).logits[0].float().log_softmax(-1)
    total, greedy = 0.0, True
    for place, token in enumerate(answer, start=len(context)):
        total += float(logprobs[place - 1, token])
        greedy &= int(logprobs[place - 1].argmax()) == token
    return total, greedy


@torch.no_grad()
def literally_written(lm: LM, context: str, until: Sequence[str], tokens: int) -> str:
    row = tokens_of(lm, context)
    start = len(row)
    for _ in range(tokens):
        token = int(lm.model(input_ids=torch.tensor([row])).logits[0, -1].argmax())
        row.append(token)
        text = lm.tokenizer.decode(row[start:], skip_special_tokens=True)
        if token == lm.tokenizer.eos_token_id or any(mark in text for mark in until):
            break
    text = lm.tokenizer.decode(row[start:], skip_special_tokens=True).lstrip()
    ends = [text.find(mark) for mark in until if mark in text]
    return (text[: min(ends)] if ends else text).rstrip()


@pytest.mark.parametrize("family", FAMILIES)
def test_continuations_are_as_likely_as_one_by_one(family: str) -> None:
    lm = tiny(family)
    found = Harness(lm).loglikelihood(support.scored(*PAIRS))
    for (context, answer), (total, greedy) in zip(PAIRS, found, strict=True):
        kept = context.rstrip()
        whole = tokens_of(lm, context + answer)
        start = tokens_of(lm, kept) or [lm.tokenizer.bos_token_id]
        behind = whole[len(start) :] if kept else whole
        assert (total, greedy) == (pytest.approx(literal(lm, start, behind)[0], abs=1e-4), greedy)
        assert greedy == literal(lm, start, behind)[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_as_likely_as_one_by_one(family: str) -> None:
    lm = tiny(family)
    texts = ("Ann Smith was born in Rome.", "Rome", "The capital of France is Paris, Ann. " * 3)
    for text, total in zip(
        texts, Harness(lm).loglikelihood_rolling(support.read(*texts)), strict=True
    ):
        expected, _ = literal(lm, [lm.tokenizer.bos_token_id], tokens_of(lm, text))
        assert total == pytest.approx(expected, abs=1e-3)


def test_a_text_longer_than_the_context_is_read_in_windows_that_overlap() -> None:
    lm = tiny("llama", positions=24)
    text = "The capital of France is Paris. What country is shown? Ann Smith was born in Rome. " * 3
    ids = tokens_of(lm, text)
    windows = list(Harness(lm)._windows(text))
    assert len(windows) > 2
    assert [token for _, part in windows for token in part] == ids
    total = 0.0
    for query, part in windows:
        context = lm.encoder.token_ids(query)
        assert context
        assert len(context) + len(part) <= 24
        total += literal(lm, context, part)[0]
    assert all(query.context in text for query, _ in windows[1:] if query.context)
    assert all(not query.prompt for query, _ in windows)
    (found,) = Harness(lm).loglikelihood_rolling(support.read(text))
    assert found == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_written_as_one_by_one(family: str) -> None:
    lm = tiny(family)
    contexts = [context for context, _ in PAIRS if context and not context.endswith(" ")]
    contexts = [*dict.fromkeys(contexts), "Rome"]
    for until in (("\n",), ("b", "l", "u")):  # letters of no special token's name
        found = Harness(lm).generate_until(support.written(contexts, until))
        assert found == [literally_written(lm, context, until, 6) for context in contexts]


def test_the_batch_size_does_not_matter() -> None:
    outcomes = []
    for rows in (1, 3, 64):
        lm = tiny("llama")
        lm.batch_size = rows
        harness = Harness(lm)
        outcomes.append(
            (
                [total for total, _ in harness.loglikelihood(support.scored(*PAIRS))],
                harness.loglikelihood_rolling(support.read("Ann Smith", "Rome is in France.")),
            )
        )
        texts = harness.generate_until(support.written(["Ann", "What country is shown?", "Rome"]))
        assert texts == Harness(tiny("llama")).generate_until(
            support.written(["Ann", "What country is shown?", "Rome"])
        )
    for lists in zip(*outcomes, strict=True):
        for found in lists[1:]:
            assert found == pytest.approx(lists[0], abs=1e-4)


def test_the_models_own_prompt_format_stays_out_of_it_and_comes_back() -> None:
    own = tiny("llama", prompt_format="qa")
    plain = Harness(tiny("llama")).loglikelihood(support.scored(*PAIRS))
    assert Harness(own).loglikelihood(support.scored(*PAIRS)) == plain
    assert own.renderer.format == "qa"


@pytest.mark.parametrize("config", [support.choices(num_fewshot=0), support.free()])
def test_the_harness_itself_comes_to_the_same_scores(config: dict[str, Any]) -> None:
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate

    lm = tiny("llama")
    answers, (info,), _ = run(lm, [support.benchmark(config)], phase="after")
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(seed=0)
    found: Any = evaluate(Harness(lm), {"tasks": {info.task: task}}, bootstrap_iters=0)
    own = sum(answer.value or 0 for answer in answers) / len(answers)
    assert found["results"][info.task][f"{info.metric},none"] == pytest.approx(own)
    given = [sample["resps"][0][0] for sample in found["samples"][info.task]]
    if info.kind == "generation":
        assert given == [answer.output for answer in answers]
    else:
        firsts = [answer.logprobs[0] for answer in answers]
        assert [total for total, _ in given] == pytest.approx(firsts, abs=1e-4)


# Editors ------------------------------------------------------------------------------------------


def test_a_codebook_routes_on_the_prompt_alone() -> None:
    """The same decision for every option, and the one that `routing` tells."""
    lm = tiny("llama")
    with BalancEdit.for_model(lm).apply(lm) as model:
        model.edit([ANN])
        decided: list[tuple[str, int]] = []
        decide = model._decide

        def spy(batch: Any, book: Any, x: Any) -> Any:
            index = decide(batch, book, x)
            ends = batch.prompt_mask[:, batch.prompt_end :]
            assert not bool(ends.any())
            pairs = zip(batch.queries, index.tolist(), strict=True)
            decided.extend((query.prompt, entry) for query, entry in pairs)
            return index

        model._decide = spy  # pyright: ignore[reportAttributeAccessIssue]
        harness = Harness(model)
        options = (" Rome", " Paris and some more words", " a")
        prompts = (ANN.prompt, "The capital of France is")
        readings = harness.continuations(
            support.scored(*((prompt, option) for prompt in prompts for option in options))
        )
        by_prompt = {p: {entry for prompt, entry in decided if prompt == p} for p in prompts}
        assert all(len(entries) == 1 for entries in by_prompt.values())
        fired = harness.activated(readings)
        assert fired[:3] == [True] * 3
        assert fired == [by_prompt[p] != {-1} for p in prompts for _ in options]


class Recorded(LM):
    """What the model is asked to read is kept."""

    def score_tokens(self, queries: Any, targets: Any, *, top: int = 10) -> Any:
        self.seen = [query.text for query in queries]
        return super().score_tokens(queries, targets, top=top)


def recorded() -> Recorded:
    made = tiny("llama")
    return Recorded(made.model, made.tokenizer, name="recorded")


def test_a_fact_stands_before_the_final_question_and_behind_the_demonstrations() -> None:
    lm = recorded()
    asked = support.benchmark(support.choices(num_fewshot=2))
    with SCR.for_model(lm, confirm="none").apply(lm) as model:
        model.edit([ANN])
        answers, _, _ = run(model, [asked], phase="after")
        texts = lm.seen
    item = asked.items[0]
    question = "Where was Ann Smith born?"
    block = str(item.requests[0].arguments[0]).removesuffix(question)
    assert block.count("Where was") == 2
    assert texts[0] == f"{block}Ann Smith was born in Rome.\n{question}"
    assert answers[0].prompt == question
    assert answers[0].activated is True
    assert answers[0].tokens == len(tokens_of(lm, texts[0]))


def test_what_all_questions_begin_with_is_no_part_of_the_final_question() -> None:
    primer = "Q: Who was Ann Smith?\nA: Nobody.\n\n"
    asked = support.benchmark(
        support.choices(doc_to_text=lambda doc: f"{primer}Q: {doc['question']}\nA:")
    )
    assert [item.prompt for item in asked.items[:2]] == [
        "Q: Where was Ann Smith born?\nA:",
        "Q: Where was Bob Jones born?\nA:",
    ]


def test_a_text_asks_nothing_of_a_memory_of_facts() -> None:
    lm = tiny("llama")
    request = support.read("Ann Smith was born in Paris.")
    before = Harness(lm).loglikelihood_rolling(request)
    with SCR.for_model(lm, confirm="none").apply(lm) as model:
        model.edit([ANN])
        harness = Harness(model)
        readings = harness.texts(request)
        assert [reading.result for reading in readings] == before
        assert harness.activated(readings) == [False]


def test_edited_weights_are_asked() -> None:
    lm = tiny("llama")
    before = Harness(lm).loglikelihood(support.scored(*PAIRS))
    with no_edit(lm) as model:
        assert Harness(model).loglikelihood(support.scored(*PAIRS)) == before
        weight = model.lm.anatomy.blocks[1]
        name = next(n for n, p in lm.model.named_parameters() if p is next(weight.parameters()))
        model.write(name, torch.ones_like(lm.model.get_parameter(name)))
        assert Harness(model).loglikelihood(support.scored(*PAIRS)) != before
    assert Harness(lm).loglikelihood(support.scored(*PAIRS)) == before


class Parrot(EditedModel):
    """Answers by itself, past the seams."""

    def generate(self, queries: Any, **_: Any) -> list[str]:
        return ["Rome"] * len(queries)


def test_an_edited_model_that_answers_by_itself_is_asked_itself() -> None:
    with Parrot(tiny("llama")) as model:
        assert Harness(model).generate_until(support.written(["Ann"])) == ["Rome"]


# What cannot be scored ----------------------------------------------------------------------------


@pytest.mark.parametrize("config", [support.choices(), support.free(), support.texts("Ann Smith")])
def test_a_model_of_nothing_but_nan_is_not_scored(config: dict[str, Any]) -> None:
    lm = tiny("llama")
    for parameter in lm.model.parameters():
        parameter.data.fill_(math.nan)
    answers, _, _ = run(lm, [support.benchmark(config)], phase="after")
    assert {(answer.value, answer.reason) for answer in answers} == {(None, NOT_FINITE)}


@pytest.mark.parametrize("family", ["gpt2", "llava", "blip2", "qwen2_5_vl"])
def test_what_a_broken_model_writes_is_told(family: str) -> None:
    lm = tiny(family)
    (whole,) = Harness(lm).written(support.written(["Ann Smith was born in"]))
    assert whole.reason is None
    for parameter in lm.model.parameters():
        parameter.data.fill_(math.nan)
    (broken,) = Harness(lm).written(support.written(["Ann Smith was born in"]))
    assert (broken.result, broken.reason) == ("", NOT_FINITE)


def test_an_item_longer_than_the_context_is_not_cut_but_counted() -> None:
    lm = tiny("llama", positions=40)
    config = support.choices()
    long = "Where was Ann Smith born, if she was born at all? " * 8
    asked = support.benchmark(
        {**config, "doc_to_text": lambda d: long if "Bob" in d["question"] else d["question"]}
    )
    answers, _, _ = run(lm, [asked], phase="after")
    reasons = [answer.reason for answer in answers]
    assert [reason is None for reason in reasons] == [True, False, True, True, True]
    assert "exceed the model's 40" in str(reasons[1])
    assert answers[1].value is None


def test_a_free_answer_that_runs_out_of_room_is_not_scored() -> None:
    lm = tiny("llama", positions=24)
    prompt = "Ann Smith was born in Rome, and"
    room = 24 - len(tokens_of(lm, prompt))
    assert 0 < room < 20
    first, second = Harness(lm).written(
        [*support.written([prompt], (), room), *support.written([prompt], (), 200)]
    )
    assert first.reason is None
    assert "does not fit" in str(second.reason)


def test_a_picture_is_not_shown_to_a_model_without_eyes() -> None:
    (request,) = support.scored(("What is shown?", " Rome"))
    request.arguments = (*request.arguments, {"visual": b"no picture"})  # pyright: ignore
    (reading,) = Harness(tiny("llama")).continuations([request])
    assert reading.reason
    assert math.isnan(reading.result[0])


def test_a_query_keeps_its_own_context_when_it_is_rewritten() -> None:
    lm = tiny("llama")
    with SCR.for_model(lm, confirm="none").apply(lm) as model:
        model.edit([replace(ANN, facts=("Ann Smith was born in Lima.",))])
        assert model.rewrites
        (query,) = model.rewritten([Query("Where was Ann Smith born?")])
        assert query.context == "Ann Smith was born in Lima.\n"
