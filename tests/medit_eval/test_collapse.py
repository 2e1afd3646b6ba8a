"""The panel that tells a broken model from one that knows less."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medit_eval.benchmarks.answers import Answer
from medit_eval.collapse import COLLAPSE, CollapseRow, collapse
from medit_eval.metrics.fluency import repetition
from schemas.errors import InputError
from tests.medit_eval.answers import LETTERS, answers

NAN = float("nan")
WHOLE = "The answer to this question is the number that stands here: "


def edited(made: list[Answer]) -> CollapseRow:
    rows = collapse(made)
    assert not any(row.collapsed for row in rows if row.phase == "unedited")
    (row,) = (row for row in rows if row.phase == "after")
    return row


def spread(phase: str, task: str = "t", n: int = 40) -> list[Answer]:
    """Choices of which every letter is right, and is given, equally often."""
    return [
        replace(one, gold=LETTERS[i % 4], output=LETTERS[i % 4])
        for i, one in enumerate(answers([1.0] * n, phase=phase, task=task))
    ]


def free(phase: str, outputs: list[str], value: float | None = 1.0) -> list[Answer]:
    return [
        replace(one, kind="generation", choices=(), logprobs=(), output=text, gold=str(i))
        for i, (one, text) in enumerate(
            zip(answers([value] * len(outputs), phase=phase), outputs, strict=True)
        )
    ]


def texts(phase: str, values: list[float]) -> list[Answer]:
    return [
        replace(one, kind="perplexity", choices=(), gold="", output="", logprobs=(), weight=words)
        for one, words in zip(answers(values, phase=phase), (1.0, 3.0) * 99, strict=False)
    ]


def intact() -> list[Answer]:
    return free("unedited", [f"{WHOLE}{n}" for n in range(20)])


def test_an_intact_model_shows_no_sign() -> None:
    row = edited([*spread("unedited"), *spread("after")])
    assert (row.constant, row.constant_gold, row.constant_unedited) == (0.25, 0.25, 0.25)
    assert (row.collapsed, row.verdict) == (False, "no sign of collapse")
    assert math.isnan(row.empty)


def test_a_model_of_nan_is_flagged_though_it_scores() -> None:
    broken = [replace(one, logprobs=(NAN,) * 4, output="A") for one in spread("after")]
    row = edited([*spread("unedited"), *broken])
    assert row.nonfinite == 1.0
    assert row.collapsed
    assert "not finite on 100% of the items" in row.verdict


@pytest.mark.parametrize("reason", ["the logits are not finite", "NaN logits", "non-finite logits"])
def test_a_reason_tells_of_nan_too(reason: str) -> None:
    broken = [replace(one, reason=reason) for one in free("after", [""] * 20, None)]
    row = edited([*intact(), *broken])
    assert (row.nonfinite, row.unparsable, row.empty) == (1.0, 0.0, 0.0)
    assert row.collapsed


def test_infinite_likelihood_is_not_finite() -> None:
    row = edited([*texts("unedited", [2.0] * 4), *texts("after", [2.0, 2.0, math.inf, 2.0])])
    assert row.nonfinite == 0.25
    assert row.collapsed
    assert row.perplexity_ratio == 1.0


def test_a_mute_model_is_flagged() -> None:
    row = edited([*intact(), *free("after", [" \n"] * 15 + [WHOLE] * 5, 0.0)])
    assert row.empty == 0.75
    assert row.verdict == "collapsed: 75% of the answers empty (0% unedited)"


def test_answers_that_hold_none_are_flagged() -> None:
    unscored = [replace(one, reason="no answer found") for one in free("after", ["Hm."] * 6, None)]
    rest = [replace(one, item=f"{n + 6:04}", question=f"t {n + 6}") for n, one in enumerate(
        free("after", ["[invalid]"] * 6 + [f"{WHOLE}{n}" for n in range(8)], 0.0)
    )]  # fmt: skip
    row = edited([*intact(), *unscored, *rest])
    assert row.unparsable == 0.6
    assert "60% of the answers unparsable" in row.verdict


def test_a_question_that_could_not_be_put_is_no_empty_answer() -> None:
    long = [
        replace(one, reason="the prompt is longer than the context")
        for one in free("after", [""] * 20, None)
    ]
    row = edited([*intact(), *long])
    assert (row.empty, row.unparsable, row.collapsed) == (0.0, 0.0, False)


def test_a_model_that_repeats_itself_is_flagged() -> None:
    row = edited(
        [*intact(), *free("after", [f"{n} is is is is is is is is is" for n in range(20)])]
    )
    assert row.repeating == 1.0
    assert row.constant == 0.05
    assert "100% of the answers repeating" in row.verdict


def test_always_the_same_letter_is_flagged_beside_the_right_ones() -> None:
    constant = [replace(one, output="C") for one in spread("after")]
    row = edited([*spread("unedited"), *constant])
    assert (row.constant, row.constant_gold, row.constant_unedited) == (1.0, 0.25, 0.25)
    assert "the same answer to 100% of the items" in row.verdict


def test_the_same_answer_is_no_sign_where_it_is_right() -> None:
    right = [replace(one, gold="A", output="A") for one in [*spread("unedited"), *spread("after")]]
    assert not edited(right).collapsed


def test_a_model_that_was_constant_before_did_not_collapse() -> None:
    constant = [replace(one, output="C") for one in [*spread("unedited"), *spread("after")]]
    row = edited(constant)
    assert (row.constant, row.collapsed) == (1.0, False)


def test_always_the_same_place_is_constant_where_options_differ() -> None:
    made = [
        replace(
            one,
            choices=(f"x{one.item}", f"y{one.item}"),
            gold="xy"[int(one.item) % 2] + one.item,
            output=("xy"[int(one.item) % 2] if one.phase == "unedited" else "x") + one.item,
        )
        for one in [*spread("unedited"), *spread("after")]
    ]
    row = edited(made)
    assert (row.constant, row.constant_gold, row.constant_unedited) == (1.0, 0.5, 0.5)
    assert row.collapsed


def test_a_perplexity_ratio_by_hand() -> None:
    row = edited([*texts("unedited", [2.0, 3.0]), *texts("after", [2.4, 4.0])])
    assert row.perplexity_ratio == pytest.approx(math.exp((0.4 + 3 * 1.0) / 4))
    assert not row.collapsed
    assert math.isnan(row.constant)


def test_a_tenfold_perplexity_is_flagged() -> None:
    row = edited([*texts("unedited", [2.0, 3.0]), *texts("after", [4.4, 5.4])])
    assert row.verdict == "collapsed: perplexity 11 times that of the unedited model"
    huge = edited([*texts("unedited", [2.0, 3.0]), *texts("after", [999.0, 999.0])])
    assert huge.perplexity_ratio == math.inf
    assert huge.collapsed


def test_few_answers_are_not_judged_by_shares() -> None:
    row = edited(
        [*spread("unedited", n=8), *(replace(o, output="C") for o in spread("after", n=8))]
    )
    assert (row.constant, row.collapsed) == (1.0, False)
    assert row.verdict == "not judged by shares: fewer than 10 answers"


def test_safety_is_marked() -> None:
    made = [*spread("unedited", "toxigen"), *spread("unedited", "mmlu")]
    assert {row.task: row.safety for row in collapse(made)} == {"toxigen": True, "mmlu": False}


def test_other_questions_are_refused() -> None:
    with pytest.raises(InputError, match="'0039'"):
        collapse([*spread("unedited"), *spread("after", n=39)])


def test_rows_survive_arrow() -> None:
    (row,) = COLLAPSE.records(COLLAPSE.table(collapse(spread("unedited"))))
    assert row.constant_gold == 0.25


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a b c a b c a b c", 1 - 3 / 7),
        ("one two three four five six seven eight", 0.0),
        ("word word word", 0.0),
        ("a" * 18, 1 - 1 / 16),
        ("Paris is the capital of France", 0.0),
        ("", 0.0),
    ],
)
def test_repetition_by_hand(text: str, share: float) -> None:
    assert repetition(text) == pytest.approx(share)
