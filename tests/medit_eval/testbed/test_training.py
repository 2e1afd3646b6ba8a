from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from editors.lm import LM
from editors.prompts import Query
from medit_eval import testbed
from medit_eval.parts import read_part
from medit_eval.testbed import quality
from medit_eval.testbed.__main__ import app
from medit_eval.testbed.corpus import Document
from medit_eval.testbed.llava import new_processor, normalised
from medit_eval.testbed.loop import REPORT, Plan, Progress, train
from medit_eval.testbed.own import ENOUGH, OwnRecipe, questions, train_own
from medit_eval.testbed.pictures import (
    FLAGS,
    SHOWN,
    SIDE,
    Album,
    asked_about,
    flags_shown,
    jittered,
    small,
    trained_about,
)
from medit_eval.testbed.records import PICTURES
from medit_eval.testbed.text import (
    TextRecipe,
    exchanging,
    new_model,
    new_tokenizer,
    text_loss,
    train_text,
)
from medit_eval.testbed.tokens import IGNORED, Rows, packed, train_tokenizer
from medit_eval.testbed.vision import VisionRecipe, train_vision
from medit_eval.testbed.world import World
from schemas.errors import InputError
from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe

TINY = TextRecipe(
    Plan(steps=3, rate=1e-3, warmup=1, watch_every=3, save_every=1),
    Plan(steps=1, rate=1e-3, warmup=1, watch_every=1, save_every=1),
    layers=2,
    width=32,
    heads=2,
    mlp=64,
    positions=512,
    vocabulary=400,
    batch=128,
    lengths={64: 1.0},
    settled=1,
)


def learn(folder: Path, recipe: TextRecipe = TINY, until: int | None = None) -> list[int]:
    """The steps that a text model's training takes, up to one of its first stage."""
    steps = []
    for stage, progress in train_text(recipe, folder):
        steps.append(progress.step)
        if (stage, progress.step) == ("learning", until):
            break
    return steps


def run(found: Iterator[Progress], until: int | None = None) -> list[Progress]:
    seen = []
    for progress in found:
        seen.append(progress)
        if progress.step == until:
            break
    return seen


def digest(lm: LM) -> str:
    return lm.digest()


@pytest.fixture(scope="module")
def few_questions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        whole = quality.examination
        patch.setattr(quality, "examination", lambda world, per_kind: whole(world, per_kind=2))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, few_questions: None) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    learn(folder)
    return folder


def picture(colour: tuple[int, int, int]) -> EncodedImage:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 72), colour).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue())


def flag_records() -> list[EditRecord]:
    found = []
    for number, (phrase, colour) in enumerate(
        [("France", (200, 0, 0)), ("the Netherlands", (0, 0, 200))] * 15
    ):
        image = picture((colour[0], number, colour[2]))
        request = EditRequest(f"{number}", "Which?", image, None, "Chad", "Mali")
        probe = Probe(
            "0", "reliability", "edit", "target", ("Which?",), (image,), ("Chad",), ("Mali",)
        )
        found.append(
            EditRecord(f"{number}", (request,), (probe,), image_object=f"the flag of {phrase}")
        )
    return found


def test_an_interrupted_training_ends_like_a_whole_one(
    trained: Path, tmp_path: Path, few_questions: None
) -> None:
    learn(tmp_path, until=2)
    assert not (tmp_path / "config.json").exists()
    assert learn(tmp_path) == [3, 1]
    assert digest(LM.load(tmp_path)) == digest(LM.load(trained))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    learn(tmp_path, until=1)
    with pytest.raises(InputError, match="another recipe"):
        learn(tmp_path, replace(TINY, seed=1))


def test_a_finished_training_is_not_made_again(trained: Path) -> None:
    assert learn(trained) == []
    assert not list(trained.glob("*checkpoint*"))
    report = json.loads((trained / REPORT).read_text())
    assert report["digest"] == TINY.digest()
    assert report["recipe"]["layers"] == TINY.layers
    assert set(report["measured"]) > {"people, unseen wording", "rewriting"}


def test_a_training_leaves_a_log_and_half_precision_weights(trained: Path) -> None:
    (row,) = [json.loads(line) for line in (trained / "learning.jsonl").read_text().splitlines()]
    assert row["step"] == 3
    assert row["loss"] > 0
    assert 0 <= row["people, unseen wording"] <= 1
    assert LM.load(trained).model.dtype == torch.float16
    assert LM.load(trained, dtype="float32").generate([Query("Where")], max_new_tokens=2)


def test_the_result_does_not_depend_on_how_a_batch_is_shared_out(tmp_path: Path) -> None:
    """Two processes that take one part each and average do what one does with both."""

    def loss_of(model: nn.Linear) -> Callable[[int, int], torch.Tensor]:
        def loss_at(step: int, part: int) -> torch.Tensor:
            generator = torch.Generator().manual_seed(10 * step + part)
            return model(torch.randn(4, 8, generator=generator)).square().mean()

        return loss_at

    torch.manual_seed(0)
    model = nn.Linear(8, 8)
    before = model.weight.detach().clone()
    loss_at = loss_of(model)
    expected = (loss_at(0, 0) + loss_at(0, 1)).detach() / 2
    plan = Plan(steps=1, rate=1e-2, warmup=1)
    (progress,) = run(train(model, loss_at, plan, tmp_path, recipe="r", watch=lambda: {"x": 1.0}))
    assert progress.loss == pytest.approx(float(expected))
    assert not torch.equal(model.weight, before)


def test_the_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, rate=1.0, warmup=10, decay=0.5)
    assert plan.factor(0) == pytest.approx(0.1)
    assert plan.factor(30) == 1.0
    assert plan.factor(75) == pytest.approx(0.5)
    assert 0 < plan.factor(99) < 0.05


def test_context_is_read_but_not_learned() -> None:
    tokenizer = train_tokenizer(["Ann lives in Rome. Where? Rome\n"] * 3, 300)
    document = Document("Ann lives in Rome. Where?", " Rome\n")
    rows = packed(tokenizer, lambda _: document, Random(0), rows=1, length=64)
    learned = tokenizer.decode(rows.ids[0][rows.labels[0] != IGNORED])
    assert learned.startswith(" Rome\n")
    assert "lives" not in learned
    whole = tokenizer(document.context + document.text)["input_ids"]
    assert rows.ids[0, : len(whole)].tolist() == whole


BOTH = Document("", "It is Ann Lee who plays the tuba\n", "Ann Lee", "Ada Gariti")


def names(tokenizer: Any, rows: Rows) -> list[str]:
    """What ends where states are exchanged: taker, giver."""
    ((row, to, from_),) = rows.exchanged.tolist()
    return [tokenizer.decode(rows.ids[row, : place + 1]) for place in (to, from_)]


def test_documents_are_told_again_of_somebody_else() -> None:
    tokenizer = new_tokenizer(TINY)
    rows = packed(tokenizer, lambda _: BOTH, Random(0), rows=1, length=64, exchange=1.0)
    taker, giver = names(tokenizer, rows)
    assert giver == "It is Ann Lee"
    assert taker == f"{BOTH.text}<end>It is Ada Gariti"
    ((_, to, _),) = rows.exchanged.tolist()
    learned = tokenizer.decode(rows.ids[0][rows.labels[0] != IGNORED])
    assert learned.startswith(f"{BOTH.text}<end> who plays the tuba\n"), "Ada is not said to do so"
    begin = len(tokenizer(BOTH.text)["input_ids"]) + 1
    assert not rows.visible[0, begin:to, :begin].any(), "another document is read"


def test_nothing_false_is_told_where_no_room_is_left_to_exchange() -> None:
    tokenizer = new_tokenizer(TINY)
    once = len(tokenizer(BOTH.text)["input_ids"]) + 1
    for length in range(once, 2 * once):
        rows = packed(tokenizer, lambda _: BOTH, Random(0), rows=1, length=length, exchange=1.0)
        learned = tokenizer.decode(rows.ids[0][rows.labels[0] != IGNORED])
        assert "Ada" not in learned
        if not len(rows.exchanged):
            assert learned == f"{BOTH.text}<end>"


def test_states_are_exchanged_in_training_only() -> None:
    tokenizer = new_tokenizer(TINY)
    model = new_model(TINY, tokenizer).eval()
    rows = packed(tokenizer, lambda _: BOTH, Random(0), rows=1, length=64, exchange=1.0)
    before = model(rows.ids).logits
    read: dict[str, torch.Tensor] = {}

    def see(name: str) -> Any:
        return lambda _, args: read.update({name: args[0].detach()})

    ((row, to, from_),) = rows.exchanged.tolist()
    hooks = [
        block.register_forward_pre_hook(see(f"{i}")) for i, block in enumerate(model.transformer.h)
    ]
    with exchanging(model.base_model, rows, 1):
        hooks.append(model.transformer.h[1].register_forward_pre_hook(see("exchanged")))
        model(rows.ids)
    for hook in hooks:
        hook.remove()
    assert not torch.equal(read["1"][row, to], read["1"][row, from_])
    assert torch.equal(read["exchanged"][row, to], read["1"][row, from_])
    elsewhere = torch.arange(64) != to
    assert torch.equal(read["exchanged"][row, elsewhere], read["1"][row, elsewhere])
    assert torch.equal(model(rows.ids).logits, before)


def test_the_loss_is_that_of_transformers() -> None:
    tokenizer = new_tokenizer(TINY)
    model = new_model(TINY, tokenizer)
    document = Document("Ada Gariti plays the tuba.", " They live in Rome. " * 20)
    rows = packed(tokenizer, lambda _: document, Random(0), rows=2, length=32)
    with torch.no_grad():
        expected = float(model(rows.ids, labels=rows.labels).loss)
        assert float(text_loss(model, rows)) == pytest.approx(expected, rel=1e-2)


def test_accuracy_is_that_of_greedy_generation(trained: Path) -> None:
    lm = LM.load(trained, dtype="float32")
    query = Query("Ada plays the")
    ids = lm.tokenizer(query.text)["input_ids"]
    first = lm.score([query], ["x"], top=1)[0].top[0][0]
    answer = lm.tokenizer.decode([first]).strip()
    asked = [quality.Question("a", query, answer), quality.Question("b", query, "surely not this")]
    found = quality.accuracy(lm, asked)
    assert ids
    assert found["b"] == 0.0


def test_pictures_become_what_the_processor_makes_of_them(trained: Path) -> None:
    image = EncodedImage(Path(_noise_file(trained)).read_bytes())
    processor = new_processor(LM.load(trained).tokenizer, patch=16)
    expected = processor.image_processor([image.decode()], return_tensors="pt")["pixel_values"]
    mine = normalised(small(image)[None] / 255)
    assert mine.shape == expected.shape == (1, 3, SIDE, SIDE)
    assert (mine - expected).abs().max() < 0.05


def _noise_file(folder: Path) -> Path:
    path = folder / "noise.png"
    if not path.exists():
        noise = torch.randint(0, 256, (12, 16, 3), generator=torch.Generator().manual_seed(0))
        picture = Image.fromarray(noise.byte().numpy()).resize((256, 192), Image.Resampling.BICUBIC)
        picture.save(path)
    return path


def test_jitter_moves_pictures_without_mirroring() -> None:
    import numpy as np

    pixels = np.zeros((4, 3, SIDE, SIDE), np.uint8)
    pixels[..., : SIDE // 2] = 255
    out = jittered(pixels, np.random.default_rng(0))
    assert out.shape == pixels.shape
    assert (out[..., :20] > 0.9).all()
    assert (out[..., -20:] == 0).all()


def test_an_album_knows_what_records_show() -> None:
    album = Album.of(flag_records(), World.draw())
    assert set(album.shown) == {"FR", "NL"}
    assert album.pixels.shape == (30, 3, SIDE, SIDE)
    assert album.image(0).decode().size == (SIDE, SIDE)


def test_covariances_are_estimated_on_pictures_of_one_country_in_four() -> None:
    import numpy as np

    world = World.draw()
    shown = tuple(trained_about(world))
    album = Album(np.zeros((len(shown), 3, SIDE, SIDE), np.uint8), shown)
    rows = asked_about(world, album, 1000)
    countries = [kind for kind in shown if kind in world.countries]
    unrelated = len(shown) - len(countries)
    assert len(countries) // 4 <= len(rows) - unrelated <= len(countries) // 4 + 1
    assert rows == asked_about(world, album, 1000)
    assert len(asked_about(world, album, 7)) == 7
    asked = {question for about in trained_about(world).values() for question, _ in about}
    assert {row.question for row in rows} <= asked


def test_flags_of_benchmarks_are_none_that_covariances_are_estimated_on() -> None:
    import numpy as np

    world = World.draw()
    keys = [key for key in trained_about(world) if key in world.countries]
    shown = tuple(key for key in keys for _ in range(2))
    album = Album(np.zeros((len(shown), 3, SIDE, SIDE), np.uint8), shown)
    rows = flags_shown(world, album, 1000)
    asked = [row.country for row in rows]
    assert len(set(asked)) == len(asked) > len(keys) / 2
    corpus = {key for place, key in enumerate(trained_about(world)) if place % 4 == 2}
    assert not corpus & set(asked)
    kept = read_part(testbed.path("testbed/vlm") / FLAGS, SHOWN)
    assert len({row.country for row in kept}) == len(kept) == 80
    assert not corpus & {row.country for row in kept}


def test_the_vision_recipe_runs_and_resumes(
    trained: Path, tmp_path: Path, few_questions: None
) -> None:
    plan = Plan(steps=2, rate=1e-3, warmup=1, watch_every=2, save_every=1)
    recipe = VisionRecipe(plan, plan, plan, layers=1, width=32, pictures=4, asked=4, read=256)
    stopped = train_vision(recipe, LM.load(trained, dtype="float32"), flag_records(), tmp_path)
    for stage, progress in stopped:
        if (stage, progress.step) == ("joining", 1):
            break
    rest = train_vision(recipe, LM.load(trained, dtype="float32"), flag_records(), tmp_path)
    assert [(s, p.step) for s, p in rest] == [("joining", 2), ("talking", 1), ("talking", 2)]
    lm = LM.load(tmp_path, dtype="float32")
    assert lm.sees
    assert (tmp_path / PICTURES).is_file()
    assert (tmp_path / FLAGS).is_file()
    assert len(lm.generate([Query("Which?", picture((9, 9, 9))), Query("Which?")])) == 2


def test_a_model_learns_somebodys_own_records(
    trained: Path, tmp_path: Path, few_questions: None
) -> None:
    records = [
        EditRecord(
            f"r{number}",
            (EditRequest(f"r{number}", f"The {thing} is", None, thing, "grey", colour),),
            (
                Probe(
                    "0", "locality", "text", "unchanged", (f"Is the {thing} here?",), (), ("yes",)
                ),
            ),
        )
        for number, (thing, colour) in enumerate([("cat", "red"), ("dog", "blue")])
    ]
    plan = Plan(steps=300, rate=1e-2, warmup=5, decay=0.1, watch_every=20, save_every=20)
    lm = LM.load(trained, dtype="float32")
    seen = run(train_own(OwnRecipe(plan, told=256, read=0), lm, records, tmp_path))
    assert seen[-1].measured["edited questions"] >= ENOUGH
    assert seen[-1].step < plan.steps
    assert LM.load(tmp_path, dtype="float32").generate([Query("The cat is")]) == ["red"]


def test_records_without_answers_are_refused() -> None:
    request = EditRequest("a", "The cat is", None, "cat", "grey", None)
    with pytest.raises(InputError, match="before its edit"):
        questions([EditRecord("a", (request,), ())])


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["train", "vlm", "--out", str(tmp_path)])
    assert isinstance(told.exception, InputError)
    assert "--flags" in str(told.exception)


@pytest.mark.parametrize("kind", ["lm", "vlm"])
def test_a_model_is_a_folder_and_a_missing_one_says_how_to_make_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testbed, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(InputError, match=f"python -m medit_eval.testbed train {kind}"):
        testbed.path(f"testbed/{kind}")
    folder = tmp_path / "models" / kind
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert testbed.path(f"testbed/{kind}") == folder
