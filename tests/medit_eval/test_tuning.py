from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

import medit_eval
from editors.registry import BUILT_IN, option_names
from medit_eval import tuning
from medit_eval.tuning import Tuned, default_space, draw, set_aside, tune
from schemas.errors import InputError
from tests.medit_eval.support import person
from tests.tiny_models import LAYERS, tiny

PEOPLE = [person(i) for i in range(12)]


def test_records_are_set_aside_by_their_ids_whatever_their_order() -> None:
    aside = set_aside(PEOPLE, share=0.25, most=50, seed=0)
    assert len(aside) == 3
    again = set_aside(PEOPLE[::-1], share=0.25, most=50, seed=0)
    assert {r.id for r in again} == {r.id for r in aside}
    assert len(set_aside(PEOPLE, share=0.9, most=2, seed=0)) == 2
    others = [set_aside(PEOPLE, share=0.25, most=50, seed=seed) for seed in range(5)]
    assert len({tuple(r.id for r in other) for other in others}) > 1


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        set_aside(PEOPLE, share=share, most=50, seed=0)
    with pytest.raises(InputError, match="too few"):
        set_aside(PEOPLE[:1], share=0.5, most=50, seed=0)


def test_choices_differ_and_are_the_same_for_a_seed() -> None:
    space = {"a": (1, 2, 3), "b": ("x", "y")}
    chosen = draw(space, 4, 0)
    assert len({tuple(c.items()) for c in chosen}) == 4
    assert chosen == draw(space, 4, 0)
    assert chosen != draw(space, 4, 1)
    assert len(draw(space, 100, 0)) == 6
    with pytest.raises(InputError, match="nothing to choose"):
        draw({"a": ()}, 4, 0)


def test_what_is_chosen_suits_editor_and_model() -> None:
    lm = tiny("gpt2")
    for name in ("memit", "alphaedit", "come"):
        space = default_space(name, lm)
        assert (0, 1, 2) in space["layers"]
        assert all(layers[-1] < LAYERS for layers in space["layers"])
    assert set(default_space("balancedit", lm)) == {"layer", "alpha"}
    for name in BUILT_IN:
        if name not in ("none", "scr"):
            assert set(default_space(name, lm)) <= set(option_names(name))
            assert math.prod(map(len, default_space(name, lm).values())) > 1
    with pytest.raises(InputError, match="how to tune 'none'"):
        default_space("none", lm)


def test_the_best_is_found_on_records_that_are_then_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def scored(editor: str, lm: Any, records: Any, **kwargs: Any) -> Any:
        seen.append({record.id for record in records})
        rate = kwargs["editor_options"]["learning_rate"]
        if rate == 0.3:
            raise InputError("no")
        return _report(1 - abs(rate - 0.2))

    lm, out = tiny("gpt2"), tmp_path / "tuned.json"
    monkeypatch.setattr("medit_eval.scoring.score", scored)
    found = tune(
        "memit", lm, PEOPLE, space={"learning_rate": (0.1, 0.2, 0.3)}, fixed={"steps": 2}, out=out
    )
    assert found.options == {"steps": 2, "learning_rate": 0.2}
    assert [trial.mean for trial in found.trials] == [1.0, pytest.approx(0.9), None]
    assert found.trials[-1].failure == "no"
    assert seen == [set(found.development)] * 3
    assert Tuned.read(out) == found
    left = found.evaluated(PEOPLE)
    assert {r.id for r in left} == {r.id for r in PEOPLE} - set(found.development)


def _report(mean: float) -> Any:
    from medit_eval.summary import Row

    numbers = (8, 0, mean, mean, mean)
    rows = [
        Row("harmonic_mean", "all", "generated", "batch", "at_end", "all", *numbers),
        Row("locality", "all", "unchanged_generated", "batch", "at_end", "all", *numbers),
    ]
    return dataclasses.replace(medit_eval.Report((), (), ()), rows=tuple(rows))


def test_a_search_and_its_use_end_to_end(tmp_path: Path) -> None:
    lm, out, corpus = tiny("gpt2"), tmp_path / "tuned.json", tmp_path / "corpus.txt"
    corpus.write_text("Ann Smith was born in Rome.\nThe capital of France is Paris.\n")
    common = {"contexts": 0, "corpus": str(corpus), "cache": str(tmp_path), "steps": 3}
    with pytest.warns(UserWarning, match="published"):
        found = tune(
            "memit",
            lm,
            PEOPLE,
            space={"layers": ((0,), (0, 1)), "clamp": (0.75,)},
            fixed=common,
            out=out,
        )
    assert len(found.trials) == 2
    report = medit_eval.score("memit", lm, PEOPLE, protocol="batch", tuned=out, cache=tmp_path)
    asked = set(report.predictions["record"])
    assert asked == {r.id for r in PEOPLE} - set(found.development)


def test_what_was_found_for_another_editor_or_model_is_refused(tmp_path: Path) -> None:
    lm, out = tiny("gpt2"), tmp_path / "tuned.json"
    Tuned("memit", {"layers": (0,)}, lm.digest(), ("r1",), ()).write(out)
    with pytest.raises(InputError, match="is for the editor 'memit', not 'come'"):
        medit_eval.score("come", lm, PEOPLE, tuned=out)
    with pytest.raises(InputError, match="is for another model"):
        medit_eval.score("memit", tiny("gpt2", seed=1), PEOPLE, tuned=out)
    with pytest.raises(InputError, match="none is left"):
        medit_eval.score("memit", lm, [PEOPLE[1]], tuned=out)
    out.write_text(json.dumps({"editor": "memit"}))
    with pytest.raises(InputError, match="is not the result of `tune`"):
        medit_eval.score("memit", lm, PEOPLE, tuned=out)


def test_a_search_in_which_nothing_works_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        return tuning.Trial({}, None, {}, "the moon is full")

    monkeypatch.setattr(tuning, "_try", failing)
    with pytest.raises(InputError, match="none of 2 trials could be scored: the moon is full"):
        tune("memit", tiny("gpt2"), PEOPLE, space={"clamp": (1.0, 2.0)})
