from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from editors import targets
from editors.base import EditError
from editors.batch import Batch
from editors.contexts import sample_contexts
from editors.lm import LM
from editors.lookup import LookupRule, divergence_place, place, read
from editors.memit import MEMIT
from editors.tail import Tail
from editors.targets import Aim, Values, aim_at, find_values
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, BORN, FACTS, FLAG, FRANCE, OTHER_FLAG, exact
from tests.reference.locate_literal import compute_z
from tests.tiny_models import FAMILIES, VISION, tiny

EDITOR = MEMIT(layers=(0, 1), steps=5, learning_rate=0.4)
CONTEXTS = ("The town. ", "Because I was there. ")


def values(
    lm: LM,
    requests: tuple[EditRequest, ...],
    editor: MEMIT = EDITOR,
    rule: LookupRule = "last_prompt",
) -> Values:
    return find_values(lm, aims(lm, requests, editor, rule), editor.descent)


WHOLE: set[str] = set()
"""Families whose tails begin with the first column."""


def aims(
    lm: LM,
    requests: tuple[EditRequest, ...],
    editor: MEMIT = EDITOR,
    rule: LookupRule = "last_prompt",
) -> list[Aim]:
    return [
        aim_at(lm, r, r.target_new, contexts=CONTEXTS, rule=rule, updates=editor.steps - 1)
        for r in requests
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("start", [0, 3])
def test_the_tail_of_every_family_gives_the_models_own_logits(family: str, start: int) -> None:
    lm = tiny(family)
    image = FLAG.image if family in VISION else None
    queries = [place(lm, replace(r, image=image), "last_prompt").query for r in FACTS]
    batch = lm.encode(queries, ["Rome", "a longer answer", ""])
    tail = Tail(lm, batch, 1, start)
    assert tail.start == start or family in WHOLE
    every = torch.cartesian_prod(torch.arange(3), torch.arange(batch.prompt_end - 1, batch.length))
    with torch.no_grad():
        again = tail.logits(tail.hidden, every[:, 0], every[:, 1])
        other = tail.logits(tail.hidden.roll(1, -1), every[:, 0], every[:, 1])
        own = lm.forward(batch)[every[:, 0], every[:, 1]]
    torch.testing.assert_close(again, own, atol=1e-5, rtol=1e-5)
    assert (other - own).abs().max() > 1e-2


@pytest.mark.parametrize("part", ["final", "head"])
def test_a_tail_that_computes_something_else_is_refused(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    own = getattr(Tail, part)
    monkeypatch.setattr(Tail, part, lambda self, *given: 1.5 * own(self, *given))
    with pytest.raises(EditError, match="computes its logits in a way"):
        Tail(lm, lm.encode([place(lm, ANN, "last_prompt").query], ["Rome"]), 1)


def test_an_mlp_that_looks_at_its_neighbours_reads_every_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = tiny("llama")
    mlp = lm.anatomy.blocks[-1].get_submodule("mlp")
    own = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda states: own(states + states.roll(1, -2)))
    batch = lm.encode([place(lm, r, "last_prompt").query for r in FACTS], ["Rome", "Rome", "Oslo"])
    tail = Tail(lm, batch, 0, 3)
    rows, columns = torch.arange(3), torch.full((3,), batch.prompt_end)
    with torch.no_grad():
        again, whole = tail.logits(tail.hidden, rows, columns), lm.forward(batch)
    # Its first column has another neighbour where a forward begins in the middle.
    torch.testing.assert_close(again, whole[rows, columns], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "opt", "llava"])
def test_some_rows_of_a_tail_are_those_of_the_whole(family: str) -> None:
    lm = tiny(family)
    image = FLAG.image if family in VISION else None
    queries = [place(lm, replace(r, image=image), "last_prompt").query for r in FACTS]
    batch = lm.encode(queries, ["Rome", "a longer answer", ""])
    tail = Tail(lm, batch, 0, 3)
    rows, columns = torch.arange(3), torch.full((3,), batch.prompt_end - 1)
    chosen = torch.tensor([2, 0])
    some = tail.kept(chosen)
    assert some is not None
    assert some.start == 3
    with torch.no_grad():
        torch.testing.assert_close(
            some.logits(some.hidden, rows[:2], columns[:2]),
            tail.logits(tail.hidden, rows, columns)[chosen],
        )
    assert Tail(lm, batch, 0, 0).kept(chosen) is None


@pytest.mark.parametrize(
    ("family", "requests"),
    [("gpt2", FACTS), ("llama", FACTS[1:]), ("llava", FACTS[:1]), ("llava", (FLAG, OTHER_FLAG))],
)
def test_values_are_those_of_the_literal_version(
    family: str, requests: tuple[EditRequest, ...]
) -> None:
    lm = exact(family)
    found = values(lm, requests)
    for i, request in enumerate(requests):
        query = place(lm, request, "last_prompt").query
        target = lm.encoder.target_ids(query, request.target_new)
        h, delta = compute_z(lm, request, target, EDITOR, CONTEXTS)
        torch.testing.assert_close(found.initial[i], h, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(found.delta[i], delta, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("continued", [True, False])
def test_edits_stop_and_leave_when_they_are_reached(
    continued: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a lenient goal edits end at different steps, some after the batch was made smaller."""
    monkeypatch.setattr(targets, "REACHED", 7.445)
    lm = exact("llama")
    editor = replace(EDITOR, steps=30, learning_rate=0.05, clamp=4.0)
    left: list[int] = []
    kept = Tail.kept

    def noted(tail: Tail, rows: torch.Tensor) -> Tail | None:
        left.append(len(rows))
        return kept(tail, rows) if continued else None

    monkeypatch.setattr(Tail, "kept", noted)
    together = values(lm, FACTS, editor)
    assert set(left) >= {3, 6}  # rows of one and of two edits
    norms = together.delta.norm(dim=1)
    assert norms.unique().numel() == 3
    for i, request in enumerate(FACTS):
        alone = values(lm, (request,), editor)
        torch.testing.assert_close(together.delta[i], alone.delta[0], rtol=1e-6, atol=1e-8)


def test_the_batch_size_does_not_matter() -> None:
    lm = exact("gpt2")
    together = values(lm, FACTS)
    lm.batch_size = 1
    torch.testing.assert_close(values(lm, FACTS).delta, together.delta, rtol=1e-6, atol=1e-8)


def test_fewer_edits_at_a_time_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = exact("gpt2")
    together = values(lm, FACTS)
    rows = []

    def scarce(lm: LM, batch: Batch, layer: int, start: int) -> Tail:
        rows.append(len(batch.queries))
        if rows[-1] > 3:  # an edit makes three rows, and one more of a divergence that stands apart
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Tail(lm, batch, layer, start)

    monkeypatch.setattr(targets, "Tail", scarce)
    torch.testing.assert_close(values(lm, FACTS).delta, together.delta, rtol=1e-6, atol=1e-8)
    assert rows[0] == 9
    assert rows[-1] <= 3


def test_a_value_makes_its_answer_likely_within_its_clamp() -> None:
    lm = tiny("gpt2")
    editor = replace(EDITOR, steps=30, clamp=3.0, weight_decay=0.0)
    found = values(lm, (ANN,), editor)
    assert found.delta.norm() <= 3.0 * found.initial.norm() * 1.0001
    before = lm.score([place(lm, ANN, "last_prompt").query], [ANN.target_new])[0].mean
    block, back = lm.anatomy.blocks[1], place(lm, ANN, "last_prompt").back
    assert back is not None

    def add(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        assert lm.current is not None
        output = output.clone()
        output[:, lm.current.prompt_end - back] += found.delta[0]
        return output

    handle = block.register_forward_hook(add)
    after = lm.score([place(lm, ANN, "last_prompt").query], [ANN.target_new])[0].mean
    handle.remove()
    assert after > before + 1


def test_the_search_leaves_the_model_alone() -> None:
    lm = tiny("llava")
    values(lm, (FLAG,))  # transformers adds hooks of its own in the first forward
    hooks = [len(module._forward_hooks) for module in lm.model.modules()]
    before, forwards = (
        lm.digest(),
        [module.__dict__.get("forward") for module in lm.model.modules()],
    )
    values(lm, (FLAG,))
    assert lm.digest() == before
    assert [module.__dict__.get("forward") for module in lm.model.modules()] == forwards
    assert [len(module._forward_hooks) for module in lm.model.modules()] == hooks
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_values_that_are_not_finite_are_refused_by_name() -> None:
    lm = tiny("gpt2")
    with pytest.raises(EditError, match=r"row ann.*not finite"):
        values(lm, (ANN,), replace(EDITOR, learning_rate=1e308))


def test_the_lookup_token() -> None:
    lm = tiny("llava")
    assert place(lm, ANN, "last_prompt").back == lm.encoder.lookup(
        place(lm, ANN, "last_image", "Before. ").query, "Ann Smith"
    )
    assert place(lm, FLAG, "last_prompt").back == 1
    last_image = read(lm, [place(lm, FLAG, "last_image")], hidden=[1])
    elsewhere = replace(FLAG, prompt="Is it Rome?")
    torch.testing.assert_close(
        last_image.hidden[1], read(lm, [place(lm, elsewhere, "last_image")], hidden=[1]).hidden[1]
    )
    last = read(lm, [place(lm, FLAG, "last_prompt")], hidden=[1]).hidden[1]
    assert not torch.allclose(last_image.hidden[1], last)
    # A text has no picture to look up.
    assert place(lm, replace(BORN, subject=None), "last_image").back == 1


def test_the_divergence_place() -> None:
    lm = tiny("llava")
    assert divergence_place(lm, ANN, "last_prompt").query.prompt == "Ann Smith is a"
    where = divergence_place(lm, FLAG, "last_prompt")
    assert (where.query.prompt, where.query.image, where.back) == ("This is a", FLAG.image, 1)
    assert divergence_place(lm, FLAG, "last_image").back is None


def test_a_subject_outside_its_prompt_is_named() -> None:
    lm = tiny("gpt2")
    with pytest.raises(InputError, match=r"row france.*subject.*'Spain' is not in the prompt"):
        values(lm, (replace(FRANCE, subject="Spain"),))


def test_a_prompt_longer_than_the_context_is_named() -> None:
    lm = tiny("gpt2", positions=16)
    with pytest.raises(InputError, match=r"row france.*exceed the model's 16"):
        values(lm, (FRANCE,))


def test_contexts_come_from_the_model_and_the_seed() -> None:
    lm = tiny("gpt2")
    texts = sample_contexts(lm, 5, 0)
    assert texts == sample_contexts(lm, 5, 0)
    assert texts != sample_contexts(lm, 5, 1)
    assert texts != sample_contexts(tiny("gpt2", seed=1), 5, 0)
    assert [text[:3].rstrip() for text in texts[:4:3]] == ["The", texts[3][:3].rstrip()]
    assert all(text.endswith(". ") for text in texts)
    assert [
        t.startswith(w)
        for t, w in zip(texts, ("The", "Therefore", "Because", "I", "You"), strict=True)
    ]
    assert sample_contexts(lm, 0, 0) == ()
