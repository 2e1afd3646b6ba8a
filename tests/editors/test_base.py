from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from editors.base import EditedModel, EditError, no_edit
from editors.digest import weights_digest
from editors.lm import LM
from editors.prompts import Query
from editors.trace import traced
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.tiny_models import tiny

REQUEST = EditRequest("r", "Ann Smith was born in", None, "Ann Smith", "Rome", "Paris")
WEIGHT = "transformer.h.1.mlp.c_proj.weight"


class Nudged(EditedModel):
    """Writes to one weight, then does what its test wants."""

    def __init__(self, lm: LM, then: Any = None) -> None:
        super().__init__(lm)
        self.then = then
        self.state: tuple[str, ...] = ()

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        for request in requests:
            weight = self.lm.model.get_parameter(WEIGHT)
            torch.manual_seed(len(request.id))
            self.write(WEIGHT, torch.randn_like(weight, dtype=torch.float32))
            self.state = (*self.state, request.id)
        if self.then is not None:
            self.then()


def digests(lm: LM) -> dict[str, bytes]:
    return {n: p.detach().view(torch.uint8).numpy().tobytes() for n, p in bits(lm)}


def bits(lm: LM) -> list[tuple[str, torch.Tensor]]:
    return [(n, p.detach().contiguous().flatten()) for n, p in lm.model.named_parameters()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_leaving_gives_the_model_back_bit_for_bit(dtype: torch.dtype) -> None:
    lm = tiny("gpt2")
    lm.model.to(dtype)
    before = digests(lm)
    with Nudged(lm) as edited:
        edited.edit([REQUEST])
        edited.edit([replace(REQUEST, id="second")])
        assert digests(lm) != before
        edited.restore()
        assert digests(lm) == before
        assert edited.state == ()
        edited.edit([REQUEST])
    assert digests(lm) == before


def test_an_exception_inside_the_context_restores_too() -> None:
    lm = tiny("gpt2")
    before = digests(lm)

    def stumble() -> None:
        with Nudged(lm) as edited:
            edited.edit([REQUEST])
            raise KeyError

    with pytest.raises(KeyError):
        stumble()
    assert digests(lm) == before


def test_a_failed_edit_leaves_the_edits_before_it() -> None:
    lm = tiny("gpt2")

    def fail() -> None:
        raise EditError("no")

    with Nudged(lm) as edited:
        edited.edit([REQUEST])
        after_first = digests(lm)
        edited.then = fail
        with pytest.raises(EditError):
            edited.edit([replace(REQUEST, id="second"), replace(REQUEST, id="third")])
        assert digests(lm) == after_first
        assert edited.state == ("r",)


def test_an_update_that_is_not_finite_is_refused() -> None:
    lm = tiny("gpt2")
    before = digests(lm)
    with Nudged(lm) as edited:
        edited.then = lambda: edited.write(WEIGHT, torch.full((1,), float("nan")))
        with pytest.raises(EditError, match="not finite"):
            edited.edit([REQUEST])
        assert digests(lm) == before


def test_a_change_behind_its_back_is_found() -> None:
    lm = tiny("gpt2")
    edited = Nudged(lm)
    with pytest.raises(RuntimeError, match="not what it was"), edited, torch.no_grad():
        lm.model.lm_head.weight[0, 0] += 1


def test_no_requests_change_nothing_and_an_empty_answer_is_refused() -> None:
    lm = tiny("gpt2")
    before = digests(lm)
    with Nudged(lm) as edited:
        edited.edit([])
        with pytest.raises(InputError, match=r"row r, field 'target_new': the new answer is empty"):
            edited.edit([replace(REQUEST, target_new="  ")])
        assert digests(lm) == before


def test_hooks_and_rewrites_end_with_the_context() -> None:
    lm = tiny("gpt2")
    query, other = Query("Ann Smith"), Query("France is")
    plain, expected = lm.score([query, other], ["Rome", "Rome"])
    with no_edit(lm) as edited:
        edited.rewrite(lambda queries: [other for _ in queries])
        assert edited.score([query], ["Rome"])[0].logprobs == pytest.approx(expected.logprobs)
        edited.hook(lm.anatomy.blocks[0], lambda _, __, output: _zeroed(output))
        hooked = edited.score([query], ["Rome"])[0]
        assert hooked.logprobs != pytest.approx(expected.logprobs)
    assert lm.score([query], ["Rome"])[0].logprobs == pytest.approx(plain.logprobs)


def _zeroed(output: Any) -> Any:
    return output * 0 if isinstance(output, torch.Tensor) else (output[0] * 0, *output[1:])


def test_the_current_batch_is_published_while_the_model_reads() -> None:
    lm = tiny("gpt2")
    seen: list[tuple[int, int]] = []

    def watch(_: Any, inputs: tuple[torch.Tensor, ...], __: Any) -> None:
        assert lm.current is not None
        seen.append((inputs[0].shape[1], lm.current.length))

    with no_edit(lm) as edited:
        edited.hook(lm.anatomy.projections[0], watch)
        edited.generate([Query("Ann Smith")], max_new_tokens=3, stop=())
    assert lm.current is None
    length = seen[0][1]
    assert seen == [(length, length), (1, length), (1, length)]


def test_traces_hold_inputs_and_outputs_and_can_stop_early() -> None:
    lm = tiny("gpt2")
    first, last = lm.anatomy.blocks[0], lm.anatomy.blocks[-1]
    batch = lm.encode([Query("Ann Smith")])
    reached: list[int] = []
    handle = last.register_forward_hook(lambda *_: reached.append(1))
    with traced({"in": lm.anatomy.projections[0]}, {"out": first}, stop_at=first) as trace:
        lm.forward(batch)
    handle.remove()
    assert not reached
    assert trace.inputs["in"].shape == (1, batch.length, lm.anatomy.mlp_size)
    assert trace.outputs["out"].shape == (1, batch.length, lm.anatomy.hidden_size)
    assert lm.current is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_digest_sees_every_bit_every_name_and_every_place(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 4).to(dtype)
    known = {weights_digest(layer)}
    with torch.no_grad():
        for i in range(layer.weight.numel()):
            kept = layer.weight.view(-1)[i].clone()
            layer.weight.view(-1)[i] = torch.nextafter(kept.float() * 2, torch.tensor(9.0))
            known.add(weights_digest(layer))
            layer.weight.view(-1)[i] = kept
        assert len(known) == 21
        assert weights_digest(layer) in known
        layer.weight.copy_(layer.weight.flip(0))
    known.add(weights_digest(layer))
    known.add(weights_digest(torch.nn.Sequential(layer)))
    assert len(known) == 23
