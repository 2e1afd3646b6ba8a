from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from editors.anatomy import fan_in
from editors.balancedit import (
    REFERENCE_FAN_IN,
    REFERENCE_RATE,
    BalancEdit,
    BalancEditModel,
    empty_picture,
    negative_sample,
    positive_sample,
    weights,
)
from editors.base import EditError, Editor
from editors.grace import GRACE
from editors.lm import LM
from editors.prompts import Query
from editors.routing import Routed, latest
from schemas.errors import InputError
from schemas.records import EditRequest, Sample
from tests.factories import make_image
from tests.tiny_models import tiny


def person(name: str, place: str, **overrides: Any) -> EditRequest:
    request = EditRequest(
        id=name,
        prompt=f"{name} was born in",
        image=None,
        subject=name,
        target_new=place,
        target_true="Paris",
        positives=(Sample("rephrase", f"{name} is born in", None, place),),
        negatives=(Sample("negative", "What country is shown?", None, "Paris"),),
    )
    return replace(request, **overrides)


PEOPLE = [
    person("Ann Smith", "Rome"),
    person("Bob", "France"),
    person("Cid Jones Dole", "the capital"),
    person("Eve of Rome", "Smith is"),
]


def flag(number: int, answer: str) -> EditRequest:
    image = make_image(number, size=28)
    return EditRequest(
        id=f"flag-{number}",
        prompt="What country is shown?",
        image=image,
        subject=None,
        target_new=answer,
        target_true="Paris",
        positives=(Sample("rephrase", "What is the country?", image, answer),),
        negatives=(
            Sample("negative", "What country is shown?", make_image(number + 50, 28), "Paris"),
        ),
    )


FLAGS = [flag(1, "Rome"), flag(2, "France"), flag(3, "Smith is")]


def requests_for(lm: LM) -> list[EditRequest]:
    return FLAGS if lm.sees else PEOPLE


def questions(requests: Sequence[EditRequest]) -> list[Query]:
    return [Query(request.prompt, request.image) for request in requests]


def edited(lm: LM, **options: Any) -> BalancEditModel:
    return BalancEdit.for_model(lm, **options).apply(lm)


def means(model: Any, requests: Sequence[EditRequest]) -> list[float]:
    found = model.score(questions(requests), [request.target_new for request in requests])
    return [likelihood.mean for likelihood in found]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"value": "low_rank", "steps": 100},
    {"layer": 0},
    {"key": "reference", "distance": "cosine"},
]


@pytest.mark.parametrize(
    ("family", "options"),
    [
        *(("gpt2", options) for options in SETTINGS),
        *(("llava", options) for options in SETTINGS),
        ("opt", {}),
        ("qwen2_5_vl", {}),
    ],
    ids=str,
)
def test_edits_are_learned_answered_and_taken_back(family: str, options: dict[str, Any]) -> None:
    lm = tiny(family)
    requests = requests_for(lm)
    unedited = means(lm, requests)
    digest = lm.digest()
    with edited(lm, **options) as model:
        assert isinstance(model, Routed)
        model.edit(requests)
        after = means(model, requests)
        assert min(after) > -1.5 > max(unedited)
        routes = model.routing(questions(requests))
        assert [route.request_id for route in routes] == [request.id for request in requests]
        assert lm.digest() == digest
        answers = model.generate(questions(requests), max_new_tokens=4)
        for answer, request in zip(answers, requests, strict=True):
            assert answer.startswith(request.target_new.split()[0])
        model.restore()
        assert means(model, requests) == unedited
        model.edit(requests[:1])
        assert means(model, requests[:1])[0] > -1.5
    assert means(lm, requests) == unedited


@pytest.mark.parametrize("family", ["gpt2", "llava"])
def test_generation_with_a_cache_is_what_scoring_says(family: str) -> None:
    lm = tiny(family)
    requests = requests_for(lm)
    with edited(lm) as model:
        model.edit(requests)
        pictures = [request.image for request in requests]
        # In one batch: rows that entries answer, and rows that none does.
        asked = [*questions(requests), *(Query("The capital of", image) for image in pictures)]
        routes = {route.request_id for route in model.routing(asked)}
        assert None in routes
        assert len(routes) == len(requests) + 1
        cached = model.generate(asked, max_new_tokens=5, stop=())
        uncached: list[list[int]] = [[] for _ in asked]
        for _ in range(5):
            # The last column's logits, read after rows of equal length.
            answers = [[*ids, 0] for ids in uncached]
            batch = lm.encoder.encode(asked, answers)
            best = lm.forward(batch, keep=2)[:, 0].argmax(-1).tolist()
            uncached = [[*ids, token] for ids, token in zip(uncached, best, strict=True)]
        texts = lm.tokenizer.batch_decode(uncached, skip_special_tokens=True)
        assert cached == [text.strip() for text in texts]


def test_only_the_inside_of_the_radius_is_changed() -> None:
    lm = tiny("gpt2")
    with edited(lm) as model:
        model.edit(PEOPLE)
        probes = [
            Query(f"{start} {end}")
            for start in ("Ann Smith", "Bob", "Paris", "The country", "What", "Cid Jones")
            for end in ("was born in", "is shown", "of France?", "in Rome")
        ]
        routes = model.routing(probes)
        inside = [route.request_id is not None for route in routes]
        assert any(inside)
        assert not all(inside)
        for route in routes:
            assert route.score is not None
            assert route.threshold is not None
            assert (route.request_id is not None) == (route.score <= route.threshold)
        after = model.score(probes, ["Rome"] * len(probes))
        before = lm_unedited(lm).score(probes, ["Rome"] * len(probes))
        for changed, one, other in zip(inside, after, before, strict=True):
            assert changed == (one != other)


def lm_unedited(lm: LM) -> LM:
    return tiny(lm.name.removeprefix("tiny-"))


@pytest.mark.parametrize("family", ["gpt2", "llava"])
def test_one_at_a_time_and_all_at_once_agree(family: str) -> None:
    lm = tiny(family)
    requests = requests_for(lm)
    asked = [
        *questions(requests),
        Query("What country", requests[0].image),
        Query("Rome is", requests[1].image),
    ]
    with edited(lm) as model:
        model.edit(requests)
        together = model.score(asked, ["Ann Smith"] * len(asked))
        alone = [model.score([query], ["Ann Smith"])[0] for query in asked]
        for one, other in zip(together, alone, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
        assert [r.request_id for r in model.routing(asked)] == [
            model.routing([query])[0].request_id for query in asked
        ]
        texts = model.generate(asked, max_new_tokens=3)
        assert texts == [model.generate([query], max_new_tokens=3)[0] for query in asked]
    for request in requests:
        with edited(lm) as model:
            model.edit([request])
            alone_mean = means(model, [request])[0]
        with edited(lm) as model:
            model.edit(requests)
            assert means(model, [request])[0] == pytest.approx(alone_mean, abs=2e-3)


def test_routing_looks_at_the_prompt_and_not_at_the_answer() -> None:
    lm = tiny("gpt2")
    with edited(lm) as model:
        model.edit(PEOPLE)
        seen: list[torch.Tensor] = []
        decide = model._decide

        def watch(*args: Any) -> torch.Tensor:
            seen.append(decide(*args))
            return seen[-1]

        model._decide = watch  # type: ignore[method-assign]
        model.score(questions(PEOPLE) * 2, ["Rome"] * 4 + ["of the country of France"] * 4)
        routes = [row for batch in seen for row in batch.tolist()]
        # Each prompt is read once, and both of its answers follow the same decision.
        assert sorted(routes) == sorted([0, 1, 2, 3] * 3)


def test_routing_can_be_forced() -> None:
    lm = tiny("gpt2")
    far = [Query("What country is shown?")]
    unedited = lm.score(far, ["Rome"])
    with edited(lm) as model:
        model.edit(PEOPLE[:1])
        assert model.score(far, ["Rome"]) == unedited
        route = model.routing(far)[0]
        assert (route.request_id, route.nearest) == (None, "Ann Smith")
        model.force("on")
        assert model.score(far, ["Rome"]) != unedited
        assert model.routing(far)[0] == route
        model.force("off")
        assert model.score(questions(PEOPLE[:1]), ["Rome"]) == lm_unedited(lm).score(
            questions(PEOPLE[:1]), ["Rome"]
        )
        model.force(None)
        assert means(model, PEOPLE[:1])[0] > -1.5
        with pytest.raises(InputError, match="'on', 'off' or None"):
            model.force("maybe")  # pyright: ignore[reportArgumentType]


def test_the_same_question_replaces_its_entry() -> None:
    lm = tiny("gpt2")
    again = replace(PEOPLE[0], id="later", prompt="ann smith  was born in", target_new="France")
    with edited(lm) as model:
        model.edit(PEOPLE)
        model.edit([replace(again, prompt=PEOPLE[0].prompt)])
        assert [e.request_id for e in model.distances()] == [*(p.id for p in PEOPLE[1:]), "later"]
        assert model.generate(questions(PEOPLE[:1]), max_new_tokens=2)[0].startswith("France")
    with edited(lm) as model:
        with pytest.warns(UserWarning, match="'Ann Smith' and 'later' contradict"):
            model.edit([PEOPLE[0], again])
        assert [entry.request_id for entry in model.distances()] == ["later"]
    assert latest([PEOPLE[0], replace(PEOPLE[0], id="same")])[0].id == "same"


@pytest.mark.parametrize("value", ["full", "low_rank"])
def test_a_new_edit_inside_an_entry_goes_on_from_its_copy(value: str) -> None:
    lm = tiny("gpt2")
    # A radius that takes in everything, and one step of training: what it began with still shows.
    wide: dict[str, Any] = {"w_pos": 0, "w_neg": 100, "crossed": "mix", "value": value}
    inner = replace(PEOPLE[1], target_new=PEOPLE[0].target_new)

    def begun(overlap: Any) -> float:
        first = BalancEdit.for_model(lm, **wide, overlap=overlap)
        with first.apply(lm) as model:
            model.edit(PEOPLE[:1])
            model.editor = replace(first, steps=1, learning_rate=1e-6)
            model.edit([inner])
            assert model.routing(questions([inner]))[0].request_id == inner.id
            assert len(model.distances()) == 2
            return means(model, [inner])[0]

    assert begun("continue") > begun("fresh") + 1


def test_radii_follow_the_weights_and_the_policy() -> None:
    lm = tiny("gpt2")

    def entries(**options: Any) -> list[Any]:
        with edited(lm, steps=1, **options) as model:
            model.edit(PEOPLE)
            return list(model.distances())

    mixed = entries(w_pos=0.3, w_neg=0.6, crossed="mix")
    for entry in mixed:
        assert entry.radius == pytest.approx(0.3 * entry.positive + 0.6 * entry.negative, rel=1e-5)
    crossing = [
        replace(p, positives=p.negatives, negatives=p.positives, id=f"{p.id} crossed")
        for p in PEOPLE
    ]
    with edited(lm, steps=1) as model:
        model.edit(crossing)
        for entry in model.distances():
            assert entry.crossed
            assert entry.radius == pytest.approx((entry.negative or 0) / 2)
    assert weights("reference", 0.05) == (0.05, 0.95)
    assert weights("described", 0.2) == (0.8, 0.2)
    llava = tiny("llava")
    assert BalancEdit.for_model(llava, preset="reference").w_pos == 0.2
    assert BalancEdit.for_model(tiny("blip2"), preset="reference").w_pos == 0.05
    assert BalancEdit.for_model(llava, preset="reference", distance="cosine").w_pos == 0.25


def test_samples_are_the_requests_own_or_made_up() -> None:
    bare = replace(FLAGS[0], positives=(), negatives=())
    assert positive_sample(FLAGS[0]).prompt == "What is the country?"
    assert positive_sample(bare).prompt == "Please answer: What country is shown?"
    other = Sample("image_other_instance", FLAGS[0].prompt, make_image(9, 28), "Rome")
    both = replace(FLAGS[0], positives=(other, *FLAGS[0].positives))
    assert positive_sample(both).kind == "rephrase"
    for kind in ("black", "white", "random"):
        sample = negative_sample(FLAGS[0], kind)
        assert sample.prompt == FLAGS[0].prompt
        assert sample.image == negative_sample(FLAGS[0], kind).image
    black = empty_picture("black", "").decode()
    assert black.size == (364, 364)
    assert black.getextrema() == ((0, 0),) * 3
    assert empty_picture("random", "a") != empty_picture("random", "b")
    assert negative_sample(FLAGS[0], "record") == FLAGS[0].negatives[0]
    with pytest.raises(InputError, match=r"flag-1.*negatives.*no negative sample"):
        negative_sample(bare, "record")
    assert negative_sample(PEOPLE[0], "black") == PEOPLE[0].negatives[0]
    neutral = negative_sample(replace(PEOPLE[0], negatives=()), "black")
    assert neutral.prompt == "this was born in"
    assert negative_sample(replace(PEOPLE[0], negatives=(), subject=None), "white").prompt == (
        "What is this?"
    )


def test_a_failed_edit_leaves_the_codebook_as_it_was() -> None:
    lm = tiny("gpt2")
    with edited(lm) as model:
        model.edit(PEOPLE[:1])
        before = model.distances()
        same = Sample("negative", PEOPLE[1].prompt, None, "Paris")
        with pytest.raises(EditError, match=r"row Bob.*as the same"):
            model.edit([replace(PEOPLE[1], negatives=(same,))])
        assert model.distances() == before
        model.edit([])
        assert model.distances() == before
        long = replace(PEOPLE[1], prompt="Rome " * 400)
        with pytest.raises(InputError, match="exceed the model's 256"):
            model.edit([long])
        assert model.distances() == before
        assert means(model, PEOPLE[:1])[0] > -1.5


def test_memory_is_told_for_both_kinds_of_copies() -> None:
    lm = tiny("gpt2")
    for value in ("full", "low_rank"):
        with edited(lm, value=value, rank=2, steps=1) as model:
            assert model.memory().copies == 0
            model.edit(PEOPLE)
            memory = model.memory()
            assert memory.entries == 4
            assert memory.copies == getattr(memory, value)
            assert memory.full == 4 * 4 * (32 * 48 + 32)
            assert memory.low_rank == 4 * 4 * 2 * (32 + 48)
            assert memory.keys == 4 * 4 * 48


def test_a_hundred_entries_go_into_one_matrix() -> None:
    lm = tiny("gpt2")
    names = [f"{a} {b}" for a in "ABCDEFGHIJ" for b in "klmnopqrst"]
    people = [person(name, "Rome", negatives=()) for name in names]
    with edited(lm, steps=1) as model:
        model.edit(people)
        routes = model.routing(questions(people))
        assert [route.request_id for route in routes] == names
        assert model.state is not None
        assert model.state.keys.shape == (100, 48)


def test_half_precision_and_other_prompt_formats_work() -> None:
    for lm in (tiny("llama", prompt_format="qa"), tiny("llama", prompt_format="chat", chat=True)):
        lm.model.to(torch.bfloat16)
        with edited(lm) as model:
            model.edit(PEOPLE)
            assert min(means(model, PEOPLE)) > -1.5


def test_bad_settings_are_refused() -> None:
    lm = tiny("gpt2")
    assert isinstance(BalancEdit(), Editor)
    with pytest.raises(InputError, match="no layer, not a linear layer of a block such as"):
        BalancEdit(layer="nowhere").apply(lm)
    for wrong in (
        {"key": "x"},
        {"negative": "grey"},
        {"w_pos": -1.0},
        {"steps": 0},
        {"value": "?"},
    ):
        with pytest.raises(InputError):
            BalancEdit(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="alpha is between 0 and 1"):
        BalancEdit.for_model(lm, alpha=2.0)


def test_a_fixed_radius_shares_all_but_the_radii() -> None:
    lm = tiny("gpt2")
    rate = REFERENCE_RATE * REFERENCE_FAN_IN / fan_in(lm.anatomy.projections[-1])
    fixed = GRACE(key="prompt", value="full", learning_rate=rate, steps=50)
    with replace(fixed, radius=1e6).apply(lm) as model:
        model.edit(PEOPLE)
        assert min(means(model, PEOPLE)) > -1.5
        radii = [entry.radius for entry in model.distances()]
        assert min(radii) < 1e6
    with replace(fixed, radius=1e-4).apply(lm) as model:
        model.edit(PEOPLE)
        assert {entry.radius for entry in model.distances()} == {1e-4}
        assert all(
            a.request_id != b.request_id for a, b in pairwise(model.routing(questions(PEOPLE)))
        )
