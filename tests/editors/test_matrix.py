"""Every editor on models of many families: what must hold whatever the method."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from editors import registry
from editors.base import EditedModel, Editor
from editors.digest import weights_digest
from editors.ike import Lesson
from editors.lm import LM
from editors.prompts import Query
from schemas.records import EditRequest
from tests.editors.facts import ANN, FLAG, FRANCE, OTHER_FLAG, corpus
from tests.tiny_models import VISION, tiny

FAMILIES = (
    *("gpt2", "llama", "qwen3", "gemma3", "gpt_neox", "opt"),
    *("llava", "qwen2_5_vl", "blip2"),
)
NAMES = tuple(name for name in registry.BUILT_IN if name != "none")
LESSONS = (
    Lesson("Bob was born in", "Rome", ("Bob is from",), (("Cleo was born in", "Paris"),)),
    Lesson("The capital of Spain is", "Oslo"),
)
FORGET_SLOWLY = {"memit": {}, "alphaedit": {"threshold_rule": "energy", "threshold": 0.5}}


def editor(name: str, lm: LM, folder: Path) -> Editor:
    options: dict[str, object] = {}
    if name in ("memit", "alphaedit", "come", "rome"):
        options = {
            "layers": (1,) if name == "rome" else (0, 1),
            "steps": 4,
            "contexts": 1,
            "corpus": corpus(folder),
            "cache": folder / "cache",
            **FORGET_SLOWLY.get(name, {}),
        }
    elif name == "balancedit":
        options = {"steps": 4, "negative": "random"}
    elif name in ("ft", "lora", "grace"):
        options = {"steps": 4}
    elif name == "ike":
        options = {"lessons": LESSONS, "k": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no published settings for tiny models
        return registry.make(name, lm, options)


def requests_for(family: str) -> tuple[EditRequest, ...]:
    return (FLAG, OTHER_FLAG) if family in VISION else (ANN, FRANCE)


def questions(family: str) -> list[Query]:
    asked = [Query(r.prompt, r.image) for r in requests_for(family)]
    return [*asked, Query("Bob lives in the town of"), Query("What is zinc?")]


def answers(model: LM | EditedModel, family: str) -> list[tuple[float, ...]]:
    asked = questions(family)
    return [found.logprobs for found in model.score(asked, ["Rome"] * len(asked))]


everywhere = pytest.mark.parametrize("family", FAMILIES)
every_editor = pytest.mark.parametrize("name", NAMES)


@everywhere
@every_editor
def test_edits_take_hold_and_leave_no_trace(name: str, family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    digest, before = lm.digest(), answers(lm, family)
    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit([])
        assert answers(edited, family) == before  # no edit, no change
        edited.edit(requests_for(family))
        after = answers(edited, family)
        edited.restore()
        assert answers(edited, family) == before
        edited.edit(requests_for(family))
        assert answers(edited, family) == after  # the same again
    assert lm.digest() == digest
    assert answers(lm, family) == before
    if name != "scr":  # a random model confirms nothing, and SCR leaves the rest alone
        assert after[:2] != before[:2]


@every_editor
@pytest.mark.parametrize("family", ["gpt2", "llava"])
def test_an_exception_restores(name: str, family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    answers(lm, family)  # transformers hooks up some vision towers at the first forward, for good
    digest, hooked = lm.digest(), hooks(lm)

    def stumble() -> None:
        with editor(name, lm, tmp_path).apply(lm) as edited:
            edited.edit(requests_for(family)[:1])
            raise KeyError

    with pytest.raises(KeyError):
        stumble()
    assert lm.digest() == digest
    assert hooks(lm) == hooked


def hooks(lm: LM) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.model.modules())


@every_editor
@pytest.mark.parametrize("family", ["gpt2", "llama", "llava"])
def test_a_failure_in_the_midst_of_an_edit_changes_nothing(
    name: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny(family)
    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit(requests_for(family)[:1])
        digest, before = weights_digest(lm.model), answers(edited, family)
        monkeypatch.setattr(type(edited), "_edit", _failing(type(edited)._edit))
        with pytest.raises(RuntimeError, match="on purpose"):
            edited.edit(requests_for(family)[1:])
        assert weights_digest(lm.model) == digest
        assert answers(edited, family) == before


def _failing(edit: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(edit)
    def wrapped(self: EditedModel, requests: list[EditRequest]) -> None:
        edit(self, requests)
        raise RuntimeError("on purpose")

    return wrapped


@every_editor
@pytest.mark.parametrize("family", ["gpt2", "llama", "llava"])
def test_one_after_another_is_reproducible_and_keeps_both(
    name: str, family: str, tmp_path: Path
) -> None:
    first, second = requests_for(family)
    seen = []
    for _ in range(2):
        lm = tiny(family)
        with editor(name, lm, tmp_path).apply(lm) as edited:
            edited.edit([first])
            edited.edit([second])
            seen.append(answers(edited, family))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("scr", "ike")])
@pytest.mark.parametrize("family", ["gpt2", "opt", "llava"])
def test_a_long_edit_makes_the_new_answer_likelier(name: str, family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    request = requests_for(family)[0]
    query = [Query(request.prompt, request.image)]
    (before,) = lm.score(query, [request.target_new])
    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit([request])
        (after,) = edited.score(query, [request.target_new])
    assert after.total > before.total


@every_editor
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_restores_bit_for_bit(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    lm = tiny("llama")
    lm.model.to(dtype)
    digest = lm.digest()
    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit([ANN, FRANCE])
    assert lm.digest() == digest
