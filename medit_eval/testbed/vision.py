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
from medit_eval.testbed.pictures import (
    ASKED,
    FLAGS,
    SHOWN,
    SIDE,
    Album,
    asked_about,
    flags_shown,
    jittered,
    trained_about,
)
from medit_eval.testbed.records import PICTURES
from medit_eval.testbed.text import EXCHANGE, reader, save, text_loss
from medit_eval.testbed.tokens import IGNORED, IMAGE, packed
from medit_eval.testbed.world import SEED, World
from schemas.layout import write_parquet
from schemas.records import EditRecord

Stage = Literal["naming", "joining", "talking"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages of the recipe, in order."""

COUNTRIES = {
    "country_question": 0.2,
    "country": 0.05,
    "country_hops": 0.05,
    "country_reading": 0.15,
    "trivia": 0.05,
}
"""What is read of countries while talking, beside the mixture."""


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
        behind: Share of the questions about pictures that stand behind a fact, while talking.
        told: Share of those that the fact answers; the others teach that a fact about something
            else answers nothing.
        aloud: Weight of the questions' own tokens, while talking: how likely a question is tells
            SCR whether a fact bears on it.
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
    behind: float = 0.5
    told: float = 0.65
    aloud: float = 0.2
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
    write_parquet(folder / FLAGS, SHOWN.table(flags_shown(world, unseen, recipe.kept)))
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
    loss_at = _conversation(recipe, stage, model, text.tokenizer, album)
    plan: Plan = getattr(recipe, stage)
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
    recipe: VisionRecipe,
    stage: Literal["joining", "talking"],
    model: Any,
    tokenizer: Any,
    album: Album,
) -> Callable[[int, int], Tensor]:
    """The loss of one step of a stage: questions about pictures and, while talking, texts."""
    world = World.draw(recipe.world)
    corpus = Corpus(world, {**MIXTURE, **COUNTRIES}, recipe.told)
    image_id = tokenizer.convert_tokens_to_ids(IMAGE)
    slots = [image_id] * (SIDE // recipe.patch) ** 2
    settled = len(model.model.language_model.h) // 2
    device = model.device
    plan: Plan = getattr(recipe, stage)
    talking = stage == "talking"
    ask = _Interview(corpus, recipe.behind if talking else 0.0)

    def loss_at(step: int, part: int) -> Tensor:
        rng = Random(f"{recipe.seed} {stage} {step} {part}")
        chosen = [rng.randrange(len(album.shown)) for _ in range(recipe.asked // plan.parts)]
        asked = [ask(rng, album.shown[place]) for place in chosen]
        jitter = np.random.default_rng([recipe.seed, STAGES.index(stage), step, part])
        pixels = normalised(jittered(album.pixels[chosen], jitter)).to(device)
        ids, questions, answers = _turns(tokenizer, slots, asked)
        with torch.autocast(device.type, torch.bfloat16):
            seen = model.model(ids.to(device), pixel_values=pixels, use_cache=False)
        loss = _surprisal(model, seen.last_hidden_state, answers)
        if not talking:
            return loss
        loss = loss + recipe.aloud * _surprisal(model, seen.last_hidden_state, questions)
        rows = packed(
            tokenizer, corpus.document, rng, recipe.read // plan.parts // 128, 128, EXCHANGE
        )
        return loss + text_loss(reader(model), rows, settled)

    return loss_at


class _Interview:
    """Asks about pictures: what is told first, the question, and the answer."""

    def __init__(self, corpus: Corpus, behind: float) -> None:
        self._corpus = corpus
        self._behind = behind
        self._about = trained_about(corpus.world)
        self._read_about = {country.key: country for country in corpus.read_about}

    def __call__(self, rng: Random, shown: str) -> tuple[str, str, str]:
        country = self._read_about.get(shown)
        if country is not None and rng.random() < self._behind:
            return self._corpus.country_told(rng, country, shown=True)
        return "", *rng.choice(self._about[shown])


def _surprisal(model: Any, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the tokens that are learned, in nats."""
    labels = labels[:, 1:].to(hidden.device)
    learned = labels != IGNORED
    with torch.autocast(hidden.device.type, torch.bfloat16):
        logits = model.lm_head(hidden[:, :-1][learned]).float()
    return functional.cross_entropy(logits, labels[learned])


def _turns(
    tokenizer: Any, slots: list[int], asked: Sequence[tuple[str, str, str]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids of questions behind pictures, one per row; labels of the questions, and of the answers.

    What is told before a question is read, and never learned.
    """
    rows = []
    for told, question, answer in asked:
        read, prompt = (tokenizer(f"\n{text}")["input_ids"] for text in (told, told + question))
        whole = tokenizer(f"\n{told}{question} {answer}\n")["input_ids"]
        begins = [len(slots) + len(tokens) for tokens in (read, prompt)]
        rows.append((slots + whole + [tokenizer.eos_token_id], *begins))
    length = max(len(tokens) for tokens, *_ in rows)
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    questions, answers = torch.full_like(ids, IGNORED), torch.full_like(ids, IGNORED)
    for row, (tokens, question, answer) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        questions[row, question:answer] = ids[row, question:answer]
        answers[row, answer : len(tokens)] = ids[row, answer : len(tokens)]
    return ids, questions, answers


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
