"""The recipe of the text model: a GPT-2 with wide MLPs that knows one small world."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from editors.lm import LM
from medit_eval.testbed import quality, wordings
from medit_eval.testbed.corpus import MIXTURE, PICTURE, Corpus
from medit_eval.testbed.loop import Plan, Progress, finish, finished, leads, train
from medit_eval.testbed.tokens import Rows, packed, train_tokenizer
from medit_eval.testbed.world import SEED, World


@dataclass(frozen=True)
class TextRecipe:
    """All that decides what the text model becomes.

    The MLPs are sixteen times as wide as the model, for each projection is to hold thousands of
    facts and still have directions left that none of them uses.

    Attributes:
        plan: How long and how fast to train.
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
        mixture: Kind of document -> share.
        settle: The block from which on a name may be read by what stands behind it; see `settling`.
        free: Share of updates in which everything may be read.
    """

    plan: Plan
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
    settle: int = 3
    free: float = 0.2

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


def train_text(recipe: TextRecipe, folder: Path) -> Iterator[Progress]:
    """Train the text model, or go on; at the end the folder holds it, ready to be loaded.

    Args:
        recipe: What to make.
        folder: Where it goes, with log and report, and a checkpoint until it is done.
    """
    digest = recipe.digest()
    if finished(folder, digest):
        return
    world = World.draw(recipe.world)
    corpus = Corpus(world, recipe.mixture)
    tokenizer = new_tokenizer(recipe)
    model = new_model(recipe, tokenizer).to("cuda" if torch.cuda.is_available() else "cpu")
    exam = quality.examination(world, per_kind=150)

    def loss_at(step: int, part: int) -> Tensor:
        rng = Random(f"{recipe.seed} step {step}")
        length = rng.choices(list(recipe.lengths), list(recipe.lengths.values()))[0]
        count = max(1, recipe.batch // length // recipe.plan.parts)
        settle = None if rng.random() < recipe.free else recipe.settle
        rng.seed(f"{recipe.seed} step {step} part {part}")
        rows = packed(tokenizer, corpus.document, rng, count, length)
        return text_loss(model, rows, settle)

    def watch() -> dict[str, float]:
        lm = LM(copy.deepcopy(model), tokenizer, batch_size=64)
        return {kind: round(share, 4) for kind, share in quality.accuracy(lm, exam).items()}

    yield from train(model, loss_at, recipe.plan, folder, recipe=digest, watch=watch)
    if not leads():
        return
    save(model, tokenizer, folder)
    exam = quality.examination(world, per_kind=1000)
    measured = quality.accuracy(LM.load(folder, dtype="float32"), exam)
    finish(folder, digest, asdict(recipe), measured)


def text_loss(model: Any, rows: Rows, settle: int | None = None) -> Tensor:
    """Mean cross-entropy of the tokens that are learned, in nats.

    Args:
        model: A GPT-2 with its head, or what `reader` makes of a LLaVA around one.
        rows: What is read.
        settle: The block from which on names may be read, or None for all; see `settling`.
    """
    device = model.device
    with torch.autocast(device.type, torch.bfloat16), settling(model.base_model, rows, settle):
        hidden = model.base_model(rows.ids.to(device), use_cache=False).last_hidden_state
        targets = rows.labels[:, 1:].to(device)
        learned = targets >= 0
        logits = model.get_output_embeddings()(hidden[:, :-1][learned]).float()
    # A few short rows may hold nothing that is learned; their mean would be 0 / 0.
    total = functional.cross_entropy(logits, targets[learned], reduction="sum")
    return total / max(1, int(learned.sum()))


@contextmanager
def settling(decoder: Any, rows: Rows, settle: int | None) -> Iterator[None]:
    """Hide names from what stands behind them, so that what is known of them settles at their end.

    Left alone, a model of this size reads all tokens of a name from the end of the question, and
    looks facts up there: then editing at the name's last token does nothing (exchanging the hidden
    states of two people's last tokens changed no answer), while in large models facts are found
    there. So while it trains, what stands behind a name reads none of it in the first blocks, and
    its last token alone in the others. The last token has to have gathered by then what anybody may
    ask. The trained model is a plain GPT-2, in which everything may be read.

    Args:
        decoder: A `GPT2Model`.
        rows: What it reads while the context is open.
        settle: The first block in which the last token may be read; None to hide nothing but other
            documents.
    """

    def see(mask: Tensor) -> Any:
        whole = mask[:, None].to(decoder.device)
        return lambda _, args, kwargs: (args, {**kwargs, "attention_mask": whole})

    with ExitStack() as stack:
        for place, block in enumerate(decoder.h):
            mask = rows.visible
            if settle is not None:
                mask = rows.early if place < settle else rows.late
            hook = block.attn.register_forward_pre_hook(see(mask), with_kwargs=True)
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
