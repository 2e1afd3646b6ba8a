"""The recipe of the text model: a GPT-2 with wide MLPs that knows one small world."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from editors.lm import LM
from medit_eval.testbed import quality, wordings
from medit_eval.testbed.corpus import MIXTURE, PICTURE, Corpus
from medit_eval.testbed.loop import Plan, Progress, finish, finished, leads, train
from medit_eval.testbed.tokens import Rows, packed, train_tokenizer
from medit_eval.testbed.world import SEED, World

EXCHANGE = 0.5
"""Share of the documents about one subject that are told again of another; see `exchanging`."""

Stage = Literal["learning", "reading"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages of the recipe, in order."""


@dataclass(frozen=True)
class TextRecipe:
    """All that decides what the text model becomes.

    The MLPs are sixteen times as wide as the model, for each projection is to hold thousands of
    facts and still have directions left that none of them uses.

    Attributes:
        learning: How the world is learned.
        reading: How facts in context are read more closely thereafter.
        seed: Seed of weights and documents.
        world: Seed of the world.
        layers: Blocks.
        width: Width of the hidden states.
        heads: Attention heads.
        mlp: Width of the MLPs.
        positions: Tokens that it can read.
        vocabulary: Tokens that it knows.
        batch: Tokens per update.
        lengths: Tokens per row -> share of updates with such rows.
        mixture: Kind of document -> share, while learning.
        close: The same, while reading more closely.
        told: Share of the questions behind facts that a fact answers, while reading more closely;
            the others teach that a fact about somebody else answers nothing.
        settled: The block before which a subject's last token has to hold all that is known of it;
            see `exchanging`.
        exchange: Share of the documents about one subject that are told again of another.
    """

    learning: Plan
    reading: Plan
    seed: int = 0
    world: int = SEED
    layers: int = 6
    width: int = 128
    heads: int = 4
    mlp: int = 2048
    positions: int = 512
    vocabulary: int = 2048
    batch: int = 4096
    lengths: Mapping[int, float] = field(
        default_factory=lambda: {64: 0.25, 128: 0.6, 256: 0.1, 512: 0.05}
    )
    mixture: Mapping[str, float] = field(default_factory=lambda: dict(MIXTURE))
    close: Mapping[str, float] = field(default_factory=lambda: {**MIXTURE, "reading": 0.6})
    told: float = 0.35
    settled: int = 3
    exchange: float = EXCHANGE

    def digest(self) -> str:
        """A digest of the recipe and of the sentences it uses."""
        text = json.dumps(asdict(self), sort_keys=True) + _sentences()
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def new_tokenizer(recipe: TextRecipe) -> Any:
    """The tokenizer of a recipe's corpus."""
    corpus = Corpus(World.draw(recipe.world), recipe.mixture)
    rng = Random(f"tokenizer {recipe.seed}")
    documents = (corpus.document(rng) for _ in range(20_000))
    return train_tokenizer((d.context + d.text for d in documents), recipe.vocabulary)


def new_model(recipe: TextRecipe, tokenizer: Any) -> Any:
    """The untrained model of a recipe."""
    import transformers as hf

    torch.manual_seed(recipe.seed)
    config = hf.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        n_inner=recipe.mlp,
        n_positions=recipe.positions,
        activation_function="gelu_pytorch_tanh",  # one kernel; "gelu_new" is six
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return hf.GPT2LMHeadModel(config)


def train_text(recipe: TextRecipe, folder: Path) -> Iterator[tuple[Stage, Progress]]:
    """Train the text model, or go on; at the end the folder holds it, ready to be loaded.

    Args:
        recipe: What to make.
        folder: Where it goes, with logs and report, and checkpoints until it is done.

    Yields:
        The stage's name and where it is.
    """
    digest = recipe.digest()
    if finished(folder, digest):
        return
    world = World.draw(recipe.world)
    tokenizer = new_tokenizer(recipe)
    model = new_model(recipe, tokenizer).to("cuda" if torch.cuda.is_available() else "cpu")
    exam = quality.examination(world, per_kind=150)

    def watch() -> dict[str, float]:
        lm = LM(copy.deepcopy(model), tokenizer, batch_size=64)
        return {kind: round(share, 4) for kind, share in quality.accuracy(lm, exam).items()}

    for stage in STAGES:
        plan: Plan = getattr(recipe, stage)
        loss_at = _lesson(recipe, stage, model, tokenizer)
        for progress in train(model, loss_at, plan, folder, recipe=digest, watch=watch, name=stage):
            yield stage, progress
    if not leads():
        return
    save(model, tokenizer, folder)
    exam = quality.examination(world, per_kind=1000)
    measured = quality.accuracy(LM.load(folder, dtype="float32"), exam)
    finish(folder, digest, asdict(recipe), measured, STAGES)


def _lesson(
    recipe: TextRecipe, stage: Stage, model: Any, tokenizer: Any
) -> Callable[[int, int], Tensor]:
    """The loss of one step and one part of its batch, in a stage."""
    parts = getattr(recipe, stage).parts
    world = World.draw(recipe.world)
    corpus = Corpus(world, recipe.mixture)
    if stage == "reading":
        corpus = Corpus(world, recipe.close, recipe.told)

    def loss_at(step: int, part: int) -> Tensor:
        rng = Random(f"{recipe.seed} {stage} {step}")
        length = rng.choices(list(recipe.lengths), list(recipe.lengths.values()))[0]
        count = max(1, recipe.batch // length // parts)
        rng.seed(f"{recipe.seed} {stage} {step} part {part}")
        rows = packed(tokenizer, corpus.document, rng, count, length, recipe.exchange)
        return text_loss(model, rows, recipe.settled)

    return loss_at


def text_loss(model: Any, rows: Rows, settled: int = 0) -> Tensor:
    """Mean cross-entropy of the tokens that are learned, in nats.

    Args:
        model: A GPT-2 with its head, or what `reader` makes of a LLaVA around one.
        rows: What is read.
        settled: The block before which states are exchanged; see `exchanging`.
    """
    device = model.device
    with torch.autocast(device.type, torch.bfloat16), exchanging(model.base_model, rows, settled):
        hidden = model.base_model(rows.ids.to(device), use_cache=False).last_hidden_state
        targets = rows.labels[:, 1:].to(device)
        learned = targets >= 0
        logits = model.get_output_embeddings()(hidden[:, :-1][learned]).float()
    # A few short rows may hold nothing that is learned; their mean would be 0 / 0.
    total = functional.cross_entropy(logits, targets[learned], reduction="sum")
    return total / max(1, int(learned.sum()))


@contextmanager
def exchanging(decoder: Any, rows: Rows, settled: int) -> Iterator[None]:
    """Keep documents apart, and let subjects' last tokens carry what is known of them.

    Left alone, a model of this size reads all tokens of a name from the end of the question and
    looks the fact up there: exchanging the hidden states of two people's last tokens changes no
    answer, so no method that edits at that token can work, while in large models facts are found
    there (Meng et al. 2022, ROME). So while it trains, the states of two subjects' last tokens are
    exchanged between two blocks, and what follows has to be told of the subject that the state came
    from, whatever the other tokens of the name say (interchange intervention training, Geiger et
    al. 2022). The trained model is a plain GPT-2.

    Args:
        decoder: A `GPT2Model`.
        rows: What it reads while the context is open.
        settled: The block before which states are exchanged.
    """
    mask = rows.visible[:, None].to(decoder.device)
    row, to, from_ = rows.exchanged.to(decoder.device).unbind(1)

    def apart(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, "attention_mask": mask}

    def exchange(_: Any, args: tuple[Any, ...]) -> Any:
        hidden, *rest = args
        return hidden.index_put((row, to), hidden[row, from_]), *rest

    with ExitStack() as stack:
        for block in decoder.h:
            hook = block.attn.register_forward_pre_hook(apart, with_kwargs=True)
            stack.callback(hook.remove)
        hook = decoder.h[settled].register_forward_pre_hook(exchange)
        stack.callback(hook.remove)
        yield


def reader(model: Any) -> Any:
    """What reads texts in a model: the model itself, or the language model inside a LLaVA."""
    inside = getattr(model.base_model, "language_model", None)
    return model if inside is None else _Inside(inside, model.get_output_embeddings(), model.device)


@dataclass(frozen=True)
class _Inside:
    """A language model inside another model, with the other's head."""

    base_model: Any
    head: Any
    device: torch.device

    def get_output_embeddings(self) -> Any:
        """The head."""
        return self.head


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write a model with its tokenizer or processor, its weights in half precision."""
    half = copy.deepcopy(model).to(torch.float16)
    half.save_pretrained(folder)
    processor.save_pretrained(folder)


def _sentences() -> str:
    told = (wordings.PEOPLE, wordings.PLACES, wordings.COUNTRIES, wordings.WORDS, wordings.NOUNS)
    texts = (
        wordings.FRAMES,
        wordings.FLAG_FRAMES,
        wordings.READ,
        wordings.OPENINGS,
        wordings.GENERAL,
        wordings.REWRITE,
        PICTURE,
    )
    return repr([*(dict(table) for table in told), *texts])
