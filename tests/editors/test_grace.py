"""GRACE: radii that stay, grow and split, and vectors that take the layer's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from editors.balancedit import BalancEdit
from editors.copies import Vectors
from editors.grace import GRACE
from editors.lm import LM
from editors.prompts import Query
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, FLAG, FRANCE
from tests.reference.grace_literal import Adapter
from tests.tiny_models import tiny

ONE = GRACE(layer=1, steps=3, learning_rate=0.1, initial="layer")

QUESTIONS = (
    ("Ann was born in", "Rome"), ("Bob was born in", "Rome"), ("Ann was born in the town", "Oslo"),
    ("What is zinc?", "Rome"), ("The capital of France is what?", "Oslo"), ("Bob is in", "Rome"),
    ("Cleo was born in", "Rome"), ("Dan was born in", "Paris"), ("What is jute?", "Rome"),
)  # fmt: skip


def requests() -> list[EditRequest]:
    return [
        EditRequest(f"r{i}", prompt, None, None, answer, None)
        for i, (prompt, answer) in enumerate(QUESTIONS)
    ]


def keys_of(lm: LM, editor: GRACE) -> torch.Tensor:
    with editor.apply(lm) as model:
        return model.keys([Query(prompt) for prompt, _ in QUESTIONS])


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("at_once", [True, False])
def test_entries_are_those_of_the_literal_version(share: float, at_once: bool) -> None:
    lm = tiny("gpt2")
    keys = keys_of(lm, ONE)
    apart = torch.pdist(keys)
    editor = replace(ONE, radius=float(apart.quantile(share) / 2), steps=1)
    literal = Adapter(editor.radius)
    for key, (_, answer) in zip(keys, QUESTIONS, strict=True):
        literal.edit(key, answer)
    with editor.apply(lm) as model:
        for batch in [requests()] if at_once else [[request] for request in requests()]:
            model.edit(batch)
        book = model.state
        assert book is not None
        torch.testing.assert_close(book.keys, torch.stack(literal.keys))
        radii = [entry.radius for entry in book.entries]
        assert radii == pytest.approx(literal.radii, rel=1e-4)
        assert [entry.answer for entry in book.entries] == literal.labels


def test_together_or_one_after_another_the_values_are_the_same() -> None:
    lm = tiny("gpt2")
    apart = torch.pdist(keys_of(lm, ONE))
    editor = replace(ONE, radius=float(apart.quantile(0.5) / 2), steps=4)
    values = []
    for batches in ([requests()], [[request] for request in requests()]):
        with editor.apply(lm) as model:
            for batch in batches:
                model.edit(batch)
            assert model.state is not None
            values.append(model.state.copies.parameters[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "llava", "opt"])
def test_a_vector_takes_the_layers_place_from_the_last_token_on(family: str) -> None:
    """What is scored, what is generated and what a hook sees agree with the literal replacement."""
    lm = tiny(family)
    request = FLAG if family == "llava" else ANN
    query = Query(request.prompt, request.image)
    with replace(ONE, radius=1e3, steps=8).apply(lm) as model:
        model.edit([request])
        assert model.state is not None
        value = model.state.copies.parameters[0][0]
        (scored,) = model.score([query], ["Rome Paris"])
        generated = model.generate([query], max_new_tokens=6)[0]
    batch = lm.encoder.encode([query], [lm.encoder.target_ids(query, "Rome Paris")])

    def literal(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        shaped = output.clone().reshape(1, -1, output.shape[-1])
        shaped[:, lm.current.prompt_end - 1 if lm.current else -1 :] = value
        return shaped.reshape(output.shape)

    handle = lm.anatomy.projections[1].register_forward_hook(literal)
    try:
        logits = lm.forward(batch)[0, batch.prompt_end - 1 : -1].log_softmax(-1)
        expected = logits.gather(1, batch.target_ids.T)[:, 0]
        with lm.unshared():
            answer: list[int] = []
            for _ in range(6):
                more = lm.encoder.encode([query], [answer] if answer else ())
                answer.append(int(lm.forward(more)[0, -1].argmax()))
    finally:
        handle.remove()
    torch.testing.assert_close(torch.tensor(scored.logprobs), expected, rtol=1e-4, atol=1e-4)
    written = lm.tokenizer.decode(answer, skip_special_tokens=True).strip()
    assert written.startswith(generated.split("\n")[0].strip())


def test_outside_the_radius_nothing_changes() -> None:
    lm = tiny("llama")
    asked = [Query("Bob lives in the town of"), Query("What is zinc?")]
    before = lm.generate(asked)
    with replace(ONE, radius=1e-4).apply(lm) as model:
        model.edit([ANN])
        assert model.generate(asked) == before
        routes = model.routing([Query(ANN.prompt), *asked])
        assert [route.request_id for route in routes] == ["ann", None, None]


def test_the_same_question_replaces_its_entry() -> None:
    lm = tiny("gpt2")
    with replace(ONE, steps=60, learning_rate=0.5, radius=1e-3).apply(lm) as model:
        model.edit([ANN, FRANCE])
        model.edit([replace(ANN, id="again", target_new="Oslo")])
        assert [entry.request_id for entry in model.distances()] == ["again", "france"]
        (new, old) = model.score([Query(ANN.prompt)] * 2, ["Oslo", "Rome"])
        assert new.mean > old.mean


ROME_TOO = EditRequest("too", "Bob was born in", None, None, "Rome", None)


def test_an_edit_that_was_merged_survives_another_of_its_entry() -> None:
    """Asked anew, an entry's own question and a merged one both split from the rest."""
    lm = tiny("gpt2")
    first, second = Query(ANN.prompt), Query(ROME_TOO.prompt)
    third = replace(ROME_TOO, id="third", prompt="Cleo was born in the town")
    editor = replace(ONE, radius=1e3)
    with editor.apply(lm) as model:
        keys = model.keys([first, second])
        half = float(torch.dist(keys[0], keys[1])) / 2
        for asked, other, id_ in ((ANN, second, "too"), (ROME_TOO, first, "ann")):
            model.restore()
            model.edit([ANN, ROME_TOO])
            (entry,) = model.distances()
            assert [m.request_id for m in entry.merged] == ["too"]
            kept = model.state and model.state.copies.parameters[0][0]
            model.edit([replace(asked, id="new", target_new="Oslo")])
            old, new = model.distances()
            assert (old.request_id, old.answer, old.merged) == (id_, "Rome", ())
            assert (new.request_id, new.answer) == ("new", "Oslo")
            assert [old.radius, new.radius] == pytest.approx([half, half], rel=1e-4)
            assert torch.equal(model.state.copies.parameters[0][0], kept)  # type: ignore[union-attr]
            routes = model.routing([Query(asked.prompt), other])
            assert [route.request_id for route in routes] == ["new", id_]
            model.edit([replace(asked, id="newer", target_new="Kyiv")])  # holds one: in place
            assert [entry.request_id for entry in model.distances()] == [id_, "newer"]
        model.restore()
        model.edit([ANN, ROME_TOO, third])
        model.edit([replace(ANN, id="again")])  # the same answer once more
        (entry,) = model.distances()
        assert (entry.request_id, len(entry.merged)) == ("again", 2)
        model.edit([replace(ROME_TOO, id="once more")])
        (entry,) = model.distances()
        assert [m.request_id for m in entry.merged] == ["third", "once more"]


@pytest.mark.parametrize(
    ("editor", "epsilon"), [(ONE, 1e-8), (BalancEdit(layer=1, steps=2), 1e-4)], ids=["grace", "be"]
)
def test_adams_epsilon_is_that_of_each_methods_authors(
    editor: GRACE | BalancEdit, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, adam = [], torch.optim.Adam

    def noted(*args: Any, **options: Any) -> torch.optim.Adam:
        made = adam(*args, **options)
        seen.append(made.defaults["eps"])
        return made

    monkeypatch.setattr("torch.optim.Adam", noted)
    with editor.apply(tiny("gpt2")) as model:
        model.edit([ANN])
    assert seen == [epsilon]


@pytest.mark.parametrize("value", ["full", "low_rank"])
def test_copies_of_the_layer_may_stand_for_vectors(value: Any) -> None:
    lm = tiny("gpt2")
    with replace(ONE, value=value, key="prompt", steps=20, learning_rate=1e-2).apply(lm) as model:
        (before,) = lm.score([Query(ANN.prompt)], ["Rome"])
        model.edit([ANN])
        assert not isinstance(model.state and model.state.copies, Vectors)
        assert model.score([Query(ANN.prompt)], ["Rome"])[0].mean > before.mean


def test_random_beginnings_belong_to_requests() -> None:
    lm = tiny("gpt2")
    cold = replace(ONE, initial="random", steps=1, learning_rate=1e-9, radius=1e-3)
    seen = []
    for batch in ([ANN, FRANCE], [FRANCE, ANN]):
        with cold.apply(lm) as model:
            model.edit(batch)
            assert model.state is not None
            rows = model.state.copies.parameters[0]
            seen.append({r.id: row for r, row in zip(batch, rows, strict=True)})
    torch.testing.assert_close(seen[0]["ann"], seen[1]["ann"])
    assert 0 <= float(seen[0]["ann"].min()) <= float(seen[0]["ann"].max()) <= 1
    assert not torch.allclose(seen[0]["ann"], seen[0]["france"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "first"}, "key is one of prompt, reference, last"),
        ({"value": "none"}, "value is one of vector, full, low_rank"),
        ({"initial": "cold"}, "initial is one of random, layer"),
        ({"radius": 0.0}, "radius is a number above 0, not 0.0"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GRACE(**options)


def test_settings_for_a_model() -> None:
    lm = tiny("gpt2")
    assert GRACE.for_model(lm).layer == 2
    assert GRACE.for_model(lm, layer=0, radius=3.0, initial="layer") == GRACE(
        layer=0, radius=3.0, initial="layer"
    )
