"""BalancEdit: a codebook whose radii balance what an edit should reach and what it must not.

Symbols, for one edit:

    k           its key: the mean of the layer's input over the question
    d(pos)      distance of the positive sample's key from k: same picture, other wording
    d(neg)      distance of the negative sample's key from k: same wording, empty picture
    radius      w_pos * d(pos) + w_neg * d(neg)
    copy        the layer, fine-tuned on the new answer

A question whose key is nearest to k and no further than the radius is answered by the copy, any
other by the layer. Source: BalancEdit (ICML 2025) and the code of its authors.

**Weights of the two distances.** The authors' code gives the negative distance 1 - alpha and the
positive one alpha; the paper as others describe it, the other way round. Small alphas make the
first nearly reach the negative sample and the second stay close to the positive one. So they are
named, and `weights` gives both.

**Samples.** Positive: the request's first sample with its own picture and other words; else its
first; else the question with "Please answer:" before it. Negative: the same question about a black,
white or random picture, or the request's own first negative sample. A request without a picture has
no picture to empty. There the request's own sample counts, whatever `negative` says; else the
question with its subject emptied, "Ann Smith works for" to "this works for"; else "What is this?".

**Crossed samples.** Where d(pos) >= d(neg), no radius reaches the one and spares the other. By
default the positive sample is given up and the radius is half of d(neg), as in GRACE, which halves
the distance of keys that disagree; `crossed="mix"` keeps the weighted sum, as the sources do.

**More than one edit.** An edit that asks the same question as an earlier one replaces it, whatever
its answer (conflict). An edit that asks another question whose key falls inside an earlier entry
gets an entry of its own, with training begun from that entry's copy instead of the layer
(overlap), so that both answers are known where the two regions meet. Edits that are made together
do not see each other, except that of two that ask the same question the later one stands.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import numpy as np
from PIL import Image
from torch import Tensor, nn

from editors.anatomy import fan_in
from editors.base import EditError
from editors.codebook import (
    Codebook,
    CodebookModel,
    Entry,
    Key,
    find_layer,
    require_layer,
)
from editors.copies import Copies, FullCopies, LowRankCopies, Value, train
from editors.keys import Measure, pairwise
from editors.lm import LM
from editors.prompts import Query
from editors.routing import latest, question_id
from schemas.errors import InputError, require_number, require_one_of
from schemas.images import EncodedImage
from schemas.records import EditRequest, Sample

Negative = Literal["black", "white", "random", "record"]
"""The picture of the negative sample, or the request's own sample."""

Crossed = Literal["halve", "mix"]
"""The radius where the positive sample is not nearer than the negative one."""

Overlap = Literal["continue", "fresh"]
"""What the copy of an edit inside an earlier entry begins with: that entry's copy, or the layer."""

Preset = Literal["reference", "described"]
"""Which distance gets the small weight alpha: in the authors' code, the positive one; in the paper
as others describe it, the negative one."""

REFERENCE_ALPHA: Mapping[tuple[str, Measure], float] = MappingProxyType(
    {
        ("blip-2", "euclidean"): 0.05,
        ("blip-2", "cosine"): 0.1,
        ("llama", "euclidean"): 0.2,
        ("llama", "cosine"): 0.25,
    }
)
"""Alphas in the authors' configurations, by model type: BLIP-2 with OPT-2.7B, and MiniGPT-4, whose
language model is a Llama. Other models are given those of the second."""

DESCRIBED_ALPHA = 0.2
"""The middle of the range of 0.1 to 0.3 that the paper is said to sweep."""

REFERENCE_RATE, REFERENCE_FAN_IN = 1e-4, 10_240
"""Adam's effective rate in the authors' code, and the width of the layer that it is for (the MLP of
OPT-2.7B). An Adam step moves the layer's output in proportion to rate times width."""

EPSILON = 1e-4
"""Adam's epsilon, as in the authors' code. It is large beside the gradients of an edit that is
almost learned, so that such an edit comes to rest."""

PICTURE_SIDE = 364
"""Side of the empty pictures in pixels, as in the authors' code."""

NEUTRAL_SUBJECT, NEUTRAL_QUESTION = "this", "What is this?"
LEAD_IN = "Please answer:"


def weights(preset: Preset, alpha: float) -> tuple[float, float]:
    """The weights (w_pos, w_neg) of a preset.

    Raises:
        InputError: If there is no such preset, or alpha is not between 0 and 1.
    """
    require_number("alpha", alpha)
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha is between 0 and 1, not {alpha}", field="alpha")
    require_one_of("preset", preset, get_args(Preset))
    return (alpha, 1 - alpha) if preset == "reference" else (1 - alpha, alpha)


@dataclass(frozen=True)
class BalancEdit:
    """The hyperparameters of BalancEdit; `for_model` chooses those that depend on the model.

    Attributes:
        layer: Path of the linear layer, or number of the block whose MLP's projection it is; None
            for the last block's.
        key: What keys are the mean of.
        distance: How far keys are from each other.
        w_pos: Weight of the positive sample's distance in the radius.
        w_neg: Weight of the negative sample's distance.
        negative: The negative sample.
        crossed: The radius where the samples cross.
        overlap: Where training begins inside an earlier entry.
        value: Whole copies of the layer, or changes of low rank.
        rank: Rank of such changes.
        learning_rate: Adam's.
        steps: Updates of a copy.
        name: What it is called in reports.
    """

    layer: int | str | None = None
    key: Key = "prompt"
    distance: Measure = "euclidean"
    w_pos: float = 1 - DESCRIBED_ALPHA
    w_neg: float = DESCRIBED_ALPHA
    negative: Negative = "black"
    crossed: Crossed = "halve"
    overlap: Overlap = "continue"
    value: Value = "full"
    rank: int = 8
    learning_rate: float = REFERENCE_RATE
    steps: int = 50
    name: str = "balancedit"

    def __post_init__(self) -> None:
        require_one_of("key", self.key, get_args(Key))
        require_one_of("distance", self.distance, get_args(Measure))
        require_one_of("negative", self.negative, get_args(Negative))
        require_one_of("crossed", self.crossed, get_args(Crossed))
        require_one_of("overlap", self.overlap, get_args(Overlap))
        require_one_of("value", self.value, get_args(Value))
        require_number("w_pos", self.w_pos)
        require_number("w_neg", self.w_neg)
        if self.w_pos < 0 or self.w_neg < 0 or self.w_pos + self.w_neg == 0:
            found = f"{self.w_pos} and {self.w_neg}"
            raise InputError(f"w_pos and w_neg are not negative, nor both 0, found {found}")
        require_layer(self.layer)
        require_number("rank", self.rank, whole=True, least=1)
        require_number("steps", self.steps, whole=True, least=1)
        require_number("learning_rate", self.learning_rate, above=0)

    @classmethod
    def for_model(
        cls,
        lm: LM,
        *,
        preset: Preset = "described",
        alpha: float | None = None,
        w_pos: float | None = None,
        w_neg: float | None = None,
        layer: int | str | None = None,
        key: Key = "prompt",
        distance: Measure = "euclidean",
        negative: Negative = "black",
        crossed: Crossed = "halve",
        overlap: Overlap = "continue",
        value: Value = "full",
        rank: int = 8,
        learning_rate: float | None = None,
        steps: int = 50,
    ) -> Self:
        """The settings for a model.

        Args:
            lm: The model.
            preset: Where the weights are from.
            alpha: The small weight; that of the preset's source by default.
            w_pos: Weight of the positive distance, in place of the preset's.
            w_neg: Weight of the negative distance, in place of the preset's.
            layer: See the class, as for all that follows.
            key: What keys are the mean of.
            distance: How far keys are from each other.
            negative: The negative sample.
            crossed: The radius where the samples cross.
            overlap: Where training begins inside an earlier entry.
            value: Whole copies, or changes of low rank.
            rank: Rank of such changes.
            learning_rate: Adam's; by default the authors', scaled from the width of their layer
                to this one's.
            steps: Updates of a copy.

        Raises:
            InputError: If the model has no such layer, or a setting does not exist.
        """
        if alpha is None:
            alpha = _reference_alpha(lm, distance)[1] if preset == "reference" else DESCRIBED_ALPHA
        positive, negative_weight = weights(preset, alpha)
        width = fan_in(find_layer(lm, layer))
        return cls(
            layer=layer,
            key=key,
            distance=distance,
            w_pos=positive if w_pos is None else w_pos,
            w_neg=negative_weight if w_neg is None else w_neg,
            negative=negative,
            crossed=crossed,
            overlap=overlap,
            value=value,
            rank=rank,
            learning_rate=learning_rate or REFERENCE_RATE * REFERENCE_FAN_IN / width,
            steps=steps,
        )

    @classmethod
    def space(cls, lm: LM) -> dict[str, Sequence[Any]]:
        """Settings worth trying on a model: late layers, and alphas as the paper sweeps them."""
        depth = len(lm.anatomy.blocks)
        return {"layer": range(depth // 2, depth), "alpha": (0.1, 0.2, 0.3, 0.5)}

    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        """Where the settings are from that `for_model` does not take from options, by name."""
        preset: Preset = options.get("preset", "described")
        if options.get("alpha") is not None:
            where = f"follows from alpha={options['alpha']} and preset={preset!r}"
        elif preset == "reference":
            kind, alpha = _reference_alpha(lm, options.get("distance", "euclidean"))
            where = f"the authors' code for {kind}, alpha {alpha}"
        else:
            where = f"middle of the range that the paper is said to sweep, alpha {DESCRIBED_ALPHA}"
        rate = f"the authors' {REFERENCE_RATE} at width {REFERENCE_FAN_IN:,}, scaled to this layer"
        found = {"w_pos": where, "w_neg": where, "learning_rate": rate}
        return {name: where for name, where in found.items() if options.get(name) is None}

    def apply(self, lm: LM) -> BalancEditModel:
        """An edited model with an empty codebook.

        Raises:
            InputError: If the model has no such layer.
        """
        return BalancEditModel(lm, self, find_layer(lm, self.layer))


def _reference_alpha(lm: LM, distance: Measure) -> tuple[str, float]:
    """The authors' alpha for a model, and the model type that they give it for."""
    for kind in (lm.config.model_type, lm.text_config.model_type, "llama"):
        if (found := REFERENCE_ALPHA.get((kind, distance))) is not None:
            return kind, found
    return "no model", DESCRIBED_ALPHA


class BalancEditModel(CodebookModel):
    """A model with BalancEdit's codebook.

    Attributes:
        editor: The hyperparameters.
    """

    def __init__(self, lm: LM, editor: BalancEdit, layer: nn.Module) -> None:
        """Put an empty codebook beside a layer."""
        super().__init__(lm, layer, key=editor.key, measure=editor.distance, rank=editor.rank)
        self.editor = editor

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        requests = latest(requests)
        queries = [Query(request.prompt, request.image) for request in requests]
        answers = [request.target_new for request in requests]
        keys = self.keys(queries, answers)
        entries = self._entries(requests, keys)
        replaced = {entry.question for entry in entries}
        book: Codebook | None = self.state
        if book is not None:
            kept = [i for i, e in enumerate(book.entries) if e.question not in replaced]
            book = book.keeping(kept)
        fresh = self._trained(queries, answers, entries, keys, book)
        self.state = fresh if book is None else book.with_more(fresh)

    def alone(self, requests: Sequence[EditRequest]) -> Codebook:
        """An entry for each request, as it would be in an empty codebook."""
        queries = [Query(request.prompt, request.image) for request in requests]
        answers = [request.target_new for request in requests]
        keys = self.keys(queries, answers)
        return self._trained(queries, answers, self._entries(requests, keys), keys, None)

    def _trained(
        self,
        queries: Sequence[Query],
        answers: Sequence[str],
        entries: Sequence[Entry],
        keys: Tensor,
        book: Codebook | None,
    ) -> Codebook:
        """Entries with copies that were trained beside a codebook."""
        with self.unrouted():
            copies = train(
                self.lm,
                self.layer,
                list(zip(queries, answers, strict=True)),
                self._start(book, keys),
                learning_rate=self.editor.learning_rate,
                steps=self.editor.steps,
                epsilon=EPSILON,
            )
        return Codebook(tuple(entries), keys, copies)

    def _entries(self, requests: Sequence[EditRequest], keys: Tensor) -> list[Entry]:
        """Entries with radii from the requests' samples."""
        distance = {}
        for sign, sample_of in (("pos", positive_sample), ("neg", self._negative_sample)):
            samples = [sample_of(request) for request in requests]
            of_samples = self.keys(
                [Query(sample.prompt, sample.image) for sample in samples],
                [sample.answer for sample in samples],
            )
            distance[sign] = pairwise(keys, of_samples, self.editor.distance).tolist()
        return [
            Entry(
                request.id,
                question_id(request.prompt, request.image),
                self._radius(request, positive, negative),
                positive,
                negative,
            )
            for request, positive, negative in zip(
                requests, distance["pos"], distance["neg"], strict=True
            )
        ]

    def _radius(self, request: EditRequest, positive: float, negative: float) -> float:
        radius = self.editor.w_pos * positive + self.editor.w_neg * negative
        if positive >= negative and self.editor.crossed == "halve":
            radius = negative / 2
        if not 0 < radius < float("inf"):
            raise EditError(
                f"the radius comes out as {radius}: the model reads the question and its samples, "
                f"{positive} and {negative} away, as the same",
                row=request.id,
            )
        return radius

    def _negative_sample(self, request: EditRequest) -> Sample:
        return negative_sample(request, self.editor.negative)

    def _start(self, book: Codebook | None, keys: Tensor) -> Copies:
        """What training begins with: for each key, the layer, or the copy of an entry around it."""
        if self.editor.value == "full":
            start: Copies = FullCopies.of(self.layer, len(keys))
        else:
            start = LowRankCopies.of(self.layer, len(keys), self.editor.rank)
        if book is None or self.editor.overlap == "fresh":
            return start
        distance, index = book.nearest(keys, self.editor.distance)
        inside = distance <= book.radii()[index]
        return start.replaced(book.copies[index], inside) if bool(inside.any()) else start


def positive_sample(request: EditRequest) -> Sample:
    """The sample that an edit should reach; see the module."""
    same_picture = [
        sample
        for sample in request.positives
        if _same_file(sample.image, request.image) and sample.prompt != request.prompt
    ]
    for sample in (*same_picture, *request.positives):
        return sample
    prompt = f"{LEAD_IN} {request.prompt}"
    return Sample("lead_in", prompt, request.image, request.target_new)


def negative_sample(request: EditRequest, kind: Negative) -> Sample:
    """The sample that an edit must not reach; see the module.

    Raises:
        InputError: If it is to be the request's own, and the request has none.
    """
    like = [s for s in request.negatives if (s.image is None) == (request.image is None)]
    if kind == "record" or (request.image is None and like):
        for sample in (*like, *request.negatives):
            return sample
        raise InputError(
            "there is no negative sample, as negative='record' needs",
            row=request.id,
            field="negatives",
        )
    answer = request.target_true or request.target_new
    if request.image is not None:
        seed = question_id(request.prompt, request.image)
        return Sample(kind, request.prompt, empty_picture(kind, seed), answer)
    prompt = NEUTRAL_QUESTION
    if request.subject and request.subject in request.prompt:
        prompt = request.prompt.replace(request.subject, NEUTRAL_SUBJECT)
    return Sample("neutral", prompt, None, answer)


def empty_picture(kind: Literal["black", "white", "random"], seed: str) -> EncodedImage:
    """A picture that shows nothing: one tone, or noise that depends on the seed alone."""
    if kind != "random":
        return _plain_picture(kind)
    digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
    noise = np.random.default_rng(int.from_bytes(digest)).integers(
        0, 256, (PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.uint8
    )
    return _encoded(Image.fromarray(noise), kind)


@cache
def _plain_picture(colour: str) -> EncodedImage:
    return _encoded(Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE), colour), colour)


def _encoded(picture: Image.Image, name: str) -> EncodedImage:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), f"{name}.png")


def _same_file(image: EncodedImage | None, other: EncodedImage | None) -> bool:
    if image is None or other is None:
        return image is other
    return image.bytes == other.bytes
