from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editors.anatomy import oriented
from editors.base import EditError
from editors.contexts import sample_contexts
from editors.corpus import as_corpus
from editors.lm import LM
from editors.locate import LocatedModel, new_values
from editors.lookup import place, read
from editors.memit import MEMIT
from editors.moments import Moment, second_moments
from editors.presets import PAPER, kind_of, preset_for
from editors.prompts import Query
from editors.solve import MomentPrecision, Past, remember, solve
from schemas.errors import InputError
from schemas.records import EditRequest
from tests.editors.facts import ANN, FACTS, FLAG, FRANCE, OTHER_FLAG, corpus, exact
from tests.reference import locate_literal as literal
from tests.tiny_models import tiny


def editor(folder: Path, **more: object) -> MEMIT:
    made = MEMIT(
        layers=(0, 1),
        steps=4,
        moment_weight=20.0,
        corpus=corpus(folder),
        cache=folder / "cache",
        contexts=2,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def weights(lm: LM) -> list[torch.Tensor]:
    return [oriented(p).detach().clone() for p in lm.anatomy.projections]


def moved(lm: LM, before: list[torch.Tensor]) -> list[torch.Tensor]:
    return [now - then for now, then in zip(weights(lm), before, strict=True)]


def literal_values(
    lm: LM, made: MEMIT, requests: tuple[EditRequest, ...], contexts: tuple[str, ...]
) -> torch.Tensor:
    columns = []
    for request in requests:
        query = Query(request.prompt, request.image)
        target = lm.encoder.target_ids(query, request.target_new)
        h, delta = literal.compute_z(lm, request, target, made, contexts)
        columns.append(h + delta)
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(
    ("family", "requests"), [("gpt2", FACTS), ("llama", FACTS[1:]), ("llava", (FLAG, OTHER_FLAG))]
)
def test_the_update_is_that_of_the_literal_version(
    family: str, requests: tuple[EditRequest, ...], tmp_path: Path
) -> None:
    lm, other = exact(family), exact(family)
    made = editor(tmp_path)
    before = weights(lm)
    with made.apply(lm) as edited:
        edited.edit(requests)
        fast = moved(lm, before)
        contexts = edited.contexts
    moments = second_moments(other, [0, 1], as_corpus(corpus(tmp_path)), cache=tmp_path / "cache")
    zs = literal_values(other, made, requests, contexts)
    literal.memit(other, requests, zs, made, contexts, {i: m.matrix for i, m in moments.items()})
    slow = moved(other, before)
    for one, two in zip(fast[:2], slow[:2], strict=True):
        assert one.norm() > 1e-3
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))
    assert not fast[2].any()


def random_problem(
    d: int = 30, n: int = 7, m: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Moment]:
    generator = torch.Generator().manual_seed(0)
    keys, past = (torch.randn(d, k, generator=generator).double() for k in (n, m))
    residual = torch.randn(11, n, generator=generator).double()
    samples = torch.randn(200, d, generator=generator)
    return keys, residual, past, Moment(samples.t() @ samples / 200, 200)


def test_the_solve_meets_its_normal_equations() -> None:
    keys, residual, past, moment = random_problem()
    precision = MomentPrecision.of(moment, 3.0)
    delta = solve(keys, residual, Past.of(past, precision), precision)
    normal = 3.0 * moment.matrix.double() + keys @ keys.t() + past @ past.t()
    torch.testing.assert_close(delta @ normal, residual @ keys.t(), rtol=1e-9, atol=1e-9)


def test_a_singular_moment_leaves_unused_directions_free() -> None:
    keys, residual, _, _ = random_problem()
    unused = torch.zeros(30, 30)
    unused[:10, :10] = torch.eye(10)
    delta = solve(keys, residual, None, MomentPrecision.of(Moment(unused, 10), 1e6))
    torch.testing.assert_close(delta @ keys, residual, rtol=1e-3, atol=1e-3)
    assert delta[:, :10].abs().max() < 1e-3 * delta[:, 10:].abs().max()


def test_what_is_remembered_stays_as_small_as_the_keys_are_wide() -> None:
    generator = torch.Generator().manual_seed(1)
    every = [torch.randn(6, 4, generator=generator).double() for _ in range(5)]
    precision = MomentPrecision.of(Moment(torch.eye(6), 1), 2.0)
    past = None
    for keys in every:
        past = remember(past, keys, precision)
        assert past.keys.shape[1] <= 8
        torch.testing.assert_close(past.applied, past.keys / 2)
    assert past is not None
    assert past.keys.shape == (6, 6)
    whole = torch.cat(every, dim=1)
    torch.testing.assert_close(past.keys @ past.keys.t(), whole @ whole.t())


def test_numbers_that_are_not_finite_are_refused() -> None:
    keys, residual, _, moment = random_problem()
    with pytest.raises(EditError, match="not finite"):
        solve(keys * float("nan"), residual, None, MomentPrecision.of(moment, 1.0))
    with pytest.raises(EditError, match="not finite"):
        solve(keys, residual * float("inf"), None, MomentPrecision.of(moment, 1.0))
    with pytest.raises(EditError, match="cannot be inverted"):
        MomentPrecision.of(Moment(moment.matrix * float("nan"), 1), 1.0)


def test_an_edit_gives_the_block_its_values_and_makes_answers_likelier(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    made = editor(tmp_path, steps=25, moment_weight=1e-4, clamp=5.0, weight_decay=0.0, contexts=0)
    queries = [Query(r.prompt) for r in FACTS]
    answers = [r.target_new for r in FACTS]
    before, digest = lm.score(queries, answers), lm.digest()
    with made.apply(lm) as edited:
        z = new_values(edited, FACTS)
        edited.edit(FACTS)
        places = [place(lm, request, "last_prompt") for request in FACTS]
        torch.testing.assert_close(read(lm, places, hidden=[1]).hidden[1], z, rtol=0, atol=1e-3)
        after = edited.score(queries, answers)
        assert lm.digest() != digest
    assert all(a.mean > b.mean for a, b in zip(after, before, strict=True))
    assert lm.digest() == digest


def test_a_batch_of_one_is_a_single_edit_and_edits_are_reproducible(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        lm = tiny("llama")
        before = weights(lm)
        with editor(tmp_path).apply(lm) as edited:
            edited.edit([ANN])
            found.append(moved(lm, before))
            edited.restore()
            edited.edit([ANN])
            again = moved(lm, before)
        assert all(map(torch.equal, found[0], again))
    assert all(map(torch.equal, *found))


def test_no_request_changes_nothing(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    before = weights(lm)
    with editor(tmp_path).apply(lm) as edited:
        edited.edit([])
        assert all(map(torch.equal, weights(lm), before))
    assert not (tmp_path / "cache").exists()


def test_an_exception_midway_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    with editor(tmp_path, remember=True).apply(lm) as edited:
        edited.edit([ANN])
        digest, past = lm.digest(), edited.state.past
        written: list[str] = []
        write = edited.write

        def failing(parameter: str, delta: torch.Tensor) -> None:
            write(parameter, delta * (float("nan") if written else 1.0))
            written.append(parameter)

        monkeypatch.setattr(edited, "write", failing)
        with pytest.raises(EditError, match="not finite"):
            edited.edit([FRANCE])
        assert len(written) == 1
        assert lm.digest() == digest
        assert edited.state.past is past


def test_past_keys_are_kept_only_where_asked(tmp_path: Path) -> None:
    lm = exact("gpt2")
    for remembering in (False, True):
        with editor(tmp_path, remember=remembering).apply(lm) as edited:
            edited.edit([ANN])
            edited.edit([FRANCE])
            kept = {layer: keys.shape[1] for layer, keys in edited.state.past.items()}
        assert kept == ({0: 2, 1: 2} if remembering else {})
    assert isinstance(edited, LocatedModel)
    assert edited.state.past == {}


def test_remembering_holds_earlier_keys_in_place(tmp_path: Path) -> None:
    lm = exact("gpt2")
    made = editor(tmp_path, moment_weight=1e-3, layers=(1,), contexts=0)
    with replace(made, remember=True).apply(lm) as edited:
        edited.edit([ANN])
        past = edited.state.past[1]
    moves = []
    for remembering in (False, True):
        with replace(made, remember=remembering).apply(lm) as edited:
            edited.edit([ANN])
            before = weights(lm)
            edited.edit([FRANCE])
            moves.append(float((moved(lm, before)[1] @ past).norm()))
    assert moves[1] < moves[0] / 2


def test_contradictions_in_a_batch_are_named(tmp_path: Path) -> None:
    lm = tiny("llava")
    twin = replace(ANN, id="twin", target_new="Oslo")
    with editor(tmp_path, steps=1).apply(lm) as edited:
        with pytest.warns(UserWarning, match="'ann' and 'twin' contradict.*'Rome' and 'Oslo'"):
            edited.edit([ANN, FRANCE, twin])
        same = replace(FLAG, id="same", image=OTHER_FLAG.image, target_new="Norway")
        edited.edit([FLAG])
        edited.edit([same, replace(ANN, id="again")])


@pytest.mark.filterwarnings("error")
def test_like_questions_about_other_pictures_do_not_contradict(tmp_path: Path) -> None:
    same = replace(FLAG, id="same", image=OTHER_FLAG.image, target_new="Norway")
    with editor(tmp_path, steps=1).apply(tiny("llava")) as edited:
        edited.edit([FLAG, same, ANN])


def test_contexts_stay_the_same_through_a_session(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    texts = sample_contexts(lm, 2, 0)
    with editor(tmp_path, clamp=5.0, moment_weight=1e-4).apply(lm) as edited:
        edited.edit([ANN])
        assert edited.contexts == texts
        edited.restore()
        edited.edit([FRANCE])
        assert edited.contexts == texts


def test_a_model_without_published_hyperparameters_needs_layers() -> None:
    lm = tiny("gpt2")
    with pytest.raises(InputError, match=r"layers=.*python -m medit_eval tune"):
        MEMIT.for_model(lm)
    with pytest.warns(UserWarning, match="no hyperparameters are published for tiny-gpt2"):
        made = MEMIT.for_model(lm, layers=(1, 2), clamp=1.5)
    assert made == MEMIT(layers=(1, 2), clamp=1.5)


@pytest.mark.filterwarnings("error")
def test_published_hyperparameters_go_by_the_kind_of_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("gpt2")
    kind = kind_of(lm)
    assert kind == ("gpt2", 3, 32, lm.model.config.vocab_size)
    xl = PAPER[("gpt2", 48, 1600, 50257)]
    monkeypatch.setattr("editors.presets.PAPER", {kind: xl})
    assert preset_for(lm, None) is xl
    made = MEMIT.for_model(lm, learning_rate=0.1)
    assert (made.layers, made.steps, made.learning_rate) == ((13, 14, 15, 16, 17), 20, 0.1)
    assert made.moment_weight == 20_000
    with pytest.raises(InputError, match="the model has layers 0 to 2"):
        made.apply(lm)
    # Llama-2-7B is as wide and deep as Llama-3-8B.
    assert ("llama", 32, 4096, 128256) in PAPER
    assert ("llama", 32, 4096, 32000) not in PAPER


def test_wrong_hyperparameters_are_refused() -> None:
    with pytest.raises(InputError, match="unknown lookup 'first'; known are last_prompt"):
        MEMIT(layers=(1,), lookup="first")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="steps is a whole number of at least 1, not 0"):
        MEMIT(layers=(1,), steps=0)
    with pytest.raises(InputError, match="ascending"):
        MEMIT(layers=(2, 1)).apply(tiny("gpt2"))
    with pytest.raises(InputError, match="layers are numbers"):
        MEMIT(layers="all")  # type: ignore[arg-type]
    assert MEMIT(layers=[1, 2]).layers == (1, 2)  # type: ignore[arg-type]
    assert MEMIT(layers=1).layers == (1,)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_edits_of_one_picture_share_the_key_of_its_last_token(family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    other = replace(FLAG, id="other", prompt="Which capital is it?", target_new="Rome")
    kept = {}
    for rule in ("last_image", "last_prompt"):
        made = editor(tmp_path, lookup=rule, contexts=0, layers=(1,), remember=True, steps=2)
        with made.apply(lm) as edited:
            edited.edit([FLAG, other])
            kept[rule] = edited.state.past[1]
    one, two = kept["last_image"].t()
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    one, two = kept["last_prompt"].t()
    assert (one - two).norm() > 0.1 * one.norm()
