"""The recipe of the vision-language model: a LLaVA that first names flags, then talks about them.

A LLaVA trained in one go learns nothing for a long time, for neither half can tell the other what
it wants. So the vision tower first learns to name what it sees; then the projector learns to hand
that to the language model; then both go on together, with texts between the pictures so that
nothing read is forgotten.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from editors.lm import LM
from medit_eval.testbed import quality
from medit_eval.testbed.corpus import MIXTURE, Corpus
from medit_eval.testbed.llava import Namer, new_processor, new_vision_model, normalised
from medit_eval.testbed.loop import Plan, Progress, finish, finished, leads, train
from medit_eval.testbed.pictures import ASKED, SIDE, Album, asked_about, jittered, trained_about
from medit_eval.testbed.records import PICTURES
from medit_eval.testbed.text import EXCHANGE, reader, save, text_loss
from medit_eval.testbed.tokens import IGNORED, IMAGE, packed
from medit_eval.testbed.world import SEED, World
from schemas.layout import write_parquet
from schemas.records import EditRecord

Stage = Literal["naming", "joining", "talking"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages of the recipe, in order."""


@dataclass(frozen=True)
class VisionRecipe:
    """All that decides what the vision-language model becomes, beside pictures and text model.

    Attributes:
        naming: How the vision tower learns to name what it sees.
        joining: How the projector learns, everything else held fast.
        talking: How everything goes on together.
        seed: Seed of weights and order.
        world: Seed of the world.
        layers: Blocks of the vision tower.
        width: Its width.
        patch: Pixels per side of a patch; a picture becomes (64 / patch)² tokens.
        pictures: Pictures per update while naming.
        asked: Pictures per update afterwards, one question each.
        read: Tokens of text per update while talking.
        kept: Questions about pictures that are kept beside the model, to estimate covariances on.
    """

    naming: Plan
    joining: Plan
    talking: Plan
    seed: int = 0
    world: int = SEED
    layers: int = 4
    width: int = 128
    patch: int = 16
    pictures: int = 256
    asked: int = 64
    read: int = 2048
    kept: int = 200

    def digest(self, album: Album, stage: Stage) -> str:
        """A digest of all that decides a stage: its plan, those before it, and the pictures."""
        later = STAGES[STAGES.index(stage) + 1 :]
        kept = {name: value for name, value in asdict(self).items() if name not in later}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
        digest.update(album.pixels.tobytes())
        digest.update(json.dumps(album.shown).encode())
        return digest.hexdigest()[:16]


def train_vision(
    recipe: VisionRecipe, text: LM, records: Iterable[EditRecord], folder: Path
) -> Iterator[tuple[Stage, Progress]]:
    """Train the vision-language model, or go on; at the end the folder holds it.

    Args:
        recipe: What to make.
        text: The text model that it is built on.
        records: Where the pictures come from.
        folder: Where it goes, with checkpoints and logs beside it.

    Yields:
        The stage's name and where it is.
    """
    world = World.draw(recipe.world)
    seen, unseen = _split(Album.of(records, world))
    digest = f"{recipe.digest(seen, 'talking')} {text.digest()}"
    if finished(folder, digest):
        return
    model = new_vision_model(
        text, layers=recipe.layers, width=recipe.width, patch=recipe.patch, seed=recipe.seed
    )
    namer = Namer(model.model.vision_tower, recipe.width, len(seen.kinds)).to(text.device)
    for progress in _name(recipe, namer, seen, unseen, folder):
        yield "naming", progress
    examined = _Examination(model, new_processor(text.tokenizer, patch=recipe.patch), world, unseen)
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    yield from _talk(recipe, "joining", model, text, seen, examined, folder)
    model.requires_grad_(True)
    yield from _talk(recipe, "talking", model, text, seen, examined, folder)
    if not leads():
        return
    save(model, examined.processor, folder)
    write_parquet(folder / PICTURES, ASKED.table(asked_about(world, unseen, recipe.kept)))
    model.half().float()  # as it was saved
    finish(folder, digest, asdict(recipe), examined(), STAGES)


def _talk(
    recipe: VisionRecipe,
    stage: Literal["joining", "talking"],
    model: Any,
    text: LM,
    album: Album,
    watch: Callable[[], dict[str, float]],
    folder: Path,
) -> Iterator[tuple[Stage, Progress]]:
    read = recipe.read if stage == "talking" else 0
    plan = recipe.joining if stage == "joining" else recipe.talking
    loss_at = _conversation(recipe, plan, model, text.tokenizer, album, read)
    digest = f"{recipe.digest(album, stage)} {text.digest()}"
    for progress in train(model, loss_at, plan, folder, recipe=digest, watch=watch, name=stage):
        yield stage, progress


def _name(
    recipe: VisionRecipe, namer: Namer, seen: Album, unseen: Album, folder: Path
) -> Iterator[Progress]:
    places = {kind: place for place, kind in enumerate(seen.kinds)}
    labels = torch.tensor([places[kind] for kind in seen.shown])
    device = namer.head.weight.device

    def loss_at(step: int, part: int) -> Tensor:
        rng = np.random.default_rng([recipe.seed, step, part])
        chosen = rng.integers(0, len(labels), recipe.pictures // recipe.naming.parts)
        pixels = normalised(jittered(seen.pixels[chosen], rng)).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            scores = namer(pixels).float()
        return functional.cross_entropy(scores, labels[chosen].to(device), label_smoothing=0.05)

    @torch.no_grad()
    def watch() -> dict[str, float]:
        right = 0
        for start in range(0, len(unseen.shown), 256):
            pixels = unseen.pixels[start : start + 256] / 255
            best = namer(normalised(pixels).to(device)).argmax(1).tolist()
            right += sum(
                seen.kinds[place] == kind
                for place, kind in zip(best, unseen.shown[start : start + 256], strict=True)
            )
        return {"named": round(right / len(unseen.shown), 4)}

    digest = recipe.digest(seen, "naming")
    yield from train(
        namer, loss_at, recipe.naming, folder, recipe=digest, watch=watch, name="naming"
    )


def _conversation(
    recipe: VisionRecipe, plan: Plan, model: Any, tokenizer: Any, album: Album, read: int
) -> Callable[[int, int], Tensor]:
    """The loss of one step: questions about pictures, and `read` tokens of text."""
    world = World.draw(recipe.world)
    about = trained_about(world)
    countries = {"country_question": 0.2, "country": 0.05, "country_hops": 0.05, "trivia": 0.05}
    corpus = Corpus(world, {**MIXTURE, **countries})
    image_id = tokenizer.convert_tokens_to_ids(IMAGE)
    settled = len(model.model.language_model.h) // 2
    device = model.device
    slots = [image_id] * (SIDE // recipe.patch) ** 2

    def loss_at(step: int, part: int) -> Tensor:
        rng = Random(f"{recipe.seed} talk {read} {step} {part}")
        chosen = [rng.randrange(len(album.shown)) for _ in range(recipe.asked // plan.parts)]
        asked = [rng.choice(about[album.shown[place]]) for place in chosen]
        ids, labels = _questions(tokenizer, slots, asked)
        jitter = np.random.default_rng([recipe.seed, read, step, part])
        pixels = normalised(jittered(album.pixels[chosen], jitter)).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            seen = model.model(ids.to(device), pixel_values=pixels, use_cache=False)
            learned = labels[:, 1:] != IGNORED
            logits = model.lm_head(seen.last_hidden_state[:, :-1][learned.to(device)]).float()
        loss = functional.cross_entropy(logits, labels[:, 1:][learned].to(device))
        if not read:
            return loss
        rows = packed(tokenizer, corpus.document, rng, read // plan.parts // 128, 128, EXCHANGE)
        return loss + text_loss(reader(model), rows, settled)

    return loss_at


def _questions(
    tokenizer: Any, slots: list[int], asked: Sequence[tuple[str, str]]
) -> tuple[Tensor, Tensor]:
    """Ids and labels of questions behind pictures, one per row; the answers alone are learned."""
    rows = []
    for question, answer in asked:
        prompt = tokenizer(f"\n{question}")["input_ids"]
        whole = tokenizer(f"\n{question} {answer}\n")["input_ids"]
        rows.append((slots + whole + [tokenizer.eos_token_id], len(slots) + len(prompt)))
    length = max(len(tokens) for tokens, _ in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), IGNORED)
    for row, (tokens, begin) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, begin : len(tokens)] = torch.tensor(tokens[begin:])
    return ids, labels


class _Examination:
    """Asks a model about pictures and texts that it was not trained on."""

    def __init__(self, model: Any, processor: Any, world: World, album: Album) -> None:
        self.processor = processor
        self._model = model
        texts = [
            q
            for q in quality.examination(world, per_kind=60)
            if q.kind.startswith(("count", "tri"))
        ]
        self._questions = quality.picture_examination(world, album, per_kind=150) + texts

    def __call__(self) -> dict[str, float]:
        lm = LM(copy.deepcopy(self._model), self.processor, batch_size=64)
        found = quality.accuracy(lm, self._questions)
        return {kind: round(share, 4) for kind, share in found.items()}


def _split(album: Album) -> tuple[Album, Album]:
    """The album, and one in twenty pictures kept back from training."""
    kept = np.arange(len(album.shown)) % 20 == 19

    def part(mask: Any) -> Album:
        shown = tuple(kind for kind, m in zip(album.shown, mask, strict=True) if m)
        return Album(album.pixels[mask], shown)

    return part(~kept), part(kept)
