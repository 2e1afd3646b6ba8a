"""Many edited models side by side answer like one after another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from editors.base import EditedModel, EditError
from editors.branches import Branching
from editors.likelihood import Likelihood
from editors.locate import LocatedModel, new_values
from editors.memit import MEMIT
from editors.none import NoEdit
from editors.prompts import Query
from editors.routing import Routed
from editors.solve import solve, solve_apart
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, BORN, FLAG, FRANCE, OTHER_FLAG, exact
from tests.editors.test_matrix import editor, questions
from tests.tiny_models import VISION, tiny

FAMILIES = ("gpt2", "llama", "opt", "gemma3", "llava", "qwen2_5_vl", "blip2")
NAMES = ("memit", "alphaedit", "come", "rome", "balancedit", "grace", "scr", "ike")
TEXT = ((ANN,), (FRANCE,), (BORN,))
SEEN = ((FLAG,), (OTHER_FLAG,), (ANN,))
PAIRS = ((ANN, FRANCE), (BORN,), (FRANCE,))

Groups = Sequence[Sequence[EditRequest]]


def one_by_one(edited: EditedModel, groups: Groups, queries: list[Query]) -> list[list[Likelihood]]:
    found = []
    for group in groups:
        edited.edit(group)
        found.append(edited.score(queries, ["Rome"] * len(queries)))
        edited.restore()
    return found


def side_by_side(
    edited: EditedModel, groups: Groups, queries: list[Query]
) -> list[list[Likelihood]]:
    with edited.branched(groups) as branches:
        assert [branch.failure for branch in branches] == [None] * len(groups)
        return asked(edited, queries, range(len(groups)))


def asked(
    edited: EditedModel, queries: list[Query], branches: Sequence[int]
) -> list[list[Likelihood]]:
    tagged = [at(query, i) for query in queries for i in branches]
    found = edited.score(tagged, ["Rome"] * len(tagged))
    return [found[place :: len(branches)] for place in range(len(branches))]


def at(query: Query, branch: int | None) -> Query:
    return Query(query.prompt, query.image, query.context, branch)


def assert_alike(found: list[list[Likelihood]], expected: list[list[Likelihood]]) -> None:
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.ids == b.ids
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_branches_answer_like_single_edits(name: str, family: str, tmp_path: Path) -> None:
    lm = exact(family)
    groups = SEEN if family in VISION else TEXT
    queries = questions(family)
    digest, before = lm.digest(), lm.score(queries, ["Rome"] * len(queries))
    with editor(name, lm, tmp_path).apply(lm) as edited:
        assert edited.branches(groups) == len(groups)
        expected = one_by_one(edited, groups, queries)
        with edited.branched(groups):
            assert lm.digest() == digest  # no weight is touched
            assert_alike(asked(edited, queries, range(len(groups))), expected)
            # Other queries are answered by the unedited model, in the same batch.
            mixed = [at(query, branch) for query in queries for branch in (None, 0)]
            found = edited.score(mixed, ["Rome"] * len(mixed))
            assert_alike([found[::2], found[1::2]], [before, expected[0]])
        assert edited.edits == 0
        assert_alike([edited.score(queries, ["Rome"] * len(queries))], [before])
        # What is left behind does not get in the way of an edit.
        assert_alike(one_by_one(edited, groups[:1], queries), expected[:1])
    if name != "scr":  # a random model confirms nothing, and SCR leaves the rest alone
        assert any(a.logprobs != b.logprobs for a, b in zip(expected[0], before, strict=True))
        assert expected[0] != expected[1]


@pytest.mark.parametrize("name", NAMES)
def test_answers_routes_and_diagnostics_are_the_same_too(name: str, tmp_path: Path) -> None:
    lm = exact("gpt2")
    queries = [Query(request.prompt) for (request,) in TEXT]
    with editor(name, lm, tmp_path).apply(lm) as edited:
        texts, told, routes = [], [], []
        for group in TEXT:
            edited.edit(group)
            texts.append(edited.generate(queries, max_new_tokens=5))
            told.append(dict(edited.diagnostics()))
            routes.append(edited.routing(queries) if isinstance(edited, Routed) else [])
            edited.restore()
        with edited.branched(TEXT) as branches:
            for i in range(len(TEXT)):
                own = [at(query, i) for query in queries]
                assert edited.generate(own, max_new_tokens=5) == texts[i]
                replies = edited.reply(own, [(None,)] * len(own), max_new_tokens=5)
                assert [reply.text for reply in replies] == texts[i]
                assert dict(branches[i].told) == pytest.approx(told[i])
                if isinstance(edited, Routed):
                    for one, other in zip(edited.routing(own), routes[i], strict=True):
                        assert (one.request_id, one.nearest) == (other.request_id, other.nearest)
                        assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("name", ["memit", "alphaedit", "come", "scr", "ike"])
def test_a_branch_may_hold_several_edits(name: str, tmp_path: Path) -> None:
    lm = exact("gpt2")
    with editor(name, lm, tmp_path).apply(lm) as edited:
        assert edited.branches(PAIRS) == len(PAIRS)
        expected = one_by_one(edited, PAIRS, questions("gpt2"))
        assert_alike(side_by_side(edited, PAIRS, questions("gpt2")), expected)


@pytest.mark.parametrize("name", ["rome", "balancedit", "grace"])
def test_methods_that_edit_one_after_another_say_how_far_they_go(name: str, tmp_path: Path) -> None:
    lm = tiny("gpt2")
    with editor(name, lm, tmp_path).apply(lm) as edited:
        assert edited.branches(PAIRS) == 0
        assert edited.branches([*TEXT, *PAIRS]) == len(TEXT)


@pytest.mark.parametrize("name", ["ft", "lora"])
def test_methods_that_train_weights_have_no_branches(name: str, tmp_path: Path) -> None:
    lm = tiny("gpt2")
    with editor(name, lm, tmp_path).apply(lm) as edited:
        assert edited.branches(TEXT) == 0
    with NoEdit().apply(lm) as edited:
        assert edited.branches(TEXT) == len(TEXT)


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_that_fails_leaves_the_others(name: str, tmp_path: Path) -> None:
    lm = exact("gpt2")
    empty = EditRequest("empty", "Bob was born in", None, "Bob", " ", None)
    long = EditRequest("long", "word " * 400, None, None, "Rome", "Oslo")
    groups = ((empty,), (ANN,), (long,), (FRANCE,))
    queries = questions("gpt2")
    before = lm.score(queries, ["Rome"] * len(queries))
    with editor(name, lm, tmp_path).apply(lm) as edited:
        expected = one_by_one(edited, ((ANN,), (FRANCE,)), queries)
        with edited.branched(groups) as branches:
            failures = [branch.failure for branch in branches]
            assert isinstance(failures[0], InputError)
            assert failures[0].row == "empty"
            assert failures[1] is failures[3] is None
            if name not in ("scr", "ike"):  # these read the question only when it is asked
                assert isinstance(failures[2], InputError)
            found = asked(edited, queries, (0, 1, 3))
        assert_alike(found, [before, *expected])


def test_a_value_that_is_not_finite_is_its_own_branch_s_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = exact("gpt2")
    with editor("memit", lm, tmp_path).apply(lm) as edited:
        aiming = edited._aiming  # type: ignore[attr-defined]

        def spoiled(model: EditedModel, requests: Sequence[EditRequest]) -> torch.Tensor:
            z = aiming(model, requests)
            z[[request.id == "france" for request in requests]] = math.nan
            return z

        expected = one_by_one(edited, (TEXT[0], TEXT[2]), questions("gpt2"))
        monkeypatch.setattr(edited, "_aiming", spoiled)
        with edited.branched(TEXT) as branches:
            assert isinstance(branches[1].failure, EditError)
            found = asked(edited, questions("gpt2"), range(3))
        assert_alike([found[0], found[2]], expected)


def test_a_subclass_that_edits_otherwise_has_no_branches(tmp_path: Path) -> None:
    class Other(LocatedModel):
        def _edit(self, requests: Sequence[EditRequest]) -> None:
            super()._edit(requests[:1])

    class Same(LocatedModel):
        pass

    lm = tiny("gpt2")
    method = editor("memit", lm, tmp_path)
    assert isinstance(method, MEMIT)
    assert Other(lm, method, new_values).branches(TEXT) == 0
    assert Same(lm, method, new_values).branches(TEXT) == len(TEXT)


def test_edits_and_branches_do_not_mix(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    with editor("memit", lm, tmp_path).apply(lm) as edited:
        edited.edit([ANN])
        with pytest.raises(RuntimeError, match="without edits"), edited.branched(TEXT):
            pass


def test_an_error_inside_leaves_no_trace(tmp_path: Path) -> None:
    lm = exact("gpt2")
    queries = questions("gpt2")
    before = lm.score(queries, ["Rome"] * len(queries))

    def stumble(edited: EditedModel) -> None:
        with edited.branched(TEXT):
            raise KeyError

    for name in NAMES:
        with editor(name, lm, tmp_path).apply(lm) as edited:
            with pytest.raises(KeyError):
                stumble(edited)
            tagged = [at(query, 0) for query in queries]
            assert_alike([edited.score(tagged, ["Rome"] * len(queries))], [before])


def test_updates_of_any_rank_are_those_of_the_weights() -> None:
    """W x + L (R x) = (W + L R) x, for each row its own."""
    lm = exact("llama")
    projection = lm.anatomy.projections[1]
    weight = projection.get_parameter("weight").data
    draw = torch.Generator().manual_seed(0)
    owners = torch.tensor([3, 8, 3, 3])
    left, right = (
        torch.randn(4, size, generator=draw, dtype=torch.float64) for size in weight.shape
    )
    queries = questions("llama")
    with Branching(lm) as branching:
        branching.write(1, owners, left, right)
        found = {
            branch: lm.score([at(query, branch) for query in queries], ["Rome"] * len(queries))
            for branch in (3, 8, 5)
        }
    for branch in (3, 8, 5):
        own = owners == branch
        change = left[own].t() @ right[own]
        weight += change
        assert_alike([found[branch]], [lm.score(queries, ["Rome"] * len(queries))])
        weight -= change


def test_one_solve_for_all_groups_is_that_of_each() -> None:
    draw = torch.Generator().manual_seed(0)
    keys = torch.randn(20, 7, generator=draw, dtype=torch.float64)
    residual = torch.randn(5, 7, generator=draw, dtype=torch.float64)
    owners = torch.tensor([0, 4, 4, 0, 2, 4, 2])
    half = _Halving()
    together = solve_apart(keys, owners, half)
    for owner in (0, 2, 4):
        own = owners == owner
        expected = solve(keys[:, own], residual[:, own], None, half)
        torch.testing.assert_close(residual[:, own] @ together[own], expected)
    keys[3, 1] = math.nan
    spoiled = solve_apart(keys, owners, half)
    assert bool(spoiled[owners == 4].isnan().all())
    torch.testing.assert_close(spoiled[owners != 4], together[owners != 4])


class _Halving:
    def apply(self, keys: torch.Tensor) -> torch.Tensor:
        return keys / 2
